"""The folder of one training: checkpoint, history and arrays, which belong to the run whose key lies beside them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from diagnostics.runs.execute import Run
from diagnostics.runs.store import ResultStore
from gpcp.core.files import write_json

SETTINGS, CHECKPOINT, HISTORY, ARRAYS = "settings.json", "checkpoint.pt", "history.json", "arrays.npz"

_DIGITS = 8


def folder_of(out: Path, run: Run) -> Path:
    """The run's own folder below ``out``, which need not be there yet.

    It has the run's name; where a run of other settings has that already, a digest of the settings behind it, so that
    nothing of another run is lost.
    """
    plain = out / run.name
    own = out / f"{run.name}-{hashlib.sha256(run.key.encode()).hexdigest()[:_DIGITS]}"
    if _belongs(own, run) or not (_belongs(plain, run) or _is_free(plain)):
        return own
    return plain


def begin_folder(out: Path, run: Run) -> Path:
    """Make the run's folder ready, and give it: what lies there stays if it is of the run, else it is nobody's."""
    folder = folder_of(out, run)
    if not _belongs(folder, run):
        _clear(folder)
        write_json(folder / SETTINGS, json.loads(run.key))
    return folder


def keep_results(runs: Sequence[Run], store: ResultStore, out: Path, *, resume: bool) -> None:
    """Drop the results that are not to be taken as they are, each run's folder being :func:`folder_of` it.

    Without ``resume`` these are the results of all the runs, their checkpoints too; with it those alone whose folder
    has lost its files.
    """
    with store.locked():
        if not resume:
            for run in runs:
                _clear(folder_of(out, run))
        folders = {run.key: folder_of(out, run) for run in runs}
        whole = {run.key for run in runs if _belongs(folders[run.key], run) and (folders[run.key] / ARRAYS).exists()}
        store.drop({run.key for run in runs} - whole)


def _belongs(folder: Path, run: Run) -> bool:
    try:
        kept = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return kept == json.loads(run.key)


def _is_free(folder: Path) -> bool:
    return not (folder / SETTINGS).exists()


def _clear(folder: Path) -> None:
    """Remove the files of a run, whose settings go first: without them the others are nobody's."""
    for name in (SETTINGS, CHECKPOINT, HISTORY, ARRAYS):
        (folder / name).unlink(missing_ok=True)
