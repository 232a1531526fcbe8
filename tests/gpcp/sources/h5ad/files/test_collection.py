"""Collections of annbatch: several AnnData groups read as one file, in the layout that annbatch 0.3.1 writes."""

import re
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from gpcp.core.errors import InputError
from gpcp.opening.cells import open_cells
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.h5ad.files.collection import RowsInTurn
from tests.gpcp.sources.h5ad.anndata_files import in_file_order

zarr = pytest.importorskip("zarr")

IDS = [f"ENSG{i:011d}" for i in range(5)]


def part(number: int, n_cells: int, *, dense: bool = False) -> anndata.AnnData:
    """One dataset, with a cell type that no other has."""
    counts = np.random.default_rng(number).poisson(1.0, (n_cells, 5)).astype(np.float32)
    obs = pd.DataFrame(
        {"kind": pd.Categorical(["both", f"own {number}"] * (n_cells // 2))},
        index=[f"d{number}c{i}" for i in range(n_cells)],
    )
    kind: Any = np.asarray if dense else sp.csr_matrix
    layers = {"other": kind(counts[::-1] + 1)}
    return anndata.AnnData(X=kind(counts), obs=obs, var=pd.DataFrame(index=IDS), layers=layers)


def collection(path: Path, parts: dict[int, anndata.AnnData]) -> Path:
    """The parts in the order in which they are given, by their numbers."""
    group = zarr.open_group(str(path), mode="w")
    group.attrs.update({"encoding-type": "annbatch-preshuffled", "encoding-version": "0.1.0"})
    with warnings.catch_warnings():
        # Of what the next version of anndata does.
        warnings.simplefilter("ignore")
        for number, adata in parts.items():
            anndata.io.write_elem(group, f"dataset_{number}", adata)
    return path


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("layer", ["X", "other"])
def test_datasets_are_read_one_after_the_other(tmp_path: Path, layer: str, in_memory: bool) -> None:
    # By number, not by name: dataset_10 is the last.
    parts = {10: part(10, 4), 0: part(0, 6, dense=True), 2: part(2, 8)}
    path = collection(tmp_path / "c.zarr", parts)
    in_turn: list[Any] = [parts[0], parts[2], parts[10]]
    matrix = sp.vstack([sp.csr_matrix(one.X if layer == "X" else one.layers[layer]) for one in in_turn])
    whole = anndata.AnnData(X=matrix, obs=pd.concat([one.obs for one in in_turn]), var=in_turn[0].var)
    found = in_file_order(H5adCells(path, layer=layer, cell_type="kind", in_memory=in_memory))
    wanted = in_file_order(H5adCells(whole, cell_type="kind"))
    np.testing.assert_array_equal(found.expression_BG, wanted.expression_BG)
    np.testing.assert_array_equal(found.cell_id_B, wanted.cell_id_B)
    assert found.covariates["cell_type"].tolist() == wanted.covariates["cell_type"].tolist()


def test_it_is_known_without_a_scheme(tmp_path: Path) -> None:
    cells: Any = open_cells(str(collection(tmp_path / "c.zarr", {0: part(0, 6), 1: part(1, 4)})))
    assert cells.n_cells == 10


def test_what_is_no_good_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without a dataset"):
        H5adCells(collection(tmp_path / "empty.zarr", {}))
    other = part(1, 4)[:, ::-1].copy()
    with pytest.raises(InputError, match=re.escape("'other.zarr:dataset_1' has other genes")):
        H5adCells(collection(tmp_path / "other.zarr", {0: part(0, 6), 1: other}))
    with pytest.raises(ValueError, match="2 to 3 columns"):
        RowsInTurn([np.zeros((2, 2)), np.zeros((1, 3))])
