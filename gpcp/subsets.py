"""Some of a source's cells, or some of its genes, as a source again.

Dimension key: ``B`` cells of a batch, ``N`` cells kept, ``G`` genes.
"""

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.cells import CellBatch, CellSource, rebatched_cells
from gpcp.errors import InputError
from gpcp.genes import GeneVocab


@final
class OnlyCells:
    """The cells of a source whose names are given; the others are read and passed over.

    Meets :class:`gpcp.cells.CellSource`.

    Parameters
    ----------
    cells : CellSource
    cell_id_N : int64, (N,)
        Names of the cells to keep, in any order; each once.

    Raises
    ------
    InputError
        No cell is named, or one is named twice.
    """

    __slots__ = ("_cells", "cell_id_N")

    def __init__(self, cells: CellSource, cell_id_N: NDArray[np.int64]) -> None:
        self._cells = cells
        self.cell_id_N: NDArray[np.int64] = np.unique(cell_id_N)
        if not len(cell_id_N):
            raise InputError("no cell is named: a source needs at least one")
        if len(self.cell_id_N) < len(cell_id_N):
            raise InputError(f"{len(cell_id_N) - len(self.cell_id_N)} cells are named more than once: name each once")

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        return self._cells.vocab

    @property
    def n_cells(self) -> int:
        """Cells that one pass gives, if the source has all that are named."""
        return len(self.cell_id_N)

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        """The cells kept, in the order of the source; see :class:`gpcp.cells.CellSource`."""
        return rebatched_cells(self._kept(batch_size, seed), batch_size=batch_size)

    def _kept(self, batch_size: int, seed: int) -> Iterator[CellBatch]:
        for batch in self._cells.cells(batch_size=batch_size, seed=seed):
            place_B = np.minimum(np.searchsorted(self.cell_id_N, batch.cell_id_B), self.n_cells - 1)
            yield batch.rows(self.cell_id_N[place_B] == batch.cell_id_B)


@final
class OnlyGenes:
    """The cells of a source with some of their genes.

    Meets :class:`gpcp.cells.CellSource`. Values are not normalised anew: totals stay those of all genes.

    Parameters
    ----------
    cells : CellSource
    genes : sequence of str
        Ids, in the order wanted.

    Raises
    ------
    InputError
        A gene is not in the source's vocabulary (the message names the nearest), occurs twice, or there is none.
    """

    __slots__ = ("_cells", "_token_G", "vocab")

    def __init__(self, cells: CellSource, genes: Sequence[str]) -> None:
        self._cells = cells
        self.vocab = GeneVocab(feature_id=tuple(genes))
        self._token_G = cells.vocab.tokens(genes)

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        """Every cell, in the order of the source; see :class:`gpcp.cells.CellSource`."""
        for batch in self._cells.cells(batch_size=batch_size, seed=seed):
            yield CellBatch(
                vocab=self.vocab,
                expression_BG=batch.expression_BG[:, self._token_G],
                measured_BG=batch.measured_BG[:, self._token_G],
                cell_id_B=batch.cell_id_B,
                covariates=batch.covariates,
            )
