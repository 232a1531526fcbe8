"""The kind of a matrix's values (counts, log values, scaled values), and log1p(TPM) from counts.

A sparse matrix here stores every value that is not 0, NaN too: a NaN means *unmeasured*, nothing else does.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Kind = Literal["counts", "log", "linear", "scaled", "nothing"]
"""What values look like: whole numbers; fractions small enough to be logarithms; fractions too large for that;
some below 0; none but 0."""

Sparse: TypeAlias = "sp.csr_array[np.float64, tuple[int, int]]"

PER_MILLION = 1e6

LARGEST_LOG = 20.0
"""No logarithm of a share of a million is larger: log2(1e6 + 1) = 19.93, log1p(1e6) = 13.8."""

KIND_IN_WORDS: dict[Kind, str] = {
    "counts": "counts",
    "log": "log values",
    "linear": "normalised values without logarithm",
    "scaled": "scaled values (some are negative)",
    "nothing": "nothing but zeros",
}


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
        """What the values look like."""
        if not self.n_values:
            return "nothing"
        if self.lowest < 0:
            return "scaled"
        if self.n_whole == self.n_values:
            return "counts"
        return "log" if self.highest <= LARGEST_LOG else "linear"


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


def log1p_tpm(counts_BG: Sparse, length_G: NDArray[np.float64] | None) -> tuple[Sparse, int]:
    """``log1p(1e6 * r / sum(r))`` with ``r = counts / length``; without lengths ``r = counts``, which is log1p(CPM).

    Parameters
    ----------
    counts_BG : sparse float64, (B, G)
        Not negative; NaN where unmeasured. Every gene that the cell's total is to be made of.
    length_G : float64, (G,), or None
        In bases (any unit gives the same). A NaN leaves its gene out of every total; its values then mean nothing.

    Returns
    -------
    sparse float64, (B, G)
        NaN stay where they were and are not part of any total. A cell whose total is 0 stays 0.
    int
        How many cells had a total of 0.
    """
    rate_BG = counts_BG.copy()
    if length_G is not None:
        rate_BG.data = rate_BG.data / length_G[rate_BG.indices]
    known = rate_BG.copy()
    known.data = np.nan_to_num(known.data, nan=0.0)
    total_B = np.asarray(known.sum(axis=1), dtype=np.float64).reshape(-1)
    scale_B = np.divide(PER_MILLION, total_B, out=np.zeros_like(total_B), where=total_B > 0)
    rate_BG.data = np.log1p(rate_BG.data * np.repeat(scale_B, np.diff(rate_BG.indptr)))
    return rate_BG, int(np.count_nonzero(total_B == 0))
