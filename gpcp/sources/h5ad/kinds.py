"""The kind of a matrix's values: counts, whole or not, log values, values without logarithm, scaled values.

Whole numbers are counts and values below 0 are scaled. Fractions may be either of two things, since counts that are
corrected for ambient RNA (SoupX, CellBender) or estimated (RSEM) are fractions too. What distinguishes them:

- in a cell of normalised logarithms, ``exp(value) - 1`` are multiples of one unit, that of a single molecule; in a
  cell of scaled counts the values themselves are;
- totals of ``exp(value) - 1`` vary less between cells than totals of values, where the values are logarithms of shares;
- some of the estimated counts are whole, while no share of a cell's total has a whole logarithm.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Kind = Literal["counts", "fractional", "log", "linear", "unclear", "scaled", "nothing"]
"""What values look like: whole numbers; counts that are not all whole; logarithms; fractions that are too large for
that; fractions that may be either; some below 0; none but 0."""

Sparse: TypeAlias = "sp.csr_array[np.float64, tuple[int, int]]"

LARGEST_LOG = 20.0
"""No logarithm of a share of a million is larger: log2(1e6 + 1) = 19.93, log1p(1e6) = 13.8."""

KIND_IN_WORDS: dict[Kind, str] = {
    "counts": "counts",
    "fractional": "counts that are not all whole",
    "log": "log values",
    "linear": "normalised values without logarithm",
    "unclear": "fractions that may be corrected counts or log values",
    "scaled": "scaled values (some are negative)",
    "nothing": "nothing but zeros",
}

LEAST_WHOLE = 0.05
"""Share of whole numbers from which fractions are taken for counts: of logarithms nearly none is whole."""

_ENOUGH = 20
"""Values, or cells, from which the two tests of fractions are meant."""
_MOST_RATIO, _NEAR, _UNITS = 8.0, 0.05, 4
"""Multiples are looked for up to this ratio, to this share of a unit, where the least value is one to four units."""
_LEAST_MULTIPLES = 0.6
"""Share of multiples from which there is a unit; by chance at most four in ten values are."""
_LESS = 0.5
"""How much less totals vary when logarithms are undone."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ValueTally:
    """What has been seen of a matrix so far; NaN and 0 are not counted.

    Parameters
    ----------
    n_values, n_whole : int
        Values that are not 0, and those of them that are whole numbers.
    lowest, highest : float
        Over those values and 0.
    """

    n_values: int = 0
    n_whole: int = 0
    lowest: float = 0.0
    highest: float = 0.0

    def __add__(self, other: "ValueTally") -> "ValueTally":
        return ValueTally(
            n_values=self.n_values + other.n_values,
            n_whole=self.n_whole + other.n_whole,
            lowest=min(self.lowest, other.lowest),
            highest=max(self.highest, other.highest),
        )

    @property
    def kind(self) -> Kind:
        """What the values look like by their range alone: fractions up to :data:`LARGEST_LOG` are logarithms."""
        if not self.n_values:
            return "nothing"
        if self.lowest < 0:
            return "scaled"
        if not self.fractions:
            return "counts"
        return "log" if self.highest <= LARGEST_LOG else "linear"

    @property
    def whole_share(self) -> float:
        """Share of whole numbers among the values."""
        return self.n_whole / max(1, self.n_values)

    @property
    def fractions(self) -> bool:
        """Positive values that are not all whole."""
        return self.lowest == 0 and self.n_whole < self.n_values


def tally(value_E: NDArray[np.float64]) -> ValueTally:
    """Tally of some values; NaN are left out."""
    seen_E = value_E[~np.isnan(value_E) & (value_E != 0)]
    if not len(seen_E):
        return ValueTally()
    return ValueTally(
        n_values=len(seen_E),
        n_whole=int(np.count_nonzero(seen_E == np.rint(seen_E))),
        lowest=min(0.0, float(seen_E.min())),
        highest=max(0.0, float(seen_E.max())),
    )


