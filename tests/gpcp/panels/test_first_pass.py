"""The first pass against dense numpy, over masks, batch sizes, merges and sources that hold their cells sparse."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import gpcp.panels.first_pass
from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.panels.first_pass import gene_statistics
from gpcp.panels.statistics import GeneStatistics
from gpcp.sources.index import CellIndex, Labels
from gpcp.sources.sparse import SparseCells
from tests.gpcp.panels.selection_cases import same
from tests.strategies import LARGEST, cell_batches, vocabs

COUNTS = ("n_measured_G", "n_expressed_G", "n_nonzero_G", "measured_SG")
MOMENTS = ("mean_nonzero_G", "squares_nonzero_G")


@dataclass(frozen=True, slots=True)
class Held:
    """Cells in memory, in an order that the seed decides."""

    held: CellBatch

    @property
    def vocab(self) -> GeneVocab:
        return self.held.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        order = np.random.default_rng(seed).permutation(len(self.held))
        for start in range(0, len(order), batch_size):
            yield self.held.rows(order[start : start + batch_size])


@dataclass(frozen=True, slots=True)
class HeldSparse:
    """Cells in memory as a store holds them; counts how many were given."""

    held: SparseCells
    given: list[int]

    @property
    def vocab(self) -> GeneVocab:
        return self.held.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        raise AssertionError("a pass over sparse cells makes none dense")

    def sparse_cells(self, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
        order = np.random.default_rng(seed).permutation(len(self.held))
        for start in range(0, len(order), batch_size):
            self.given.append(min(batch_size, len(order) - start))
            yield self.held.rows(order[start : start + batch_size])


def check_against_dense(found: GeneStatistics, cells: CellBatch) -> None:
    """Every number against its definition on the dense values."""
    assert found.n_cells == len(cells)
    value, measured = cells.expression_BG.astype(np.float64), cells.measured_BG
    np.testing.assert_array_equal(found.n_measured_G, measured.sum(axis=0))
    np.testing.assert_array_equal(found.n_expressed_G, ((value > 0) & measured).sum(axis=0))
    for gene in range(len(cells.vocab)):
        here = value[measured[:, gene], gene]
        if not len(here):
            shares = (found.expressed_share_G, found.mean_G, found.variance_G)
            assert all(np.isnan(share[gene]) for share in shares)
            continue
        assert found.measured_share_G[gene] == len(here) / len(cells)
        assert found.expressed_share_G[gene] == (here > 0).sum() / len(here)
        assert found.seen_share_G[gene] == (here > 0).sum() / len(cells)
        # Values up to LARGEST in float64: sums of a few of them err by 1e-16 of the largest, squares of its square.
        np.testing.assert_allclose(found.mean_G[gene], here.mean(), rtol=1e-12, atol=1e-14 * LARGEST)
        np.testing.assert_allclose(found.variance_G[gene], here.var(), rtol=1e-9, atol=1e-14 * LARGEST**2)
    datasets = cells.covariates.get("dataset", np.zeros(0, dtype=np.str_))
    assert found.dataset_S == tuple(sorted(set(datasets.tolist())))
    for name, measured_G in zip(found.dataset_S, found.measured_SG, strict=True):
        np.testing.assert_array_equal(measured_G, measured[datasets == name].any(axis=0))
    if found.dataset_S:
        np.testing.assert_array_equal(found.n_datasets_G, found.measured_SG.sum(axis=0))


@given(cells=cell_batches(min_cells=1, max_cells=12), block=st.integers(1, 13), seed=st.integers(0, 99))
def test_every_number_is_its_definition(cells: CellBatch, block: int, seed: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.panels.first_pass, "BLOCK_CELLS", block)
        check_against_dense(gene_statistics(Held(cells), seed=seed), cells)


@given(
    cells=cell_batches(min_cells=1, max_cells=12),
    batch_size=st.integers(1, 13),
    block=st.integers(1, 13),
    most=st.none() | st.integers(1, 14),
)
def test_the_batch_size_changes_no_bit(cells: CellBatch, batch_size: int, block: int, most: int | None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.panels.first_pass, "BLOCK_CELLS", block)
        one = gene_statistics(Held(cells), batch_size=batch_size, max_cells=most)
        assert same(one, gene_statistics(Held(cells), batch_size=block, max_cells=most))


@given(st.data(), vocabs())
def test_merging_is_one_pass_over_both(data: st.DataObject, vocab: GeneVocab):
    first, second = (data.draw(cell_batches(vocab=vocab, min_cells=1, max_cells=8)) for _ in range(2))
    merged = gene_statistics(Held(first)) + gene_statistics(Held(second))
    common = set(first.covariates) & set(second.covariates)
    both = CellBatch(
        vocab=vocab,
        expression_BG=np.concatenate([first.expression_BG, second.expression_BG]),
        measured_BG=np.concatenate([first.measured_BG, second.measured_BG]),
        cell_id_B=np.arange(len(first) + len(second)),
        covariates={name: np.concatenate([first.covariates[name], second.covariates[name]]) for name in common},
    )
    check_against_dense(merged, both)
    once = gene_statistics(Held(both))
    assert all(getattr(once, name).tobytes() == getattr(merged, name).tobytes() for name in COUNTS)


@dataclass(frozen=True, slots=True)
class HeldInTurn:
    """Cells that are read fastest one after the other, by number or by rows; shuffling them is an error here."""

    held: SparseCells
    index: CellIndex
    cheap_rows: bool = False

    @property
    def vocab(self) -> GeneVocab:
        return self.held.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        raise AssertionError("a pass over all cells has no need of another order")

    def sparse_cells(self, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
        raise AssertionError("a pass over all cells has no need of another order")

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        return self.held.rows(row_B)


@dataclass(frozen=True, slots=True)
class HeldInARow:
    """The same, by number."""

    held: SparseCells

    @property
    def vocab(self) -> GeneVocab:
        return self.held.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        raise AssertionError("a pass over all cells has no need of another order")

    def sequential(self, *, start: int, batch_size: int) -> Iterator[SparseCells]:
        for at in range(start, len(self.held), batch_size):
            yield self.held.rows(slice(at, at + batch_size))


def sparse_cells(n_cells: int, n_genes: int, *, seed: int = 0) -> SparseCells:
    """Cells of three datasets that measure different genes; about a fifth of the values is not 0."""
    rng = np.random.default_rng(seed)
    measured = rng.random((3, n_genes)) < 0.7
    code = rng.integers(0, 3, n_cells).astype(np.int32)
    value = rng.exponential(2.0, (n_cells, n_genes)) * (rng.random((n_cells, n_genes)) < 0.2) * measured[code]
    index = CellIndex(
        vocab=GeneVocab(feature_id=tuple(f"g{i}" for i in range(n_genes))),
        cell_id_B=np.arange(n_cells, dtype=np.int64),
        measured_SG=measured,
        set_B=code,
        covariates={"dataset": Labels(names=np.array(["d0", "d1", "d2", "absent"]), code_B=code)},
    )
    return SparseCells(index=index, value_BG=sp.csr_array(value.astype(np.float32)))


def test_sparse_cells_stay_sparse():
    cells = sparse_cells(2500, 40)
    source = HeldSparse(cells, [])
    found = gene_statistics(source, batch_size=300)
    check_against_dense(found, cells.dense())
    assert set(source.given) == {300, 100}
    assert not found.sampled
    assert (found.measured_error_G == 0).all()
    assert found.dataset_S == ("d0", "d1", "d2")


def test_all_cells_are_read_in_turn():
    cells = sparse_cells(2500, 10)
    by_rows = gene_statistics(HeldInTurn(cells, cells.index), batch_size=300)
    by_number = gene_statistics(HeldInARow(cells))
    check_against_dense(by_rows, cells.dense())
    assert same(by_rows, by_number)


def test_a_stored_zero_is_none():
    cells = sparse_cells(30, 10)
    stored = cells.value_BG.copy()
    stored.data[::2] = 0
    bare = stored.copy()
    bare.eliminate_zeros()
    found, expected = (
        gene_statistics(HeldSparse(SparseCells(index=cells.index, value_BG=value), [])) for value in (stored, bare)
    )
    assert same(found, expected)


def test_a_sample_says_how_far_its_shares_may_be_off():
    cells = sparse_cells(4000, 30)
    everything = gene_statistics(HeldSparse(cells, []))
    source = HeldSparse(cells, [])
    found = gene_statistics(source, max_cells=400, batch_size=128, seed=5)
    assert found.n_cells == 400
    assert found.sampled
    # Four batches hold 400 cells; those read ahead to fill a block of 1,024 are the most that reading may overshoot.
    assert sum(source.given) <= gpcp.panels.first_pass.BLOCK_CELLS + 128
    np.testing.assert_allclose(
        found.measured_error_G, np.sqrt(found.measured_share_G * (1 - found.measured_share_G) / 400), rtol=1e-12
    )
    for share, error, exact in (
        (found.measured_share_G, found.measured_error_G, everything.measured_share_G),
        (found.expressed_share_G, found.expressed_error_G, everything.expressed_share_G),
    ):
        known = ~np.isnan(exact)
        # 30 genes: none beyond 4.5 errors of a normal, 1e-5 each; genes measured nowhere or everywhere have none.
        assert (np.abs(share - exact)[known] <= 4.5 * error[known]).all()


def test_a_sample_of_everything_is_none():
    cells = sparse_cells(200, 5)
    assert not gene_statistics(HeldSparse(cells, []), max_cells=200).sampled
    assert gene_statistics(HeldSparse(cells, []), max_cells=199).sampled
    assert (gene_statistics(HeldSparse(cells, []), max_cells=199, seed=1)).n_cells == 199


def test_a_large_mean_leaves_the_variance_its_digits():
    rng = np.random.default_rng(0)
    value = (1e4 + rng.normal(size=(5000, 1)) * 0.01).astype(np.float32)
    cells = CellBatch(
        vocab=GeneVocab(feature_id=("g",)),
        expression_BG=value,
        measured_BG=np.ones((5000, 1), dtype=np.bool_),
        cell_id_B=np.arange(5000),
    )
    # E[x^2] - E[x]^2 would be left with 16 - 2 * 6 = 4 digits.
    exact = value.astype(np.longdouble).var()
    assert gene_statistics(Held(cells)).variance_G[0] == pytest.approx(float(exact), rel=1e-11)


def test_a_constant_gene_has_no_variance():
    cells = CellBatch(
        vocab=GeneVocab(feature_id=("g",)),
        expression_BG=np.full((3000, 1), 0.1, dtype=np.float32),
        measured_BG=np.ones((3000, 1), dtype=np.bool_),
        cell_id_B=np.arange(3000),
    )
    # Its mean is a rounded sum: off by 1e-16 of it at most for each of the 1,024 terms, squared.
    assert gene_statistics(Held(cells)).variance_G[0] < 1e-26


def test_bad_use():
    source = Held(sparse_cells(5, 3).dense())
    with pytest.raises(InputError, match="batch_size is 0"):
        gene_statistics(source, batch_size=0)
    with pytest.raises(InputError, match="max_cells is 0"):
        gene_statistics(source, max_cells=0)
    with pytest.raises(InputError, match="the source has no cell"):
        gene_statistics(Held(source.held.rows(slice(0))))
    with pytest.raises(InputError, match="different vocabularies"):
        _ = gene_statistics(source) + gene_statistics(Held(sparse_cells(5, 4).dense()))


def test_statistics_that_contradict_themselves():
    found = gene_statistics(Held(sparse_cells(5, 3).dense()))
    fields = {name: getattr(found, name) for name in (*COUNTS, *MOMENTS, "vocab", "dataset_S", "n_cells")}
    for name, value, message in (
        ("n_measured_G", np.full(3, 6), "gene g0 is measured in more cells than there are"),
        ("n_expressed_G", np.array([0, -1, 0]), "gene g1 is expressed in a negative number"),
        ("n_nonzero_G", np.full(3, 6), "given a value in more cells than measure it"),
        ("n_expressed_G", found.n_nonzero_G + 1, "expressed in more cells than have a value"),
        ("squares_nonzero_G", np.array([0, 0, -1.0]), "gene g2 is of an impossible variance"),
        ("mean_nonzero_G", np.array([np.nan, 0, 0]), "mean that is not finite"),
        ("n_measured_G", np.zeros(2, dtype=np.int64), r"has shape \(2,\), expected \(3,\)"),
        ("measured_SG", np.zeros((1, 3), dtype=np.bool_), "measured_SG has shape"),
    ):
        with pytest.raises(InputError, match=message):
            GeneStatistics(**{**fields, name: value})


def test_some_genes():
    found = gene_statistics(HeldSparse(sparse_cells(50, 6), []))
    some = found.genes(np.array([4, 1]))
    assert some.vocab.feature_id == ("g4", "g1")
    np.testing.assert_array_equal(some.variance_G, found.variance_G[[4, 1]])
    assert some.n_expressed_G.tolist() == found.n_expressed_G[[4, 1]].tolist()
    assert some.n_datasets_G.tolist() == found.n_datasets_G[[4, 1]].tolist()
