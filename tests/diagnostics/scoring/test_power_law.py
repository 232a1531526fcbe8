"""Excess losses as powers of the pairs: exact ones are recovered, intervals cover, nothing is claimed far away."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.scoring.power_law import DECADE, extrapolate, fit_power_law
from gpcp.core.errors import InputError

SIZES = (500, 2000, 8000, 32000)
LOG_N = np.log(SIZES)


def noisy(rng: np.random.Generator, *, b: float, n_seeds: int = 4, sd: float = 0.1) -> np.ndarray:
    return np.exp(3 - b * LOG_N + sd * rng.standard_normal((n_seeds, len(SIZES))))


@given(log_a=st.floats(-3, 5), b=st.floats(-1, 2), n_seeds=st.integers(1, 5))
def test_an_exact_power_law_is_recovered(log_a: float, b: float, n_seeds: int):
    law = fit_power_law(SIZES, np.exp(log_a - b * LOG_N) * np.ones((n_seeds, 1)))
    # Logarithms of exponentials and least squares on four points round at about 1e-13.
    assert law.b.value == pytest.approx(b, abs=1e-9)
    assert np.allclose(law.log_a_R, log_a, atol=1e-8)
    assert law.bend is not None
    assert law.bend.value == pytest.approx(0, abs=1e-9)
    assert math.isinf(law.b.high) == (n_seeds == 1)


@given(factor=st.integers(2, 20), scale=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_units_of_pairs_and_of_loss_leave_the_exponent_alone(factor: int, scale: float, seed: int):
    excess_R_point = noisy(np.random.default_rng(seed), b=0.5)
    one, other = (
        fit_power_law(SIZES, excess_R_point), fit_power_law([factor * n for n in SIZES], scale * excess_R_point)
    )  # fmt: skip
    assert other.b.value == pytest.approx(one.b.value, abs=1e-9)
    assert other.b.low == pytest.approx(one.b.low, abs=1e-9)


def test_the_interval_covers_the_exponent_as_often_as_it_says():
    # Of 2,000 simulations 95 % should cover; 4 standard errors of that share are .0195.
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(2000):
        law = fit_power_law(SIZES, noisy(rng, b=0.4))
        covered += law.b.low <= 0.4 <= law.b.high
    assert abs(covered / 2000 - 0.95) < 0.0195


@given(b=st.floats(0.2, 2), beyond=st.floats(1.01, 9.9))
def test_an_exact_law_is_extrapolated_within_a_decade(b: float, beyond: float):
    law = fit_power_law(SIZES, np.exp(3 - b * LOG_N) * np.ones((2, 1)))
    target = math.exp(3 - b * math.log(beyond * SIZES[-1]))
    found = extrapolate(law, [target, target])
    # Rounding alone makes the seeds' curvature differ from 0, and may be called a bend.
    if found.refusal:
        assert law.bend is not None
        assert abs(law.bend.value) < 1e-9
        return
    assert found.pairs is not None
    assert found.pairs.value == pytest.approx(beyond * SIZES[-1], rel=1e-6)


@given(b=st.floats(0.2, 2), beyond=st.floats(1.05, 1e4), seed=st.integers(0, 10_000))
def test_no_number_lies_beyond_a_decade(b: float, beyond: float, seed: int):
    law = fit_power_law(SIZES, noisy(np.random.default_rng(seed), b=b))
    target = math.exp(3 - b * math.log(beyond * SIZES[-1]))
    found = extrapolate(law, [target] * 4)
    assert (found.pairs is None) == bool(found.refusal)
    if found.pairs is not None:
        assert found.pairs.low <= found.pairs.value <= found.pairs.high
        assert found.pairs.value <= DECADE * SIZES[-1] * (1 + 1e-9)
        assert found.pairs.high <= DECADE * SIZES[-1] * (1 + 1e-9) or math.isinf(found.pairs.high)


def test_the_interval_of_an_extrapolation_covers_as_often_as_it_says():
    # The logarithm of n is a ratio of estimates, so that Student's interval is not exact: with noise of .1 on an
    # exponent of .5 the slope's own noise is 3 %, and the ratio is near enough to Gaussian. Among 1,000 simulations
    # 5 % are called bent by chance and refused; 4 standard errors of the share of 95 % are .029, and .01 is given to
    # the approximation.
    rng = np.random.default_rng(11)
    truth, found = 3 * SIZES[-1], []
    target = math.exp(3 - 0.5 * math.log(truth))
    for _ in range(1000):
        one = extrapolate(fit_power_law(SIZES, noisy(rng, b=0.5)), [target] * 4)
        if one.pairs is not None:
            found.append(one.pairs.low <= truth <= one.pairs.high)
    assert len(found) > 900
    assert abs(np.mean(found) - 0.95) < 0.039


@pytest.mark.parametrize(
    ("excess", "summary"),
    [
        (lambda rng: noisy(rng, b=0.5, n_seeds=1), "one seed"),
        (lambda rng: noisy(rng, b=0.0), "do not agree"),
        (lambda rng: noisy(rng, b=-0.5), "do not agree"),
        # A loss that levels off at a floor which steps or capacity set.
        (lambda rng: noisy(rng, b=0.9, sd=0.02) + 0.03, "bent"),
        # A thousandth of the last excess is decades away at any exponent near .5.
        (lambda rng: noisy(rng, b=0.5, sd=0.01), "decade"),
    ],
)
def test_an_extrapolation_is_refused_with_its_reason(excess, summary: str):
    excess_R_point = excess(np.random.default_rng(2))
    found = extrapolate(fit_power_law(SIZES, excess_R_point), excess_R_point[:, -1] / 1000)
    assert found.pairs is None
    assert summary in found.refusal


def test_a_target_that_the_line_crosses_among_the_points_is_not_extrapolated():
    excess_R_point = noisy(np.random.default_rng(2), b=0.5)
    found = extrapolate(fit_power_law(SIZES, excess_R_point), [math.exp(3 - 0.5 * math.log(SIZES[-1] / 2))] * 4)
    assert found.pairs is None
    assert "among the measured pairs" in found.refusal


def test_two_points_have_a_slope_and_no_extrapolation():
    law = fit_power_law((100, 1000), np.array([[1.0, 0.1], [2.0, 0.25]]))
    assert law.bend is None
    assert "two numbers" in extrapolate(law, [0.01, 0.01]).refusal


@pytest.mark.parametrize(
    "excess", [np.ones((2, 3)), np.ones(4), np.zeros((2, 4)), np.full((2, 4), np.nan), np.empty((0, 4))]
)
def test_what_is_no_power_law_is_refused(excess: np.ndarray):
    with pytest.raises(InputError):
        fit_power_law(SIZES, excess)


def test_targets_are_one_for_each_seed_and_above_0():
    law = fit_power_law(SIZES, noisy(np.random.default_rng(0), b=0.5))
    for bad in ([0.1], [0.1, 0.1, 0.1, 0.0]):
        with pytest.raises(InputError):
            extrapolate(law, bad)