def kind_of(sample_BG: Sparse) -> Kind:
    """What the values of some cells look like.

    Parameters
    ----------
    sample_BG : sparse float64, (B, G)
        Cells from all over a matrix; NaN where unmeasured.
    """
    seen = tally(sample_BG.data)
    if seen.kind == "linear" and seen.whole_share >= LEAST_WHOLE:
        return "fractional"
    return _kind_of_fractions(_without_nan(sample_BG), seen) if seen.kind == "log" else seen.kind


def _kind_of_fractions(sample_BG: Sparse, seen: ValueTally) -> Kind:
    if are_logs(sample_BG):
        return "log"
    multiples, n_values = _multiples(sample_BG)
    if seen.whole_share >= LEAST_WHOLE or (n_values >= _ENOUGH and multiples >= _LEAST_MULTIPLES):
        return "fractional"
    return "unclear" if n_values >= _ENOUGH or sample_BG.shape[0] >= _ENOUGH else "log"


def are_logs(sample_BG: Sparse) -> bool:
    """Fractions are certainly logarithms: of counts, or of shares of a cell's total.

    Parameters
    ----------
    sample_BG : sparse float64, (B, G)
        Not negative, up to :data:`LARGEST_LOG`.
    """
    sample_BG = _without_nan(sample_BG)
    bases = [_unlogged(sample_BG, base) for base in (np.e, 2.0)]
    if any(_all_whole(counts_BG.data) for counts_BG in bases):
        return True
    as_they_are, _ = _multiples(sample_BG)
    unlogged, n_values = max(map(_multiples, bases))
    if n_values >= _ENOUGH and unlogged >= _LEAST_MULTIPLES and unlogged > as_they_are:
        return True
    varying = sample_BG.shape[0] >= _ENOUGH and as_they_are < _LEAST_MULTIPLES
    return varying and min(map(_variation, bases)) < _LESS * _variation(sample_BG)


def _without_nan(sample_BG: Sparse) -> Sparse:
    known_BG = sample_BG.copy()
    known_BG.data = np.nan_to_num(known_BG.data, nan=0.0)
    known_BG.eliminate_zeros()
    return known_BG


def _unlogged(sample_BG: Sparse, base: float) -> Sparse:
    unlogged_BG = sample_BG.copy()
    unlogged_BG.data = np.expm1(unlogged_BG.data * np.log(base))
    return unlogged_BG


def _all_whole(value_E: NDArray[np.float64]) -> bool:
    """Whole numbers up to the precision of a logarithm in single precision."""
    return len(value_E) > 1 and bool(np.all(np.abs(value_E - np.rint(value_E)) <= 1e-5 * (1 + value_E)))


def _multiples(value_BG: Sparse) -> tuple[float, int]:
    """Share of values that are multiples of their cell's unit, and of how many values, the units themselves left out.

    The unit is the cell's least value, or a half, a third or a fourth of it, whichever fits best.
    """
    row_B = np.flatnonzero(np.diff(value_BG.indptr))
    if not len(row_B):
        return 0.0, 0
    start_B = value_BG.indptr[row_B]
    n_B = np.diff(value_BG.indptr)[row_B]
    ratio_E = value_BG.data / np.repeat(np.minimum.reduceat(value_BG.data, start_B), n_B)
    usable_E = (ratio_E > 1 + _NEAR) & (ratio_E <= _MOST_RATIO)
    n_near = np.stack(
        [
            np.add.reduceat(usable_E & (np.abs(ratio_E * units - np.rint(ratio_E * units)) < _NEAR), start_B, dtype=int)
            for units in range(1, _UNITS + 1)
        ],
        axis=1,
    )
    n_usable = int(usable_E.sum())
    return int(n_near.max(axis=1).sum()) / max(1, n_usable), n_usable


def _variation(value_BG: Sparse) -> float:
    """Coefficient of variation of the cells' totals, over cells that have one."""
    total_B = np.asarray(value_BG.sum(axis=1)).reshape(-1)
    total_B = total_B[total_B > 0]
    return float(total_B.std() / total_B.mean()) if len(total_B) > 1 else np.inf
