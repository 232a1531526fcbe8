"""Whose checkpoint lies in a folder, and which results are taken as they are."""

import json
from pathlib import Path

from diagnostics.runs.folder import ARRAYS, CHECKPOINT, SETTINGS, begin_folder, keep_results
from diagnostics.runs.store import ResultStore


class Asked:
    """A run with a key of JSON."""

    def __init__(self, note: str, name: str = "one") -> None:
        self.key, self.name = json.dumps({"note": note}), name


def carried_out(run: Asked, out: Path, store: ResultStore) -> None:
    begin_folder(out / run.name, run)
    for name in (CHECKPOINT, ARRAYS):
        (out / run.name / name).touch()
    store.add({"key": run.key})


def test_a_checkpoint_is_for_the_same_run_alone(tmp_path: Path):
    folder = tmp_path / "one"
    begin_folder(folder, Asked("a"))
    (folder / CHECKPOINT).touch()
    begin_folder(folder, Asked("a"))
    assert (folder / CHECKPOINT).exists()
    begin_folder(folder, Asked("b"))
    assert not (folder / CHECKPOINT).exists()
    assert json.loads((folder / SETTINGS).read_text()) == {"note": "b"}


def test_a_result_is_kept_while_its_folder_is_its_own(tmp_path: Path):
    store, first, second = ResultStore(tmp_path / "runs.jsonl"), Asked("a"), Asked("b", "two")
    for run in (first, second):
        carried_out(run, tmp_path, store)
    keep_results([first, second], store, tmp_path, resume=True)
    assert list(store.read()) == [first.key, second.key]
    # Another run takes the folder of the first.
    begin_folder(tmp_path / "one", Asked("c"))
    keep_results([first, second], store, tmp_path, resume=True)
    assert list(store.read()) == [second.key]
    (tmp_path / "two" / ARRAYS).unlink()
    keep_results([first, second], store, tmp_path, resume=True)
    assert list(store.read()) == []


def test_without_resume_results_and_checkpoints_of_these_runs_go(tmp_path: Path):
    store, first, second = ResultStore(tmp_path / "runs.jsonl"), Asked("a"), Asked("b", "two")
    for run in (first, second):
        carried_out(run, tmp_path, store)
    keep_results([first], store, tmp_path, resume=False)
    assert list(store.read()) == [second.key]
    assert not (tmp_path / "one" / CHECKPOINT).exists()
    assert (tmp_path / "two" / CHECKPOINT).exists()
