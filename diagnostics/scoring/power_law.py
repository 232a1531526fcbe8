"""Excess loss over the Bayes risk as a power of the number of pairs, ``a n^-b``, and what may be read beyond the data.

Each seed has a line of its own in log-log, by least squares; intervals are Student's over seeds. Nothing is claimed
beyond one decade of the largest number of pairs, nor where the seeds agree that the line is bent: a loss that levels
off because of the steps or the capacity is no power of the pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.intervals import Interval, mean_interval

DECADE = 10.0
"""How many times the largest number of pairs an extrapolation may reach."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PowerLaw:
    """Excess losses ``a n^-b``, seed by seed.

    Parameters
    ----------
    log_a_R, b_R : float64, (R,)
    b : Interval
        Mean of ``b_R`` and its interval.
    bend : Interval or None
        Of the second-order term in ``log n``; None with fewer than three numbers of pairs, of which no line can be
        said.
    n_largest : int
        The largest number of pairs that was measured.
    """

    log_a_R: NDArray[np.float64]
    b_R: NDArray[np.float64]
    b: Interval
    bend: Interval | None
    n_largest: int


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Extrapolation:
    """A number of pairs beyond the measured ones, or why there is none.

    Parameters
    ----------
    pairs : Interval or None
        The geometric mean over seeds and its interval, whose upper end is infinite where it lies beyond the decade.
    refusal : str
        Empty where there is a number.
    """

    pairs: Interval | None
    refusal: str = ""


def fit_power_law(n_pairs: Sequence[int], excess_R_point: NDArray[np.floating], *, level: float = 0.95) -> PowerLaw:
    """Least squares of ``log excess = log a - b log n`` for each seed.

    Parameters
    ----------
    n_pairs : sequence of int
        At least two different numbers of pairs.
    excess_R_point : float, (R, point)
        Held-out loss less the Bayes risk; above 0.
    level : float
        Of confidence of the intervals.

    Raises
    ------
    InputError
        There are fewer than two numbers of pairs, shapes do not fit, or an excess is not above 0: a model that has
        reached the Bayes risk is on no power law any more.
    """
    if (
        len(set(n_pairs)) < 2
        or excess_R_point.ndim != 2
        or excess_R_point.shape[1] != len(n_pairs)
        or not len(excess_R_point)
    ):
        raise InputError(
            f"excess_R_point has shape {excess_R_point.shape} for {len(n_pairs)} numbers of pairs: give (R, 2 or more)"
        )
    if not (np.isfinite(excess_R_point).all() and (excess_R_point > 0).all()):
        raise InputError("an excess loss is not above 0: a loss at the Bayes risk follows no power law; leave it out")
    log_n = np.log(np.asarray(n_pairs, dtype=np.float64))
    centred_point = log_n - log_n.mean()
    log_excess_point_R = np.log(excess_R_point.astype(np.float64)).T
    slope_R, mean_R = _polynomials(centred_point, log_excess_point_R, 1)
    bend = None
    if len(set(n_pairs)) > 2:
        bend = mean_interval(_polynomials(centred_point, log_excess_point_R, 2)[0].tolist(), level=level)
    return PowerLaw(
        log_a_R=mean_R - slope_R * log_n.mean(),
        b_R=-slope_R,
        b=mean_interval((-slope_R).tolist(), level=level),
        bend=bend,
        n_largest=max(n_pairs),
    )


def extrapolate(law: PowerLaw, target_R: Sequence[float], *, level: float = 0.95) -> Extrapolation:
    """The number of pairs at which the excess loss falls to ``target_R``, seed by seed.

    Parameters
    ----------
    law : PowerLaw
    target_R : sequence of float
        An excess loss above 0 for each seed.
    level : float

    Returns
    -------
    Extrapolation
        Refused where one seed or two numbers of pairs say nothing of the uncertainty, where the excess does not surely
        fall, where its fall is bent, and where the number lies more than a decade beyond the largest measured one, or
        below it: whoever extrapolates has not reached the target there.

    Raises
    ------
    InputError
        A target is not above 0, or they are not one for each seed.
    """
    target = np.asarray(target_R, dtype=np.float64)
    if target.shape != law.b_R.shape or not (target > 0).all():
        raise InputError(f"target_R has {len(target)} values for {len(law.b_R)} seeds: give one above 0 for each")
    refusal = _refusal(law)
    if refusal:
        return Extrapolation(pairs=None, refusal=refusal)
    log_n = mean_interval(((law.log_a_R - np.log(target)) / law.b_R).tolist(), level=level)
    most = math.log(DECADE * law.n_largest)
    if log_n.value < math.log(law.n_largest):
        near = "its line crosses it among the measured pairs, at which it was not reached: no power of the pairs"
        return Extrapolation(pairs=None, refusal=near)
    if log_n.value > most:
        far = f"it lies beyond {DECADE * law.n_largest:,.0f} pairs, a decade from the largest measured"
        return Extrapolation(pairs=None, refusal=far)
    high = math.exp(log_n.high) if log_n.high <= most else math.inf
    pairs = Interval(value=math.exp(log_n.value), low=math.exp(log_n.low), high=high, n=log_n.n)
    return Extrapolation(pairs=pairs)


def _refusal(law: PowerLaw) -> str:
    if law.b.n < 2:
        return "one seed says nothing of the uncertainty"
    if law.bend is None:
        return "two numbers of pairs do not show whether the loss falls as a power"
    if law.b.low <= 0 or (law.b_R <= 0).any():
        return "the seeds do not agree that the loss falls with the pairs"
    if not law.bend.ties:
        return "the fall is bent: no power of the number of pairs"
    return ""


def _polynomials(x_point: NDArray[np.float64], y_point_R: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Coefficients by least squares, from the highest power to the constant, a column for each seed."""
    return np.asarray(np.polyfit(x_point, y_point_R, degree), dtype=np.float64)
