"""Intervals against closed forms and scipy, and how often one that should hold the truth does."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binom, ttest_rel

from gpcp.core.errors import InputError
from gpcp.core.intervals import (
    Interval,
    binomial_interval,
    bootstrap,
    jackknife,
    mean_interval,
    paired_difference,
    pooled_seed_sd,
    student_factor,
    tie_width,
)

values = st.lists(st.floats(-10, 10), min_size=3, max_size=8)


@given(first=values, shift=st.floats(-5, 5), seed=st.integers(0, 2**16))
def test_the_interval_is_that_of_scipys_paired_t_test(first: list[float], shift: float, seed: int):
    second = np.asarray(first) + shift + np.random.default_rng(seed).normal(size=len(first))
    found = paired_difference(first, list(second))
    low, high = ttest_rel(first, second).confidence_interval(0.95)
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)
    assert found.ties == (low <= 0 <= high)


@given(first=values, second_seed=st.integers(0, 2**16), luck_seed=st.integers(0, 2**16))
def test_luck_that_both_share_cancels(first: list[float], second_seed: int, luck_seed: int):
    second = np.random.default_rng(second_seed).normal(size=len(first))
    luck = 100 * np.random.default_rng(luck_seed).normal(size=len(first))
    plain = paired_difference(first, list(second))
    lucky = paired_difference(list(np.asarray(first) + luck), list(second + luck))
    assert lucky.value == pytest.approx(plain.value, abs=1e-9)
    assert lucky.high - lucky.low == pytest.approx(plain.high - plain.low, abs=1e-9)


def test_one_seed_says_nothing_of_the_spread():
    found = paired_difference([1.0], [0.0])
    assert (found.value, found.low, found.high) == (1.0, -math.inf, math.inf)
    assert found.ties


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


def test_the_bootstrap_of_a_mean_is_that_of_the_textbook():
    value_P = np.random.default_rng(0).normal(3.0, 2.0, size=2000)
    sum_PK = np.column_stack([value_P, np.ones(2000)])
    (found,) = bootstrap(sum_PK, lambda total: total[:, :1] / total[:, 1:], np.random.default_rng(1))
    reach = 1.96 * value_P.std() / np.sqrt(2000)
    assert found.value == pytest.approx(value_P.mean())
    # 400 replicates give a percentile to about 10 % of the standard error.
    assert (found.value - found.low, found.high - found.value) == pytest.approx((reach, reach), rel=0.15)


def test_the_interval_of_a_higher_level_is_wider():
    sum_PK = np.random.default_rng(0).normal(size=(100, 1))
    narrow, wide = (bootstrap(sum_PK, lambda t: t, np.random.default_rng(1), level=level)[0] for level in (0.9, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_jackknife_of_group_means_is_students_interval():
    mean_K = np.random.default_rng(0).normal(5.0, 1.0, size=20)
    without_KV = ((mean_K.sum() - mean_K) / 19)[:, None]
    (found,) = jackknife(mean_K.mean(keepdims=True), without_KV)
    low, high = stats.t.interval(0.95, 19, loc=mean_K.mean(), scale=stats.sem(mean_K))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(InputError, match="no pair"):
        bootstrap(np.zeros((0, 1)), lambda total: total, np.random.default_rng(0))


def test_above_and_ties_are_about_the_whole_interval():
    found = Interval(value=0.2, low=0.1, high=0.3, n=5)
    assert found.above(0.05)
    assert not found.above(0.15)
    assert not found.ties
    assert -found == Interval(value=-0.2, low=-0.3, high=-0.1, n=5)


@given(value=values, level=st.floats(0.5, 0.999))
def test_a_mean_is_a_difference_from_nothing(value: list[float], level: float):
    found = mean_interval(value, level=level)
    assert found == paired_difference(value, [0.0] * len(value), level=level)
    if np.ptp(value) > 1e-6:
        low, high = stats.t.interval(level, len(value) - 1, loc=np.mean(value), scale=stats.sem(value))
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_one_value_has_no_spread():
    assert math.isinf(student_factor(1))
    with pytest.raises(InputError, match="no value"):
        mean_interval([])


@given(n=st.integers(1, 400), share=st.floats(0, 1))
def test_the_binomial_interval_leaves_its_tails_outside(n: int, share: float):
    found = round(share * n)
    rate = binomial_interval(found, n)
    assert (rate.value, rate.n) == (found / n, n)
    assert rate.low <= rate.value <= rate.high
    # Clopper and Pearson's definition; the quantiles are iterated to about 1e-10.
    assert not found or abs(binom.sf(found - 1, n, rate.low) - 0.025) < 1e-6
    assert found == n or abs(binom.cdf(found, n, rate.high) - 0.025) < 1e-6


def test_the_binomial_interval_of_nothing_tried_is_everything():
    found = binomial_interval(0, 0)
    assert math.isnan(found.value)
    assert (found.low, found.high, found.n) == (0.0, 1.0, 0)
    with pytest.raises(InputError, match="n_found is 3"):
        binomial_interval(3, 2)
