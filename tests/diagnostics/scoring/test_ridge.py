"""Closed-form ridge against scikit-learn's, and its choice of a penalty against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV

from diagnostics.scoring.ridge import PENALTIES, fit_ridge


@given(st.integers(2, 60), st.integers(1, 8), st.integers(0, 99), st.floats(0, 3))
def test_it_is_sklearns_ridge_at_the_penalty_it_chose(n: int, n_features: int, seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    feature_BF = rng.normal(2, 3, (n, n_features))
    target_B = feature_BF @ rng.normal(size=n_features) + noise * rng.normal(size=n)
    fit = fit_ridge(feature_BF, target_B[:, None], np.ones((n, 1), dtype=np.bool_))
    scale_F = feature_BF.std(axis=0)
    other = Ridge(alpha=n * fit.penalty_Y[0], solver="svd").fit(feature_BF / scale_F, target_B)
    np.testing.assert_allclose(fit.coefficient_FY[:, 0], other.coef_ / scale_F, rtol=1e-6, atol=1e-8)
    assert fit.intercept_Y[0] == pytest.approx(other.intercept_, rel=1e-6, abs=1e-6)


@given(st.integers(20, 60), st.integers(1, 8), st.integers(0, 99), st.floats(0.1, 30))
def test_the_penalty_has_the_least_gcv(n: int, n_features: int, seed: int, noise: float) -> None:
    """GCV by the definition: the hat matrix of centred features, and one degree of freedom for the intercept."""
    rng = np.random.default_rng(seed)
    feature_BF = rng.normal(size=(n, n_features))
    target_B = feature_BF @ rng.normal(size=n_features) + noise * rng.normal(size=n)
    fit = fit_ridge(feature_BF, target_B[:, None], np.ones((n, 1), dtype=np.bool_))
    centred_BF = (feature_BF - feature_BF.mean(axis=0)) / feature_BF.std(axis=0)
    gcv = []
    for penalty in PENALTIES:
        gram_FF = centred_BF.T @ centred_BF + n * penalty * np.eye(n_features)
        hat_BB = centred_BF @ np.linalg.solve(gram_FF, centred_BF.T) + 1 / n
        residual_B = target_B - hat_BB @ target_B
        gcv.append(np.mean(residual_B**2) / (1 - np.trace(hat_BB) / n) ** 2)
    assert gcv[int(np.flatnonzero(fit.penalty_Y[0] == PENALTIES)[0])] == pytest.approx(min(gcv), rel=1e-9)


def test_the_penalty_is_about_that_of_leave_one_out() -> None:
    rng = np.random.default_rng(0)
    feature_BF = rng.normal(size=(80, 40))
    target_B = feature_BF @ rng.normal(0, 0.3, 40) + 2 * rng.normal(size=80)
    fit = fit_ridge(feature_BF, target_B[:, None], np.ones((80, 1), dtype=np.bool_))
    loo = RidgeCV(alphas=80 * PENALTIES).fit(feature_BF / feature_BF.std(axis=0), target_B)
    # GCV approximates leave-one-out: a factor of 10^.5 is two steps of the grid.
    assert abs(np.log10(fit.penalty_Y[0] * 80 / loo.alpha_)) <= 0.51


@given(st.integers(0, 99), st.integers(2, 30))
def test_each_target_has_its_own_rows(seed: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    feature_BF, target_BY = rng.normal(size=(30, n_features)), rng.normal(size=(30, 3))
    counts_BY = rng.random((30, 3)) < 0.5
    counts_BY[0] = True
    fit = fit_ridge(feature_BF, target_BY, counts_BY)
    spoilt_BY = np.where(counts_BY, target_BY, 1e6)
    np.testing.assert_array_equal(fit_ridge(feature_BF, spoilt_BY, counts_BY).coefficient_FY, fit.coefficient_FY)
    predicted_BY = feature_BF @ fit.coefficient_FY + fit.intercept_Y
    for y in range(3):
        rows_B = counts_BY[:, y]
        residual_B = target_BY[rows_B, y] - predicted_BY[rows_B, y]
        # Never worse than the mean on its own rows, whatever the penalty.
        assert residual_B @ residual_B <= target_BY[rows_B, y].var() * rows_B.sum() + 1e-9


def test_noise_alone_is_shrunk_and_a_constant_feature_left_out() -> None:
    rng = np.random.default_rng(1)
    feature_BF = np.hstack((rng.normal(size=(200, 50)), np.full((200, 1), 7.0)))
    target_BY = rng.normal(4, 1, (200, 1))
    fit = fit_ridge(feature_BF, target_BY, np.ones((200, 1), dtype=np.bool_))
    assert fit.coefficient_FY[-1, 0] == 0
    # Least squares explains a quarter of pure noise with 50 features of 200 rows.
    explained = np.var(feature_BF @ fit.coefficient_FY[:, 0]) / target_BY.var()
    assert explained < 0.05
