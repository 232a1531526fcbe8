"""Distances against closed forms: two points, a translation, and what the truth's own sample has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.scoring.distances import energy_distance, mmd, sinkhorn_divergence

ALL = (energy_distance, mmd, sinkhorn_divergence)


def test_two_points():
    first, second = np.zeros((1, 2)), np.array([[3.0, 4.0]])
    assert energy_distance(first, second) == pytest.approx(10)
    assert mmd(first, second) == pytest.approx(2 - 2 * np.exp(-0.5))
    assert sinkhorn_divergence(first, second) == pytest.approx(12.5)


@settings(max_examples=20)
@given(st.integers(0, 20), st.integers(1, 12), st.floats(0.3, 3))
def test_a_translation_costs_half_its_square_whatever_the_sample(seed: int, n: int, length: float):
    cell_BG = np.random.default_rng(seed).normal(size=(n, 3))
    moved_BG = cell_BG + length * np.array([0.6, 0.8, 0.0])
    assert sinkhorn_divergence(cell_BG, moved_BG, blur=0.3) == pytest.approx(length**2 / 2, rel=0.02, abs=1e-3)


@settings(max_examples=20)
@given(st.integers(0, 20), st.integers(2, 12), st.integers(2, 12))
def test_distances_are_symmetric_not_negative_and_0_for_the_same_cells(seed: int, n: int, m: int):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    for distance in ALL:
        assert distance(first, second) == pytest.approx(distance(second, first), abs=1e-3)
        assert distance(first, second) >= -1e-3
        assert distance(first, first) == pytest.approx(0, abs=1e-3)


def test_cells_that_are_all_the_same():
    same, other = np.ones((3, 2)), np.ones((3, 2))
    assert [one(same, other) for one in ALL] == [0, 0, 0]


def test_the_floor_is_not_nothing_and_falls_with_the_size():
    rng = np.random.default_rng(0)
    small, large = (
        [np.mean([one(*rng.normal(size=(2, n, 5))) for _ in range(20)]) for one in (energy_distance, mmd)]
        for n in (16, 128)
    )
    # Of n independent cells on both sides energy is 2 / n of the mean distance between two cells.
    assert small == pytest.approx([8 * one for one in large], rel=0.2)
    assert min(large) > 0
    floors = [np.mean([sinkhorn_divergence(*rng.normal(size=(2, n, 5))) for _ in range(5)]) for n in (16, 64)]
    assert floors[0] > floors[1] > 0
