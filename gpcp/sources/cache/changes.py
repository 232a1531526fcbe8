"""Whether a source still gives the cells of a cache: any value, label, gene or cell that is another is seen.

What can be read again at no great cost is: the values are summed up as the cache's files would hold them, and compared
with the checksums of its manifest, so that the cache itself is not read. Files are known by what they hold and not by
their dates: one that was copied or touched is the same, and one that was altered with its date put back is not. A
source that is costly to read (:class:`gpcp.sources.sparse.SequentialCells`, such as a Census) is known by what it says
of itself, by its ``state``, and by the ids, labels, measured genes and totals of its cells.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellSource
from gpcp.core.genes import GeneVocab
from gpcp.sources.cache.blocks import blocks_from
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.cache.format import ArrayFile
from gpcp.sources.cache.parts import Part, canonical
from gpcp.sources.index import CellIndex
from gpcp.sources.sparse import IndexedCells, SequentialCells, SparseCells, concatenate_sparse

_BLOCK_CELLS = 8192


def gives(cells: CellSource, cache: CachedCells) -> bool:
    """Whether a source gives the very cells of a cache of its genes."""
    if isinstance(cells, SequentialCells):
        return not isinstance(cells, IndexedCells) or same_index(cache.index, cells.index.with_genes(cache.vocab))
    summed, n_cells = _Summed(cache), 0
    for block in blocks_from(cells, cache.vocab, start=0, batch_size=_BLOCK_CELLS):
        end = n_cells + len(block)
        if end > cache.n_cells or not same_index(cache.index.rows(np.arange(n_cells, end)), block.index):
            return False
        summed.append(block)
        n_cells = end
    return n_cells == cache.n_cells and summed.as_written


def parts_given(cells: CellSource, panel: GeneVocab, parts: Sequence[Part]) -> int:
    """How many of the first parts hold what a source gives; all where it is costly to read."""
    if isinstance(cells, SequentialCells):
        if isinstance(cells, IndexedCells):
            index = cells.index.with_genes(panel)
            ends = (slice(part.start, part.start + len(part.index())) for part in parts)
            same = (same_index(part.index(), index.rows(rows)) for part, rows in zip(parts, ends, strict=True))
            return _first_wrong(same)
        return len(parts)
    blocks = _cut(blocks_from(cells, panel, start=0, batch_size=_BLOCK_CELLS), (len(part.index()) for part in parts))
    return _first_wrong(same_cells(part.cells(), given) for part, given in zip(parts, blocks, strict=False))


def _first_wrong(same: Iterable[bool]) -> int:
    """How many are right before the first that is not."""
    n_right = 0
    for one in same:
        if not one:
            break
        n_right += 1
    return n_right


def _cut(blocks: Iterator[SparseCells], lengths: Iterable[int]) -> Iterator[SparseCells]:
    """The same cells in blocks of the lengths given, as long as there are enough."""
    held: list[SparseCells] = []
    for length in lengths:
        while sum(map(len, held)) < length:
            block = next(blocks, None)
            if block is None:
                return
            held.append(block)
        whole = concatenate_sparse(held)
        yield whole.rows(slice(0, length))
        held = [whole.rows(slice(length, len(whole)))]


def same_cells(held: SparseCells, other: SparseCells) -> bool:
    """Whether two blocks are the same cells, however their tables are laid out; values are stored in one way alone."""
    a, b = held.value_BG, other.value_BG
    return same_index(held.index, other.index) and all(
        np.array_equal(x, y) for x, y in ((a.indptr, b.indptr), (a.indices, b.indices), (a.data, b.data))
    )


def same_index(held: CellIndex, other: CellIndex) -> bool:
    """Whether the same is known of the same cells, however their tables are laid out."""
    a, b = canonical(held), canonical(other)
    if (a.total_B is None) != (b.total_B is None) or list(a.covariates) != list(b.covariates):
        return False
    arrays: list[tuple[NDArray[np.generic], NDArray[np.generic]]] = [
        (a.cell_id_B, b.cell_id_B),
        (a.measured_SG, b.measured_SG),
        (a.set_B, b.set_B),
    ]
    for name, labels in a.covariates.items():
        arrays += [(labels.names, b.covariates[name].names), (labels.code_B, b.covariates[name].code_B)]
    totals = a.total_B is None or np.array_equal(a.total_B, cast("NDArray[np.float64]", b.total_B), equal_nan=True)
    return a.vocab == b.vocab and totals and all(np.array_equal(x, y) for x, y in arrays)


@final
class _Nowhere:
    """A file that keeps nothing."""

    def write(self, piece: bytes) -> int:
        return len(piece)


@final
class _Summed:
    """The checksums of the values that a cache of some cells would have."""

    __slots__ = ("_cache", "_files", "_n_values")

    def __init__(self, cache: CachedCells) -> None:
        layout = cache.manifest.sizes.layout()
        self._cache, self._n_values = cache, 0
        self._files = {name: ArrayFile(_Nowhere(), *layout[name]) for name in ("indptr", "indices", "data")}
        self._files["indptr"].append(np.zeros(1, dtype=np.int64))

    def append(self, block: SparseCells) -> None:
        """The next cells."""
        value_BG = block.value_BG
        self._files["indptr"].append(value_BG.indptr[1:].astype(np.int64) + self._n_values)
        self._files["indices"].append(value_BG.indices)
        self._files["data"].append(value_BG.data)
        self._n_values += int(value_BG.indptr[-1])

    @property
    def as_written(self) -> bool:
        """Whether these are the bytes of the cache."""
        files = self._cache.manifest.files
        return all(file.written == files[f"{name}.npy"] for name, file in self._files.items())
