"""Files: atomic writes, values as JSON, and the paths that callers name, checked before any work is done."""

import json
import math
import os
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from gpcp.core.errors import InputError, nearest


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file in the folder of ``path``, then move it onto ``path``.

    A reader sees the old file or the new one, and a failure or an interrupt leaves the old one alone. The folder
    is made where it is missing.

    Raises
    ------
    OSError
        It cannot be written, as on a full disk; the error names ``path`` and the reason.
    """
    with errors_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        passing = Path(name)
        try:
            write(passing)
            # mkstemp makes files that only their owner may read; results are as readable as any other file.
            passing.chmod(0o666 & ~_umask())
            passing.replace(path)
        finally:
            passing.unlink(missing_ok=True)


@contextmanager
def errors_named(path: Path) -> Generator[None]:
    """Let errors of the system name the file that was to be written, not one on the way to it, or none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; see :func:`write_with`."""

    def write(passing: Path) -> None:
        passing.write_text(text, encoding="utf-8")

    write_with(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, as :func:`to_json` converts it."""
    write_text(path, json.dumps(to_json(value), indent=2, allow_nan=False) + "\n")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def existing_file(path: str | Path, *, what: str) -> Path:
    """The file that ``path`` names.

    Parameters
    ----------
    path : str or Path
        As the caller gave it.
    what : str
        What the file is to the caller, such as ``"AnnData file"``; it begins the message.

    Returns
    -------
    Path
        ``path`` itself, known to be a file.

    Raises
    ------
    InputError
        It does not exist, or is a folder; the message names the nearest file, or the nearest folder.
    """
    wanted = Path(path)
    if wanted.is_file():
        return wanted
    if wanted.is_dir():
        kept = sorted(entry.name for entry in wanted.iterdir() if entry.is_file())
        raise InputError(f"{what} {str(path)!r} is a folder: name a file in it ({nearest(wanted.name, kept)})")
    folder = wanted.parent
    if folder.is_dir():
        kept = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
        raise InputError(f"{what} {str(path)!r} does not exist; in its folder, {nearest(wanted.name, kept)}")
    known = folder
    while not known.is_dir():
        known = known.parent
    missing = folder.relative_to(known).parts[0]
    below = sorted(entry.name for entry in known.iterdir() if entry.is_dir())
    raise InputError(
        f"{what} {str(path)!r} does not exist: {str(known)!r} has no folder {missing!r}; {nearest(missing, below)}"
    )


def check_folder(path: Path, flag: str = "--out") -> None:
    """Refuse a folder that nothing can be written to; it may be missing.

    Raises
    ------
    InputError
        A file stands where the folder or one above it should be, or it cannot be written in.
    """
    existing = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise InputError(f"{flag}: {existing} is a file, not a folder; name another place")
    if not os.access(existing, os.W_OK):
        raise InputError(f"{flag}: nothing can be written in {existing}; name another place")


def check_file(path: Path | None, flag: str = "--json") -> None:
    """Refuse a file that cannot be written; None is none.

    Raises
    ------
    InputError
        It is a folder, or as :func:`check_folder` for the folder that it is to lie in.
    """
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{flag}: {path} is a folder; name a file in it")
    check_folder(path.parent, flag)


def to_json(value: object) -> Any:
    """A value as JSON's types; a float that is not finite becomes None, since JSON has no word for it.

    Parameters
    ----------
    value : object
        Dataclasses become objects of their fields; mappings, objects with their keys as text; sequences and arrays,
        lists; numpy's scalars, numbers; paths, text. What is none of these stays as it is.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return to_json(cast("object", value.tolist()))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_json(one) for name, one in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [to_json(one) for one in cast("Sequence[object]", value)]
    return str(value) if isinstance(value, Path) else value
