"""AnnData cells as an indexed source: rows, measured sets and totals, against the matrix in the file."""

import gc
import pickle
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gpcp.core.cells import concatenate_cells
from gpcp.core.errors import InputError
from gpcp.pairing.paired import Paired
from gpcp.sources.h5ad import in_file
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.h5ad.files import compressed, reader
from gpcp.sources.sparse import IndexedCells, indexed

IDS = [f"ENSG{n:011d}" for n in range(1, 8)]


def write(path: Path, matrix: Any, **obs: list[str]) -> Path:
    cells = pd.DataFrame(obs, index=[f"cell{i}" for i in range(matrix.shape[0])])
    genes = pd.DataFrame({"long": np.arange(1, matrix.shape[1] + 1) * 500.0}, index=IDS[: matrix.shape[1]])
    anndata.AnnData(X=matrix, obs=cells, var=genes).write_h5ad(path)
    return path


def counts() -> st.SearchStrategy[NDArray[Any]]:
    shape = st.tuples(st.integers(2, 7), st.integers(2, 5))
    drawn = hnp.arrays(np.float64, shape, elements=st.sampled_from([0, 0, 1, 3, np.nan]))
    return drawn.filter(lambda matrix: bool((np.nan_to_num(matrix) > 0).any()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(matrix=counts(), by_dataset=st.booleans(), data=st.data())
def test_rows_are_the_cells_of_a_pass(tmp_path: Path, matrix: NDArray[Any], by_dataset: bool, data: st.DataObject):
    n = len(matrix)
    batch = data.draw(st.lists(st.sampled_from(["a", "b"]), min_size=n, max_size=n))
    path = write(tmp_path / "a.h5ad", matrix, batch=batch)
    source = H5adCells(path, values="counts", dataset="batch" if by_dataset else None)
    whole = concatenate_cells(list(source.cells(batch_size=3, seed=0)))
    whole = whole.rows(np.argsort(whole.cell_id_B))
    order = np.array(data.draw(st.permutations(range(n))))
    some = source.sparse_rows(order).dense()
    np.testing.assert_array_equal(some.expression_BG, whole.expression_BG[order])
    np.testing.assert_array_equal(some.measured_BG, whole.measured_BG[order])
    np.testing.assert_array_equal(some.cell_id_B, order)
    # Unmeasured is NaN, or a gene that no cell of the dataset shows.
    seen = np.nan_to_num(matrix) > 0
    shown = np.array([seen[np.array(batch) == one].any(axis=0) for one in batch]) if by_dataset else True
    np.testing.assert_array_equal(whole.measured_BG, ~np.isnan(matrix) & shown)
    index = source.index
    assert {row.tobytes() for row in index.measured_SG} == {row.tobytes() for row in whole.measured_BG}
    assert index.total_B is not None
    np.testing.assert_allclose(index.total_B, np.nansum(matrix, axis=1), rtol=1e-12)
    if by_dataset:
        assert index.labels("dataset").text_B.tolist() == batch


def test_totals_are_given_where_they_turn_values_back_into_counts(tmp_path: Path):
    matrix = np.array([[1.0, 2.0, 0.0], [0.0, 4.0, 5.0]])
    path = write(tmp_path / "a.h5ad", matrix)
    part = H5adCells(path, genes=[IDS[1]])
    assert part.index.total_B is not None
    assert part.index.total_B.tolist() == [3.0, 9.0]
    back = np.expm1(part.sparse_rows(np.arange(2)).dense().expression_BG) * part.index.total_B[:, None] / 1e6
    # float32 keeps 7 digits.
    np.testing.assert_allclose(back, matrix[:, [1]], rtol=1e-5)
    assert H5adCells(path, gene_length="long").index.total_B is None
    logs = write(tmp_path / "b.h5ad", np.log1p(matrix) + 0.1)
    assert H5adCells(logs, values="log").index.total_B is None


@pytest.mark.parametrize("best_of", [1, 4])
def test_pairs_of_a_file_are_planned(tmp_path: Path, best_of: int):
    rng = np.random.default_rng(0)
    matrix = rng.poisson(1.0, size=(40, 6)).astype(np.float64)
    sick = ["flu", "normal"] * 20
    path = write(tmp_path / "a.h5ad", matrix, kind=["T", "T", "B", "B"] * 10, sick=sick, where=["lung"] * 40)
    source = H5adCells(path, values="counts", cell_type="kind", disease="sick", tissue="where")
    assert isinstance(source, IndexedCells)
    assert indexed(source) is source
    paired = Paired(source, match_on=("cell_type", "tissue"), differ_on="disease", best_of=best_of)
    assert (paired.planned, paired.n_pairs) == (True, 20)
    for pairs in paired.pairs(batch_size=8, seed=1):
        for one, other in zip(pairs.before_id_B.tolist(), pairs.after_id_B.tolist(), strict=True):
            assert {sick[one], sick[other]} == {"flu", "normal"}


@pytest.mark.parametrize("stored", ["csr", "csc", "dense"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(matrix=counts(), by_dataset=st.booleans(), data=st.data())
def test_values_that_stay_in_the_file_are_those_in_memory(
    tmp_path: Path, stored: str, matrix: NDArray[Any], by_dataset: bool, data: st.DataObject
):
    n = len(matrix)
    batch = data.draw(st.lists(st.sampled_from(["a", "b", ""]), min_size=n, max_size=n).filter(any))
    made = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}[stored](matrix)
    path = write(tmp_path / "a.h5ad", made, batch=batch)
    columns: dict[str, Any] = {"dataset": "batch", "missing_label": "drop"} if by_dataset else {}
    with pytest.MonkeyPatch.context() as patch:
        # So that files are read in blocks, and columns are turned in parts.
        patch.setattr(reader, "BLOCK_VALUES", 2 * matrix.shape[1])
        patch.setattr(in_file, "BLOCK_VALUES", 2 * matrix.shape[1])
        patch.setattr(compressed, "PART_VALUES", data.draw(st.integers(1, 9)))
        try:
            held = H5adCells(path, genes=data.draw(some_genes(matrix)), values="counts", **columns)
        except InputError:
            # Every value is of a cell without a label.
            return
        there = H5adCells(path, genes=held.vocab.feature_id, values="counts", in_memory=False, **columns)
        assert held.cheap_rows
        assert not there.cheap_rows
        rows = np.array(data.draw(st.lists(st.integers(0, held.n_cells - 1), unique=True)), dtype=np.int64)
        for source in (there, pickle.loads(pickle.dumps(there))):
            found, wanted = source.sparse_rows(rows), held.sparse_rows(rows)
            for part in ("data", "indices", "indptr"):
                np.testing.assert_array_equal(getattr(found.value_BG, part), getattr(wanted.value_BG, part))
            np.testing.assert_array_equal(found.measured_BG, wanted.measured_BG)
        np.testing.assert_array_equal(there.index.total_B, held.index.total_B)
        assert there.provenance == held.provenance


def some_genes(matrix: NDArray[Any]) -> st.SearchStrategy[list[str]]:
    return st.permutations(IDS[: matrix.shape[1]]).flatmap(lambda ids: st.sampled_from([ids[:1], ids]))


def test_the_temporary_folder_of_turned_columns_goes_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(compressed, "PART_VALUES", 2)
    source = H5adCells(write(tmp_path / "a.h5ad", sp.csc_matrix(np.arange(12.0).reshape(4, 3))), in_memory=False)
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    del source
    gc.collect()
    assert not list((tmp_path / "temporary").iterdir())
