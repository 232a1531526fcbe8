"""Estimates with their confidence intervals, and how far apart two configurations must lie to be put in order.

Over seeds, one training more is one more draw of weights, pairs and order: Student's interval of a mean, of differences
seed by seed where two configurations share their seeds (:func:`paired_difference`). Over pairs of cells, a bootstrap
for ratios of sums and a grouped jackknife for the rest: entries of one pair go together and pairs share no cell, so
pairs are what is drawn anew, and an interval holds for other cells of the same donors and datasets, not for others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError

LEVEL = 0.95
"""Confidence of every interval unless another is given."""

TIE_SDS = 2.0
"""Standard errors of a difference below which two configurations are not put in order."""

N_REPLICATES = 400
_BLOCK = 25


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate and its confidence interval.

    Parameters
    ----------
    value : float
    low, high : float
        Infinite where one observation leaves the spread unknown.
    n : int
        How many observations it rests on: seeds, rounds, pairs or groups of pairs.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def ties(self) -> bool:
        """Whether the interval holds 0, so that chance may be the reason."""
        return self.low <= 0 <= self.high

    def above(self, bound: float) -> bool:
        """Whether the whole interval lies above ``bound``."""
        return self.low > bound

    def __neg__(self) -> "Interval":
        return Interval(value=-self.value, low=-self.high, high=-self.low, n=self.n)


def student_factor(n: int, level: float = LEVEL) -> float:
    """Standard errors from a mean of ``n`` values to either end of its interval; infinite for one."""
    if n < 2:
        return math.inf
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.5 + level / 2))


def mean_interval(value_R: Sequence[float], *, level: float = LEVEL) -> Interval:
    """Student's interval of a mean.

    Parameters
    ----------
    value_R : sequence of float
        Independent, all finite.
    level : float
        Of confidence.

    Raises
    ------
    InputError
        There is no value, or one is not finite.
    """
    values = np.asarray(value_R, dtype=np.float64)
    if not len(values):
        raise InputError("there is no value to take the mean of")
    if not np.isfinite(values).all():
        raise InputError("a value is not finite: leave the seeds out whose training diverged")
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return Interval(value=mean, low=-math.inf, high=math.inf, n=1)
    half = student_factor(n, level) * float(values.std(ddof=1)) / math.sqrt(n)
    return Interval(value=mean, low=mean - half, high=mean + half, n=n)


def paired_difference(first_R: Sequence[float], second_R: Sequence[float], *, level: float = LEVEL) -> Interval:
    """Student's interval of the mean of ``first - second`` over the seeds that both had.

    Parameters
    ----------
    first_R, second_R : sequence of float
        Seed by seed, in the same order; all finite.
    level : float
        Of confidence.

    Raises
    ------
    InputError
        They are not of the same seeds, there is none, or a value is not finite.
    """
    if len(first_R) != len(second_R) or not len(first_R):
        raise InputError(f"{len(first_R)} and {len(second_R)} seeds cannot be paired: give one value for each of both")
    difference_R = np.asarray(first_R, dtype=np.float64) - np.asarray(second_R, dtype=np.float64)
    if not np.isfinite(difference_R).all():
        raise InputError("a value to be paired is not finite: leave the seeds out whose training diverged")
    return mean_interval(difference_R.tolist(), level=level)


def pooled_seed_sd(values_by_configuration: Sequence[Sequence[float]]) -> float:
    """Standard deviation between seeds within a configuration, pooled over configurations; NaN without any pair.

    Parameters
    ----------
    values_by_configuration : sequence of sequences of float
        For each configuration a value for each of its seeds; they need not have equally many.
    """
    squares = sum(float(np.var(value_R)) * len(value_R) for value_R in values_by_configuration if len(value_R) > 1)
    freedom = sum(len(value_R) - 1 for value_R in values_by_configuration if len(value_R) > 1)
    return math.sqrt(squares / freedom) if freedom else math.nan


def tie_width(seed_sd: float, n_seeds: int) -> float:
    """Difference of two means over ``n_seeds`` seeds below which they tie: ``2 sqrt(2) sd / sqrt(n)``.

    The variance of a difference of two independent means is ``2 sd^2 / n``. Common seeds make it smaller, so that the
    width errs towards a tie.

    Raises
    ------
    InputError
        ``n_seeds`` is below 1.
    """
    if n_seeds < 1:
        raise InputError(f"n_seeds is {n_seeds}: it must be at least 1")
    return TIE_SDS * math.sqrt(2 / n_seeds) * seed_sd


def binomial_interval(n_found: int, n: int, *, level: float = LEVEL) -> Interval:
    """The exact interval of a fraction [1]_; from 0 to 1, and a value of NaN, where nothing was tried.

    Raises
    ------
    InputError
        ``n_found`` is not within 0 .. ``n``.

    References
    ----------
    .. [1] C. Clopper, E. Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the
       binomial.
    """
    if not 0 <= n_found <= n:
        raise InputError(f"n_found is {n_found}: it must be within 0 .. {n}")
    if not n:
        return Interval(value=math.nan, low=0.0, high=1.0, n=0)
    from scipy.stats import binomtest

    found = binomtest(n_found, n).proportion_ci(confidence_level=level, method="exact")
    return Interval(value=n_found / n, low=float(found.low), high=float(found.high), n=n)


def bootstrap(
    sums: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rng: np.random.Generator,
    *,
    level: float = LEVEL,
) -> tuple[Interval, ...]:
    """Percentile intervals of what is a function of sums over pairs.

    Parameters
    ----------
    sums : float64, (P, number of sums)
        What each pair adds to each sum.
    statistic : callable
        From totals, a row for each of R resamplings, to values (R, V), row by row.
    rng : numpy.random.Generator
    level : float
        Within 0 .. 1.

    Returns
    -------
    tuple of Interval
        ``V`` of them.

    Raises
    ------
    InputError
        There is no pair.
    """
    if not len(sums):
        raise InputError("there is no pair to measure")
    value_V = statistic(sums.sum(axis=0)[None])[0]
    n = len(sums)
    parts = [
        statistic(rng.multinomial(n, np.full(n, 1 / n), size=_BLOCK).astype(np.float64) @ sums)
        for _ in range(N_REPLICATES // _BLOCK)
    ]
    tail = 100 * (1 - level) / 2
    low_V, high_V = np.nanpercentile(np.concatenate(parts), [tail, 100 - tail], axis=0)
    return tuple(
        Interval(value=float(value), low=float(low), high=float(high), n=n)
        for value, low, high in zip(value_V, low_V, high_V, strict=True)
    )


def jackknife(value_V: NDArray[np.float64], without_RV: NDArray[np.float64]) -> tuple[Interval, ...]:
    """Student intervals from values with each of R groups of pairs left out in turn.

    ``variance = (R - 1) / R * sum (without - mean)^2`` [1]_, with R - 1 degrees of freedom.

    Parameters
    ----------
    value_V : float64, (V,)
        From all pairs.
    without_RV : float64, (R, V)

    References
    ----------
    .. [1] B. Efron, C. Stein (1981), The jackknife estimate of variance.
    """
    from scipy.stats import t as student

    n = len(without_RV)
    spread_V = np.sqrt((n - 1) / n * ((without_RV - without_RV.mean(axis=0)) ** 2).sum(axis=0))
    reach_V = float(student.ppf((1 + LEVEL) / 2, n - 1)) * spread_V
    return tuple(
        Interval(value=float(value), low=float(value - reach), high=float(value + reach), n=n)
        for value, reach in zip(value_V, reach_V, strict=True)
    )
