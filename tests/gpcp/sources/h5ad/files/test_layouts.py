"""However an AnnData file stores its numbers, they are the same numbers: those that were written."""

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import gpcp.sources.h5ad.files.reader
from gpcp.core.cells import concatenate_cells
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.h5ad.files.open_file import opened

DTYPES = [
    *("?", "u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8"),
    *("<f2", ">f2", "<f4", ">f4", "<f8", ">f8"),
]
"""Every type of number of a width that numpy has everywhere, in both orders of bytes."""


def tables(n_cells: int, n_genes: int) -> dict[str, Any]:
    genes = [f"ENSG{n:011d}" for n in range(n_genes)]
    return {"obs": pd.DataFrame(index=[f"c{i}" for i in range(n_cells)]), "var": pd.DataFrame(index=genes)}


def write_matrix(file: Any, name: str, values: NDArray[Any], storage: str, *, chunked: bool, index: str) -> None:
    """A matrix as AnnData's format has it, of types that scipy and anndata do not write themselves."""
    if storage == "dense":
        chunks = tuple(max(1, size // 2) for size in values.shape) if chunked else None
        made = file.create_dataset(name, data=values, chunks=chunks, compression="gzip" if chunked else None)
        made.attrs["encoding-type"] = "array"
        made.attrs["encoding-version"] = "0.2.0"
        return
    turned = values.T if storage == "csc" else values
    group = file.create_group(name)
    group.attrs["encoding-type"] = f"{storage}_matrix"
    group.attrs["encoding-version"] = "0.1.0"
    group.attrs["shape"] = values.shape
    row, column = np.nonzero(turned)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(turned)))])
    parts = {"data": turned[row, column], "indices": column.astype(index), "indptr": pointers.astype(index)}
    for part, stored in parts.items():
        group.create_dataset(part, data=stored, chunks=(len(stored) // 2,) if chunked and len(stored) > 1 else None)


def read(path: Path, layer: str) -> NDArray[np.float64]:
    with opened(path) as file:
        return np.concatenate([block.toarray() for _, block in file.blocks(layer)])


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    values=hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 1)),
    dtype=st.sampled_from(DTYPES),
    storage=st.sampled_from(["dense", "csr", "csc"]),
    layer=st.sampled_from(["X", "raw", "counts"]),
    chunked=st.booleans(),
    index=st.sampled_from(["<i4", "<i8", ">i4", "<u4", "<u8"]),
    block_values=st.sampled_from([1, 7, 2**22]),
    data=st.data(),
)
def test_every_storage_of_every_type(
    tmp_path: Path,
    values: NDArray[Any],
    dtype: str,
    storage: str,
    layer: str,
    chunked: bool,
    index: str,
    block_values: int,
    data: st.DataObject,
):
    largest = 1 if dtype == "?" else 100
    scale = data.draw(hnp.arrays(np.int64, values.shape, elements=st.integers(1, largest)))
    values = (values * scale).astype(dtype)
    path = tmp_path / "a.h5ad"
    stored = anndata.AnnData(**tables(*values.shape))
    if layer == "raw":
        stored.raw = anndata.AnnData(X=sp.csr_matrix(values.shape, dtype=np.float32), **tables(*values.shape))
    stored.write_h5ad(path)
    part = {"X": "X", "raw": "raw/X", "counts": "layers/counts"}[layer]
    with h5py.File(path, "r+") as file:
        if part in file:
            del file[part]
        write_matrix(file, part, values, storage, chunked=chunked, index=index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.sources.h5ad.files.reader, "BLOCK_VALUES", block_values)
        np.testing.assert_array_equal(read(path, layer), values.astype(np.float64))


@pytest.mark.parametrize("dtype", ["<f2", ">f4", ">i8", "?"])
@pytest.mark.parametrize("storage", ["dense", "csr", "csc"])
def test_cells_of_every_type(tmp_path: Path, dtype: str, storage: str):
    values = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1]]).astype(dtype)
    path = tmp_path / "a.h5ad"
    anndata.AnnData(**tables(3, 3)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        write_matrix(file, "X", values, storage, chunked=False, index="<i4")
    cells = concatenate_cells(list(H5adCells(path, values="counts").cells(batch_size=3, seed=0)))
    counts = values.astype(np.float64)
    expected = np.log1p(1e6 * counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(cells.expression_BG, expected[cells.cell_id_B], rtol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"compression": "lzf"}])
def test_what_anndata_writes(tmp_path: Path, order: Any, options: dict[str, Any]):
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=np.array(values, order=order), layers={"csc": sp.csc_array(values)}, **tables(4, 3)).write_h5ad(
        path, **options
    )
    np.testing.assert_array_equal(read(path, "X"), values)
    np.testing.assert_array_equal(read(path, "csc"), values)


def test_rows_that_are_written_twice_in_a_sparse_row_are_summed_as_anndata_does(tmp_path: Path):
    path = tmp_path / "a.h5ad"
    twice = sp.csr_matrix((np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2))
    anndata.AnnData(X=twice, **tables(2, 2)).write_h5ad(path)
    np.testing.assert_array_equal(read(path, "X"), anndata.read_h5ad(path).to_df().to_numpy())


@pytest.mark.parametrize("dtype", [">f4", "<f2", ">i8", "<u2"])
def test_columns_of_every_type(tmp_path: Path, dtype: str):
    path = tmp_path / "a.h5ad"
    stored = anndata.AnnData(X=np.ones((4, 3), dtype=np.float32), **tables(4, 3))
    stored.obs["batch"], stored.var["long"] = [1, 2, 1, 2], [100, 200, 300]
    stored.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        for part in ("obs/batch", "var/long"):
            column: Any = file[part]
            values, kept = column[()].astype(dtype), dict(column.attrs)
            del file[part]
            file[part] = values
            file[part].attrs.update(kept)
    expected = np.log1p(1e6 * np.array([6, 3, 2]) / 11)
    for given_as in (path, anndata.read_h5ad(path)):
        cells = H5adCells(given_as, values="counts", donor="batch", gene_length="long")
        batch = next(cells.cells(batch_size=4, seed=0))
        np.testing.assert_allclose(batch.expression_BG, np.tile(expected, (4, 1)), rtol=1e-6)
        assert {float(text) for text in batch.covariates["donor"]} == {1, 2}


def test_what_is_masked_is_not_measured():
    values = np.ma.masked_array(np.ones((2, 3)), mask=[[True, False, False], [False, False, False]])
    batch = next(H5adCells(anndata.AnnData(X=values, **tables(2, 3)), values="counts").cells(batch_size=2, seed=0))
    assert batch.measured_BG.tolist() == [[row != 0 or column != 0 for column in range(3)] for row in batch.cell_id_B]
