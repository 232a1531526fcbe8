import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.cells import CellBatch, CellSource, concatenate_cells, rebatched_cells
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.sources.sparse import IndexedCells, indexed
from gpcp.sources.subsets import OnlyCells, OnlyGenes
from tests.gpcp.held_cells import FIRST, HeldCells, IndexedHeld, held, held_cells
from tests.strategies import cell_batches


class OneBatch:
    """A source of the cells of one batch, shuffled by the seed."""

    def __init__(self, held: CellBatch) -> None:
        self.held = held

    @property
    def vocab(self) -> GeneVocab:
        return self.held.vocab

    def cells(self, *, batch_size: int, seed: int):
        order = np.random.default_rng(seed).permutation(len(self.held))
        return rebatched_cells([self.held.rows(order)], batch_size=batch_size)


@given(cell_batches(min_cells=1), st.integers(1, 4), st.integers(0, 99), st.data())
def test_only_some_cells(held: CellBatch, batch_size: int, seed: int, data: st.DataObject):
    wanted = data.draw(st.lists(st.sampled_from(held.cell_id_B.tolist()), min_size=1, unique=True))
    source = OnlyCells(OneBatch(held), np.array(wanted, dtype=np.int64))
    assert isinstance(source, CellSource)
    batches = list(source.cells(batch_size=batch_size, seed=seed))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    cells = concatenate_cells(batches)
    assert source.n_cells == len(wanted) == len(cells)
    order = [i for batch in OneBatch(held).cells(batch_size=1, seed=seed) for i in batch.cell_id_B.tolist()]
    assert cells.cell_id_B.tolist() == [i for i in order if i in wanted]
    row_of = {name: row for row, name in enumerate(held.cell_id_B.tolist())}
    rows = [row_of[i] for i in cells.cell_id_B.tolist()]
    np.testing.assert_array_equal(cells.expression_BG, held.expression_BG[rows])
    for name, values in held.covariates.items():
        assert cells.covariates[name].tolist() == values[rows].tolist()


@given(cell_batches(min_cells=1), st.data())
def test_only_some_genes(held: CellBatch, data: st.DataObject):
    wanted = data.draw(st.lists(st.sampled_from(held.vocab.feature_id), min_size=1, unique=True))
    source = OnlyGenes(OneBatch(held), wanted)
    assert isinstance(source, CellSource)
    cells = concatenate_cells(list(source.cells(batch_size=2, seed=0)))
    whole = concatenate_cells(list(OneBatch(held).cells(batch_size=2, seed=0)))
    tokens = held.vocab.tokens(wanted)
    assert cells.vocab.feature_id == tuple(wanted)
    np.testing.assert_array_equal(cells.cell_id_B, whole.cell_id_B)
    np.testing.assert_array_equal(cells.expression_BG, whole.expression_BG[:, tokens])
    np.testing.assert_array_equal(cells.measured_BG, whole.measured_BG[:, tokens])


@pytest.mark.parametrize("known", [False, True], ids=["in turn", "indexed"])
@given(source=held_cells(), batch_size=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_subsets_are_sparse_and_indexed_where_the_source_is(
    known: bool, source: HeldCells, batch_size: int, seed: int, data: st.DataObject
):
    whole = IndexedHeld(source) if known else source
    genes = data.draw(st.lists(st.sampled_from(source.vocab.feature_id), min_size=1, unique=True))
    subsets: list[OnlyCells | OnlyGenes] = [OnlyGenes(whole, genes)]
    if len(source):
        rows = data.draw(st.lists(st.integers(0, len(source) - 1), min_size=1, unique=True))
        some = OnlyCells(whole, FIRST + np.array(rows))
        subsets += [some, OnlyGenes(some, genes), OnlyCells(OnlyGenes(whole, genes), FIRST + np.array(rows))]
    for subset in subsets:
        dense = list(subset.cells(batch_size=batch_size, seed=seed))
        sparse = [batch.dense() for batch in subset.sparse_cells(batch_size=batch_size, seed=seed)]
        assert list(map(bytes_of, sparse)) == list(map(bytes_of, dense))
        part = indexed(subset)
        assert (part is not None) == known
        if part is None:
            continue
        assert isinstance(part, IndexedCells)
        assert part.cheap_rows
        assert part.vocab == subset.vocab
        given_ids = [i for batch in dense for i in batch.cell_id_B.tolist()]
        assert sorted(part.index.cell_id_B.tolist()) == sorted(given_ids)
        row_of = {name: row for row, name in enumerate(part.index.cell_id_B.tolist())}
        rows = np.array([row_of[name] for name in given_ids], dtype=np.int64)
        if dense:
            assert bytes_of(part.sparse_rows(rows).dense()) == bytes_of(concatenate_cells(dense))
        again = [batch.dense() for batch in part.sparse_cells(batch_size=batch_size, seed=seed)]
        assert list(map(bytes_of, again)) == list(map(bytes_of, dense))


def test_rows_that_cost_much_still_do():
    part = indexed(OnlyGenes(IndexedHeld(held(3, 3), cheap_rows=False), ["g1"]))
    assert part is not None
    assert not part.cheap_rows


def bytes_of(cells: CellBatch) -> bytes:
    parts = (cells.expression_BG, cells.measured_BG, cells.cell_id_B)
    named = "|".join(f"{name}:{','.join(cells.covariates[name])}" for name in sorted(cells.covariates))
    return b"".join(part.tobytes() for part in parts) + named.encode()


def test_bad_use():
    held = CellBatch(
        vocab=GeneVocab(feature_id=("TP53", "GAPDH")),
        expression_BG=np.ones((2, 2), dtype=np.float32),
        measured_BG=np.ones((2, 2), dtype=np.bool_),
        cell_id_B=np.arange(2),
    )
    with pytest.raises(InputError, match="no cell is named"):
        OnlyCells(OneBatch(held), np.array([], dtype=np.int64))
    with pytest.raises(InputError, match="1 cells are named more than once"):
        OnlyCells(OneBatch(held), np.array([1, 1]))
    with pytest.raises(InputError, match=r"'TP5'.*nearest: TP53"):
        OnlyGenes(OneBatch(held), ["TP5"])
