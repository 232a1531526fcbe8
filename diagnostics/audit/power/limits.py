"""Where power crosses what is wanted, along effects or numbers of cells, with an interval."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import special

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
    alone: NDArray[np.float64],
    resampled: NDArray[np.float64],
    *,
    wanted: float,
    level: float,
) -> Crossing:
    """The crossing of the pilot's power, with an interval from bootstrap samples of the pilot.

    Both vary by the experiments that were drawn, too: the variance of ``alone``, in which the pilot stays the same, is
    taken off that of the bootstrap samples. The interval is symmetric in the logarithm.

    Parameters
    ----------
    grid : float64, (positions,)
    point : float64, (positions,)
        Power of the pilot.
    alone, resampled : float64, (samples, positions)
    wanted, level : float
    """
    at = crossing(grid, point, wanted)
    if at == np.inf:
        return Crossing(value=None, low=None, high=None)
    if at == -np.inf:
        return Crossing(value=float(grid[0]), low=None, high=float(grid[0]), below=True)
    # A class of genes is empty in some samples.
    known = [many[np.isfinite(many).all(axis=1)] for many in (alone, resampled)]
    if min(map(len, known)) < _FEWEST:
        return Crossing(value=at, low=None, high=None)
    ends = [np.array([crossing(grid, one, wanted) for one in many]) for many in known]
    logs = [_within(np.log(np.where(one > 0, one, 0.5 * grid[0])), grid) for one in ends]
    variance = max(float(logs[1].var(ddof=1)) - float(logs[0].var(ddof=1)), 0.0)
    # What the pilot's own draws leave open counts, too; there are more of them than of one sample.
    variance += float(logs[0].var(ddof=1)) / 10
    half = float(special.ndtri((1 + level) / 2)) * np.sqrt(variance)
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
