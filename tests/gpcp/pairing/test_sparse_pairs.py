"""Pairs that wait are the same pairs when they are made dense."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.pairing.sparse_pairs import SparsePairs, concatenate_sparse_pairs
from gpcp.sources.sparse import SparseCells
from tests.strategies import adjectives, sparse_cells, vocabs

FIELDS = ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B")


@st.composite
def sparse_pairs(draw: st.DrawFn) -> tuple[SparsePairs, np.ndarray]:
    """Pairs, and the perturbed genes of each."""
    vocab, n_pairs = draw(vocabs()), draw(st.integers(0, 5))
    sides = sparse_cells(vocab=vocab, covariates=("donor",), min_cells=n_pairs, max_cells=n_pairs)
    before, after = draw(sides), draw(sides)
    n_perturbed = before.measured_BG & after.measured_BG & draw(adjectives(n_pairs, len(vocab)))
    return SparsePairs(before=before, after=after, perturbed_BW=np.packbits(n_perturbed, axis=1)), n_perturbed


def assert_same(one: PairBatch, other: PairBatch) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(sparse_pairs())
def test_dense_pairs_hold_what_both_cells_were_measured_for(drawn: tuple[SparsePairs, np.ndarray]):
    pairs, n_perturbed = drawn
    dense = pairs.dense()
    before, after = pairs.before.dense(), pairs.after.dense()
    both = before.measured_BG & after.measured_BG
    np.testing.assert_array_equal(dense.measured_BG, both)
    np.testing.assert_array_equal(dense.before_BG, np.where(both, before.expression_BG, 0))
    np.testing.assert_array_equal(dense.after_BG, np.where(both, after.expression_BG, 0))
    np.testing.assert_array_equal(dense.perturbed_BG, n_perturbed)
    np.testing.assert_array_equal(dense.before_id_B, before.cell_id_B)
    np.testing.assert_array_equal(dense.after_id_B, after.cell_id_B)


@given(sparse_pairs(), st.integers(0, 5))
def test_rows_and_blocks(drawn: tuple[SparsePairs, np.ndarray], cut: int):
    pairs, _ = drawn
    head, tail = pairs.rows(slice(0, cut)), pairs.rows(slice(cut, None))
    assert len(head) + len(tail) == len(pairs)
    assert_same(concatenate([head.dense(), tail.dense()]), pairs.dense())
    assert_same(concatenate_sparse_pairs([head, tail]).dense(), pairs.dense())


@given(sparse_cells(min_cells=2), sparse_cells(min_cells=2))
def test_what_is_no_pair_is_refused(one: SparseCells, other: SparseCells):
    n_perturbed = np.zeros((len(one), -(-len(one.vocab) // 8)), dtype=np.uint8)
    with pytest.raises(InputError, match=rf"{len(one)} cells before, 1 after"):
        SparsePairs(before=one, after=one.rows(slice(0, 1)), perturbed_BW=n_perturbed)
    with pytest.raises(InputError, match="perturbed genes of shape"):
        SparsePairs(before=one, after=one, perturbed_BW=n_perturbed[:1])
    if one.vocab != other.vocab:
        with pytest.raises(InputError, match="different vocabularies"):
            SparsePairs(before=one, after=other, perturbed_BW=n_perturbed)
    with pytest.raises(InputError, match="no pair to concatenate"):
        concatenate_sparse_pairs([])
