"""``PerturbationTable``: perturbations that are each asked of the same cells."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PerturbationTable:
    """Perturbations that are each asked of the same cells, entry by entry: which gene each sets to which value.

    Parameters
    ----------
    n : int
        How many perturbations there are; one without an entry changes nothing.
    row_E, token_E : int64, (E,)
        Which perturbation, in rising order, and the gene; no gene twice in one.
    value_E : float32, (E,)
        The value that the gene ends at, or what is added to the cell's own where ``shifts``.
    shifts : bool
    least : float
        No value that is reached by a shift is below it.

    Raises
    ------
    InputError
        Wrong shape or dtype, a value that is not finite, or a gene twice in one perturbation.
    """

    n: int
    row_E: NDArray[np.int64]
    token_E: NDArray[np.int64]
    value_E: NDArray[np.float32]
    shifts: bool = False
    least: float = -np.inf

    def __post_init__(self) -> None:
        shape = self.row_E.shape
        for name, dtype in (("row_E", np.int64), ("token_E", np.int64), ("value_E", np.float32)):
            check_array("PerturbationTable", name, getattr(self, name), shape, dtype)
            object.__setattr__(self, name, read_only(getattr(self, name)))
        if not np.isfinite(self.value_E).all():
            raise InputError("PerturbationTable.value_E is not finite: give finite values only")
        if (np.diff(self.row_E) < 0).any() or (len(self.row_E) and not 0 <= self.row_E[0] <= self.row_E[-1] < self.n):
            raise InputError(f"PerturbationTable.row_E must rise within 0 .. {self.n - 1}")
        if len(np.unique(np.stack((self.row_E, self.token_E)), axis=1).T) < len(self.row_E):
            raise InputError("PerturbationTable names a gene twice in one perturbation: name each once")

    def __len__(self) -> int:
        return self.n

    def rows(self, which: NDArray[np.int64]) -> "PerturbationTable":
        """Some of the perturbations, by rising number."""
        begin, end = np.searchsorted(self.row_E, which), np.searchsorted(self.row_E, which, side="right")
        row_E = np.repeat(np.arange(len(which)), end - begin)
        entry_E = np.arange(len(row_E)) + np.repeat(begin - (np.cumsum(end - begin) - (end - begin)), end - begin)
        return replace(self, n=len(which), row_E=row_E, token_E=self.token_E[entry_E], value_E=self.value_E[entry_E])

    def within(self, measured_G: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Numbers of the perturbations of which every gene is measured."""
        lacking = np.bincount(self.row_E[~measured_G[self.token_E]], minlength=self.n)
        return np.flatnonzero(lacking == 0)

    def values_in(self, control_BG: NDArray[np.float32]) -> NDArray[np.float32]:
        """The value that each entry's gene ends at in each cell, float32 (B, E)."""
        if not self.shifts:
            return np.broadcast_to(self.value_E, (len(control_BG), len(self.value_E)))
        return np.maximum(control_BG[:, self.token_E] + self.value_E, np.float32(self.least))
