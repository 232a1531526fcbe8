"""Ties and paired intervals: closed forms, and how often an interval that should hold the truth does."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from gpcp.core.errors import InputError
from gpcp.core.intervals import paired_difference, pooled_seed_sd, tie_width

values = st.lists(st.floats(-10, 10), min_size=3, max_size=8)


@given(first=values, shift=st.floats(-5, 5), seed=st.integers(0, 2**16))
def test_the_interval_is_that_of_scipys_paired_t_test(first: list[float], shift: float, seed: int):
    second = np.asarray(first) + shift + np.random.default_rng(seed).normal(size=len(first))
    found = paired_difference(first, list(second))
    low, high = ttest_rel(first, second).confidence_interval(0.95)
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)
    assert found.tie == (low <= 0 <= high)


@given(first=values, second_seed=st.integers(0, 2**16), luck_seed=st.integers(0, 2**16))
def test_luck_that_both_share_cancels(first: list[float], second_seed: int, luck_seed: int):
    second = np.random.default_rng(second_seed).normal(size=len(first))
    luck = 100 * np.random.default_rng(luck_seed).normal(size=len(first))
    plain = paired_difference(first, list(second))
    lucky = paired_difference(list(np.asarray(first) + luck), list(second + luck))
    assert lucky.mean == pytest.approx(plain.mean, abs=1e-9)
    assert lucky.high - lucky.low == pytest.approx(plain.high - plain.low, abs=1e-9)


def test_one_seed_says_nothing_of_the_spread():
    found = paired_difference([1.0], [0.0])
    assert (found.mean, found.low, found.high) == (1.0, -math.inf, math.inf)
    assert found.tie


@pytest.mark.parametrize(("first", "second"), [([1.0], [1.0, 2.0]), ([], []), ([math.nan], [1.0])])
def test_what_cannot_be_paired_is_refused(first: list[float], second: list[float]):
    with pytest.raises(InputError, match=r"paired"):
        paired_difference(first, second)


def test_the_tie_width_is_two_standard_errors_of_a_difference():
    # 20,000 differences of means of 4 draws each: 95.45 % lie within two standard errors; binomial SD .15 %.
    draws = np.random.default_rng(0).normal(scale=3.0, size=(20_000, 2, 4))
    difference = draws.mean(axis=2)[:, 0] - draws.mean(axis=2)[:, 1]
    inside = float((np.abs(difference) < tie_width(3.0, 4)).mean())
    assert inside == pytest.approx(0.9545, abs=0.006)


def test_pooling_weighs_by_degrees_of_freedom():
    assert pooled_seed_sd([[0.0, 2.0], [5.0], [1.0, 1.0, 1.0]]) == pytest.approx(math.sqrt(2.0 / 3.0))
    assert math.isnan(pooled_seed_sd([[1.0], [2.0]]))
    with pytest.raises(InputError, match="n_seeds is 0"):
        tie_width(1.0, 0)
