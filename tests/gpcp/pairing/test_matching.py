"""Matching by key, and pairs mended by exchange, against a queue and a largest matching of a graph."""

import networkx as nx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.pairing.matching import NOBODY, first_come, mended


@given(st.lists(st.integers(0, 4), max_size=20))
def test_first_come_is_what_a_queue_of_one_does(keys: list[int]):
    waiting: dict[int, int] = {}
    expected: list[tuple[int, int]] = []
    for row, key in enumerate(keys):
        if key in waiting:
            expected.append((waiting.pop(key), row))
        else:
            waiting[key] = row
    first, second, left = first_come(np.array(keys, dtype=np.int64))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert left.tolist() == sorted(waiting.values())


def n_largest(label_B: NDArray[np.int64], key_B: NDArray[np.int64]) -> int:
    """Pairs of a largest matching of cells that share the key and differ in the label."""
    graph = nx.Graph()
    n = len(label_B)
    graph.add_edges_from(
        (one, other)
        for one in range(n)
        for other in range(one)
        if key_B[one] == key_B[other] and label_B[one] != label_B[other]
    )
    return len(nx.max_weight_matching(graph, maxcardinality=True))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=24), st.integers(0, 99))
def test_mending_ends_in_a_largest_matching(cells: list[tuple[int, int]], seed: int):
    key_B, label_B = np.array(cells, dtype=np.int64).reshape(-1, 2).T
    rng = np.random.default_rng(seed)
    first, second, left = first_come(key_B)
    rest = np.stack([left, np.full(len(left), NOBODY)], axis=1)
    pairs = np.concatenate([np.stack([first, second], axis=1), rest])

    def allowed(pair_PT: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (label_B[pair_PT[:, 0]] != label_B[pair_PT[:, 1]]) | (pair_PT == NOBODY).any(axis=1)

    better = mended(pairs, key_B[pairs[:, 0]], allowed, label_B, rng=rng)
    cells_of = sorted(better[better != NOBODY].tolist())
    assert cells_of == list(range(len(cells)))
    good = better[allowed(better) & (better != NOBODY).all(axis=1)]
    assert (key_B[good[:, 0]] == key_B[good[:, 1]]).all()
    assert len(good) == n_largest(label_B, key_B)


def test_what_is_good_in_a_key_without_a_bad_pair_stays():
    pairs = np.arange(40).reshape(-1, 2)
    key = np.repeat([0, 1], 10)

    def allowed(pair_PT: NDArray[np.int64]) -> NDArray[np.bool_]:
        # Cells 0 to 3 may not meet each other.
        return np.asarray((pair_PT >= 4).any(axis=1), dtype=np.bool_)

    better = mended(pairs, key, allowed, np.arange(40), rng=np.random.default_rng(0))
    assert allowed(better).all()
    np.testing.assert_array_equal(better[10:], pairs[10:])
