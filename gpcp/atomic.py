"""Files that are there whole or not at all: written beside their place under a passing name, then moved onto it."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file in the folder of ``path``, then move it onto ``path``.

    A reader sees the old file or the new one, and a failure or an interrupt leaves the old one alone. The folder
    is made where it is missing.
    """
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


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; see :func:`write_with`."""

    def write(passing: Path) -> None:
        passing.write_text(text, encoding="utf-8")

    write_with(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; NaN and infinity, which other parsers refuse, are refused here."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
