"""Where a command may write: asked before an hour of work ends there."""

import os
from pathlib import Path

from gpcp.errors import InputError


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
