"""Sparse cells: ``SparseCells``, and the interfaces and base class of sources that give them.

Cells are read, kept, queued and cached in this form; :class:`gpcp.core.cells.CellBatch` is their dense form. A value
that is not stored is 0 where the cell's set measures the gene, and nothing elsewhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast, final, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.sources.index import CellIndex, Labels, Which, concatenate_index

SparseValues: TypeAlias = "sp.csr_array[np.float32, tuple[int, int]]"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SparseCells:
    """Some cells of a source, as sparse as they lay there.

    Parameters
    ----------
    index : CellIndex
        What each row is.
    value_BG : sparse float32, (B, G)
        Expression as in :class:`gpcp.core.cells.CellBatch`; columns sorted within a row, each once.

    Raises
    ------
    InputError
        Shapes differ, or a value is not finite or lies where its cell's set does not measure the gene.
    """

    index: CellIndex
    value_BG: SparseValues

    def __post_init__(self) -> None:
        shape = (len(self.index), len(self.index.vocab))
        if self.value_BG.shape != shape or self.value_BG.dtype != np.float32:
            raise InputError(
                f"SparseCells.value_BG has shape {self.value_BG.shape} and dtype {self.value_BG.dtype}, "
                f"expected {shape} of float32"
            )
        finite = np.isfinite(self.value_BG.data)
        if not finite.all():
            cell, gene = self._entry(int(np.argmin(finite)))
            raise InputError(f"SparseCells.value_BG of gene {gene} in cell {cell} is not finite: mend it where it lies")
        if not self.index.measured_SG.all():
            set_of = np.repeat(self.index.set_B, np.diff(self.value_BG.indptr))
            seen = self.index.measured_SG[set_of, self.value_BG.indices] | (self.value_BG.data == 0)
            if not seen.all():
                cell, gene = self._entry(int(np.argmin(seen)))
                raise InputError(
                    f"SparseCells.value_BG holds a value of gene {gene} in cell {cell}, whose set does not measure it"
                )

    def _entry(self, stored: int) -> tuple[int, str]:
        """Cell and gene of a stored value."""
        row = int(np.searchsorted(self.value_BG.indptr, stored, side="right")) - 1
        return int(self.index.cell_id_B[row]), self.vocab.feature_id[int(self.value_BG.indices[stored])]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def vocab(self) -> GeneVocab:
        """The genes of the columns."""
        return self.index.vocab

    @property
    def measured_BG(self) -> NDArray[np.bool_]:
        """True where the gene could have been seen, bool (B, G)."""
        return self.index.measured_SG[self.index.set_B]

    def rows(self, which: Which) -> "SparseCells":
        """Some cells: of a slice, of an index array (in its order) or of a bool array. Values are copied."""
        return _unchecked(self.index.rows(which), self.value_BG[which])

    def compacted(self) -> "SparseCells":
        """The same cells without the measured sets of others, so that a few that stay do not keep a large table."""
        index = self.index.compacted()
        return self if index is self.index else _unchecked(index, self.value_BG)

    def with_genes(self, vocab: GeneVocab) -> "SparseCells":
        """The same cells with some of their genes; see :meth:`gpcp.sources.index.CellIndex.with_genes`."""
        value_BG = sp.csr_array(self.value_BG[:, self.vocab.tokens(vocab.feature_id)])
        value_BG.sort_indices()
        return SparseCells(index=self.index.with_genes(vocab), value_BG=value_BG)

    def dense(self) -> CellBatch:
        """The same cells as every other source gives them."""
        return CellBatch(
            vocab=self.vocab,
            expression_BG=self.value_BG.toarray(),
            measured_BG=self.measured_BG,
            cell_id_B=self.index.cell_id_B,
            covariates={name: labels.text_B for name, labels in self.index.covariates.items()},
        )


def _unchecked(index: CellIndex, value_BG: SparseValues) -> SparseCells:
    """Cells that come of checked ones: to look at every value again would take as long as to copy it."""
    cells = object.__new__(SparseCells)
    object.__setattr__(cells, "index", index)
    object.__setattr__(cells, "value_BG", value_BG)
    return cells


@runtime_checkable
class SparseCellSource(CellSource, Protocol):
    """A source that holds its cells sparse."""

    def sparse_cells(self, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
        """What ``cells`` gives, the same cells in the same order and batches, before they are made dense."""
        ...


@runtime_checkable
class IndexedCells(SparseCellSource, Protocol):
    """A source that knows what all its cells are, and gives those asked for."""

    @property
    def index(self) -> CellIndex:
        """What is known of every cell, in the source's own order of rows."""
        ...

    @property
    def cheap_rows(self) -> bool:
        """Whether reading rows here and there costs no more than reading them in turn."""
        ...

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        """The cells of some rows of ``index``, in the order asked for; a row may be asked for once."""
        ...


