"""The cells of any source as blocks of a panel, always in the same order, so that a pass can resume at any cell."""

from collections.abc import Iterator
from typing import cast

import numpy as np

from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.sources.sparse import IndexedCells, SequentialCells, SparseCells, sparse_batches

_BLOCK_ENTRIES = 1 << 24
"""Entries (cells x genes) that may be dense at once: 64 MB of values."""


def n_cells_of(cells: CellSource) -> int | None:
    """How many cells a source has, if known."""
    if isinstance(cells, IndexedCells):
        return len(cells.index)
    return cast("int | None", getattr(cells, "n_cells", None))


def blocks_from(cells: CellSource, panel: GeneVocab, *, start: int, batch_size: int) -> Iterator[SparseCells]:
    """The cells from number ``start`` on with the genes of the panel, always in the same order.

    Raises
    ------
    InputError
        A block has other genes than the source says.
    """
    vocab = cells.vocab
    for block in _whole_blocks(cells, start, batch_size):
        if block.vocab != vocab:
            raise InputError(
                f"{type(cells).__name__} gives a block of other genes than the source's own: mend its vocab"
            )
        if len(block):
            yield _of_panel(block, panel)


def _whole_blocks(cells: CellSource, start: int, batch_size: int) -> Iterator[SparseCells]:
    if isinstance(cells, SequentialCells):
        yield from cells.sequential(start=start, batch_size=batch_size)
    elif isinstance(cells, IndexedCells):
        for row in range(start, len(cells.index), batch_size):
            yield cells.sparse_rows(np.arange(row, min(row + batch_size, len(cells.index)), dtype=np.int64))
    else:
        dense = max(1, _BLOCK_ENTRIES // len(cells.vocab))
        passed = 0
        for block in sparse_batches(cells, batch_size=min(batch_size, dense), seed=0):
            if passed + len(block) > start:
                yield block.rows(slice(start - passed, len(block))) if passed < start else block
            passed += len(block)


def _of_panel(block: SparseCells, panel: GeneVocab) -> SparseCells:
    """A block with the genes of the panel; of equal values there is one way to store them."""
    if block.vocab != panel:
        block = block.with_genes(panel)
    value_BG = block.value_BG
    if not value_BG.has_canonical_format or (value_BG.data == 0).any():
        value_BG = value_BG.copy()
        value_BG.sum_duplicates()
        value_BG.eliminate_zeros()
    return SparseCells(index=block.index, value_BG=value_BG)
