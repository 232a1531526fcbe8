"""Cells that are made of a mean have that mean; counts stay whole numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.evaluation.emission import profile, rounded, with_spread, without_spread


@given(seed=st.integers(0, 100), n_genes=st.integers(2, 8))
def test_counts_with_spread_have_the_moved_mean(seed: int, n_genes: int):
    rng = np.random.default_rng(seed)
    control_BG = rng.poisson(20, size=(50, n_genes)).astype(np.float64)
    control_G = profile(control_BG, "counts")
    shift_G = rng.normal(0, 0.3, n_genes)
    cell_BG = with_spread(control_BG, shift_G, 4000, scale="counts", profile_G=control_G, rng=rng)
    assert (cell_BG == np.round(cell_BG)).all()
    ratio_G = np.expm1(control_G + shift_G) / np.expm1(control_G)
    expected_G = control_BG.mean(axis=0) * ratio_G
    error_G = (control_BG.std(axis=0) * ratio_G + 0.5) / np.sqrt(4000)
    assert (np.abs(cell_BG.mean(axis=0) - expected_G) < 5.5 * error_G).all()


def test_logarithms_with_spread_are_moved_and_cut_at_nothing():
    rng = np.random.default_rng(0)
    control_BG = np.array([[1.0, 0.0], [2.0, 0.0]])
    cell_BG = with_spread(
        control_BG, np.array([0.5, -1.0]), 100, scale="log", profile_G=control_BG.mean(axis=0), rng=rng
    )
    assert set(cell_BG[:, 0].tolist()) == {1.5, 2.5}
    assert not cell_BG[:, 1].any()


def test_cells_without_spread_have_the_profile():
    rng = np.random.default_rng(0)
    profile_G = np.log1p(np.array([2000.0, 7000.0, 1000.0]))
    cell_BG = without_spread(profile_G, 5000, scale="counts", depth=50.0, rng=rng)
    np.testing.assert_allclose(cell_BG.mean(axis=0), [10, 35, 5], atol=0.05)
    assert (cell_BG.max(axis=0) - cell_BG.min(axis=0) <= 1).all()
    logarithms_BG = without_spread(profile_G, 3, scale="log", depth=0.0, rng=rng)
    np.testing.assert_allclose(logarithms_BG, np.tile(profile_G, (3, 1)), rtol=1e-6)


@given(value=st.floats(0, 50), seed=st.integers(0, 20))
def test_rounding_is_right_on_average(value: float, seed: int):
    rounded_BG = rounded(np.full((2000, 1), value), np.random.default_rng(seed))
    assert set(np.unique(rounded_BG)) <= {np.floor(value), np.floor(value) + 1}
    assert abs(rounded_BG.mean() - value) < 5.5 * 0.5 / np.sqrt(2000)
