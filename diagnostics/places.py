"""Where a command may write: asked before an hour of work ends there."""

import os
from pathlib import Path

from gpcp.errors import InputError


def check_writable(out: Path, json_file: Path | None) -> None:
    """Refuse places that nothing can be written to.

    Parameters
    ----------
    out : Path
        A folder, which may be missing.
    json_file : Path, optional

    Raises
    ------
    InputError
        A place lies below a file, cannot be written in, or the file is a folder.
    """
    for path, what in ((out, "--out"), (json_file.parent if json_file else out, "--json")):
        existing = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
        if not existing.is_dir():
            raise InputError(f"{what}: {existing} is a file, not a folder; name another place")
        if not os.access(existing, os.W_OK):
            raise InputError(f"{what}: nothing can be written in {existing}; name another place")
    if json_file is not None and json_file.is_dir():
        raise InputError(f"--json: {json_file} is a folder; name a file in it")
