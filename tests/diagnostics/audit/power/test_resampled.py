"""Moments of weighted samples are numpy's and scipy's, and a pilot's own power does not move."""

import numpy as np
import pytest
from scipy import stats

from diagnostics.audit.power.design import PowerDesign
from diagnostics.audit.power.planted_values import pilot_of
from diagnostics.audit.power.resampled import (
    Central,
    Sampled,
    central_moments,
    moved_power,
    welch_normal,
    wilcoxon_normal,
)
from diagnostics.audit.power.surface import effects_of, resamplings, without_effect
from gpcp.core.random import generator
from tests.diagnostics.audit.power.test_analysis import normal_cells


def test_moments_are_those_of_the_drawn_cells():
    rng = generator("test moments")
    value_NG = rng.gamma(1.0, 2.0, size=(50, 3)).astype(np.float32)
    row_N = rng.integers(50, size=50)
    probability_RN = (np.bincount(row_N, minlength=50) / 50)[None].astype(np.float32)
    found = central_moments(probability_RN, value_NG)
    sample_NG = value_NG[row_N].astype(np.float64)
    np.testing.assert_allclose(found.mean_RG[0], sample_NG.mean(axis=0), rtol=1e-4)
    for order, one_RG in ((2, found.second_RG), (3, found.third_RG), (4, found.fourth_RG)):
        np.testing.assert_allclose(one_RG[0], stats.moment(sample_NG, order, axis=0), rtol=1e-3)


def test_the_spread_of_welch_s_t_is_that_of_drawn_experiments():
    """Within 15 %, on values as skewed as an exponential distribution, where it is not 1 (seed fixed)."""
    rng = generator("test spread of t")
    value_NG = rng.exponential(1.0, size=(4_000, 1)).astype(np.float32)
    perturbed_NG = 0.2 * value_NG
    even_RN = np.full((1, 4_000), 1 / 4_000, dtype=np.float32)
    moments = [central_moments(even_RN, one) for one in (perturbed_NG, value_NG)]
    one = _sampled(*moments)
    rows, others = (rng.integers(4_000, size=(3_000, n)) for n in (200, 40))
    t_R = stats.ttest_ind(perturbed_NG[rows, 0], value_NG[others, 0], axis=1, equal_var=False).statistic
    shift_RG, spread_RG = welch_normal(one, 200, 40)
    assert abs(float(np.median(t_R))) == pytest.approx(float(shift_RG[0, 0]), rel=0.15)
    assert float(t_R.std()) == pytest.approx(float(spread_RG[0, 0]), rel=0.15)
    assert float(t_R.std()) < 0.9


def _sampled(perturbed: Central, control: Central) -> Sampled:
    nothing = np.zeros((1, 1))
    return Sampled(
        perturbed=perturbed,
        control=control,
        above=control,
        below=control,
        zero_perturbed_RG=nothing,
        zero_control_RG=nothing,
        mean_G=np.zeros(1),
    )


def test_power_of_the_pilot_stays_and_grows_in_samples_with_larger_shifts():
    pilot, design = pilot_of(normal_cells(), expressed=0.0), PowerDesign(effects=(0.5,), n_resamplings=20)
    some = resamplings(pilot, design, seed=0)
    effects = effects_of(pilot, design, some, without_effect(pilot, some), seed=0)
    found_G = np.full(40, 0.6)
    for normal in (welch_normal(effects[0.5].sampled, 60, 300), wilcoxon_normal(effects[0.5].sampled, 60, 300)):
        power_RG = moved_power(found_G, 0.005, normal, some.tested_RG, least_level=1e-3, n_draws=1_000)
        np.testing.assert_allclose(power_RG[0], found_G, atol=2e-3)
        assert np.corrcoef((normal[0] / normal[1])[1:].mean(axis=1), power_RG[1:].mean(axis=1))[0, 1] > 0.8
