"""Closed-form ridge regression of many targets, each with its own rows and its own penalty.

The penalty is chosen by generalised cross-validation: ``GCV = (RSS / n) / (1 - df / n)^2``, with df counting the
intercept, which is not penalised.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

PENALTIES = np.logspace(-6, 2, 33)
"""Penalties on trial, per row and for features of unit variance."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RidgeFit:
    """``target = feature @ coefficient + intercept``, in the units that the features came in.

    Parameters
    ----------
    coefficient_FY : float64, (F, Y)
    intercept_Y : float64, (Y,)
    penalty_Y : float64, (Y,)
        Chosen of :data:`PENALTIES`.
    """

    coefficient_FY: NDArray[np.float64]
    intercept_Y: NDArray[np.float64]
    penalty_Y: NDArray[np.float64]


def fit_ridge(
    feature_BF: NDArray[np.floating], target_BY: NDArray[np.floating], counts_BY: NDArray[np.bool_]
) -> RidgeFit:
    """Ridge of each target on the rows that count for it.

    Parameters
    ----------
    feature_BF : float, (B, F)
    target_BY : float, (B, Y)
    counts_BY : bool, (B, Y)
        Each column has a True.

    Returns
    -------
    RidgeFit
        On the rows of its fit no target is predicted worse than by its mean.
    """
    mean_F = feature_BF.mean(axis=0, dtype=np.float64)
    scale_F = feature_BF.std(axis=0, dtype=np.float64)
    scale_F[scale_F < 1e-9 * (1 + np.abs(mean_F))] = 1.0
    standard_BF = (feature_BF - mean_F) / scale_F
    n_targets = target_BY.shape[1]
    coefficient_FY = np.empty((feature_BF.shape[1], n_targets))
    intercept_Y, penalty_Y = np.empty(n_targets), np.empty(n_targets)
    for y in range(n_targets):
        rows_B = counts_BY[:, y]
        slope_F, offset, penalty_Y[y] = _fit_one(standard_BF[rows_B], target_BY[rows_B, y].astype(np.float64))
        coefficient_FY[:, y] = slope_F / scale_F
        intercept_Y[y] = offset - mean_F @ coefficient_FY[:, y]
    return RidgeFit(coefficient_FY=coefficient_FY, intercept_Y=intercept_Y, penalty_Y=penalty_Y)


def _fit_one(
    standard_BF: NDArray[np.float64], target_B: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, float]:
    """Slope (F,), intercept and penalty of one target, from the eigenvalues of its Gram matrix."""
    n = len(target_B)
    mean_F, mean = standard_BF.mean(axis=0), float(target_B.mean())
    centred_B = target_B - mean
    gram_FF = standard_BF.T @ standard_BF - n * np.outer(mean_F, mean_F)
    value_F, vector_FF = np.linalg.eigh(gram_FF)
    value_F = np.maximum(value_F, 0.0)
    # X'y in the eigenbasis; with penalty a the slope is c / (value + a) and RSS follows without the rows.
    c_F = vector_FF.T @ (standard_BF.T @ centred_B)
    penalty_trial = n * PENALTIES[:, None]
    rss_trial = centred_B @ centred_B - (c_F**2 * (value_F + 2 * penalty_trial) / (value_F + penalty_trial) ** 2).sum(
        axis=1
    )
    df_trial = 1 + (value_F / (value_F + penalty_trial)).sum(axis=1)
    # At least .5 spare degrees of freedom: with as many features as rows a perfect fit must not win by 0 / 0.
    gcv_trial = np.maximum(rss_trial, 0.0) / np.maximum(n - df_trial, 0.5) ** 2
    best = int(np.argmin(gcv_trial))
    slope_F = vector_FF @ (c_F / (value_F + penalty_trial[best]))
    return slope_F, mean - float(mean_F @ slope_F), float(PENALTIES[best])
