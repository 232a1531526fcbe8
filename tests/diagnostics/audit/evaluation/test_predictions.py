"""Files of predictions: the order of genes and rows does not matter, means become cells, what is missing is refused."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from diagnostics.audit.evaluation.data import CONTROL
from diagnostics.audit.evaluation.predictions import FilePrediction, named_prediction, predicted_groups
from gpcp.core.errors import InputError
from tests.diagnostics.audit.evaluation.screens import small_anndata, small_screen

SCREEN = small_screen()
TEST = SCREEN.labels[:3]


def written(made: Any, tmp_path: Path) -> FilePrediction:
    path = tmp_path / "prediction.h5ad"
    made.write_h5ad(path)
    return FilePrediction(name="mine", path=path)


def groups(made: Any, tmp_path: Path) -> Any:
    return predicted_groups(written(made, tmp_path), SCREEN, TEST, rng=np.random.default_rng(0))


def test_cells_come_back_whatever_the_order_of_genes_and_rows(tmp_path: Path):
    made = small_anndata()
    shuffled = made[::-1, ::-1].copy()
    found = groups(shuffled[shuffled.obs["target"] != CONTROL].copy(), tmp_path)
    for label in TEST:
        expected = SCREEN.X_BG[SCREEN.rows(label, "context_0")].toarray()
        np.testing.assert_array_equal(found[label, "context_0"], expected[::-1])


def test_a_mean_becomes_as_many_cells_as_the_screen_has(tmp_path: Path):
    mean_BG = np.random.default_rng(0).uniform(0, 9, size=(3, 30)).astype(np.float32)
    index = pd.Index(["a", "b", "c"])
    made = anndata.AnnData(
        mean_BG, obs=pd.DataFrame({"target": list(TEST)}, index=index), var=pd.DataFrame(index=list(SCREEN.genes))
    )
    found = groups(made, tmp_path)
    for row, label in enumerate(TEST):
        cell_BG = found[label, "context_0"]
        assert cell_BG.shape == (40, 30)
        assert (cell_BG == np.round(cell_BG)).all()
        assert np.abs(cell_BG - mean_BG[row]).max() < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made[:, :-1].copy(), "lacks 1 of 30 genes, ENSSIMG00000000029; nearest"),
        (lambda made: made[made.obs["target"] != TEST[1]].copy(), f"has no row of perturbation '{TEST[1]}'; nearest"),
        (lambda made: renamed(made, "target", "targt"), "has no column 'target' in obs; nearest: targt"),
        (lambda made: logged(made), "holds log, and the screen holds counts"),
        (lambda made: negative(made), "X has negative values"),
    ],
)
def test_what_is_missing_or_of_another_kind_is_refused(change: Any, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        groups(change(small_anndata()), tmp_path)


def renamed(made: Any, old: str, new: str) -> Any:
    made.obs = made.obs.rename(columns={old: new})
    return made


def logged(made: Any) -> Any:
    made.X = made.X.log1p()
    return made


def negative(made: Any) -> Any:
    made.X.data[0] = -1
    return made


def test_the_text_of_an_option():
    assert named_prediction("mine=a/b.h5ad") == FilePrediction(name="mine", path=Path("a/b.h5ad"))
    for text in ("mine", "=a.h5ad", "mine="):
        with pytest.raises(InputError, match="is not NAME=FILE"):
            named_prediction(text)
