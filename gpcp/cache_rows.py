"""The cells of any source in an order that never changes, from any cell on, with the genes of a panel.

Dimension key: ``B`` cells of a block, ``G`` genes of the panel.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpcp.cell_index import CellIndex
from gpcp.cells import CellSource
from gpcp.errors import InputError
from gpcp.genes import GeneVocab
from gpcp.sparse_cells import IndexedCells, SparseCells, sparse_batches

_BLOCK_ENTRIES = 1 << 24
"""Entries (cells x genes) that may be dense at once: 64 MB of values."""

_LONGEST_PROVENANCE = 1000


@runtime_checkable
class SequentialCells(CellSource, Protocol):
    """A source that can go on from any of its cells, in an order of its own that never changes."""

    def sequential(self, *, start: int, batch_size: int) -> Iterator[SparseCells]:
        """The cells from number ``start`` on, in the source's own order; ``batch_size`` changes no byte of them."""
        ...


def provenance_of(cells: CellSource) -> str:
    """What a source says of itself: its ``provenance``, else how it prints, else its kind.

    A long text is cut and ends in its digest, so that two that differ still differ.
    """
    said = getattr(cells, "provenance", None)
    if not isinstance(said, str):
        kind = type(cells)
        # What object prints is an address, another one in every process.
        said = f"{kind.__module__}.{kind.__qualname__}" if kind.__repr__ is object.__repr__ else repr(cells)
    if len(said) <= _LONGEST_PROVENANCE:
        return said
    digest = blake2b(said.encode(), digest_size=16).hexdigest()
    return f"{said[: _LONGEST_PROVENANCE // 2]}... ({len(said)} characters, {digest})"


def same_cells(held: SparseCells, other: SparseCells) -> bool:
    """Whether two blocks are the same cells, however their tables are laid out."""
    a, b = held.dense(), other.dense()
    totals = (held.index.total_B, other.index.total_B)
    return (
        np.array_equal(a.cell_id_B, b.cell_id_B)
        and np.array_equal(a.expression_BG, b.expression_BG)
        and np.array_equal(a.measured_BG, b.measured_BG)
        and set(a.covariates) == set(b.covariates)
        and all(np.array_equal(a.covariates[name], b.covariates[name]) for name in a.covariates)
        and (totals[0] is None) == (totals[1] is None)
        and (totals[0] is None or np.array_equal(totals[0], cast("NDArray[np.float64]", totals[1]), equal_nan=True))
    )


def blocks_from(cells: CellSource, panel: GeneVocab, *, start: int, batch_size: int) -> Iterator[SparseCells]:
    """The cells from number ``start`` on with the genes of the panel, always in the same order.

    Raises
    ------
    InputError
        A block has other genes than the source says.
    """
    vocab = cells.vocab
    token_G = None if panel == vocab else vocab.tokens(panel.feature_id)
    for block in _whole_blocks(cells, start, batch_size):
        if block.vocab != vocab:
            raise InputError(
                f"{type(cells).__name__} gives a block of other genes than the source's own: mend its vocab"
            )
        if len(block):
            yield _of_panel(block, panel, token_G)


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


def _of_panel(block: SparseCells, panel: GeneVocab, token_G: "NDArray[np.int64] | None") -> SparseCells:
    """A block with the genes of the panel; of equal values there is one way to store them."""
    index, value_BG = block.index, block.value_BG
    if token_G is not None:
        value_BG = value_BG[:, token_G]
        index = CellIndex(
            vocab=panel,
            cell_id_B=index.cell_id_B,
            measured_SG=index.measured_SG[:, token_G],
            set_B=index.set_B,
            covariates=index.covariates,
            total_B=index.total_B,
        )
    if not value_BG.has_canonical_format or (value_BG.data == 0).any():
        value_BG = value_BG.copy()
        value_BG.sum_duplicates()
        value_BG.eliminate_zeros()
    return SparseCells(index=index, value_BG=value_BG)
