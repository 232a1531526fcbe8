"""The kind of a matrix's values: counts, whole or not, log values, values without logarithm, scaled values.

Whole numbers are counts and values below 0 are scaled. Fractions may be several things, since counts that are corrected
for ambient RNA (SoupX, CellBender) or estimated (RSEM) are fractions too. What distinguishes them is what has to be
undone: once the right transformation is undone, the values of a cell are whole, or multiples of one unit, that of a
single molecule, or add up to the same total in every cell. Where none of it shows, some whole numbers are the mark of
counts, since no share of a cell's total has a whole logarithm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Kind = Literal["counts", "binary", "fractional", "log", "root", "linear", "mixed", "unclear", "scaled", "nothing"]
"""What values look like: whole numbers; nothing but 0 and 1; counts that are not all whole; logarithms; square roots;
fractions that are too large for a logarithm; whole numbers in some cells and fractions in others; fractions that may
be counts or logarithms; some below 0; none but 0."""

Sparse: TypeAlias = "sp.csr_array[np.float64, tuple[int, int]]"

LARGEST_LOG = 20.0
"""No logarithm of a share of a million is larger: log2(1e6 + 1) = 19.93, log1p(1e6) = 13.8."""

KIND_IN_WORDS: dict[Kind, str] = {
    "counts": "counts",
    "binary": "0 and 1 alone",
    "fractional": "counts that are not all whole",
    "log": "log values",
    "root": "square roots",
    "linear": "normalised values without logarithm",
    "mixed": "whole numbers in some cells and fractions in others",
    "unclear": "fractions that may be corrected counts or log values",
    "scaled": "scaled values (some are negative)",
    "nothing": "nothing but zeros",
}

_UNDONE: Mapping[tuple[Kind, float], Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    ("fractional", 1.0): lambda value: value,
    ("log", np.e): np.expm1,
    ("log", 2.0): lambda value: np.exp2(value) - 1,
    ("log", 10.0): lambda value: np.power(10.0, value) - 1,
    ("root", 1.0): np.square,
}
"""What may have been done to counts or shares, with the base of a logarithm, and how it is undone."""

_LEAST_WHOLE, _LEAST_WHOLE_ROUNDED = 0.05, 0.3
"""Share of whole numbers from which fractions are taken for counts: of logarithms nearly none is whole, unless they
were rounded to one or two decimals."""
_WHOLE, _WHOLE_AT_MOST = 1e-5, 1e-2
"""Relative, and absolute: what float32 makes of a whole number by multiplying and dividing."""
_SMALL = 1e3
"""Values up to here can be seen to be whole, once a transformation is undone."""

_ENOUGH = 20
"""Values, or cells, from which the tests of fractions are meant."""
_MOST_RATIO, _NEAR, _UNITS = 8.0, 0.05, 4
"""Multiples are looked for up to this ratio, to this share of a unit, where the least value is one to four units."""
_LEAST_MULTIPLES = 0.6
"""Share of multiples from which there is a unit; by chance at most four in ten values are."""
_SAME_TOTAL = 0.005
"""Coefficient of variation of totals that are the same, up to half precision."""
_COARSE = 20
"""Steps of the decimal that values were rounded to from which on a unit is one of its own."""
_SOME_CELLS, _FEW_WHOLE = 0.05, 0.05
"""Shares of cells that are whole, and that have hardly any whole number, from which on a matrix is two in one."""


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
        n_whole=int(np.count_nonzero(_whole(seen_E))),
        lowest=min(0.0, float(seen_E.min())),
        highest=max(0.0, float(seen_E.max())),
    )


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What the values of some cells look like.

    Parameters
    ----------
    kind : str
    base : float
        Of the logarithm, where they are log values.
    certain : bool
        Whether the kind of fractions shows in the values.
    normalised : bool
        False for logarithms or roots of counts themselves: undone, their values are whole.
    """

    kind: Kind
    base: float = float(np.e)
    certain: bool = True
    normalised: bool = True

    def undo(self, value_E: NDArray[np.float64]) -> NDArray[np.float64]:
        """What there was before the logarithm or the root; values of another kind stay as they are."""
        return _UNDONE.get((self.kind, self.base), lambda value: value)(value_E)


def look_at(sample_BG: Sparse) -> Look:
    """What the values of some cells look like.

    Parameters
    ----------
    sample_BG : sparse float64, (B, G)
        Cells from all over a matrix; NaN where unmeasured.
    """
    sample_BG = _without_nan(sample_BG)
    seen = tally(sample_BG.data)
    if seen.kind == "counts" and seen.highest == 1 and seen.n_values >= _ENOUGH:
        return Look(kind="binary")
    if seen.kind not in ("log", "linear"):
        return Look(kind=seen.kind)
    if RowTally.of(sample_BG).mixed:
        return Look(kind="mixed")
    found = _undone(sample_BG) if seen.kind == "log" else _root(sample_BG)
    if found is not None:
        return found
    # Values that were clipped are all the largest one, which may be whole.
    below = tally(sample_BG.data[sample_BG.data < seen.highest])
    may_be_rounded_logs = seen.kind == "log" and _rounded(sample_BG)
    least = _LEAST_WHOLE_ROUNDED if may_be_rounded_logs else _LEAST_WHOLE
    if below.n_whole >= least * max(1, below.n_values) and below.n_whole:
        return Look(kind="fractional")
    if seen.kind == "linear":
        return Look(kind="linear")
    enough = _multiples(sample_BG)[1] >= _ENOUGH or sample_BG.shape[0] >= _ENOUGH
    return Look(kind="unclear" if enough else "log", certain=False)