class IndexedSource(ABC):
    """A source of cells whose passes follow from random access to its rows.

    Meets :class:`IndexedCells`. A source states ``index``, :meth:`sparse_rows` and :meth:`pass_order`.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def index(self) -> CellIndex:
        """What is known of every cell, in the source's own order of rows."""

    @abstractmethod
    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        """The cells of some rows of ``index``, in the order asked for."""

    @abstractmethod
    def pass_order(self, seed: int) -> NDArray[np.int64]:
        """All rows in the order of one pass, int64 (N,)."""

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        return self.index.vocab

    @property
    def n_cells(self) -> int:
        """Cells that one pass gives."""
        return len(self.index)

    @property
    def cheap_rows(self) -> bool:
        """Whether reading rows here and there costs no more than reading them in turn."""
        return True

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        """Every cell once, in an order that ``seed`` decides; the last batch may be smaller.

        Raises
        ------
        InputError
            ``batch_size`` is below 1, ``seed`` is negative, or as :meth:`sparse_rows`.
        """
        return (cells.dense() for cells in self.sparse_cells(batch_size=batch_size, seed=seed))

    def sparse_cells(self, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
        """What :meth:`cells` gives, before it is made dense; see there for the errors."""
        return map(self.sparse_rows, self.batch_rows(batch_size=batch_size, seed=seed))

    def batch_rows(self, *, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Rows of each batch of a pass; see :meth:`cells` for the errors."""
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: it must be at least 1")
        order_N = self.pass_order(seed)
        return (order_N[start : start + batch_size] for start in range(0, len(order_N), batch_size))


@runtime_checkable
class PerhapsIndexed(CellSource, Protocol):
    """A source that wraps another one, and is indexed if that is."""

    def indexed(self) -> IndexedCells | None:
        """The same cells as an indexed source, or None."""
        ...


def indexed(cells: CellSource) -> IndexedCells | None:
    """A source as an indexed one, if it is or wraps one; None otherwise."""
    if isinstance(cells, PerhapsIndexed):
        return cells.indexed()
    return cells if isinstance(cells, IndexedCells) else None


def signatures_of(cells: IndexedCells) -> NDArray[np.uint8] | None:
    """``numpy.packbits`` of the expressed genes of every cell, uint8 (N, W), where a source keeps it; else None.

    Sources that do give it as ``signature_NW``.
    """
    return cast("NDArray[np.uint8] | None", getattr(cells, "signature_NW", None))


def sparse_of(batch: CellBatch) -> SparseCells:
    """A dense batch as a sparse one; cells that were measured for the same genes share a set."""
    packed_BW = np.packbits(batch.measured_BG, axis=1)
    _, first_S, set_B = np.unique(packed_BW, axis=0, return_index=True, return_inverse=True)
    index = CellIndex(
        vocab=batch.vocab,
        cell_id_B=batch.cell_id_B,
        measured_SG=batch.measured_BG[first_S],
        set_B=set_B.reshape(-1).astype(np.int32),
        covariates={name: Labels.of(text_B) for name, text_B in batch.covariates.items()},
    )
    return SparseCells(index=index, value_BG=sp.csr_array(batch.expression_BG))


def sparse_batches(cells: CellSource, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
    """The cells of any source as sparse batches, whether it holds them sparse or not."""
    if isinstance(cells, SparseCellSource):
        return cells.sparse_cells(batch_size=batch_size, seed=seed)
    return (sparse_of(batch) for batch in cells.cells(batch_size=batch_size, seed=seed))


def concatenate_sparse(parts: Sequence[SparseCells]) -> SparseCells:
    """The cells of some blocks one after the other; see :func:`concatenate_index` for the errors."""
    if len(parts) == 1:
        return parts[0]
    index = concatenate_index([part.index for part in parts])
    return _unchecked(index, sp.csr_array(sp.vstack([part.value_BG for part in parts], format="csr")))


@runtime_checkable
class SequentialCells(CellSource, Protocol):
    """A source that can go on from any of its cells, in an order of its own that never changes."""

    def sequential(self, *, start: int, batch_size: int) -> Iterator[SparseCells]:
        """The cells from number ``start`` on, in the source's own order; ``batch_size`` changes no byte of them."""
        ...
