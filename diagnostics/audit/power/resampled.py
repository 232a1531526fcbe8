"""Power in bootstrap samples of the pilot without drawing experiments anew: each gene's power moves as its test would.

A gene is found where a statistic, about normal, lies above a level: with probability ``Phi((shift - z) / spread)``.
Shift and spread follow from the moments of a sample of cells. The power of a gene in a bootstrap sample is that of the
pilot, which is drawn, with its probit moved by the difference of ``(shift - z) / spread`` between sample and pilot: so
the approximation is asked for differences alone, and the result has none of the noise of drawn experiments.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from diagnostics.audit.power.p_values import Placements
from diagnostics.audit.power.planted_values import PlantedValues

_FLAT = 1e-12
_ROUNDS = 4
"""Of the fixed point between power and the level of Benjamini and Hochberg's procedure; it settles to 1e-3 in three."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Central:
    """Mean and central moments of each gene in each sample of cells, float64 (R, G)."""

    mean_RG: NDArray[np.float64]
    second_RG: NDArray[np.float64]
    third_RG: NDArray[np.float64]
    fourth_RG: NDArray[np.float64]


def central_moments(probability_RN: NDArray[np.float32], value_NG: NDArray[np.float32]) -> Central:
    """Moments of values in samples of cells with these probabilities."""
    centre_G = value_NG.mean(axis=0)
    power_NG = centred_NG = value_NG - centre_G
    raw: list[NDArray[np.float64]] = []
    for _ in range(4):
        raw.append((probability_RN @ power_NG).astype(np.float64))
        power_NG = power_NG * centred_NG
    first, second, third, fourth = raw
    return Central(
        mean_RG=first + centre_G,
        second_RG=np.maximum(second - first**2, 0.0),
        third_RG=third - 3 * first * second + 2 * first**3,
        fourth_RG=fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4,
    )


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sampled:
    """What tests would see of one effect in the pilot (row 0) and in samples of it.

    Parameters
    ----------
    perturbed, control : Central
        Of values.
    above, below : Central
        Of placements: see :class:`~diagnostics.audit.power.p_values.Placements`.
    zero_perturbed_RG, zero_control_RG : float64, (R, G)
        Shares of cells at 0.
    mean_G : float64, (G,)
        Probability in the pilot that a perturbed cell lies above a control.
    """

    perturbed: Central
    control: Central
    above: Central
    below: Central
    zero_perturbed_RG: NDArray[np.float64]
    zero_control_RG: NDArray[np.float64]
    mean_G: NDArray[np.float64]


def sampled(
    probability_RN: NDArray[np.float32], values: PlantedValues, placed: Placements, control: Central
) -> Sampled:
    """Moments of one effect."""
    return Sampled(
        perturbed=central_moments(probability_RN, values.perturbed_NG),
        control=control,
        above=central_moments(probability_RN, placed.above_NG),
        below=central_moments(probability_RN, placed.below_NG),
        zero_perturbed_RG=(probability_RN @ placed.zero_perturbed_NG).astype(np.float64),
        zero_control_RG=(probability_RN @ placed.zero_control_NG).astype(np.float64),
        mean_G=placed.mean_G,
    )


Normal = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Shift and spread of a statistic in units of the standard error that its test takes for right, (R, G) each."""


def welch_normal(one: Sampled, n: int, n_control: int) -> Normal:
    """Welch's t, with the variance that skewness and kurtosis give it (the delta method on its standard error)."""
    a, b = one.perturbed, one.control
    square_RG = np.maximum(a.second_RG / n + b.second_RG / n_control, _FLAT)
    difference_RG = a.mean_RG - b.mean_RG
    joint_RG = a.third_RG / n**2 - b.third_RG / n_control**2
    of_square_RG = (a.fourth_RG - a.second_RG**2) / n**3 + (b.fourth_RG - b.second_RG**2) / n_control**3
    variance_RG = 1 - difference_RG * joint_RG / square_RG**2 + difference_RG**2 * of_square_RG / (4 * square_RG**3)
    # By construction it is no smaller than 0; the lower bound guards against division.
    return np.abs(difference_RG) / np.sqrt(square_RG), np.sqrt(np.maximum(variance_RG, 0.05))


def wilcoxon_normal(one: Sampled, n: int, n_control: int) -> Normal:
    """Wilcoxon's rank sum by Hoeffding's projection, over its standard error under the null with ties at 0."""
    shift_RG = np.abs(one.above.mean_RG + one.below.mean_RG - one.mean_G - 0.5)
    n_all = n + n_control
    zeros_RG = n * one.zero_perturbed_RG + n_control * one.zero_control_RG
    ties_RG = (zeros_RG**3 - zeros_RG) / (n_all * (n_all - 1))
    error_RG = np.sqrt(np.maximum((n_all + 1 - ties_RG) / (12.0 * n * n_control), _FLAT))
    spread_RG = np.sqrt(one.above.second_RG / n + one.below.second_RG / n_control)
    return shift_RG / error_RG, np.maximum(spread_RG / error_RG, 0.05)


def moved_power(
    found_G: NDArray[np.float64],
    level: float,
    normal: Normal,
    tested_RG: NDArray[np.bool_],
    *,
    least_level: float,
    n_draws: int,
) -> NDArray[np.float64]:
    """Power of each gene in each sample, float64 (R, G), from that of the pilot.

    The level of the procedure moves with the number of genes that it rejects, which is about the mean power.

    Parameters
    ----------
    found_G : float64, (G,)
        Of the pilot, by ``n_draws`` experiments.
    level : float
        Of the procedure, in the pilot.
    normal : Normal
        Row 0 is the pilot.
    tested_RG : bool, (R, G)
        Row 0 is the pilot.
    least_level : float
        That of a gene that is rejected alone.
    n_draws : int
    """
    shift_RG, spread_RG = normal
    # Adding half a success and half a failure keeps probits finite.
    base_G = special.ndtri((found_G * n_draws + 0.5) / (n_draws + 1))
    z = float(-special.ndtri(level / 2))
    own_G = (shift_RG[0] - z) / spread_RG[0]
    n_R = np.maximum(tested_RG.sum(axis=1), 1)
    whole = float((special.ndtr(base_G) * tested_RG[0]).sum() / n_R[0])
    z_R: NDArray[np.float64] = np.full(len(shift_RG), z)
    power_RG: NDArray[np.float64] = shift_RG
    for _ in range(_ROUNDS):
        power_RG = np.asarray(special.ndtr(base_G + (shift_RG - z_R[:, None]) / spread_RG - own_G), dtype=np.float64)
        mean_R = (power_RG * tested_RG).sum(axis=1) / n_R
        level_R = least_level + (level - least_level) * mean_R / whole
        z_R = -np.asarray(special.ndtri(level_R / 2), dtype=np.float64)
    return power_RG
