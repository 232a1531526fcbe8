"""Some cells or some genes of a source as a source again, and a split by cell for training and scoring.

A subset of an indexed source is indexed. No cell that is scored was trained on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource, rebatched_cells, rebatched_rows
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.random import stream
from gpcp.sources.index import CellIndex, Labels, concatenate_labels
from gpcp.sources.sparse import IndexedCells, SparseCells, concatenate_sparse, indexed, signatures_of, sparse_batches


@final
class OnlyCells:
    """The cells of a source whose names are given; the others are read and passed over.

    Meets :class:`gpcp.sources.sparse.SparseCellSource` and :class:`gpcp.sources.sparse.PerhapsIndexed`.

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
        """The cells kept, in the order of the source; see :class:`gpcp.core.cells.CellSource`."""
        batches = self._cells.cells(batch_size=batch_size, seed=seed)
        return rebatched_cells((batch.rows(self._named(batch.cell_id_B)) for batch in batches), batch_size=batch_size)

    def sparse_cells(self, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
        """What :meth:`cells` gives, before it is made dense."""
        batches = sparse_batches(self._cells, batch_size=batch_size, seed=seed)
        kept = (batch.rows(self._named(batch.index.cell_id_B)) for batch in batches)
        return rebatched_rows(kept, concatenate_sparse, batch_size=batch_size)

    def indexed(self) -> IndexedCells | None:
        """The same cells as an indexed source, if the whole source is one."""
        whole = indexed(self._cells)
        if whole is None:
            return None
        row_N = np.flatnonzero(self._named(whole.index.cell_id_B)).astype(np.int64)
        return _SomeRows(self, whole, row_N)

    def _named(self, cell_id_B: NDArray[np.int64]) -> NDArray[np.bool_]:
        place_B = np.minimum(np.searchsorted(self.cell_id_N, cell_id_B), self.n_cells - 1)
        return self.cell_id_N[place_B] == cell_id_B


@final
class OnlyGenes:
    """The cells of a source with some of their genes.

    Meets :class:`gpcp.sources.sparse.SparseCellSource` and :class:`gpcp.sources.sparse.PerhapsIndexed`. Values are not
    normalised anew: totals stay those of all genes.

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
        """Every cell, in the order of the source; see :class:`gpcp.core.cells.CellSource`."""
        for batch in self._cells.cells(batch_size=batch_size, seed=seed):
            yield CellBatch(
                vocab=self.vocab,
                expression_BG=batch.expression_BG[:, self._token_G],
                measured_BG=batch.measured_BG[:, self._token_G],
                cell_id_B=batch.cell_id_B,
                covariates=batch.covariates,
            )

    def sparse_cells(self, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
        """What :meth:`cells` gives, before it is made dense."""
        batches = sparse_batches(self._cells, batch_size=batch_size, seed=seed)
        return (cells.with_genes(self.vocab) for cells in batches)

    def indexed(self) -> IndexedCells | None:
        """The same cells as an indexed source, if the whole source is one."""
        whole = indexed(self._cells)
        return None if whole is None else _SomeGenes(self, whole)


@final
class _SomeRows:
    """Some rows of an indexed source, as an indexed source."""

    def __init__(self, some: OnlyCells, whole: IndexedCells, row_N: NDArray[np.int64]) -> None:
        self._some, self._whole, self._row_N = some, whole, row_N
        self.vocab, self.cheap_rows = whole.vocab, whole.cheap_rows
        self.index = whole.index.rows(row_N)
        self.cells, self.sparse_cells = some.cells, some.sparse_cells

    @property
    def signature_NW(self) -> NDArray[np.uint8] | None:
        """The expressed genes of each cell as bits, if the whole source keeps them."""
        kept = signatures_of(self._whole)
        return None if kept is None else kept[self._row_N]

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        return self._whole.sparse_rows(self._row_N[row_B])


@final
class _SomeGenes:
    """Some genes of an indexed source, as an indexed source."""

    def __init__(self, some: OnlyGenes, whole: IndexedCells) -> None:
        self._whole = whole
        self.vocab, self.cheap_rows = some.vocab, whole.cheap_rows
        self.index = whole.index.with_genes(some.vocab)
        self.cells, self.sparse_cells = some.cells, some.sparse_cells

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        return self._whole.sparse_rows(row_B).with_genes(self.vocab)


_BLOCK_CELLS = 2048


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CellSplit:
    """Two sources that have no cell in common.

    Parameters
    ----------
    training, held_out : OnlyCells
    summary : str
        How they were split.
    """

    training: OnlyCells
    held_out: OnlyCells
    summary: str


def split_cells(source: CellSource, held_out_share: float, seed: int) -> CellSplit:
    """Split a source by cell, each cell type by the same share.

    Of a type of ``n`` cells, ``round(held_out_share * n)`` are held out, but never all: no type is met for the first
    time when it is scored. Cells without a ``cell_type`` covariate are of one type. Reads the source once and keeps
    names and types alone.

    Parameters
    ----------
    source : CellSource
    held_out_share : float
        Within 0 .. 1, both excluded.
    seed : int
        Decides who is held out; the order in which the source gives its cells does not.

    Returns
    -------
    CellSplit

    Raises
    ------
    InputError
        The share is not within 0 .. 1, the source has no cell, or one side would have none.
    """
    if not 0 < held_out_share < 1:
        raise InputError(f"held_out_share is {held_out_share}: it must be above 0 and below 1")
    cell_id_N, types = _names_and_types(source)
    rng = stream(seed, "real cells", "split")
    held_N, n_types = np.zeros(len(cell_id_N), dtype=np.bool_), len(types.names)
    for code in range(n_types):
        rows = np.flatnonzero(types.code_B == code)
        n_held = min(round(held_out_share * len(rows)), len(rows) - 1)
        held_N[rng.choice(rows, size=n_held, replace=False)] = True
    if not held_N.any():
        raise InputError(
            f"no cell would be held out: {held_out_share} of each of {n_types} cell types, {len(cell_id_N)} cells "
            "in all, is none; hold out more"
        )
    n_held = int(held_N.sum())
    return CellSplit(
        training=OnlyCells(source, cell_id_N[~held_N]),
        held_out=OnlyCells(source, cell_id_N[held_N]),
        summary=f"{n_held} of {len(cell_id_N)} cells held out, {held_out_share:.0%} of each of {n_types} cell types",
    )


def _names_and_types(source: CellSource) -> tuple[NDArray[np.int64], Labels]:
    """Name and type of every cell, sorted by name."""
    parts = [block.index for block in sparse_batches(source, batch_size=_BLOCK_CELLS, seed=0)]
    if not parts:
        raise InputError("the source has no cell to split")
    cell_id_N = np.concatenate([index.cell_id_B for index in parts])
    order_N = np.argsort(cell_id_N)
    types = concatenate_labels([_types(index) for index in parts])
    return cell_id_N[order_N], Labels.coded(types.names, types.code_B[order_N])


def _types(cells: CellIndex) -> Labels:
    """The cell types; one without a name where none are known."""
    none = Labels(names=np.array([""], dtype=np.str_), code_B=np.zeros(len(cells), dtype=np.int8))
    return cells.covariates.get("cell_type", none)
