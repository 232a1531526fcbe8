"""Effects on values: thinned counts are counts whose means follow the fold change; levels follow it exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.spike_ins.values import changed, rule_of, thinned

EFFECTS = npst.arrays(np.float64, (6, 4), elements=st.floats(-3, 3))
COUNTS = npst.arrays(np.int64, (6, 4), elements=st.integers(0, 1000))
LEVELS = npst.arrays(np.float32, (6, 4), elements=st.floats(0, 12, width=32))


@given(count_BG=COUNTS, effect_BG=EFFECTS, seed=st.integers(0, 5))
def test_thinned_counts_are_counts_that_only_fall(count_BG: np.ndarray, effect_BG: np.ndarray, seed: int):
    found_BG = thinned(count_BG, effect_BG, generator("test", seed))
    assert found_BG.dtype == np.int64
    assert ((found_BG >= 0) & (found_BG <= count_BG)).all()
    most_BG = effect_BG == effect_BG.max(axis=0)
    np.testing.assert_array_equal(found_BG[most_BG], count_BG[most_BG])


def test_without_an_effect_nothing_changes():
    count_BG = np.arange(24).reshape(6, 4)
    np.testing.assert_array_equal(thinned(count_BG, np.zeros((6, 4)), generator("test")), count_BG)


@pytest.mark.parametrize("effect", [-1.0, -0.3, 0.4, 1.2])
def test_the_ratio_of_mean_counts_is_the_fold_change_and_poisson_stays_poisson(effect: float):
    """Means within 5 standard errors of the closed form; of 40,000 Poisson counts mean and variance agree to 5 %."""
    n = 40_000
    count_BG = generator("test poisson").poisson(6.0, size=(2 * n, 1))
    effect_BG = np.repeat([0.0, effect], n)[:, None]
    found_BG = thinned(count_BG, effect_BG, generator("test thinning"))
    for rows, one in ((slice(n), 0.0), (slice(n, None), effect)):
        rate = 6.0 * np.exp(one - max(0.0, effect))
        assert abs(found_BG[rows].mean() - rate) < 5 * np.sqrt(rate / n)
        assert found_BG[rows].var() == pytest.approx(rate, rel=0.05)


@given(value_BG=LEVELS, effect_BG=EFFECTS)
def test_a_fold_multiplies_the_level_and_leaves_zeros(value_BG: np.ndarray, effect_BG: np.ndarray):
    found_BG = changed(value_BG, effect_BG, "fold")
    level_BG = np.expm1(value_BG.astype(np.float64))
    np.testing.assert_allclose(np.expm1(found_BG), level_BG * np.exp(effect_BG), rtol=1e-9)
    assert (found_BG[value_BG == 0] == 0).all()


@given(value_BG=LEVELS, effect_BG=EFFECTS)
def test_a_shift_adds(value_BG: np.ndarray, effect_BG: np.ndarray):
    np.testing.assert_array_equal(changed(value_BG, effect_BG, "shift"), value_BG.astype(np.float64) + effect_BG)


def test_negative_values_are_no_levels():
    value_BG = np.array([[-1.0, 2.0]])
    assert rule_of(value_BG) == "shift"
    with pytest.raises(InputError, match="shift"):
        changed(value_BG, np.zeros((1, 2)), "fold")
    with pytest.raises(InputError, match="fold"):
        changed(value_BG, np.zeros((1, 2)), "folds")  # pyright: ignore[reportArgumentType]


def test_bad_counts_are_refused():
    with pytest.raises(InputError, match="0 or more"):
        thinned(np.array([[-1]]), np.zeros((1, 1)), generator("test"))
    with pytest.raises(InputError, match="shape"):
        thinned(np.array([[1]]), np.zeros((1, 2)), generator("test"))
