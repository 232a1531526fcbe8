"""Rank tests by another package, held against those of the scorer: p-values, and the six scores that follow."""

import sys
from dataclasses import replace
from typing import Any, Literal

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.audit.evaluation.cell_eval import SHORT, CellEval, quiet
from diagnostics.audit.evaluation.data import CONTROL, ScreenData, read_screen, split_of
from diagnostics.audit.evaluation.evaluate import as_anndata
from diagnostics.audit.evaluation.rank_tests import rank_tests_by_illico, why_not
from diagnostics.audit.evaluation.references import Answer, baselines
from gpcp.core.errors import InputError

TOLERANCE = 1e-6


def cells_of(seed: int, *, n_targets: int, rate: float, n_genes: int = 40, n_least: int = 2) -> Any:
    """Counts with ties, genes of zero variance and silent ones, and a target of few cells."""
    rng = np.random.default_rng(seed)
    sizes = [30, n_least, *rng.integers(3, 25, size=n_targets - 1).tolist()]
    labels = np.repeat([CONTROL, *(f"t{i}" for i in range(n_targets))], sizes)
    shift_TG = np.where(rng.random((n_targets + 1, n_genes)) < 0.3, rng.normal(0, 1.5, (n_targets + 1, n_genes)), 0.0)
    shift_TG[0] = 0
    count_BG = rng.poisson(rate * np.exp(shift_TG[np.repeat(np.arange(n_targets + 1), sizes)])).astype(np.float32)
    count_BG[:, 0], count_BG[:, 1], count_BG[:, 2] = 0, 3, labels == "t1"
    obs = pd.DataFrame({"target": pd.Categorical(labels)}, index=pd.Index([f"cell_{i}" for i in range(len(labels))]))
    genes = pd.DataFrame(index=pd.Index([f"G{i}" for i in range(n_genes)]))
    return anndata.AnnData(sp.csr_matrix(count_BG), obs, genes)


def p_values(adata: Any, *, fast: bool) -> Any:
    from cell_eval2 import de_compute

    module: Any = de_compute
    own = module._de_scanpy_pvalues
    if not fast:
        with quiet():
            return own(adata.copy(), groupby="target", reference=CONTROL).sort("target", "feature")
    with rank_tests_by_illico():
        found = module._de_scanpy_pvalues(adata.copy(), groupby="target", reference=CONTROL)
    assert module._de_scanpy_pvalues is own
    return found.sort("target", "feature")


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_targets=st.integers(2, 5),
    rate=st.sampled_from([0.05, 1.0, 30.0]),
    in_log=st.booleans(),
    stored_zero=st.booleans(),
)
def test_p_values_are_those_of_scanpy(seed: int, n_targets: int, rate: float, in_log: bool, stored_zero: bool):
    adata = cells_of(seed, n_targets=n_targets, rate=rate)
    if in_log:
        adata.X = adata.X.log1p()
    adata.uns["log1p"] = {}
    if stored_zero:
        adata.X.data[:: max(1, len(adata.X.data) // 5)] = 0
    own, fast = p_values(adata, fast=False), p_values(adata, fast=True)
    assert own.select("target", "feature").equals(fast.select("target", "feature"))
    for column in ("p_value", "p_adj"):
        np.testing.assert_allclose(fast[column].to_numpy(), own[column].to_numpy(), rtol=1e-9, atol=0)


def scored(scorer: Literal["fast", "cell-eval2"], screen: ScreenData, answer: Any, preset: str) -> list[Any]:
    """Scores of a prediction, the scorer's baseline and its anchor."""
    split = split_of(screen, share=1, seed=0)
    made = CellEval(preset, screen, split, scorer=scorer)
    real = as_anndata(screen, split, "all")
    first, again = (made.scores(as_anndata(screen, split, "all", answer), real) for _ in range(2))
    assert all(np.array_equal(first.parts[name], again.parts[name], equal_nan=True) for name in first.parts)
    baseline = made.baseline(real)
    found = [first.parts, baseline.parts if baseline is not None else {}, made.anchor(real, n_splits=1, seed=0)]
    assert not any("cell-eval2 alone" in note for note in made.adapted)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["vcc2026", "v2"])
@pytest.mark.parametrize("values", ["counts", "log"])
@pytest.mark.parametrize(("seed", "rate"), [(0, 30.0), (1, 1.0), (2, 200.0)])
def test_every_score_is_that_of_cell_eval2(seed: int, rate: float, values: str, preset: str):
    adata = cells_of(seed, n_targets=5, rate=rate, n_least=4)
    if values == "log":
        adata.X = sp.csr_matrix(np.log1p(adata.X.toarray() * (1e4 / np.maximum(adata.X.sum(axis=1).A1, 1))[:, None]))
    screen = read_screen(adata)
    split = split_of(screen, share=1, seed=0)
    predicted = as_anndata(screen, split, "all")
    rng = np.random.default_rng(seed)
    groups = {
        (label, "all"): predicted[predicted.obs["target"] == label].X.toarray()[:, rng.permutation(len(screen.genes))]
        for label in split.test[:1]
    } | {
        (label, "all"): predicted[predicted.obs["target"] == label].X.toarray()[::-1] + (np.arange(40) % 7 == 3)
        for label in split.test[1:]
    }
    answers = [Answer(name="moved", kind="prediction", groups=groups), baselines(screen, split, seed=seed)[0][1]]
    for answer in answers:
        own = scored("cell-eval2", screen, answer, preset)
        fast = scored("fast", screen, answer, preset)
        assert own[0].keys() >= SHORT.keys() if preset == "vcc2026" else own[0]
        for known, found in zip(own, fast, strict=True):
            assert known.keys() == found.keys()
            for name in known:
                # Of values that are not there both have NaN.
                np.testing.assert_allclose(found[name], known[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


def test_what_is_not_covered_goes_to_cell_eval2_and_the_notes_have_why(monkeypatch: pytest.MonkeyPatch):
    screen = read_screen(cells_of(0, n_targets=3, rate=5.0))
    assert why_not(screen.X_BG) is None
    negative = replace(screen, X_BG=-screen.X_BG)
    split = split_of(screen, share=1, seed=0)
    made = CellEval("vcc2026", negative, split)
    assert "illico" not in made.name
    assert any("values below 0" in note for note in made.adapted)
    monkeypatch.setattr("diagnostics.audit.evaluation.rank_tests.TESTED_VERSION", "0.0.1")
    assert any("were found of 0.0.1" in note for note in CellEval("vcc2026", screen, split).adapted)
    assert not any("alone" in one for one in CellEval("vcc2026", screen, split, scorer="cell-eval2").adapted)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    screen = read_screen(cells_of(0, n_targets=3, rate=5.0))
    monkeypatch.setitem(sys.modules, "illico", None)
    assert why_not(screen.X_BG) == "illico is not installed"


def test_a_scorer_that_is_not_there_is_one_line():
    screen = read_screen(cells_of(0, n_targets=3, rate=5.0))
    wrong: Any = "fats"
    with pytest.raises(InputError, match="--scorer is 'fats'; nearest: fast"):
        CellEval("vcc2026", screen, split_of(screen, share=1, seed=0), scorer=wrong)
