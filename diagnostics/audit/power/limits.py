"""Where power crosses what is wanted, along effects or numbers of cells, with an interval."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gpcp.core.intervals import student_factor

_FEWEST = 5
"""Samples from which a variance is taken."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """Where a power is reached.

    Parameters
    ----------
    value : float or None
        None where it is not reached on the grid.
    low, high : float or None
        Interval; None where it goes beyond the grid.
    below : bool
        The power is reached at the first position of the grid already: ``value`` is that, an upper bound.
    """

    value: float | None
    low: float | None
    high: float | None
    below: bool = False


def crossing(grid: NDArray[np.float64], power: NDArray[np.float64], wanted: float) -> float:
    """Where rising power reaches a value, by interpolation of its probit over the logarithm of the grid.

    -inf and inf where it is reached before and beyond the grid.
    """
    z = special.ndtri(np.clip(np.maximum.accumulate(power), 1e-4, 1 - 1e-4))
    wanted_z = float(special.ndtri(wanted))
    if z[0] >= wanted_z:
        return -np.inf
    if z[-1] < wanted_z:
        return np.inf
    last = int(np.argmax(z >= wanted_z))
    part = (wanted_z - z[last - 1]) / (z[last] - z[last - 1])
    log = np.log(grid)
    return float(np.exp(log[last - 1] + part * (log[last] - log[last - 1])))


def crossing_interval(
    grid: NDArray[np.float64],
    point: NDArray[np.float64],
    batches: NDArray[np.float64],
    resampled: NDArray[np.float64],
    *,
    wanted: float,
    level: float,
) -> Crossing:
    """The crossing of the pilot's power, with an interval from bootstrap samples of the pilot.

    On the logarithm, Student's interval with the bootstrap's standard error. What the drawn experiments leave open is
    measured by batches of them and added. The bootstrap's estimate of bias is not taken off: which genes are expressed
    in enough cells jumps from sample to sample, so that the estimate is noisier than the bias is large.

    Parameters
    ----------
    grid : float64, (positions,)
    point : float64, (positions,)
        Power of the pilot.
    batches : float64, (batches, positions)
        The same from equal parts of the experiments.
    resampled : float64, (samples, positions)
        Power of bootstrap samples of the pilot, without the noise of drawn experiments.
    wanted, level : float
    """
    at = crossing(grid, point, wanted)
    if at == np.inf:
        return Crossing(value=None, low=None, high=None)
    if at == -np.inf:
        return Crossing(value=float(grid[0]), low=None, high=float(grid[0]), below=True)
    # A class of genes is empty in some samples.
    known = [many[np.isfinite(many).all(axis=1)] for many in (batches, resampled)]
    if min(map(len, known)) < _FEWEST:
        return Crossing(value=at, low=None, high=None)
    ends = [np.array([crossing(grid, one, wanted) for one in many]) for many in known]
    of_draws, of_pilot = (_within(np.log(np.where(one > 0, one, 0.5 * grid[0])), grid) for one in ends)
    variance = float(of_pilot.var(ddof=1)) + float(of_draws.var(ddof=1)) / len(of_draws)
    half = student_factor(len(of_pilot), level) * np.sqrt(variance)
    low, high = at * np.exp(-half), at * np.exp(half)
    return Crossing(
        value=at,
        low=float(low) if low >= grid[0] else None,
        high=float(high) if high <= grid[-1] else None,
    )


def _within(log: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Crossings beyond the grid as half a step beyond it."""
    step = np.log(grid[-1]) - np.log(grid[-2])
    return np.minimum(log, np.log(grid[-1]) + step / 2)
