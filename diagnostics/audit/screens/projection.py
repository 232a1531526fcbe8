"""The expression of the sample in few numbers a cell: its first principal components, of the most variable genes."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.screens.screen import Screen

_GENES, _COMPONENTS = 400, 20


def projected(screen: Screen, *, within_strata: bool) -> NDArray[np.float64]:
    """Principal components of the sample's log expression, each of variance 1.

    Parameters
    ----------
    screen : Screen
    within_strata : bool
        Whether the mean of each context is taken off first.

    Returns
    -------
    float64, (B, F)
    """
    log_BG = screen.log_BG
    n_cells = log_BG.shape[0]
    mean_G = np.asarray(log_BG.mean(axis=0)).reshape(-1)
    square_G = np.asarray(log_BG.multiply(log_BG).mean(axis=0)).reshape(-1)
    variance_G = square_G - mean_G**2
    expressed_G = np.bincount(log_BG.indices, minlength=log_BG.shape[1])
    variance_G[expressed_G < 10] = 0
    kept = np.sort(np.argsort(-variance_G, kind="stable")[:_GENES])
    kept = kept[variance_G[kept] > 1e-12]
    if not len(kept):
        return np.zeros((n_cells, 0))
    value_BF: NDArray[np.float64] = cast("Any", log_BG[:, kept]).toarray()
    value_BF -= value_BF.mean(axis=0)
    if within_strata:
        value_BF -= _means(value_BF, screen.stratum_N[screen.row_B])
    value_BF /= np.maximum(value_BF.std(axis=0), 1e-6)
    # A cell that is many spreads away in one gene does not decide a component by itself.
    np.clip(value_BF, -5, 5, out=value_BF)
    _, vectors = np.linalg.eigh(value_BF.T @ value_BF / n_cells)
    component_BF = value_BF @ vectors[:, ::-1][:, :_COMPONENTS]
    component_BF -= component_BF.mean(axis=0)
    spread_F = component_BF.std(axis=0)
    return component_BF[:, spread_F > 1e-9] / spread_F[spread_F > 1e-9]


def _means(value_BF: NDArray[np.float64], code_B: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of each cell's group, (B, F)."""
    _, code_B = np.unique(code_B, return_inverse=True)
    order_B = np.argsort(code_B, kind="stable")
    n_of_group = np.bincount(code_B)
    starts = np.cumsum(n_of_group) - n_of_group
    mean_KF = np.add.reduceat(value_BF[order_B], starts, axis=0) / n_of_group[:, None]
    return mean_KF[code_B]