def _undone(sample_BG: Sparse) -> Look | None:
    """The transformation whose undoing leaves whole numbers, multiples of a unit, or equal totals; None for neither."""
    undone = {name: _applied(sample_BG, undo) for name, undo in _UNDONE.items()}
    fractions_E = ~_whole(sample_BG.data)
    for (kind, base), value_BG in undone.items():
        # Of whole numbers powers and squares are whole, too.
        if _all_whole(value_BG.data[fractions_E]):
            return Look(kind=kind, base=base, normalised=False)
    fine = _rounded(sample_BG) and _unit(sample_BG) < _COARSE * (0.1 if _rounded(sample_BG, 10) else 0.01)
    fits = {name: _fit(value_BG) for name, value_BG in undone.items() if name[0] == "log" or not fine}
    # Squares of multiples are multiples: roots come last.
    for one in ([name for name in fits if name[0] != "root"], [name for name in fits if name[0] == "root"]):
        best = max(one, key=lambda name: fits[name], default=None)
        if best is not None and fits[best] >= _LEAST_MULTIPLES:
            return Look(kind=best[0], base=best[1])
    if sample_BG.shape[0] < _ENOUGH:
        return None
    spreads = {name: _variation(value_BG) for name, value_BG in undone.items() if name[0] == "log"}
    name = min(spreads, key=lambda one: spreads[one])
    return Look(kind=name[0], base=name[1]) if spreads[name] < _SAME_TOTAL else None


def _root(sample_BG: Sparse) -> Look | None:
    """Square roots that are too large for logarithms."""
    squared_BG = _applied(sample_BG, np.square)
    multiples = _fit(squared_BG) >= _LEAST_MULTIPLES > _fit(sample_BG) and not _rounded(sample_BG)
    whole = _all_whole(squared_BG.data[~_whole(sample_BG.data)])
    return Look(kind="root", base=1.0, normalised=not whole) if whole or multiples else None


def _fit(value_BG: Sparse) -> float:
    """Share of multiples, where there are values enough."""
    share, n_values = _multiples(value_BG)
    return share if n_values >= _ENOUGH else 0.0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RowTally:
    """How many cells with some values hold whole numbers alone, and how many hardly any."""

    n_cells: int = 0
    n_whole: int = 0
    n_fractions: int = 0

    def __add__(self, other: "RowTally") -> "RowTally":
        return RowTally(
            n_cells=self.n_cells + other.n_cells,
            n_whole=self.n_whole + other.n_whole,
            n_fractions=self.n_fractions + other.n_fractions,
        )

    @classmethod
    def of(cls, block_BG: Sparse) -> "RowTally":
        """Of the cells of a block that have 5 values or more."""
        n_B = np.diff(block_BG.indptr)
        row_E = np.repeat(np.arange(len(n_B)), n_B)
        whole_B = np.bincount(row_E, weights=_whole(block_BG.data), minlength=len(n_B))[n_B >= 5]
        n_B = n_B[n_B >= 5]
        return cls(
            n_cells=len(n_B),
            n_whole=int((whole_B == n_B).sum()),
            n_fractions=int((whole_B <= _FEW_WHOLE * n_B).sum()),
        )

    @property
    def mixed(self) -> bool:
        """Whether some cells are whole while others have hardly a whole number: two kinds of values in one matrix."""
        return min(self.n_whole, self.n_fractions) > _SOME_CELLS * self.n_cells


def _rounded(sample_BG: Sparse, steps: int = 100) -> bool:
    """To so many steps of a unit: two decimals by default."""
    return bool(np.all(np.abs(steps * sample_BG.data - np.rint(steps * sample_BG.data)) < 1e-3))


def _unit(sample_BG: Sparse) -> float:
    """The least value of a cell, in the median."""
    row_B = np.flatnonzero(np.diff(sample_BG.indptr))
    return float(np.median(np.minimum.reduceat(sample_BG.data, sample_BG.indptr[row_B])))


def _whole(value_E: NDArray[np.float64]) -> NDArray[np.bool_]:
    slack_E = np.minimum(_WHOLE * np.maximum(1.0, np.abs(value_E)), _WHOLE_AT_MOST)
    return np.abs(value_E - np.rint(value_E)) <= slack_E


def _all_whole(value_E: NDArray[np.float64]) -> bool:
    small_E = value_E[value_E <= _SMALL]
    return len(small_E) >= max(2, len(value_E) / 2) and bool(_whole(small_E).all())


def _without_nan(sample_BG: Sparse) -> Sparse:
    known_BG = sample_BG.copy()
    known_BG.data = np.nan_to_num(known_BG.data, nan=0.0)
    known_BG.eliminate_zeros()
    return known_BG


def _applied(sample_BG: Sparse, undo: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Sparse:
    undone_BG = sample_BG.copy()
    undone_BG.data = undo(undone_BG.data)
    return undone_BG


def ratios_to_least(value_BG: Sparse) -> NDArray[np.float64]:
    """Each stored value over the least one of its cell, float64, in their order.

    Parameters
    ----------
    value_BG : sparse float64, (B, G)
        Above 0 wherever it stores a value.
    """
    n_B = np.diff(value_BG.indptr)
    if not n_B.any():
        return np.zeros(0)
    least_B = np.minimum.reduceat(value_BG.data, value_BG.indptr[:-1][n_B > 0])
    return value_BG.data / np.repeat(least_B, n_B[n_B > 0])


def _multiples(value_BG: Sparse) -> tuple[float, int]:
    """Share of values that are multiples of their cell's unit, and of how many values, the units themselves left out.

    The unit is the cell's least value, or a half, a third or a fourth of it, whichever fits best.
    """
    start_B = value_BG.indptr[np.flatnonzero(np.diff(value_BG.indptr))]
    if not len(start_B):
        return 0.0, 0
    ratio_E = ratios_to_least(value_BG)
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
