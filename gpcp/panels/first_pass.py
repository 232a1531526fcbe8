"""The first pass over a source: how often each gene is measured and expressed, and how it varies.

Blocks stay sparse: memory is a few numbers for each gene beside the source's own blocks, so that all 60,000 genes
of a Census are counted at once. :func:`gpcp.panels.panel.choose_genes` chooses from the result.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellSource, rebatched_rows
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.progress import OnProgress, no_progress
from gpcp.panels.statistics import GeneStatistics, dataset_table, merged_moments
from gpcp.sources.sparse import IndexedCells, SequentialCells, SparseCells, concatenate_sparse, sparse_batches

BLOCK_CELLS = 1024
"""Cells whose moments are taken at once, whatever the batch size: it decides the rounding, and so stays one number."""


def gene_statistics(
    cells: CellSource,
    *,
    batch_size: int = BLOCK_CELLS,
    seed: int = 0,
    max_cells: int | None = None,
    on_progress: OnProgress = no_progress,
) -> GeneStatistics:
    """Tally every gene of a source in one pass.

    Parameters
    ----------
    cells : CellSource
    batch_size : int
        Cells that are asked of the source at a time; it changes no number.
    seed : int
        Decides which cells ``max_cells`` takes; without it, nothing.
    max_cells : int, optional
        Read the first ``max_cells`` of the pass and no more. A source gives its cells in random order, so they are a
        random sample; the errors of the shares are then part of the result.
    on_progress : callable
        Called with the number of cells read, and of all where it is known.

    Returns
    -------
    GeneStatistics

    Raises
    ------
    InputError
        ``batch_size`` or ``max_cells`` is below 1, ``seed`` is negative, or the source has no cell.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}: it must be at least 1")
    if max_cells is not None and max_cells < 1:
        raise InputError(f"max_cells is {max_cells}: it must be at least 1")
    # Of all cells the order does not matter, and stores are read fastest in their own.
    sample = None if max_cells is None else seed
    found = _Tally(cells.vocab)
    # Closed at once, so that a reader that is stopped early lets go of its files.
    n_total = _n_to_read(cells, max_cells)
    with closing(_blocks(cells, batch_size, sample)) as blocks:
        for block in blocks:
            room = len(block) if max_cells is None else max_cells - found.n_cells
            if len(block) > room:
                found.sampled = True
                block = block.rows(slice(room))
            found.add(block)
            on_progress(found.n_cells, n_total)
            if found.sampled:
                break
    if not found.n_cells:
        raise InputError("the source has no cell: there is nothing to tally")
    return found.result()


def _blocks(cells: CellSource, batch_size: int, sample: int | None) -> Generator[SparseCells, None, None]:
    """The cells in blocks of :data:`BLOCK_CELLS`: all in turn, or in the order of the seed ``sample``."""
    batches = (
        _in_turn(cells, batch_size) if sample is None else sparse_batches(cells, batch_size=batch_size, seed=sample)
    )
    if batch_size == BLOCK_CELLS:
        yield from batches
    else:
        yield from rebatched_rows(batches, concatenate_sparse, batch_size=BLOCK_CELLS)


def _in_turn(cells: CellSource, batch_size: int) -> Iterator[SparseCells]:
    """All cells in the order in which the source reads fastest."""
    if isinstance(cells, SequentialCells):
        return cells.sequential(start=0, batch_size=batch_size)
    if isinstance(cells, IndexedCells):
        row_N = np.arange(len(cells.index), dtype=np.int64)
        return (cells.sparse_rows(row_N[at : at + batch_size]) for at in range(0, len(row_N), batch_size))
    return sparse_batches(cells, batch_size=batch_size, seed=0)


def _n_to_read(cells: CellSource, max_cells: int | None) -> int | None:
    """How many cells a pass reads, where the source says how many there are."""
    known: int | None = getattr(cells, "n_cells", None)
    return min(known, max_cells) if known is not None and max_cells is not None else known or max_cells


