"""Builds a panel cache in one pass over any source, and resumes where it was killed.

Work lies in ``<folder>.partial`` as parts of a fixed number of cells. When the source has no more, the parts are joined
in a folder beside them, which is then renamed. The cache needs its own size on disk, and as much again while it is
built. Cells are read in an order that never changes, so that a pass can resume at any cell.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from gpcp import __version__
from gpcp.core.cells import CellSource, rebatched_rows
from gpcp.core.errors import InputError
from gpcp.core.files import write_json
from gpcp.core.genes import GeneVocab
from gpcp.core.progress import OnProgress, no_progress
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.cache.format import MANIFEST, VERSION, apart, other_genes, unfinished_of
from gpcp.sources.cache.parts import join_parts, parts_of, write_part
from gpcp.sources.sparse import IndexedCells, SequentialCells, SparseCells, concatenate_sparse, sparse_batches

_MADE_FROM = "made_from.json"
_BLOCK_CELLS = 8192


def cached(
    cells: CellSource,
    folder: str | Path,
    *,
    genes: Sequence[str] | None = None,
    provenance: str | None = None,
    part_cells: int = 16_384,
    on_progress: OnProgress = no_progress,
) -> CachedCells:
    """The cache of a source: opened where it lies, built where there is none, finished where it was begun.

    Several processes may ask at once: one builds, the others wait. What is opened is compared with the source: its
    provenance, its panel, and its first cells, which are read again (a :class:`SequentialCells` vouches by its
    provenance alone). See :func:`build_cache` for the parameters.

    Raises
    ------
    InputError
        As :func:`build_cache` and :class:`gpcp.sources.cache.cells.CachedCells`, or the cache is of other cells.
    """
    target = Path(folder).absolute()
    provenance = provenance_of(cells) if provenance is None else provenance
    panel = _panel(cells, genes)
    if unfinished_of(target).is_dir() or not (target / MANIFEST).is_file():
        return _built(cells, target, panel=panel, provenance=provenance, part_cells=part_cells, on_progress=on_progress)
    opened = CachedCells(target, genes=panel.feature_id, provenance=provenance)
    if not isinstance(cells, SequentialCells):
        first = next(blocks_from(cells, panel, start=0, batch_size=64), None)
        rows = np.arange(min(64, opened.n_cells), dtype=np.int64)
        if first is None or not same_cells(opened.sparse_rows(rows), first):
            raise InputError(
                f"panel cache {str(target)!r} was made from {provenance!r}, which has other cells now: delete the "
                "folder and build it again"
            )
    return opened


def build_cache(
    cells: CellSource,
    folder: str | Path,
    *,
    genes: Sequence[str] | None = None,
    provenance: str | None = None,
    part_cells: int = 16_384,
    on_progress: OnProgress = no_progress,
) -> CachedCells:
    """Write the cells of a source as a panel cache, or finish one that was begun.

    The order of rows is the source's own where it has one (:class:`SequentialCells`, or a source with an index), else
    that of its pass with seed 0. Started again after a kill, the result is the same to the last byte.

    Parameters
    ----------
    cells : CellSource
    folder : str or Path
        To be made; nothing is there until all is.
    genes : sequence of str, optional
        Some of the source's genes, in the order wanted; all by default. Values are not normalised anew.
    provenance : str, optional
        What the cells are, query and normalisation; :func:`provenance_of` by default.
    part_cells : int
        Cells that a kill costs at most; no byte of the result depends on it.
    on_progress : callable
        Called with the number of cells written, and of all where it is known.

    Returns
    -------
    CachedCells

    Raises
    ------
    InputError
        Something else lies in ``folder``, what was begun there is of other cells or of another version, the source has
        no cell, has one twice or has changed since, or the disk has too little room.
    """
    target = Path(folder).absolute()
    provenance = provenance_of(cells) if provenance is None else provenance
    if (target / MANIFEST).is_file() and not unfinished_of(target).is_dir():
        raise InputError(
            f"{str(target)!r} is a panel cache already: open it with gpcp.sources.cache.cells.CachedCells, or delete it"
        )
    return _built(
        cells, target, panel=_panel(cells, genes), provenance=provenance, part_cells=part_cells, on_progress=on_progress
    )


def _panel(cells: CellSource, genes: Sequence[str] | None) -> GeneVocab:
    """The panel; refuses genes that the source does not have."""
    if genes is None:
        return cells.vocab
    cells.vocab.tokens(genes)
    return GeneVocab(feature_id=tuple(genes))


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _built(
    cells: CellSource, target: Path, *, panel: GeneVocab, provenance: str, part_cells: int, on_progress: OnProgress
) -> CachedCells:
    if part_cells < 1:
        raise InputError(f"part_cells is {part_cells}: it must be at least 1")
    if target.exists() and not _is_empty_folder(target) and not (target / MANIFEST).is_file():
        raise InputError(f"{str(target)!r} is there and is no panel cache: name a folder that is not there yet")
    work = unfinished_of(target)
    lock = Path(f"{work}.lock")  # A process that wants to build there too waits; a kill lets go.
    with FileLock(lock):
        work.mkdir(exist_ok=True)
        # Another process may have finished while this one waited, or a kill have come before the parts were removed.
        if not (target / MANIFEST).is_file():
            _check_begun(work, {"version": VERSION, "gpcp": __version__, "provenance": provenance}, panel)
            _read_parts(cells, work, panel, part_cells=part_cells, on_progress=on_progress)
            parts, _ = parts_of(work, panel)
            joined = work / "joined"
            join_parts(parts, joined, provenance=provenance)
            if _is_empty_folder(target):
                target.rmdir()
            joined.replace(target)
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):  # Windows does not remove a file that another process waits with.
            lock.unlink()
    return CachedCells(target, genes=panel.feature_id, provenance=provenance)


def _check_begun(work: Path, made_from: dict[str, Any], panel: GeneVocab) -> None:
    """Refuse parts of other cells; note what the parts to come are made from."""
    path = work / _MADE_FROM

    def refused(why: str) -> InputError:
        return InputError(
            f"the unfinished cache {str(work)!r} cannot be gone on with: {why}; delete the folder or build elsewhere"
        )

    if not any(work.glob("part-*.npz")):
        write_json(path, {**made_from, "genes": list(panel.feature_id)})
        return
    if not path.is_file():
        raise refused(f"it has parts, but no {_MADE_FROM}")
    try:
        found = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        genes = tuple(found["genes"])
        apart_in = [(name, str(found[name]), str(made_from[name])) for name in made_from]
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError):
        raise refused(f"{_MADE_FROM} is damaged") from None
    for name, held, wanted in apart_in:
        if held != wanted:
            raise refused(f"its {name} is {apart(held, wanted)}")
    if genes != panel.feature_id:
        raise refused(other_genes(genes, panel.feature_id))


def _read_parts(cells: CellSource, work: Path, panel: GeneVocab, *, part_cells: int, on_progress: OnProgress) -> None:
    """Write the parts that are missing."""
    parts, n_done = parts_of(work, panel)
    n_cells = _n_cells(cells)
    checked = False
    # The last cell of the parts is read once more: it must be the one they hold.
    blocks = blocks_from(cells, panel, start=max(0, n_done - 1), batch_size=_BLOCK_CELLS)
    if n_done:
        last = parts[-1].cells()
        blocks = _after(blocks, last.rows(slice(len(last) - 1, len(last))), work)
    for part in rebatched_rows(blocks, concatenate_sparse, batch_size=part_cells):
        write_part(work, n_done, part)
        n_done += len(part)
        on_progress(n_done, n_cells)
        if n_cells and not checked:
            _check_room(work, n_done=n_done, n_cells=n_cells)
            checked = True
    if not n_done:
        raise InputError("the source has no cell: there is nothing to cache")


def _after(blocks: Iterator[SparseCells], last: SparseCells, work: Path) -> Iterator[SparseCells]:
    """The cells after the first, which must be the one that the parts end with."""
    first = next((block for block in blocks if len(block)), None)
    if first is None or not same_cells(first.rows(slice(0, 1)), last):
        raise InputError(
            f"the source gives other cells than those of the unfinished cache {str(work)!r}: delete the folder and "
            "build from the start"
        )
    yield first.rows(slice(1, len(first)))
    yield from blocks


def _n_cells(cells: CellSource) -> int | None:
    """How many cells a source has, if known."""
    if isinstance(cells, IndexedCells):
        return len(cells.index)
    return cast("int | None", getattr(cells, "n_cells", None))


def _check_room(work: Path, *, n_done: int, n_cells: int) -> None:
    """Refuse to go on where the disk cannot hold the parts to come and the cache that they are joined into."""
    written = sum(path.stat().st_size for path in work.glob("part-*.npz"))
    needed = int(written / n_done * (2 * n_cells - n_done))
    free = shutil.disk_usage(work).free
    if needed > free:
        raise InputError(
            f"the disk of {str(work)!r} has {free / 1e9:.1f} GB free, and the other {n_cells - n_done} cells need "
            f"about {needed / 1e9:.1f} GB while the cache is built: make room and start again, which goes on from here"
        )


_BLOCK_ENTRIES = 1 << 24
"""Entries (cells x genes) that may be dense at once: 64 MB of values."""

_LONGEST_PROVENANCE = 1000


def provenance_of(cells: CellSource) -> str:
    """What a source says of itself: its ``provenance``, else how it prints, else its kind.

    A long text is cut and ends in its digest, so that two that differ still differ.
    """
    provenance_text = getattr(cells, "provenance", None)
    if not isinstance(provenance_text, str):
        kind = type(cells)
        # What object prints is an address, another one in every process.
        provenance_text = f"{kind.__module__}.{kind.__qualname__}" if kind.__repr__ is object.__repr__ else repr(cells)
    if len(provenance_text) <= _LONGEST_PROVENANCE:
        return provenance_text
    digest = blake2b(provenance_text.encode(), digest_size=16).hexdigest()
    return f"{provenance_text[: _LONGEST_PROVENANCE // 2]}... ({len(provenance_text)} characters, {digest})"


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
