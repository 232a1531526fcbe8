"""Expressed genes as bits against Python's sets."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gpcp.pairing.jaccard
from gpcp.pairing.jaccard import expressed_words, jaccard, n_bits, packed, words_of
from gpcp.sources.sparse import SparseCells
from tests.gpcp.held_cells import HeldCells, IndexedHeld, held_cells
from tests.strategies import sparse_cells


@given(st.integers(1, 200).flatmap(lambda n_genes: hnp.arrays(np.bool_, (3, n_genes))))
def test_words_hold_every_bit_once(bits: np.ndarray):
    words = packed(bits)
    assert words.shape == (3, -(-bits.shape[1] // 64))
    np.testing.assert_array_equal(n_bits(words), bits.sum(axis=1))
    np.testing.assert_array_equal(n_bits(words[:1] & words), (bits[:1] & bits).sum(axis=1))
    np.testing.assert_array_equal(words_of(np.packbits(bits, axis=1)), words)


@given(sparse_cells(), st.integers(1, 4))
def test_expressed_is_above_zero(cells: SparseCells, chunk: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.pairing.jaccard, "CHUNK", chunk)
        found = expressed_words(cells)
    np.testing.assert_array_equal(found, packed(cells.dense().expression_BG > 0))
    np.testing.assert_array_equal(expressed_words(cells), packed(cells.dense().expression_BG > 0))


@given(held_cells(max_cells=6))
def test_jaccard_of_sets(source: HeldCells):
    n = len(source)
    cells = IndexedHeld(source).all_cells
    words, measured = expressed_words(cells), packed(cells.measured_BG)
    first, second = (grid.reshape(-1) for grid in np.meshgrid(np.arange(n), np.arange(n)))
    exact: list[float] = []
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        both = source.measured(one) & source.measured(other)
        a, b = source.expressed(one) & both, source.expressed(other) & both
        exact.append(float(Fraction(len(a & b), len(a | b))) if a | b else 0.0)
    found = jaccard(words[first], words[second], measured[first], measured[second])
    assert found.tolist() == exact
    if source.measured_NG.all():
        assert jaccard(words[first], words[second]).tolist() == exact
