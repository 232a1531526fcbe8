"""Distributions of genes in two sets of cells, compared by their quantiles, and the change of units between them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from diagnostics.checks.data.transforms import Bools, Floats, exp_of, log_of

LEVELS = np.linspace(0.05, 0.95, 19)
FEWEST = 30
"""Values that a gene's quantiles rest on."""

FAR = 1.0
"""Mean distance of quantiles in standard deviations, from which on a difference of cells hardly explains it."""

RESTORED = 0.25
"""Of the distance may be left for a change of units to explain it."""

RESCALED = 2.5
"""A factor of units: less than that can be a difference of cells, unless nearly all genes follow it closely."""

LEAST_RESCALED, CLOSE, NEARLY_ALL = 1.08, 0.08, 0.9
"""A factor below which nothing is said; the distance that it leaves in the median gene; genes that must follow it."""

_SMALLEST_SPREAD = 0.05


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Marginals:
    """Quantiles of each gene.

    Parameters
    ----------
    quantile_NG : float64, (N, G)
        NaN where fewer than :data:`FEWEST` values count.
    spread_G : float64, (G,)
        Standard deviations; those of nearly constant genes are raised to a twentieth of the median one.
    zeros_G : float64, (G,)
        Shares of values that are 0.
    """

    quantile_NG: Floats
    spread_G: Floats
    zeros_G: Floats

    @classmethod
    def of(cls, value_BG: np.ndarray, counts_BG: Bools) -> "Marginals":
        """Of the values that count."""
        n_G = counts_BG.sum(axis=0)
        sorted_BG = np.sort(np.where(counts_BG, value_BG, np.inf).astype(np.float64), axis=0)
        at_NG = LEVELS[:, None] * np.maximum(n_G - 1, 0)
        below_NG = np.floor(at_NG).astype(np.int64)
        weight_NG = at_NG - below_NG
        above_NG = np.minimum(below_NG + 1, np.maximum(n_G - 1, 0))
        lo_NG, hi_NG = (np.take_along_axis(sorted_BG, rows, axis=0) for rows in (below_NG, above_NG))
        enough_G = n_G >= FEWEST
        lo_NG, hi_NG = (np.where(enough_G, part, np.nan) for part in (lo_NG, hi_NG))
        inside_BG = np.where(counts_BG, value_BG, 0.0)
        n_G = np.maximum(n_G, 1)
        mean_G = inside_BG.sum(axis=0) / n_G
        spread_G = np.sqrt(np.where(counts_BG, (value_BG - mean_G) ** 2, 0.0).sum(axis=0) / n_G)
        usual = float(np.median(spread_G[enough_G])) if enough_G.any() else 1.0
        return cls(
            quantile_NG=lo_NG + weight_NG * (hi_NG - lo_NG),
            spread_G=np.maximum(spread_G, max(_SMALLEST_SPREAD * usual, 1e-12)),
            zeros_G=(counts_BG & (value_BG == 0)).sum(axis=0) / n_G,
        )

    def distance_G(self, other: "Marginals", change: Callable[[Floats], Floats] | None = None) -> Floats:
        """Mean distance of the other's quantiles, changed or as they are, in this one's standard deviations; or NaN."""
        other_NG = other.quantile_NG if change is None else change(other.quantile_NG)
        return np.abs(self.quantile_NG - other_NG).mean(axis=0) / self.spread_G

    def shift_G(self, other: "Marginals") -> Floats:
        """Distance of the medians in standard deviations of the wider one; NaN where one is not known."""
        middle = len(LEVELS) // 2
        return np.abs(self.quantile_NG[middle] - other.quantile_NG[middle]) / np.maximum(self.spread_G, other.spread_G)


CHANGES: Mapping[str, Callable[[Floats], Floats]] = {
    "log1p of {}": exp_of,
    "expm1 of {}, values without logarithm": log_of,
    "log1p of log1p of {}": lambda value: exp_of(exp_of(value)),
}
"""What the other values are, with ``{}`` for the right ones, and how they are taken back."""


def typical(distance_G: Floats) -> float:
    """The median gene's; 0 where none is known."""
    known = distance_G[np.isfinite(distance_G)]
    return float(np.median(known)) if len(known) else 0.0


def change_of(right: Marginals, found: Marginals) -> tuple[str, Callable[[Floats], Floats]] | None:
    """The change of units that explains how all genes of ``found`` differ, in words with ``{}``, and its inverse."""
    far = typical(right.distance_G(found))
    factor = _factor(right, found)

    def smaller(value: Floats) -> Floats:
        return value / factor

    changes: dict[str, Callable[[Floats], Floats]] = {**CHANGES, _in_words(factor): smaller}
    left = {name: typical(right.distance_G(found, back)) for name, back in changes.items()}
    best = min(left, key=lambda name: left[name])
    if far <= 0 or left[best] > RESTORED * far:
        return None
    if best not in CHANGES and 1 / RESCALED < abs(factor) < RESCALED and not _common(right, found, factor, left[best]):
        return None
    return best, changes[best]


def _common(right: Marginals, found: Marginals, factor: float, left: float) -> bool:
    """Whether one factor explains nearly all genes, as another base of the logarithm does and other cells do not."""
    if factor <= 0 or 1 / LEAST_RESCALED < factor < LEAST_RESCALED or left > CLOSE:
        return False
    far_G, left_G = right.distance_G(found), right.distance_G(found, lambda value_NG: value_NG / factor)
    known_G = np.isfinite(far_G)
    most, still = (float(np.quantile(one_G[known_G], NEARLY_ALL)) for one_G in (far_G, left_G))
    return still <= RESTORED * most


def _in_words(factor: float) -> str:
    """A factor, and the change of a logarithm's base that it is within a hundredth."""
    bases = {"base 2 instead of e": 1 / np.log(2), "base 10 instead of e": 1 / np.log(10)}
    bases |= {"base e instead of 2": np.log(2), "base e instead of 10": np.log(10)}
    words = next((f" (logarithms to {name})" for name, one in bases.items() if abs(factor / one - 1) < 0.01), "")
    return f"{factor:.3g} times {{}}{words}"


def _factor(right: Marginals, found: Marginals) -> float:
    """Least squares of quantiles, gene by gene; the median gene's."""
    factor_G = factors_G(right, found)
    known = factor_G[np.isfinite(factor_G)]
    return float(np.median(known)) if len(known) else 1.0


def factors_G(right: Marginals, found: Marginals) -> Floats:
    """By what each gene's values would have been multiplied; NaN where that is not known, never 0."""
    above_G = (found.quantile_NG * right.quantile_NG).sum(axis=0)
    below_G = (right.quantile_NG**2).sum(axis=0)
    known_G = np.isfinite(above_G) & (below_G > 0) & (above_G != 0)
    return np.where(known_G, above_G / np.where(known_G, below_G, 1.0), np.nan)
