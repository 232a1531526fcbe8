"""Cells kept sparse are the same cells: rows, blocks, sets and the way back to dense."""

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.cells import CellBatch, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.sources.index import CellIndex, Labels, concatenate_index, concatenate_labels
from gpcp.sources.sparse import (
    IndexedCells,
    SparseCells,
    SparseCellSource,
    concatenate_sparse,
    indexed,
    signatures_of,
    sparse_batches,
    sparse_of,
)
from gpcp.sources.subsets import OnlyCells
from tests.gpcp.held_cells import HeldCells, IndexedHeld, held, held_cells
from tests.strategies import cell_batches, sparse_cells, vocabs


def assert_same(one: CellBatch, other: CellBatch) -> None:
    assert one.vocab == other.vocab
    for name in ("expression_BG", "measured_BG", "cell_id_B"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert set(one.covariates) == set(other.covariates)
    for name, values in one.covariates.items():
        assert values.tolist() == other.covariates[name].tolist()


@given(cell_batches())
def test_dense_to_sparse_and_back(batch: CellBatch):
    cells = sparse_of(batch)
    assert_same(cells.dense(), batch)
    # Cells that were measured for the same genes share a set.
    assert len(cells.index.measured_SG) == len({row.tobytes() for row in batch.measured_BG})


@given(sparse_cells(min_cells=1), st.data())
def test_rows_are_rows(cells: SparseCells, data: st.DataObject):
    n = len(cells)
    which = data.draw(st.permutations(range(n)).map(lambda order: np.array(order[: (n + 1) // 2])))
    kept = data.draw(st.lists(st.booleans(), min_size=n, max_size=n).map(np.array))
    for some in (which, kept, slice(1, None)):
        assert_same(cells.rows(some).dense(), cells.dense().rows(some))
    part = cells.rows(which)
    # A row that is kept keeps no block: neither its values nor its codes are views.
    assert not np.shares_memory(part.value_BG.data, cells.value_BG.data)
    assert not np.shares_memory(part.index.cell_id_B, cells.index.cell_id_B)
    if cells.index.total_B is not None and part.index.total_B is not None:
        np.testing.assert_array_equal(part.index.total_B, cells.index.total_B[which])
    # What rows() leaves unchecked would pass the checks.
    SparseCells(index=part.index, value_BG=part.value_BG)
    for labels in part.index.covariates.values():
        Labels(names=labels.names, code_B=labels.code_B)
    with pytest.raises(ValueError, match="read-only"):
        part.index.set_B[:] = 0


@given(sparse_cells(), st.data())
def test_only_sets_that_cells_have_stay(cells: SparseCells, data: st.DataObject):
    compact = cells.rows(slice(0, data.draw(st.integers(0, len(cells))))).compacted()
    assert_same(compact.dense(), cells.dense().rows(slice(0, len(compact))))
    if len(compact.index.measured_SG) > 1:
        assert set(compact.index.set_B.tolist()) == set(range(len(compact.index.measured_SG)))


@given(vocabs().flatmap(lambda v: st.lists(sparse_cells(vocab=v, covariates=("donor",)), min_size=1, max_size=3)))
def test_blocks_one_after_the_other(parts: list[SparseCells]):
    whole = concatenate_sparse(parts)
    assert_same(whole.dense(), concatenate_cells([part.dense() for part in parts]))
    SparseCells(index=whole.index, value_BG=whole.value_BG)
    known = all(part.index.total_B is not None for part in parts)
    assert (whole.index.total_B is not None) == known


@given(sparse_cells())
def test_they_can_be_sent(cells: SparseCells):
    assert_same(pickle.loads(pickle.dumps(cells)).dense(), cells.dense())


@given(held_cells(), st.integers(1, 5), st.integers(0, 99))
def test_any_source_gives_sparse_batches(source: HeldCells, batch_size: int, seed: int):
    whole = list(source.cells(batch_size=batch_size, seed=seed))
    for asked in (source, IndexedHeld(source)):
        for batch, sparse in zip(whole, sparse_batches(asked, batch_size=batch_size, seed=seed), strict=True):
            assert_same(sparse.dense(), batch)


def test_what_is_indexed():
    cells = held(4, 3, donor=["a", "b", "a", "b"])
    source = IndexedHeld(cells)
    assert not isinstance(cells, SparseCellSource)
    assert isinstance(source, IndexedCells)
    assert indexed(source) is source
    assert indexed(cells) is None
    # One that stands before another is indexed if that is, and never looks indexed by accident.
    before = OnlyCells(cells, np.array([1001, 1003]))
    assert not isinstance(before, IndexedCells)
    assert indexed(before) is None
    assert isinstance(indexed(OnlyCells(source, np.array([1001, 1003]))), IndexedCells)
    assert signatures_of(source) is None


VOCAB = GeneVocab(feature_id=("TP53", "GAPDH"))


def index(n: int = 2, **other: object) -> CellIndex:
    fields = {
        "vocab": VOCAB,
        "cell_id_B": np.arange(n) + 7,
        "measured_SG": np.array([[True, False]]),
        "set_B": np.zeros(n, dtype=np.int32),
    }
    return CellIndex(**(fields | other))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 2), dtype=np.float32), r"shape \(3, 2\) and dtype float32, expected \(2, 2\)"),
        (np.zeros((2, 2)), "dtype float64"),
        (np.array([[0, 0], [np.nan, 0]], dtype=np.float32), "gene TP53 in cell 8 is not finite"),
        (np.array([[1, 0], [0, 1]], dtype=np.float32), "gene GAPDH in cell 8, whose set does not measure it"),
    ],
)
def test_impossible_cells_are_refused(value: np.ndarray, message: str):
    with pytest.raises(InputError, match=message):
        SparseCells(index=index(), value_BG=sp.csr_array(value))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"set_B": np.array([0, 1], dtype=np.int32)}, r"names a set outside 0 .. 0"),
        ({"set_B": np.array([0, 0])}, "set_B has dtype int64"),
        ({"total_B": np.zeros(3)}, "total_B has shape"),
        ({"covariates": {"doner": Labels.of(np.array(["a", "b"]))}}, "names 'doner'; nearest: donor"),
        ({"covariates": {"donor": Labels.of(np.array(["a"]))}}, r"\['donor'\] has 1 cells, expected 2"),
    ],
)
def test_an_impossible_index_is_refused(other: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        index(**other)


def test_labels():
    labels = Labels.of(np.array(["b", "a", "b"]))
    assert labels.names.tolist() == ["a", "b"]
    assert labels.text_B.tolist() == ["b", "a", "b"]
    both = concatenate_labels([labels, Labels.of(np.array(["c", "a"]))])
    assert both.text_B.tolist() == ["b", "a", "b", "c", "a"]
    with pytest.raises(InputError, match="goes from 0 to 2, but there are 2 names"):
        Labels(names=np.array(["a", "b"]), code_B=np.array([0, 2], dtype=np.int32))
    with pytest.raises(InputError, match="give a row of str"):
        Labels(names=np.array([1, 2]), code_B=np.array([0], dtype=np.int32))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"no covariate 'donor' \(it gives: none\)"):
        index().labels("donor")


def test_blocks_that_do_not_fit():
    other = index(vocab=GeneVocab(feature_id=("A", "B")))
    donors = index(covariates={"donor": Labels.of(np.array(["a", "b"]))})
    for parts, message in (([], "the source is empty"), ([index(), other], "vocab"), ([index(), donors], "covariates")):
        with pytest.raises(InputError, match=message):
            concatenate_index(parts)
