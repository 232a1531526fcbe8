"""One command at a time in a folder: a lock that ends with the process that holds it, and says who that is."""

import os
import platform
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from gpcp.core.errors import InputError


@contextmanager
def alone(path: Path, what: str) -> Generator[None]:
    """Hold a lock, and leave nothing of it behind: of folders that were made for it, those that stay empty go too.

    Parameters
    ----------
    path : Path
        Of the lock; the system frees it when its holder dies.
    what : str
        What it guards; it begins the message.

    Raises
    ------
    InputError
        Another process holds it; the message says which, and since when.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the lock, which whoever tries to take it empties.
    holder = path.with_suffix(".holder")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{what} is in use by {_named(holder)}: wait until it has ended, or write to another folder"
        ) from None
    try:
        with suppress(OSError):
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            holder.write_text(f"process {os.getpid()} on {platform.node()} since {since}", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
            path.unlink()
        lock.release()
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _named(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"
