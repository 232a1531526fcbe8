"""Perturbed genes: random sets of uniform size, by the seed and the number of the pair alone."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.pairing.perturbed_genes import choose_perturbed, coins, oriented, perturbed_bits
from gpcp.sources.sparse import sparse_of
from tests.gpcp.held_cells import held
from tests.strategies import adjectives


def words(n_pairs: int, n_genes: int, seed: int = 0) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).bit_generator.random_raw(n_pairs * (1 + -(-n_genes // 2))).reshape(n_pairs, -1)


def test_perturbed_sets_are_random_sets_of_uniform_size():
    measured = np.ones((20_000, 5), dtype=np.bool_)
    measured[:, 2] = False
    n_perturbed = choose_perturbed(measured, (1, 3), words(20_000, 5))
    sizes = np.bincount(n_perturbed.sum(axis=1), minlength=5)
    assert sizes[[0, 4]].tolist() == [0, 0]
    # A third each, and each of the four genes 2 of 4 times: within 5 standard errors, at most sqrt(20,000 / 4) = 71.
    assert (np.abs(sizes[1:4] - 20_000 / 3) < 355).all()
    assert (np.abs(n_perturbed.sum(axis=0)[[0, 1, 3, 4]] - 10_000) < 355).all()
    assert not n_perturbed[:, 2].any()
    # One perturbed gene carries no information on the next: of the sets of two, each of the six is as frequent.
    pairs = Counter(tuple(np.flatnonzero(row)) for row in n_perturbed[n_perturbed.sum(axis=1) == 2])
    assert len(pairs) == 6
    assert all(abs(n - sizes[2] / 6) < 5 * np.sqrt(sizes[2] / 6) for n in pairs.values())


@given(st.integers(2, 9).flatmap(lambda g: adjectives(4, g)), st.data())
def test_sizes_are_clipped_and_ties_perturbed_in_full(measured: NDArray[np.bool_], data: st.DataObject):
    n_genes = measured.shape[1]
    lo = data.draw(st.integers(1, n_genes - 1))
    hi = data.draw(st.integers(lo, n_genes - 1))
    # Few numbers for many genes: most are tied, the highest with that of an unmeasured gene.
    halves = data.draw(st.lists(st.sampled_from([0, 5, 2**32 - 1]), min_size=4 * 10, max_size=4 * 10))
    tied = np.array(halves, dtype=np.uint32).reshape(4, 10)[:, : 2 * -(-n_genes // 2)]
    word = np.concatenate([words(4, 1)[:, :1], np.ascontiguousarray(tied).view(np.uint64)], axis=1)
    perturbed = choose_perturbed(measured, (lo, hi), word)
    assert not (perturbed & ~measured).any()
    n_perturbed, most = perturbed.sum(axis=1), np.maximum(measured.sum(axis=1) - 1, 0)
    assert (np.minimum(lo, most) <= n_perturbed).all()
    assert (n_perturbed <= np.minimum(hi, most)).all()
    for row in range(4):
        # No perturbed gene has a higher number than one that is measured and not perturbed.
        highest = max(tied[row, :n_genes][perturbed[row]].tolist(), default=-1)
        assert all(number >= highest for number in tied[row, :n_genes][measured[row] & ~perturbed[row]].tolist())


@given(st.integers(0, 2**40), st.lists(st.integers(0, 700), unique=True, max_size=12))
def test_a_pair_is_perturbed_the_same_whoever_asks(seed: int, numbers: list[int]):
    cells = sparse_of(held(1, 9, donor=["a"]).batch(np.array([0]))).index
    number = np.array(numbers, dtype=np.int64)
    side = cells.rows(np.zeros(len(number), dtype=np.int64))
    together = perturbed_bits(side, side, (1, 8), seed=seed, number_P=number)
    alone = [
        perturbed_bits(
            side.rows(slice(i, i + 1)), side.rows(slice(i, i + 1)), (1, 8), seed=seed, number_P=number[i : i + 1]
        )
        for i in range(len(number))
    ]
    assert [row.tobytes() for row in together] == [row.tobytes() for row in alone]
    assert coins(seed, number).tolist() == [bool(coins(seed, number[i : i + 1])[0]) for i in range(len(number))]


def test_pairs_beyond_a_chunk_are_perturbed_as_those_within():
    cells = sparse_of(held(1, 70, donor=["a"]).batch(np.array([0]))).index
    side = cells.rows(np.zeros(600, dtype=np.int64))
    whole = perturbed_bits(side, side, (1, 69), seed=3, number_P=np.arange(600))
    part = perturbed_bits(
        side.rows(slice(250, 600)), side.rows(slice(250, 600)), (1, 69), seed=3, number_P=np.arange(250, 600)
    )
    np.testing.assert_array_equal(part, whole[250:])
    other = perturbed_bits(side, side, (1, 69), seed=4, number_P=np.arange(600))
    # 70 genes, 1 to 69 perturbed: two draws that agree are no accident, but sets of one gene have only 70 values.
    assert (other == whole).all(axis=1).sum() < 5


def test_coins_are_fair_and_decide_the_order():
    number = np.arange(20_000)
    heads = coins(1, number)
    # 20,000 fair coins: 10,000 within 5 standard deviations of sqrt(20,000) / 2 = 71.
    assert abs(int(heads.sum()) - 10_000) < 355
    two = np.stack([number, number + 100_000], axis=1)
    before, after = oriented(two, seed=1, number_P=number)
    np.testing.assert_array_equal(np.where(heads, after, before), number)
    np.testing.assert_array_equal(before + after, two.sum(axis=1))


def test_of_two_genes_either_is_perturbed():
    n_perturbed = choose_perturbed(np.ones((50, 2), dtype=np.bool_), (1, 1), words(50, 2))
    assert (n_perturbed.sum(axis=1) == 1).all()
    assert n_perturbed[:, 0].any()
    assert n_perturbed[:, 1].any()
