"""A screen's perturbations predicted by name: means over the controls of each context, in the units of the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Perturbation
from gpcp.in_silico.by_name import predicted_by_name
from gpcp.screens.h5ad_screen import H5adScreen

GENES = ("AAA", "BBB", "CCC", "DDD")


def screen(kind: str) -> ad.AnnData:
    """Two contexts of other depth; targets of which one is a gene; labels as GEARS writes them."""
    rng = np.random.default_rng(1)
    labels = np.array(["ctrl", "AAA+ctrl", "drug+ctrl", "AAA+drug"])[np.arange(160) % 4]
    context = np.array(["one", "two"])[np.arange(160) // 4 % 2]
    value = rng.poisson(np.where(context == "one", 40, 90)[:, None], size=(160, len(GENES))).astype(np.float32)
    if kind == "log":
        value = np.log1p(1e4 * value / value.sum(axis=1, keepdims=True)).astype(np.float32)
    obs = pd.DataFrame({"condition": labels, "cell_type": context}, index=pd.Index([f"cell {i}" for i in range(160)]))
    return ad.AnnData(value, obs, pd.DataFrame(index=pd.Index(GENES)))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Raises:
    """Each perturbation raises every gene's logarithm by .1 for its token and .1 more."""

    vocab: GeneVocab

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: Mapping[str, Any] | None = None
    ) -> NDArray[np.float32]:
        del covariates
        assert perturbation.applied is not None
        rise_B = np.where(perturbation.applied.token_BA >= 0, 0.1 * (perturbation.applied.token_BA + 1), 0).sum(axis=1)
        return (control_BG + rise_B[:, None]).astype(np.float32)


@pytest.mark.parametrize("kind", ["counts", "log"])
def test_means_of_each_label_in_each_context_in_the_units_of_the_file(kind: str) -> None:
    data = screen(kind)
    read = H5adScreen(data)
    assert read.vocab.feature_id == GENES
    assert "genes by their names in the index of var" in read.provenance
    made = predicted_by_name(Raises(vocab=read.vocab), read)
    assert list(made.var_names) == list(GENES)
    assert len(made) == 6
    value = np.asarray(data.X)
    for row, (label, context) in enumerate(zip(made.obs["condition"], made.obs["cell_type"], strict=True)):
        controls = value[((data.obs["condition"] == "ctrl") & (data.obs["cell_type"] == context)).to_numpy()]
        rise = {"AAA+ctrl": 0.1, "drug+ctrl": 0.2, "AAA+drug": 0.3}[label]
        expected = controls + rise
        if kind == "counts":
            log = np.log1p(1e6 * controls / controls.sum(axis=1, keepdims=True)).mean(axis=0)
            expected = controls * (np.expm1(log + rise) / np.expm1(log))
        # Of a target that is measured nothing is learnt.
        expected[:, 0] = controls[:, 0] if "AAA" in label else expected[:, 0]
        np.testing.assert_allclose(np.asarray(made.X)[row], expected.mean(axis=0), rtol=2e-4)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ByDose:
    """Each perturbation raises every gene's logarithm by its dose."""

    vocab: GeneVocab

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: Mapping[str, Any] | None = None
    ) -> NDArray[np.float32]:
        del covariates
        assert perturbation.applied is not None
        return (control_BG + perturbation.applied.dose_BA.sum(axis=1, keepdims=True)).astype(np.float32)


def test_a_mean_is_over_all_doses_that_cells_got() -> None:
    data = screen("log")
    data.obs["condition"] = np.where(data.obs["condition"] == "ctrl", "ctrl", "drug+ctrl")
    data.obs["dose"] = np.where(np.arange(160) % 4 == 1, 1.0, 4.0)
    read = H5adScreen(data, dose="dose")
    made = predicted_by_name(ByDose(vocab=read.vocab), read)
    value = np.asarray(data.X)
    for row, context in enumerate(made.obs["cell_type"]):
        controls = value[((data.obs["condition"] == "ctrl") & (data.obs["cell_type"] == context)).to_numpy()]
        np.testing.assert_allclose(np.asarray(made.X)[row], controls.mean(axis=0) + 3.0, rtol=1e-5)
    with_one_dose = predicted_by_name(
        ByDose(vocab=read.vocab), H5adScreen(data[data.obs["dose"] != 1.0].copy(), dose="dose")
    )
    assert (np.asarray(with_one_dose.X) > np.asarray(made.X)).all()


def test_few_controls_are_drawn_by_the_seed_and_progress_is_counted() -> None:
    read, done = H5adScreen(screen("log")), list[tuple[int, int | None]]()
    asked = Raises(vocab=read.vocab)
    first = predicted_by_name(asked, read, most_controls=3, on_progress=lambda n, total: done.append((n, total)))
    assert done == [(n, 6) for n in range(1, 7)]
    assert np.array_equal(np.asarray(first.X), np.asarray(predicted_by_name(asked, read, most_controls=3).X))
    other = predicted_by_name(asked, read, most_controls=3, seed=1)
    assert not np.array_equal(np.asarray(first.X), np.asarray(other.X))


def test_other_genes_are_refused() -> None:
    read = H5adScreen(screen("log"))
    with pytest.raises(InputError, match="the predictor has 1 genes and the screen 4"):
        predicted_by_name(Raises(vocab=GeneVocab(feature_id=("AAA",))), read)
