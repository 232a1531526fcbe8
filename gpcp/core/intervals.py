"""How far two configurations must lie apart before their seeds cannot be the reason.

Dimension key: ``C`` configurations, ``S`` seeds.

Everything is measured over seeds: one training more is one more draw of weights, pairs and order. Where two
configurations have the same seeds, their difference is taken seed by seed (:func:`paired_difference`); where many are
to be put in order, one width serves for all (:func:`tie_width`).

Estimates with their intervals: a bootstrap over pairs for ratios of sums, a grouped jackknife for the rest.

Dimension key: ``P`` pairs, ``K`` sums, or groups that are left out in turn, ``R`` replicates, ``V`` values.

Entries of one pair go together and pairs share no cell, so pairs are what is drawn anew. An interval speaks of other
cells of the same donors and datasets; of other donors and datasets it knows nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError

TIE_SDS = 2.0
"""Standard errors of a difference below which two configurations are not put in order."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The mean of ``first - second`` over seeds, with its confidence interval.

    Parameters
    ----------
    mean, low, high : float
        The interval's ends are infinite where one seed says nothing of the spread.
    n_seeds : int
    """

    mean: float
    low: float
    high: float
    n_seeds: int

    @property
    def tie(self) -> bool:
        """Whether the interval holds 0: the seeds may be the reason."""
        return self.low <= 0 <= self.high


def paired_difference(first_S: Sequence[float], second_S: Sequence[float], *, level: float = 0.95) -> Difference:
    """Student's interval of the mean of ``first - second`` over the seeds that both had.

    Parameters
    ----------
    first_S, second_S : sequence of float
        Seed by seed, in the same order; all finite.
    level : float
        Of confidence.

    Raises
    ------
    InputError
        They are not of the same seeds, there is none, or a value is not finite.
    """
    if len(first_S) != len(second_S) or not len(first_S):
        raise InputError(f"{len(first_S)} and {len(second_S)} seeds cannot be paired: give one value for each of both")
    difference_S = np.asarray(first_S, dtype=np.float64) - np.asarray(second_S, dtype=np.float64)
    if not np.isfinite(difference_S).all():
        raise InputError("a value to be paired is not finite: leave the seeds out whose training diverged")
    mean, n = float(difference_S.mean()), len(difference_S)
    if n == 1:
        return Difference(mean=mean, low=-math.inf, high=math.inf, n_seeds=1)
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(difference_S.std(ddof=1)) / math.sqrt(n)
    return Difference(mean=mean, low=mean - half, high=mean + half, n_seeds=n)


def pooled_seed_sd(values_CS: Sequence[Sequence[float]]) -> float:
    """Standard deviation between seeds within a configuration, pooled over configurations; NaN without any pair.

    Parameters
    ----------
    values_CS : sequence of sequences of float
        For each configuration a value for each of its seeds; they need not have equally many.
    """
    squares = sum(float(np.var(value_S)) * len(value_S) for value_S in values_CS if len(value_S) > 1)
    freedom = sum(len(value_S) - 1 for value_S in values_CS if len(value_S) > 1)
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


LEVEL = 0.95
"""Of every interval."""

N_REPLICATES = 400
_BLOCK = 25


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number and its 95 % interval.

    Parameters
    ----------
    value, low, high : float
    """

    value: float
    low: float
    high: float

    def above(self, bound: float) -> bool:
        """Whether the whole interval lies above ``bound``."""
        return self.low > bound

    def to_json(self) -> dict[str, float]:
        """The three numbers."""
        return {"value": self.value, "low": self.low, "high": self.high}


def bootstrap(
    sum_PK: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rng: np.random.Generator,
    *,
    level: float = LEVEL,
) -> tuple[Estimate, ...]:
    """Percentile intervals of what is a function of sums over pairs.

    Parameters
    ----------
    sum_PK : float64, (P, K)
        What each pair adds to each sum.
    statistic : callable
        From totals (R, K) to values (R, V), row by row.
    rng : numpy.random.Generator
    level : float
        Within 0 .. 1.

    Returns
    -------
    tuple of Estimate
        ``V`` of them.

    Raises
    ------
    InputError
        There is no pair.
    """
    if not len(sum_PK):
        raise InputError("there is no pair to measure")
    value_V = statistic(sum_PK.sum(axis=0)[None])[0]
    n = len(sum_PK)
    parts = [
        statistic(rng.multinomial(n, np.full(n, 1 / n), size=_BLOCK).astype(np.float64) @ sum_PK)
        for _ in range(N_REPLICATES // _BLOCK)
    ]
    tail = 100 * (1 - level) / 2
    low_V, high_V = np.nanpercentile(np.concatenate(parts), [tail, 100 - tail], axis=0)
    return tuple(
        Estimate(value=float(value), low=float(low), high=float(high))
        for value, low, high in zip(value_V, low_V, high_V, strict=True)
    )


def jackknife(value_V: NDArray[np.float64], without_KV: NDArray[np.float64]) -> tuple[Estimate, ...]:
    """Student intervals from values with each of K groups of pairs left out in turn.

    ``variance = (K - 1) / K * sum (without - mean)^2`` [1]_, with K - 1 degrees of freedom.

    Parameters
    ----------
    value_V : float64, (V,)
        From all pairs.
    without_KV : float64, (K, V)

    References
    ----------
    .. [1] B. Efron, C. Stein (1981), The jackknife estimate of variance.
    """
    from scipy.stats import t as student

    n_groups = len(without_KV)
    spread_V = np.sqrt((n_groups - 1) / n_groups * ((without_KV - without_KV.mean(axis=0)) ** 2).sum(axis=0))
    reach_V = float(student.ppf((1 + LEVEL) / 2, n_groups - 1)) * spread_V
    return tuple(
        Estimate(value=float(value), low=float(value - reach), high=float(value + reach))
        for value, reach in zip(value_V, reach_V, strict=True)
    )
