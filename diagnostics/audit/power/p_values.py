"""p-values of many drawn experiments at once: an experiment is a row of weights over the pilot's cells.

Welch's t needs means and variances, which are products of weights and values. Wilcoxon's rank sum needs, by Hoeffding's
projection, products of weights and placements: the share of the other group's cells that a value lies above. The part
that the projection leaves out is smaller than what stays by the number of controls.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from diagnostics.audit.power.planted_values import PlantedValues

_MANY = 300.0
"""Degrees of freedom from which on Student's t is taken for normal."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moments:
    """Mean and variance of each gene in each of some drawn groups.

    Parameters
    ----------
    mean_RG, variance_RG : float64, (R, G)
    n : int
        Cells of a group.
    """

    mean_RG: NDArray[np.float64]
    variance_RG: NDArray[np.float64]
    n: int


def moments(weight_RN: NDArray[np.float32], value_NG: NDArray[np.float32], n: int) -> Moments:
    """Moments of groups of ``n`` cells; the rows of weights count how often each cell is in a group."""
    centre_G = value_NG.mean(axis=0)
    centred_NG = value_NG - centre_G
    mean_RG = (weight_RN @ centred_NG).astype(np.float64) / n
    square_RG = (weight_RN @ (centred_NG * centred_NG)).astype(np.float64) / n
    variance_RG = np.maximum(square_RG - mean_RG**2, 0.0) * (n / (n - 1))
    variance_RG[variance_RG < 1e-9] = 0.0  # float32 leaves crumbs where all values are equal
    return Moments(mean_RG=mean_RG + centre_G, variance_RG=variance_RG, n=n)


def welch_p(perturbed: Moments, control: Moments) -> NDArray[np.float64]:
    """Two-sided p-values of Welch's t test, float64 (R, G); 1 where both groups have no spread."""
    a_RG, b_RG = perturbed.variance_RG / perturbed.n, control.variance_RG / control.n
    squared_RG = a_RG + b_RG
    flat_RG = squared_RG == 0
    squared_RG = np.where(flat_RG, 1.0, squared_RG)
    t_RG = np.abs(perturbed.mean_RG - control.mean_RG) / np.sqrt(squared_RG)
    pieces_RG = a_RG**2 / (perturbed.n - 1) + b_RG**2 / (control.n - 1)
    degrees_RG = squared_RG**2 / np.where(flat_RG, 1.0, pieces_RG)
    p_RG = 2 * special.ndtr(-t_RG)
    few_RG = degrees_RG < _MANY
    p_RG[few_RG] = 2 * special.stdtr(degrees_RG[few_RG], -t_RG[few_RG])
    p_RG[flat_RG] = 1.0
    return p_RG


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Placements:
    """Where the values of each group lie among those of the other.

    Parameters
    ----------
    above_NG, below_NG : float32, (N, G)
        Share of the controls below each perturbed value, and of the perturbed above each control value; ties count
        half.
    mean_G : float64, (G,)
        Probability that a perturbed cell lies above a control.
    zero_perturbed_NG, zero_control_NG : float32, (N, G)
        1 where a value is 0, the one at which values are tied.
    """

    above_NG: NDArray[np.float32]
    below_NG: NDArray[np.float32]
    mean_G: NDArray[np.float64]
    zero_perturbed_NG: NDArray[np.float32]
    zero_control_NG: NDArray[np.float32]


def placements(values: PlantedValues) -> Placements:
    """The placements of all cells, gene by gene."""
    above_GN: list[NDArray[np.float64]] = []
    below_GN: list[NDArray[np.float64]] = []
    for control_N, perturbed_N in zip(values.control_NG.T, values.perturbed_NG.T, strict=True):
        above_GN.append(_share_below(control_N, perturbed_N))
        below_GN.append(1 - _share_below(perturbed_N, control_N))
    above_NG, below_NG = (np.ascontiguousarray(np.array(one).T, dtype=np.float32) for one in (above_GN, below_GN))
    return Placements(
        above_NG=above_NG,
        below_NG=below_NG,
        mean_G=above_NG.mean(axis=0, dtype=np.float64),
        zero_perturbed_NG=(values.perturbed_NG == 0).astype(np.float32),
        zero_control_NG=(values.control_NG == 0).astype(np.float32),
    )


def _share_below(others_N: NDArray[np.float32], value_N: NDArray[np.float32]) -> NDArray[np.float64]:
    sorted_N = np.sort(others_N)
    left_N, right_N = (np.searchsorted(sorted_N, value_N, side=side) for side in ("left", "right"))
    return (left_N + right_N) / (2 * len(sorted_N))


def wilcoxon_p(
    perturbed_RN: NDArray[np.float32], control_RN: NDArray[np.float32], placed: Placements, n: int, n_control: int
) -> NDArray[np.float64]:
    """Two-sided p-values of Wilcoxon's rank-sum test by its normal approximation, corrected for ties at 0, (R, G)."""
    mean_RG = (perturbed_RN @ placed.above_NG + (control_RN @ placed.below_NG) * (n / n_control)) / n
    mean_RG = mean_RG.astype(np.float64) - placed.mean_G
    n_all = n + n_control
    zeros_RG = (perturbed_RN @ placed.zero_perturbed_NG + control_RN @ placed.zero_control_NG).astype(np.float64)
    ties_RG = (zeros_RG**3 - zeros_RG) / (n_all * (n_all - 1))
    # Of U / (n * n_control).
    variance_RG = np.maximum(n_all + 1 - ties_RG, 0.0) / (12.0 * n * n_control)
    flat_RG = variance_RG < 1e-12
    z_RG = np.abs(mean_RG - 0.5) / np.sqrt(np.where(flat_RG, 1.0, variance_RG))
    return np.where(flat_RG, 1.0, 2 * special.ndtr(-z_RG))


def rejected_levels(
    null_RG: NDArray[np.float64], affected_RG: NDArray[np.float64], order_RG: NDArray[np.intp], *, n: int, fdr: float
) -> NDArray[np.float64]:
    """Level up to which Benjamini and Hochberg's procedure rejects one affected gene more, in each experiment, (R,).

    ``n`` genes are affected: the first ``n - 1`` of ``order_RG``, and one more, which takes the place of the next. The
    procedure rejects that gene exactly where its p-value is no larger than ``fdr * k / G``, with ``k`` the number of
    genes rejected where its p-value is 0.
    """
    p_RG = np.take_along_axis(null_RG, order_RG, axis=1)
    p_RG[:, : n - 1] = np.take_along_axis(affected_RG, order_RG[:, : n - 1], axis=1)
    p_RG[:, n - 1] = 0.0
    p_RG.sort(axis=1)
    rank_G = np.arange(1, p_RG.shape[1] + 1, dtype=np.float64)
    bound_G = fdr * rank_G / len(rank_G)
    passing_RG = p_RG <= bound_G
    return bound_G[len(bound_G) - 1 - np.argmax(passing_RG[:, ::-1], axis=1)]
