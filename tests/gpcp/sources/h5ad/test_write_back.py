"""Results of single cells in the AnnData object that they belong to, or one line."""

from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from gpcp.core.cells import concatenate_cells
from gpcp.core.errors import InputError
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.h5ad.write_back import write_back

GENES = [f"ENSG{n:011d}" for n in range(3)]


def made(n_cells: int = 4) -> anndata.AnnData:
    counts = np.arange(1, 3 * n_cells + 1, dtype=np.float32).reshape(n_cells, 3)
    obs = pd.DataFrame({"kind": ["a", "b"] * (n_cells // 2)}, index=[f"c{i}" for i in range(n_cells)])
    return anndata.AnnData(X=counts, obs=obs, var=pd.DataFrame(index=GENES))


def test_cells_go_home():
    adata = made()
    cells = concatenate_cells(list(H5adCells(adata, genes=GENES[:2]).cells(batch_size=2, seed=3)))
    assert cells.cell_id_B.tolist() != [0, 1, 2, 3]
    write_back(adata, cells.cell_id_B, cells.expression_BG, key="log", columns=cells.vocab.feature_id)
    counts: Any = adata.X
    table: Any = adata.obsm["log"]
    assert table.columns.tolist() == GENES[:2]
    assert table.index.tolist() == adata.obs_names.tolist()
    expected = np.log1p(1e6 * counts / counts.sum(axis=1, keepdims=True))[:, :2]
    np.testing.assert_allclose(table.to_numpy(), expected, rtol=1e-6)


@given(st.permutations(range(6)), st.integers(0, 6), st.booleans())
def test_order_and_gaps(order: list[int], n_there: int, of_several: bool):
    adata = made(6)
    ids = np.array(order[:n_there], dtype=np.int64)
    values = np.stack([10.0 * ids, ids + 0.5], axis=1) if of_several else 10.0 * ids
    write_back(adata, ids, values, key="score", about={"model": "m", "seed": 0})
    found: Any = adata.obsm["score"] if of_several else adata.obs["score"].to_numpy()
    assert_array_equal(found[ids], values)
    rest = np.setdiff1d(np.arange(6), ids)
    assert np.isnan(found[rest].astype(float)).all()
    assert adata.uns["score"] == {"model": "m", "seed": 0}


def test_types_are_kept_where_every_cell_has_a_result():
    adata = made()
    for key, values in {"n": np.arange(4), "flag": np.array([True, False] * 2), "name": np.array(list("abcd"))}.items():
        write_back(adata, np.array([3, 2, 1, 0]), values, key=key)
        assert adata.obs[key].tolist() == values[::-1].tolist()
    write_back(adata, np.array([1]), np.array(["x"]), key="one")
    assert adata.obs["one"].isna().tolist() == [True, False, True, True]


def test_it_can_be_saved(tmp_path: Any):
    adata = made()
    write_back(adata, np.array([2, 0]), np.array([[1.0, 2.0], [3.0, 4.0]]), key="two", about={"seed": 1})
    write_back(adata, np.array([2, 0]), np.array(["x", "y"]), key="name")
    adata.write_h5ad(tmp_path / "a.h5ad")
    stored: Any = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert_array_equal(stored.obsm["two"][[0, 2]], [[3, 4], [1, 2]])
    assert stored.obs["name"].tolist()[0] == "y"


IDS = np.array([0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (np.array([0, 4]), np.zeros(2)),
            r"goes from 0 to 4, and the AnnData object has the rows 0 to 3",
        ),
        ((np.array([-1, 2]), np.zeros(2)), r"goes from -1 to 2"),
        ((np.array([1, 1]), np.zeros(2)), r"cell 1 has 2 results"),
        ((IDS, np.zeros(3)), r"values has shape \(3,\), and there are 2 cells"),
        ((IDS, np.zeros((2, 2, 2))), r"values has shape \(2, 2, 2\)"),
        ((IDS * 1.0, np.zeros(2)), r"cell_id_B has shape \(2,\) and dtype float64"),
        ((IDS, np.array([["a"], ["b"]])), r"values holds <U1"),
        ((IDS, np.zeros(2) * 1j), r"values holds complex128"),
    ],
)
def test_what_does_not_fit(arguments: tuple[Any, Any], message: str):
    adata = made()
    with pytest.raises(InputError, match=message):
        write_back(adata, *arguments, key="x")
    assert "x" not in adata.obs
    assert "x" not in adata.obsm


def test_columns_keys_and_views():
    adata = made()
    with pytest.raises(InputError, match="columns names 1 results, and values has 2"):
        write_back(adata, IDS, np.zeros((2, 2)), key="x", columns=["a"])
    with pytest.raises(InputError, match="columns name results of which a cell has several"):
        write_back(adata, IDS, np.zeros(2), key="x", columns=["a"])
    with pytest.raises(InputError, match=r"obs\['kind'\] is there already"):
        write_back(adata, IDS, np.zeros(2), key="kind")
    write_back(adata, IDS, np.zeros(2), key="kind", overwrite=True)
    assert adata.obs["kind"].tolist()[:2] == [0, 0]
    with pytest.raises(InputError, match=r"is a view, .*: adata = adata.copy\(\)"):
        write_back(adata[:2], IDS, np.zeros(2), key="x")
