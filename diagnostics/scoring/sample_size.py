"""How many pairs are needed: where a curve over the number of pairs reaches a level, over seeds and over genes.

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


def crossing(n_pairs: Sequence[int], value_point: Sequence[float], level: float) -> Needed:
    """The number of pairs at which a curve reaches ``level``, interpolated in log n.

    The curve is made monotone first, by least squares (pool adjacent violators): one lucky point below unlucky ones
    is luck. Between two points it is a straight line over log n.

    Parameters
    ----------
    n_pairs : sequence of int
        Ascending, from 1 up.
    value_point : sequence of float
        Of the curve, finite; larger is better.
    level : float

    Raises
    ------
    InputError
        There is no point, they do not ascend, or a value is not finite.
    """
    _check_points(n_pairs, value_point)
    from scipy.optimize import isotonic_regression

    smooth_point = np.asarray(isotonic_regression(np.asarray(value_point, dtype=np.float64)).x, dtype=np.float64)
    # What is pooled is a mean, and a mean of equal numbers may be rounded below them.
    reached_point = smooth_point >= level - 1e-12 * max(1.0, abs(level))
    if reached_point[0]:
        return Needed(n=float(n_pairs[0]), bound="at most")
    if not reached_point[-1]:
        return Needed(n=float(n_pairs[-1]), bound="more than")
    after = int(np.argmax(reached_point))
    low, high = float(smooth_point[after - 1]), float(smooth_point[after])
    share = min(1.0, (level - low) / (high - low))
    log_n = math.log(n_pairs[after - 1]) + share * (math.log(n_pairs[after]) - math.log(n_pairs[after - 1]))
    return Needed(n=math.exp(log_n))


def of_seeds(needed_R: Sequence[Needed]) -> NeededOfSeeds:
    """The middle seed (of an even number the larger of the two in the middle) and the spread.

    Raises
    ------
    InputError
        There is no seed.
    """
    if not needed_R:
        raise InputError("no seed has a curve to say how many pairs it needs: every training of one diverged")
    ordered_R = sorted(needed_R, key=lambda needed: (needed.n, _ORDER.index(needed.bound)))
    return NeededOfSeeds(
        middle=ordered_R[len(ordered_R) // 2], least=ordered_R[0], most=ordered_R[-1], n_seeds=len(ordered_R)
    )


def growth(n_genes: Sequence[int], needed_R_size: Sequence[Sequence[Needed]]) -> Interval | None:
    """Exponent ``g`` of ``n = c d^g`` with its interval over seeds, by least squares in log-log for each seed.

    Parameters
    ----------
    n_genes : sequence of int
    needed_R_size : sequence of sequences of Needed
        For each seed what every number of genes needs.

    Returns
    -------
    Interval or None
        None where there are fewer than two numbers of genes, no seed, or a bound among what is needed.
    """
    if len(set(n_genes)) < 2 or not needed_R_size or not all(one.known for row in needed_R_size for one in row):
        return None
    log_n_genes = np.log(np.asarray(n_genes, dtype=np.float64))
    slopes = [float(np.polyfit(log_n_genes, np.log([one.n for one in row]), 1)[0]) for row in needed_R_size]
    return mean_interval(slopes)


def _check_points(n_pairs: Sequence[int], value_point: Sequence[float]) -> None:
    if not len(n_pairs) or len(n_pairs) != len(value_point):
        raise InputError(
            f"{len(n_pairs)} numbers of pairs and {len(value_point)} values are no curve: give one value for each"
        )
    if n_pairs[0] < 1 or any(b <= a for a, b in pairwise(n_pairs)):
        raise InputError(
            f"the numbers of pairs {list(n_pairs)} do not ascend from 1 up: sort them and leave doubles out"
        )
    if not np.isfinite(value_point).all():
        raise InputError("a value of the curve is not finite: leave the points out whose training diverged")
