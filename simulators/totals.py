"""Cells with their totals over all genes, as a reader of counts gives them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

from gpcp.core.cells import CellBatch
from gpcp.core.genes import GeneVocab
from gpcp.sources.sparse import SparseCells, sparse_of
from simulators.counted import CountedCells


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TotalledCells:
    """Counted cells as log1p(TPM) that still know how many counts each had.

    Meets :class:`gpcp.sources.sparse.SparseCellSource`; ``total_B`` is that of the genes measured.

    Parameters
    ----------
    counted : CountedCells
    """

    counted: CountedCells

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        return self.counted.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        """As the source gives them."""
        return (batch.cells for batch in self.counted.counted(batch_size=batch_size, seed=seed))

    def sparse_cells(self, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
        """The same cells, sparse, with their totals."""
        for batch in self.counted.counted(batch_size=batch_size, seed=seed):
            cells = sparse_of(batch.cells)
            index = replace(cells.index, total_B=batch.count_BG.sum(axis=1).astype("float64"))
            yield SparseCells(index=index, value_BG=cells.value_BG)
