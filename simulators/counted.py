"""Cells with what the sequencer counted in them, and sources that know it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, check_array, concatenate_cells, read_only
from gpcp.core.genes import GeneVocab


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CountedBatch:
    """Some cells, and what the sequencer counted in them.

    Parameters
    ----------
    cells : CellBatch
    count_BG : int64, (B, G)
        0 where unmeasured.

    Raises
    ------
    InputError
        The counts have another shape or dtype.
    """

    cells: CellBatch
    count_BG: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_array("CountedBatch", "count_BG", self.count_BG, (len(self.cells), len(self.cells.vocab)), np.int64)
        object.__setattr__(self, "count_BG", read_only(self.count_BG))

    def __len__(self) -> int:
        return len(self.cells)

    def rows(self, which: slice | NDArray[np.integer]) -> "CountedBatch":
        """The cells of a slice or of an index array, in its order."""
        return CountedBatch(cells=self.cells.rows(which), count_BG=self.count_BG[which])


@runtime_checkable
class CountedCells(Protocol):
    """A source of cells that knows the counts behind its values."""

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        ...

    def counted(self, *, batch_size: int, seed: int) -> Iterator[CountedBatch]:
        """The batches of ``cells``, in the same order, with their counts."""
        ...


def concatenate_counted(batches: Sequence[CountedBatch]) -> CountedBatch:
    """All cells of some batches as one batch; errors as :func:`gpcp.core.cells.concatenate_cells`."""
    return CountedBatch(
        cells=concatenate_cells([batch.cells for batch in batches]),
        count_BG=np.concatenate([batch.count_BG for batch in batches]),
    )
