"""Intervals of the audit: against the textbook's standard errors."""

import json

import numpy as np
import pytest
from scipy import stats

from gpcp.core.errors import InputError
from gpcp.core.files import plain
from gpcp.core.intervals import Estimate, bootstrap, jackknife


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


def test_plain_values_are_json():
    found = {"a": Estimate(value=1.0, low=0.5, high=float("inf")), "b": (1, None, "x")}
    text = json.dumps(plain(found), allow_nan=False)
    assert json.loads(text) == {"a": {"value": 1.0, "low": 0.5, "high": None}, "b": [1, None, "x"]}


def test_above_is_about_the_whole_interval():
    estimate = Estimate(value=0.2, low=0.1, high=0.3)
    assert estimate.above(0.05)
    assert not estimate.above(0.15)
    assert estimate.to_json() == {"value": 0.2, "low": 0.1, "high": 0.3}