@final
class _Tally:
    """What a pass has counted so far."""

    def __init__(self, vocab: GeneVocab) -> None:
        n_genes = len(vocab)
        self.vocab = vocab
        self.n_cells = 0
        self.sampled = False
        self._n_measured_G = np.zeros(n_genes, dtype=np.int64)
        self._n_expressed_G = np.zeros(n_genes, dtype=np.int64)
        zero_G = np.zeros(n_genes, dtype=np.float64)
        self._moments = (np.zeros(n_genes, dtype=np.int64), zero_G, zero_G)
        self._measured_of: dict[str, NDArray[np.bool_]] = {}
        # The sets of a source are one table that all its blocks share: its cells are counted, and its rows added up
        # once at the end, instead of a row for each set of each block.
        self._table_SG = np.zeros((0, n_genes), dtype=np.bool_)
        self._n_of_S = np.zeros(0, dtype=np.int64)
        self._met: set[tuple[str, int]] = set()

    def add(self, block: SparseCells) -> None:
        """Count a block."""
        self.n_cells += len(block)
        self._add_sets(block)
        n_genes = len(self.vocab)
        shown = block.value_BG.data != 0
        value_E = block.value_BG.data if shown.all() else block.value_BG.data[shown]
        gene_E = block.value_BG.indices if shown.all() else block.value_BG.indices[shown]
        value_E = value_E.astype(np.float64)
        n_G = np.bincount(gene_E, minlength=n_genes).astype(np.int64)
        positive_E = value_E > 0
        self._n_expressed_G += n_G if positive_E.all() else np.bincount(gene_E[positive_E], minlength=n_genes)
        mean_G = np.bincount(gene_E, weights=value_E, minlength=n_genes) / np.maximum(n_G, 1)
        value_E -= mean_G[gene_E]
        value_E *= value_E
        squares_G = np.bincount(gene_E, weights=value_E, minlength=n_genes).astype(np.float64)
        self._moments = merged_moments(self._moments, (n_G, mean_G, squares_G))

    def _add_sets(self, block: SparseCells) -> None:
        """Count the cells of each measured set, and note which datasets have it."""
        if block.index.measured_SG is not self._table_SG:
            self._flush()
            self._table_SG = block.index.measured_SG
            self._n_of_S = np.zeros(len(self._table_SG), dtype=np.int64)
        self._n_of_S += np.bincount(block.index.set_B, minlength=len(self._table_SG))
        dataset = block.index.covariates.get("dataset")
        if dataset is None:
            return
        n_names = max(1, len(dataset.names))
        for both in np.unique(block.index.set_B.astype(np.int64) * n_names + dataset.code_B).tolist():
            name, row = str(dataset.names[both % n_names]), both // n_names
            if (name, row) not in self._met:
                self._met.add((name, row))
                self._measured_of[name] = self._measured_of.get(name, False) | self._table_SG[row]

    def _flush(self) -> None:
        """Add the sets counted to the genes."""
        # Row by row: a product would make the whole table numbers of 8 bytes.
        for row in np.flatnonzero(self._n_of_S).tolist():
            self._n_measured_G += self._n_of_S[row] * self._table_SG[row]
        self._n_of_S = np.zeros(len(self._table_SG), dtype=np.int64)
        self._met.clear()

    def result(self) -> GeneStatistics:
        """All that was counted."""
        self._flush()
        n_G, mean_G, squares_G = self._moments
        dataset_S, measured_SG = dataset_table(self._measured_of, len(self.vocab))
        return GeneStatistics(
            vocab=self.vocab,
            n_cells=self.n_cells,
            n_measured_G=self._n_measured_G,
            n_expressed_G=self._n_expressed_G,
            n_nonzero_G=n_G,
            mean_nonzero_G=mean_G,
            squares_nonzero_G=squares_G,
            dataset_S=dataset_S,
            measured_SG=measured_SG,
            sampled=self.sampled,
        )
