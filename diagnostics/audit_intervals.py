"""Estimates with their intervals: a bootstrap over pairs for ratios of sums, a grouped jackknife for the rest.

Dimension key: ``P`` pairs, ``K`` sums, or groups that are left out in turn, ``R`` replicates, ``V`` values.

Entries of one pair go together and pairs share no cell, so pairs are what is drawn anew. An interval speaks of other
cells of the same donors and datasets; of other donors and datasets it knows nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.errors import InputError

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


def plain(found: Any) -> Any:
    """A value of the report as JSON's types: estimates, values made of them, sequences and mappings.

    Numbers that are not finite become None, since JSON has no word for them.
    """
    from dataclasses import fields, is_dataclass

    if isinstance(found, float) and not np.isfinite(found):
        return None
    if is_dataclass(found) and not isinstance(found, type):
        return {field.name: plain(getattr(found, field.name)) for field in fields(found)}
    if isinstance(found, dict):
        return {str(name): plain(value) for name, value in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(found, (tuple, list)):
        return [plain(one) for one in found]  # pyright: ignore[reportUnknownVariableType]
    return found
