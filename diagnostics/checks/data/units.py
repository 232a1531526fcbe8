"""Which units some cells are in: counts, logarithms, logarithms of logarithms, or a world's own.

``log1p`` of counts per some number leaves a lattice: within a cell, ``expm1`` of the values are whole multiples of the
smallest one. After a second ``log1p`` it takes two ``expm1`` to see it, and no value can be above
``log1p(log1p(1e6)) = 2.70``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.pairs import PairBatch
from gpcp.sources.h5ad.kinds import KIND_IN_WORDS, Kind, Sparse, ratios_to_least, tally

LARGEST_LOG_LOG = math.log1p(math.log1p(1e6))
"""No value of a log of a log of counts per million is larger."""

SMALLEST_LOG_LOG = 0.4
"""One transcript per million gives log1p(log1p(1)) = 0.53: hardly a value that is not 0 lies below."""

ENOUGH_VALUES = 500
"""Values other than 0 needed to infer units from their range."""

SPARSE = 0.05
"""Share of zeros from which on cells look counted."""

APART = 100.0
"""Ratio of the mean sizes of values before and after that no intervention explains."""

_LATTICE_CELLS = 400


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """What some cells' values look like.

    Parameters
    ----------
    kind : str
        As in :class:`gpcp.sources.h5ad.kinds.ValueTally`.
    lowest, highest : float
    mean_size : float
        Mean absolute value of those that are not 0.
    twice : bool or None
        Whether they are logarithms of logarithms; None where they may be.
    """

    kind: Kind
    lowest: float
    highest: float
    mean_size: float
    twice: bool | None


def units_of(value_BG: NDArray[np.floating], measured_BG: NDArray[np.bool_]) -> Units:
    """Of the measured values of some cells."""
    value_E = value_BG[measured_BG].astype(np.float64)
    seen, nonzero_E = tally(value_E), value_E[value_E != 0]
    twice: bool | None = False
    if seen.kind == "log" and seen.highest <= LARGEST_LOG_LOG:
        twice = _twice(value_BG, measured_BG, nonzero_E, len(value_E))
    return Units(
        kind=seen.kind,
        lowest=seen.lowest,
        highest=seen.highest,
        mean_size=float(np.abs(nonzero_E).mean()) if len(nonzero_E) else 0.0,
        twice=twice,
    )


def _twice(
    value_BG: NDArray[np.floating], measured_BG: NDArray[np.bool_], nonzero_E: NDArray[np.float64], n_values: int
) -> bool | None:
    """Whether small fractions are logarithms of logarithms: by their lattice, else by their range."""
    rows_BG = np.where(measured_BG, value_BG, 0)[:_LATTICE_CELLS].astype(np.float64)
    if on_lattice(rows_BG, np.expm1):
        return False
    if on_lattice(rows_BG, lambda value: np.expm1(np.expm1(value))):
        return True
    counted = len(nonzero_E) >= ENOUGH_VALUES and len(nonzero_E) <= (1 - SPARSE) * n_values
    if not counted:
        return False
    return True if np.quantile(nonzero_E, 0.01) > SMALLEST_LOG_LOG else None


def on_lattice(value_BG: NDArray[np.float64], inverse: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> bool:
    """Whether, once inverted, a cell's values are whole multiples of its smallest one, by and large.

    Multiples up to 8 count: above, rounding blurs them. At random the distance to the next whole number is 1/4 on
    average; a quarter of that is a lattice, though not every cell's smallest value is a single count.
    """
    seen_BG: Sparse = sp.csr_array(np.where(value_BG > 0, value_BG, 0))
    seen_BG.data = inverse(seen_BG.data)
    ratio_E = ratios_to_least(seen_BG)
    ratio_E = ratio_E[(ratio_E > 1.3) & (ratio_E < 8.5)]
    gap_E = np.abs(ratio_E - np.rint(ratio_E))
    return len(gap_E) >= 50 and float(gap_E.mean()) < 0.25 / 4


def member_units(pairs: PairBatch) -> tuple[Units, Units]:
    """Of the cells before and of the cells after: a perturbed gene's value may be a dose, and no expression."""
    counted_BG = pairs.scored_BG if pairs.scored_BG.any() else pairs.measured_BG
    return units_of(pairs.before_BG, pairs.measured_BG), units_of(pairs.after_BG, counted_BG)


def units_in_words(before: Units, after: Units) -> str:
    """What is wrong with them, or ``""``."""
    wrong: list[str] = []
    for kind in ("counts", "linear", "nothing"):
        which = [name for name, one in (("before", before), ("after", after)) if one.kind == kind]
        if which:
            cells = "all cells hold" if len(which) == 2 else f"the cells {which[0]} hold"
            wrong.append(f"{cells} {KIND_IN_WORDS[kind]}, up to {max(before.highest, after.highest):.4g}")
    for name, one in (("before", before), ("after", after)):
        if one.twice:
            wrong.append(
                f"no value {name} is above {one.highest:.3g} and hardly any that is not 0 below "
                f"{SMALLEST_LOG_LOG}: these are logarithms of logarithms"
            )
    sizes = sorted((before.mean_size, after.mean_size))
    if not wrong and sizes[0] > 0 and sizes[1] > APART * sizes[0]:
        wrong.append(f"the two cells of a pair are in different units: mean sizes {sizes[0]:.3g} and {sizes[1]:.3g}")
    return "; ".join(wrong)
