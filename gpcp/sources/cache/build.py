"""Builds a panel cache in one pass over any source, and resumes where it was killed.

Work lies in ``<folder>.partial`` as parts of a fixed number of cells. When the source has no more, the parts are joined
in a folder beside them, which is then renamed. The cache needs its own size on disk, and as much again while it is
built. Cells are read in an order that never changes, so that a pass can resume at any cell.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from filelock import FileLock

from gpcp import __version__
from gpcp.core.cells import CellSource, rebatched_rows
from gpcp.core.errors import InputError
from gpcp.core.files import write_json
from gpcp.core.genes import GeneVocab
from gpcp.core.progress import OnProgress, no_progress
from gpcp.sources.cache.blocks import blocks_from, n_cells_of
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.cache.changes import gives, parts_given, same_cells
from gpcp.sources.cache.format import MANIFEST, VERSION, apart, other_genes, refused, unfinished_of
from gpcp.sources.cache.parts import join_parts, parts_of, write_part
from gpcp.sources.provenance import Origin
from gpcp.sources.sparse import SparseCells, concatenate_sparse

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

    Several processes may ask at once: one builds, the others wait. What is opened is compared with the source, see
    :mod:`gpcp.sources.cache.changes`: where the source has changed since, the cache is built anew, and the old one
    stays until the new one is whole. A cache of another source, another query or another panel is refused, unless
    both were read from the same file.

    See :func:`build_cache` for the parameters.

    Raises
    ------
    InputError
        As :func:`build_cache` and :class:`gpcp.sources.cache.cells.CachedCells`, or the cache is of other cells.
    """
    target, origin, panel = Path(folder).absolute(), Origin.of(cells, provenance), _panel(cells, genes)
    if not unfinished_of(target).is_dir() and (target / MANIFEST).is_file():
        opened = CachedCells(target)
        if _is_current(opened, cells, panel, origin):
            return opened
        opened.close()
    return _built(cells, target, panel=panel, origin=origin, part_cells=part_cells, on_progress=on_progress)


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
        What the cells are, query and normalisation; :func:`gpcp.sources.provenance.provenance_of` by default.
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
    if (target / MANIFEST).is_file() and not unfinished_of(target).is_dir():
        raise InputError(
            f"{str(target)!r} is a panel cache already: open it with gpcp.sources.cache.cells.CachedCells, or delete it"
        )
    origin = Origin.of(cells, provenance)
    return _built(
        cells, target, panel=_panel(cells, genes), origin=origin, part_cells=part_cells, on_progress=on_progress
    )


def _panel(cells: CellSource, genes: Sequence[str] | None) -> GeneVocab:
    """The panel; refuses genes that the source does not have."""
    if genes is None:
        return cells.vocab
    cells.vocab.tokens(genes)
    return GeneVocab(feature_id=tuple(genes))


def _is_current(cache: CachedCells, cells: CellSource, panel: GeneVocab, origin: Origin) -> bool:
    """Whether a cache holds what the source gives; False where it is to be built anew.

    Raises
    ------
    InputError
        It is of something else, which is not to be lost for a slip in the name of a folder.
    """
    held = cache.manifest.origin
    same_panel = panel == cache.vocab
    if same_panel and held.provenance == origin.provenance:
        return held.state == origin.state and gives(cells, cache)
    if held.place and held.place == origin.place:
        return False
    why = f"it was made from other cells: {apart(held.provenance, origin.provenance)}"
    raise refused(cache.folder, why if same_panel else other_genes(cache.vocab.feature_id, panel.feature_id))


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _built(
    cells: CellSource, target: Path, *, panel: GeneVocab, origin: Origin, part_cells: int, on_progress: OnProgress
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
        there = (target / MANIFEST).is_file()
        if not there or not _is_current(CachedCells(target), cells, panel, origin):
            _check_begun(work, origin, panel)
            _read_parts(cells, work, panel, part_cells=part_cells, on_progress=on_progress)
            parts, _ = parts_of(work, panel)
            joined = work / "joined"
            join_parts(parts, joined, origin=origin)
            if there:
                target.replace(work / "old")
            elif _is_empty_folder(target):
                target.rmdir()
            joined.replace(target)
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):  # Windows does not remove a file that another process waits with.
            lock.unlink()
    return CachedCells(target, genes=panel.feature_id, provenance=origin.provenance)


def _check_begun(work: Path, origin: Origin, panel: GeneVocab) -> None:
    """Refuse parts of other cells, drop those of the same file in another state; note what parts to come are of."""
    path = work / _MADE_FROM
    wanted = {"version": VERSION, "gpcp": __version__, **asdict(origin)}
    if not any(work.glob("part-*.npz")):
        write_json(path, {**wanted, "genes": list(panel.feature_id)})
        return
    held, genes = _made_from(path)
    differing = [name for name in wanted if str(held.get(name, "")) != str(wanted[name])]
    why = [f"its {name} is {apart(str(held.get(name, '')), str(wanted[name]))}" for name in differing]
    why += [] if genes == panel.feature_id else [other_genes(genes, panel.feature_id)]
    if not why:
        return
    same_file = bool(origin.place) and held.get("place") == origin.place
    if not {"version", "gpcp"}.intersection(differing) and (same_file or differing == ["state"]):
        for part in work.glob("part-*.npz"):
            part.unlink()
        write_json(path, {**wanted, "genes": list(panel.feature_id)})
        return
    raise _not_gone_on_with(work, why[0])


def _made_from(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the parts beside a note were made from."""
    if not path.is_file():
        raise _not_gone_on_with(path.parent, f"it has parts, but no {_MADE_FROM}")
    try:
        held = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        return {"version": held["version"], "gpcp": held["gpcp"], **held}, tuple(map(str, held["genes"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _not_gone_on_with(path.parent, f"{_MADE_FROM} is damaged") from None


def _not_gone_on_with(work: Path, why: str) -> InputError:
    return InputError(
        f"the unfinished cache {str(work)!r} cannot be gone on with: {why}; delete the folder or build elsewhere"
    )


def _read_parts(cells: CellSource, work: Path, panel: GeneVocab, *, part_cells: int, on_progress: OnProgress) -> None:
    """Write the parts that are missing."""
    parts, n_done = parts_of(work, panel)
    # A file may have changed since: what it no longer gives is read again.
    for part in parts[parts_given(cells, panel, parts) :]:
        part.path.unlink()
    parts, n_done = parts_of(work, panel)
    n_cells = n_cells_of(cells)
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
