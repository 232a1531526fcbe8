"""Intervals over perturbations, differences and the scale, against plain arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.evaluation.cell_eval import Scores
from diagnostics.audit.evaluation.results import difference, intervals, rescaled
from gpcp.core.intervals import Interval

LABELS = ("a", "b", "c", "d")


def scores(*values: float) -> Scores:
    above = np.array(values)
    below = np.where(np.isnan(above), np.nan, 1.0)
    return Scores(labels=LABELS[: len(values)], parts={"m": np.column_stack((above, below))})


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=4))
def test_the_value_is_the_mean_and_lies_in_its_interval(values: list[float]):
    found = intervals(scores(*values), ("m", "unknown"), np.random.default_rng(0))
    assert set(found) == {"m"}
    assert found["m"].value == pytest.approx(np.mean(values), abs=1e-12)
    assert found["m"].low - 1e-9 <= found["m"].value <= found["m"].high + 1e-9
    assert found["m"].n == len(values)


def test_perturbations_without_a_value_are_left_out():
    found = intervals(scores(1.0, np.nan, 3.0), ("m",), np.random.default_rng(0))
    assert (found["m"].value, found["m"].n) == (2.0, 2)
    assert intervals(scores(np.nan, np.nan), ("m",), np.random.default_rng(0)) == {}


def test_a_ratio_of_sums_is_one():
    parts = {"m": np.array([[1.0, 2.0], [5.0, 4.0]])}
    assert Scores(labels=("a", "b"), parts=parts).value("m") == 1.0


def test_a_difference_is_paired_and_has_the_sign_of_better():
    first, second = scores(1.0, 2.0, 3.0, np.nan), scores(2.0, 3.0, 4.0, 0.0)
    for direction in (1, -1):
        found = difference(first, second, "m", direction, np.random.default_rng(0))
        assert found is not None
        assert (found.value, found.low, found.high, found.n) == pytest.approx((-direction, -direction, -direction, 3))
    assert difference(first, scores(np.nan, np.nan, np.nan, 1.0), "m", 1, np.random.default_rng(0)) is None
    assert difference(first, second, "other", 1, np.random.default_rng(0)) is None


def test_the_scale_is_0_at_the_baseline_and_1_at_the_replicate():
    values = {"m": Interval(value=3.0, low=2.0, high=4.0, n=4), "none": Interval(value=1.0, low=1.0, high=1.0, n=1)}
    found = rescaled(values, {"m": 5.0, "none": 2.0}, {"m": 1.0, "none": 2.0})
    assert found == {"m": Interval(value=0.5, low=0.25, high=0.75, n=4)}
