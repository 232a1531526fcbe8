"""Files that a caller names: found, or refused with the nearest one that exists."""

from pathlib import Path

from gpcp.errors import InputError, nearest


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
