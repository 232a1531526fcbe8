"""Gains against closed forms: errors of independent and of dyadic pairs, p-values uniform under their null."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.checks.engine.check import ALPHA
from diagnostics.checks.engine.gains import CLEAR, SMALLEST, Gain, decided, gain_of, judged, ratio_of, sum_error
from diagnostics.scoring.errors import Errors


def errors(sum_B: np.ndarray, n: int = 5) -> Errors:
    return Errors(sum_B=sum_B, n_B=np.full(len(sum_B), n))


def codes(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


@given(st.integers(0, 100))
def test_without_shared_cells_the_error_is_the_usual_one(seed: int):
    rng = np.random.default_rng(seed)
    worse, better = errors(rng.gamma(2, 1, 50)), errors(rng.gamma(1, 1, 50))
    cells = (np.arange(50, dtype=np.uint64), np.arange(50, 100, dtype=np.uint64))
    gain = gain_of(worse, better, 1.5)
    assert gain_of(worse, better, 1.5, cells).error == pytest.approx(gain.error)
    assert gain.value == pytest.approx((worse.loss - better.loss) / 1.5)
    # Standard errors apart from each other, as Errors.below counts them.
    assert gain.value / gain.error == pytest.approx(better.below(worse))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(6, 11), st.floats(-2, 2)), min_size=1, max_size=12))
def test_the_dyadic_error_is_the_sum_over_all_products_of_pairs_that_share_a_cell(pairs):
    before, after, residual = (np.array(part) for part in zip(*pairs, strict=True))
    shared = (before[:, None] == before) * 1.0 + (after[:, None] == after)
    # A pair shares both cells with itself: its own square counts once.
    brute = float(residual @ shared @ residual) - float(residual @ residual)
    alone = float(residual @ residual)
    found = sum_error(residual, (before.astype(np.uint64), after.astype(np.uint64)))
    assert found == pytest.approx(math.sqrt(max(brute, alone)), abs=1e-9)


def test_the_dyadic_error_is_that_of_cells_which_many_pairs_share():
    """Residuals a_i + b_j: over many draws the spread of their sum is what the formula says of one draw."""
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 40, 400).astype(np.uint64), rng.integers(40, 80, 400).astype(np.uint64)
    sums, said, alone = [], [], []
    for _ in range(400):
        effect = rng.normal(size=80)
        residual = effect[before.astype(int)] + effect[after.astype(int)]
        sums.append(residual.sum())
        said.append(sum_error(residual, (before, after)))
        alone.append(sum_error(residual))
    # The spread of 400 draws is known to 4 %; 40 clusters a side cost the formula a few per cent more.
    assert np.sqrt(np.mean(np.square(said))) == pytest.approx(np.std(sums), rel=0.15)
    assert max(alone) < 0.6 * np.std(sums)


def test_p_values_are_uniform_where_the_true_gain_is_the_bound():
    """Gains of the smallest size of interest: p below ALPHA in about a share ALPHA of draws."""
    rng = np.random.default_rng(1)
    n_pairs, bound, p_values = 400, 0.2, []
    for _ in range(1_000):
        worse = rng.gamma(4, 0.25, n_pairs)
        better = worse * (1 - bound) + rng.normal(0, 0.3, n_pairs)
        p_values.append(ratio_of(worse - better, worse).p_below(bound))
    p_values = np.array(p_values)
    # Kolmogorov's distance of 1,000 uniform numbers stays below .052 with probability .99.
    assert np.abs(np.sort(p_values) - np.arange(1, 1_001) / 1_001).max() < 0.052
    assert (p_values < ALPHA).mean() == pytest.approx(ALPHA, abs=3 * math.sqrt(ALPHA / 1_000))


@given(st.floats(-1, 1), st.floats(1e-3, 0.3), st.floats(-0.5, 0.5))
def test_p_values_are_those_of_the_normal_distribution(value: float, error: float, bound: float):
    gain, normal = Gain(value=value, error=error), NormalDist()
    assert gain.p_below(bound) == pytest.approx(normal.cdf((value - bound) / error), abs=1e-9)
    assert gain.p_below(bound) + gain.p_above(bound) == pytest.approx(1, abs=1e-9)


def test_without_an_error_a_gain_is_certain():
    assert Gain(value=0.1, error=0).p_below(0.05) == 1
    assert Gain(value=0.0, error=0).p_below(0.05) == 0
    assert ratio_of(np.zeros(3), np.zeros(3)) == Gain(value=0.0, error=0.0)


@given(st.floats(-0.1, 0.3), st.floats(1e-4, 0.1))
def test_a_gain_is_too_small_or_clear_or_neither(value: float, error: float):
    """Equivalence: failing needs an upper bound below the smallest of interest, passing a lower one above 0."""
    gain = Gain(value=value, error=error)
    found = judged(gain, what="it gains", matters="nothing to learn", next_step="look", n=10)
    upper = value + NormalDist().inv_cdf(1 - ALPHA) * error
    if abs(upper - SMALLEST) < 1e-9 or abs(value - CLEAR * error) < 1e-9:
        return
    if upper < SMALLEST:
        assert (found.outcome, found.next_step) == ("fail", "look")
    elif value > CLEAR * error:
        assert (found.outcome, found.next_step) == ("pass", "")
    else:
        assert found.outcome == "inconclusive"
        assert found.smallest_effect == pytest.approx(CLEAR * error)


def test_a_fault_is_decided_by_p_alone():
    fields = {"healthy": "well", "faulty": "ill", "next_step": "rest", "statistic": 1.0, "null": 0.0, "n": 3}
    ill, well = decided(ALPHA / 2, **fields), decided(ALPHA, **fields)
    assert (ill.outcome, ill.message, ill.next_step) == ("fail", "ill", "rest")
    assert (well.outcome, well.message, well.next_step) == ("pass", "well", "")
