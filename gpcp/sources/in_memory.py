"""``InMemoryCells``: some cells of any source, read once and kept sparse in memory, as a source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.random import stream
from gpcp.sources.index import CellIndex, Which
from gpcp.sources.sparse import IndexedSource, SparseCells, concatenate_sparse, sparse_batches

_BLOCK_CELLS = 1024


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InMemoryCells(IndexedSource):
    """Some cells in memory, as a source.

    Meets :class:`gpcp.sources.sparse.IndexedCells`.

    Parameters
    ----------
    held : SparseCells
        Sorted by ``cell_id``.
    n_expressed_B : int64, (B,)
        Genes with a value above 0, of all genes that the cells were read with.
    of_counts : bool
        False where some value is negative: no logarithm of counts, so that nothing is "expressed" and no cell "deep".
    whole : bool
        Whether the source has no other cells.
    """

    held: SparseCells
    n_expressed_B: NDArray[np.int64]
    of_counts: bool
    whole: bool

    def __len__(self) -> int:
        return len(self.held)

    @property
    def index(self) -> CellIndex:
        """What every cell is."""
        return self.held.index

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        """The cells of some rows of :attr:`index`."""
        return self.held.rows(row_B)

    def pass_order(self, seed: int) -> NDArray[np.int64]:
        """A permutation of all rows."""
        return stream(seed, "audit", "cells").permutation(len(self))

    def rows(self, which: Which) -> "InMemoryCells":
        """Some of the cells."""
        return InMemoryCells(
            held=self.held.rows(which),
            n_expressed_B=self.n_expressed_B[which],
            of_counts=self.of_counts,
            whole=self.whole,
        )

    def genes(self, wanted: Sequence[str]) -> "InMemoryCells":
        """The same cells with some of their genes, in the order given; totals and ``n_expressed`` stay."""
        return InMemoryCells(
            held=self.held.with_genes(GeneVocab(feature_id=tuple(wanted))),
            n_expressed_B=self.n_expressed_B,
            of_counts=self.of_counts,
            whole=self.whole,
        )

    def row_of(self, cell_id_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of cells by name."""
        return np.searchsorted(self.index.cell_id_B, cell_id_B).astype(np.int64)


def sample_cells(
    cells: CellSource,
    genes: Sequence[str],
    *,
    max_cells: int,
    seed: int,
    on_cells: Callable[[int], None] = lambda n: None,
) -> InMemoryCells:
    """Read the first ``max_cells`` cells of a pass, which are a random sample, and keep some genes.

    Parameters
    ----------
    cells : CellSource
    genes : sequence of str
        To keep; each once.
    max_cells : int
    seed : int
    on_cells : callable
        Given the number of cells of each block as it is read.

    Raises
    ------
    InputError
        The source has fewer than two cells, or lacks a gene.
    """
    vocab = GeneVocab(feature_id=tuple(genes))
    kept: list[SparseCells] = []
    expressed: list[NDArray[np.int64]] = []
    n_read, of_counts, whole = 0, True, True
    for block in sparse_batches(cells, batch_size=_BLOCK_CELLS, seed=seed):
        if n_read == max_cells:
            whole = False
            break
        if len(block) > max_cells - n_read:
            block, whole = block.rows(slice(max_cells - n_read)), False
        kept.append(block.with_genes(vocab))
        expressed.append(np.asarray((block.value_BG > 0).sum(axis=1), dtype=np.int64).reshape(-1))
        of_counts = of_counts and not (block.value_BG.data < 0).any()
        n_read += len(block)
        on_cells(len(block))
        if not whole:
            break
    if n_read < 2:
        raise InputError(f"the source gives {n_read} cells: a pair needs two")
    held = concatenate_sparse(kept)
    order_B = np.argsort(held.index.cell_id_B)
    return InMemoryCells(
        held=held.rows(order_B),
        n_expressed_B=np.concatenate(expressed)[order_B],
        of_counts=of_counts,
        whole=whole,
    )
