"""The cells of an audit: a prefix of the source's pass, with some of its genes and what all of them say."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.sample import sample_pairs
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.pairing.paired import Paired
from gpcp.sources.in_memory import InMemoryCells, sample_cells
from gpcp.sources.sparse import IndexedCells, sparse_of
from simulators.assay import build_assay
from simulators.sources import SimulatedCells
from simulators.totals import TotalledCells
from simulators.worlds import world
from tests.diagnostics.audit.audit_cases import sampled_cells
from tests.strategies import cell_batches


@dataclass(frozen=True, slots=True)
class Counted:
    """A source with totals."""

    n_cells: int = 2500

    def source(self) -> TotalledCells:
        made = world("scale_free/20", seed=0)
        assay = build_assay(made.scm.graph.vocab, rng=np.random.default_rng(0), n_cell_types=3, library_size=300)
        return TotalledCells(counted=SimulatedCells(scm=made.scm, n_cells=self.n_cells, assay=assay))


def test_the_sample_is_the_beginning_of_the_pass():
    source = Counted().source()
    genes = (source.vocab.feature_id[7], source.vocab.feature_id[2])
    found = sample_cells(source, genes, max_cells=1500, seed=3)
    (first, *_) = source.cells(batch_size=1500, seed=3)
    order = np.argsort(first.cell_id_B)
    assert not found.whole
    assert found.index.cell_id_B.tolist() == first.cell_id_B[order].tolist()
    assert (found.held.dense().expression_BG == first.expression_BG[order][:, source.vocab.tokens(genes)]).all()
    assert (found.n_expressed_B == (first.expression_BG > 0).sum(axis=1)[order]).all()
    assert found.of_counts


def test_a_whole_source_is_said_to_be_whole():
    source = Counted(n_cells=1024).source()
    for most, whole in ((1024, True), (5000, True), (1023, False)):
        found = sample_cells(source, source.vocab.feature_id, max_cells=most, seed=0)
        assert found.whole == whole
        assert len(found) == min(most, 1024)


def test_values_below_zero_are_no_counts():
    source = SimulatedCells(scm=world("chain/4").scm, n_cells=100)
    assert not sample_cells(source, source.vocab.feature_id, max_cells=100, seed=0).of_counts


def test_it_is_a_source_that_pairs_are_planned_on():
    cells = sampled_cells(np.random.default_rng(0).random((101, 4)), {"cell_type": np.zeros(101, dtype=np.int64)})
    assert isinstance(cells, IndexedCells)
    source = Paired(cells)
    assert source.planned
    found = sample_pairs(source, cells, max_pairs=30, seed=0)
    assert len(found) == 30
    before = cells.held.dense().rows(found.before_row_P)
    assert (before.expression_BG == found.pairs.before_BG).all()
    assert (cells.index.cell_id_B[found.after_row_P] == found.pairs.after_id_B).all()
    ids = np.concatenate([batch.cell_id_B for batch in cells.cells(batch_size=7, seed=1)])
    assert sorted(ids.tolist()) == list(range(101))


@given(st.data())
def test_some_genes_of_any_cells(data: st.DataObject):
    batch = data.draw(cell_batches())
    genes = data.draw(st.lists(st.sampled_from(batch.vocab.feature_id), min_size=1, unique=True))
    found = sparse_of(batch).with_genes(GeneVocab(feature_id=tuple(genes))).dense()
    token_G = batch.vocab.tokens(genes)
    assert (found.expression_BG == batch.expression_BG[:, token_G]).all()
    assert (found.measured_BG == batch.measured_BG[:, token_G]).all()


def test_what_cannot_be_paired_is_refused():
    source = SimulatedCells(scm=world("chain/4").scm, n_cells=1)
    with pytest.raises(InputError, match="a pair needs two"):
        sample_cells(source, source.vocab.feature_id, max_cells=9, seed=0)
    cells = sampled_cells(np.ones((4, 3)), {"cell_type": np.arange(4)})
    with pytest.raises(InputError, match="make no pair"):
        sample_pairs(Paired(cells), cells, max_pairs=9, seed=0)
    with pytest.raises(InputError, match="batch_size"):
        list(cells.cells(batch_size=0, seed=0))
    assert isinstance(cells, InMemoryCells)
