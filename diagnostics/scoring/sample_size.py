"""How many pairs are needed: where a curve over the number of pairs reaches a level, over seeds and over genes.

Dimension key: ``N`` numbers of pairs, ``S`` seeds, ``D`` numbers of genes.

A curve is only known at its points: a level that the first point has reached already was reached at that number *or
before*, and one that the last has not reached needs *more*. Neither is a number, and nothing here makes it one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, final

import numpy as np

from gpcp.core.errors import InputError
from gpcp.core.intervals import Interval, mean_interval

Bound = Literal["at most", "", "more than"]
_ORDER: tuple[Bound, ...] = ("at most", "", "more than")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """A number of pairs, or a bound of it.

    Parameters
    ----------
    n : float
    bound : {"at most", "", "more than"}
        Empty where the level was crossed between two points.
    """

    n: float
    bound: Bound = ""

    @property
    def known(self) -> bool:
        """Whether it is a number and no bound."""
        return not self.bound

    def text(self) -> str:
        """As a person would say it, to two figures: the curve is not known better than that."""
        n = self.n if self.bound else float(f"{self.n:.2g}")
        return f"{self.bound} {n:,.0f}".strip()


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class NeededOfSeeds:
    """What the seeds need: the middle one, the luckiest and the unluckiest.

    Parameters
    ----------
    middle, least, most : Needed
    n_seeds : int
    """

    middle: Needed
    least: Needed
    most: Needed
    n_seeds: int

    def text(self) -> str:
        """The middle, and the spread where there is one."""
        spread = "" if self.least == self.most else f" ({self.least.text()} to {self.most.text()})"
        return self.middle.text() + spread


def crossing(n_N: Sequence[int], value_N: Sequence[float], level: float) -> Needed:
    """The number of pairs at which a curve reaches ``level``, interpolated in log n.

    The curve is made monotone first, by least squares (pool adjacent violators): one lucky point below unlucky ones
    is luck. Between two points it is a straight line over log n.

    Parameters
    ----------
    n_N : sequence of int
        Ascending, from 1 up.
    value_N : sequence of float
        Of the curve, finite; larger is better.
    level : float

    Raises
    ------
    InputError
        There is no point, they do not ascend, or a value is not finite.
    """
    _check_points(n_N, value_N)
    from scipy.optimize import isotonic_regression

    smooth_N = np.asarray(isotonic_regression(np.asarray(value_N, dtype=np.float64)).x, dtype=np.float64)
    # What is pooled is a mean, and a mean of equal numbers may be rounded below them.
    reached_N = smooth_N >= level - 1e-12 * max(1.0, abs(level))
    if reached_N[0]:
        return Needed(n=float(n_N[0]), bound="at most")
    if not reached_N[-1]:
        return Needed(n=float(n_N[-1]), bound="more than")
    after = int(np.argmax(reached_N))
    low, high = float(smooth_N[after - 1]), float(smooth_N[after])
    share = min(1.0, (level - low) / (high - low))
    log_n = math.log(n_N[after - 1]) + share * (math.log(n_N[after]) - math.log(n_N[after - 1]))
    return Needed(n=math.exp(log_n))


def of_seeds(needed_S: Sequence[Needed]) -> NeededOfSeeds:
    """The middle seed (of an even number the larger of the two in the middle) and the spread.

    Raises
    ------
    InputError
        There is no seed.
    """
    if not needed_S:
        raise InputError("no seed has a curve to say how many pairs it needs: every training of one diverged")
    ordered_S = sorted(needed_S, key=lambda needed: (needed.n, _ORDER.index(needed.bound)))
    return NeededOfSeeds(
        middle=ordered_S[len(ordered_S) // 2], least=ordered_S[0], most=ordered_S[-1], n_seeds=len(ordered_S)
    )


def growth(n_genes_D: Sequence[int], needed_SD: Sequence[Sequence[Needed]]) -> Interval | None:
    """Exponent ``g`` of ``n = c d^g`` with its interval over seeds, by least squares in log-log for each seed.

    Parameters
    ----------
    n_genes_D : sequence of int
    needed_SD : sequence of sequences of Needed
        For each seed what every number of genes needs.

    Returns
    -------
    Interval or None
        None where there are fewer than two numbers of genes, no seed, or a bound among what is needed.
    """
    if len(set(n_genes_D)) < 2 or not needed_SD or not all(one.known for row in needed_SD for one in row):
        return None
    log_d_D = np.log(np.asarray(n_genes_D, dtype=np.float64))
    slopes = [float(np.polyfit(log_d_D, np.log([one.n for one in row]), 1)[0]) for row in needed_SD]
    return mean_interval(slopes)


def _check_points(n_N: Sequence[int], value_N: Sequence[float]) -> None:
    if not len(n_N) or len(n_N) != len(value_N):
        raise InputError(
            f"{len(n_N)} numbers of pairs and {len(value_N)} values are no curve: give one value for each number"
        )
    if n_N[0] < 1 or any(b <= a for a, b in pairwise(n_N)):
        raise InputError(f"the numbers of pairs {list(n_N)} do not ascend from 1 up: sort them and leave doubles out")
    if not np.isfinite(value_N).all():
        raise InputError("a value of the curve is not finite: leave the points out whose training diverged")
