"""The folder of one training: checkpoint, history and arrays, which belong to the run whose key lies beside them."""

import json
from collections.abc import Sequence
from pathlib import Path

from diagnostics.runs.execute import Run
from diagnostics.runs.store import ResultStore
from gpcp.core.files import write_json

SETTINGS, CHECKPOINT, HISTORY, ARRAYS = "settings.json", "checkpoint.pt", "history.json", "arrays.npz"


def begin_folder(folder: Path, run: Run) -> None:
    """Make the folder ready: what lies there stays if it is of the same run, and is removed if it is of another."""
    if not _belongs(folder, run):
        _clear(folder)
        write_json(folder / SETTINGS, json.loads(run.key))


def keep_results(runs: Sequence[Run], store: ResultStore, out: Path, *, resume: bool) -> None:
    """Drop the results that are not to be taken as they are, each run's folder being ``out / run.name``.

    Without ``resume`` these are the results of all the runs, their checkpoints too; with it those alone whose folder
    has been taken by another run since, or has lost its files.
    """
    with store.locked():
        if not resume:
            for run in runs:
                _clear(out / run.name)
        whole = {run.key for run in runs if _belongs(out / run.name, run) and (out / run.name / ARRAYS).exists()}
        store.drop({run.key for run in runs} - whole)


def _belongs(folder: Path, run: Run) -> bool:
    path = folder / SETTINGS
    return path.exists() and json.loads(path.read_text(encoding="utf-8")) == json.loads(run.key)


def _clear(folder: Path) -> None:
    for name in (SETTINGS, CHECKPOINT, HISTORY, ARRAYS):
        (folder / name).unlink(missing_ok=True)
