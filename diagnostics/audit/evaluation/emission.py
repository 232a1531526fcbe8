"""From a predicted mean to cells that a scorer reads: with the controls' cell-to-cell spread, or with none."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import Scale

TOTAL = 1e4
"""To which total counts are scaled before their logarithm, where a mean is of counts."""


def profile(X_BG: Any, scale: Scale) -> NDArray[np.float64]:
    """The mean response of some cells on a logarithmic scale, float64 (G,).

    Of counts, log1p of their sum scaled to :data:`TOTAL`; of logarithms, their mean.
    """
    sum_G = np.asarray(X_BG.sum(axis=0), dtype=np.float64).ravel()
    if scale == "log":
        return sum_G / X_BG.shape[0]
    return np.log1p(sum_G * (TOTAL / max(sum_G.sum(), 1.0)))


def without_spread(
    profile_G: NDArray[np.float64], n: int, *, scale: Scale, depth: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """``n`` cells that are all the same but for the rounding of counts, float32 (B, G).

    Parameters
    ----------
    profile_G : float64, (G,)
        As :func:`profile` gives it.
    depth : float
        Counts of a cell.
    """
    mean_G = np.maximum(profile_G, 0) if scale == "log" else _counts(profile_G, depth)
    return same_cells(mean_G, n, scale=scale, rng=rng)


def same_cells(mean_G: NDArray[np.float64], n: int, *, scale: Scale, rng: np.random.Generator) -> NDArray[np.float32]:
    """``n`` cells with one mean in the units of ``X``; counts are rounded up or down at random, right on average."""
    if scale == "log":
        return np.repeat(mean_G[None].astype(np.float32), n, axis=0)
    return rounded(np.repeat(mean_G[None], n, axis=0), rng)


def with_spread(
    control_BG: NDArray[np.float64],
    shift_G: NDArray[np.float64],
    n: int,
    *,
    scale: Scale,
    profile_G: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """``n`` control cells, drawn with replacement, moved by a shift of the logarithmic mean, float32 (B, G).

    Counts are multiplied, so that their mean is that of the moved profile; logarithms are added to and cut at 0.

    Parameters
    ----------
    control_BG : float, (B, G)
    shift_G : float64, (G,)
        Predicted minus control profile.
    profile_G : float64, (G,)
        Of the controls.
    """
    cell_BG = control_BG[rng.integers(len(control_BG), size=n)]
    if scale == "log":
        return np.maximum(cell_BG + shift_G, 0).astype(np.float32)
    level_G = np.expm1(profile_G)
    new_G = np.expm1(np.maximum(profile_G + shift_G, 0))
    ratio_G = np.divide(new_G, level_G, out=np.ones_like(level_G), where=level_G > 0)
    return rounded(cell_BG * ratio_G, rng)


def rounded(mean_BG: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Whole numbers whose expectations are ``mean_BG``."""
    return np.floor(mean_BG + rng.random(mean_BG.shape)).astype(np.float32)


def _counts(profile_G: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    level_G = np.expm1(np.maximum(profile_G, 0))
    return level_G * (depth / max(level_G.sum(), 1e-12))
