"""What changes when the files of a source do: results are kept under it, and made anew where it is another."""

import hashlib
from functools import lru_cache
from pathlib import Path

from gpcp.opening.cells import scheme_and_place
from gpcp.sources.h5ad.files.open_file import files_of

KNOWN_WHOLE = 4 << 30
"""Bytes up to which files are known by what they hold: some seconds, and less than it takes to read cells from them."""

_CHUNK = 1 << 24


def stamp_of(text: str, **options: object) -> str:
    """What changes when the files of a local source do; nothing for a source elsewhere.

    Files are known by what they hold, so that neither a copy is another source nor one whose date was put back the
    same. Beyond :data:`KNOWN_WHOLE` they are known by their names, sizes and dates.

    Parameters
    ----------
    text : str
        As :func:`gpcp.opening.cells.open_cells` takes it.
    **options
        Of the source: those that name a file, such as a table of genes, decide the cells, too.

    Raises
    ------
    InputError
        The text names no source.
    """
    named = [options[name] for name in sorted(options)]
    tables = [Path(one) for one in named if isinstance(one, (str, Path)) and _is_file(Path(one))]
    stamps = [_stamp(place) for place in (Path(scheme_and_place(text)[1]), *tables)]
    if not any(stamps):
        return ""
    return stamps[0] if not any(stamps[1:]) else _digest("|".join(stamps).encode())


def shared_stamp_of(text: str, **options: object) -> str:
    """The stamp as far as it is that of every copy of the files, on any machine: nothing where dates are part of it."""
    place = Path(scheme_and_place(text)[1])
    return stamp_of(text, **options) if sum(size for _, size, *_ in _files(place)) <= KNOWN_WHOLE else ""


def _stamp(place: Path) -> str:
    """Of one file, or of all files of a folder; nothing where there is none."""
    files = _files(place)
    base = place if place.is_dir() else place.parent
    whole = sum(size for _, size, *_ in files) <= KNOWN_WHOLE
    known = [
        (name, size, _held(base / name if name else place, size, *dates) if whole else dates)
        for name, size, *dates in files
    ]
    return _digest(repr(known).encode()) if known else ""


def _files(place: Path) -> list[tuple[str, int, int, int]]:
    """Name within the place, bytes, and the dates of contents and of the entry; a file alone has no name."""
    if not place.exists():
        return []
    files, base = files_of(place), place if place.is_dir() else place.parent
    names = ["" if path == place else path.relative_to(base).as_posix() for path in files]
    about = [path.stat() for path in files]
    return [(name, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for name, one in zip(names, about, strict=True)]


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):  # A text that is no path at all.
        return False


@lru_cache(maxsize=4096)
def _held(path: Path, size: int, changed_ns: int, entry_ns: int) -> str:
    """Digest of what a file holds, read once in a process while nothing about it changes."""
    del size, changed_ns, entry_ns
    summed = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            summed.update(piece)
    return summed.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
