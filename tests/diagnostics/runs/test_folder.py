"""Whose checkpoint lies in a folder, and which results are taken as they are."""

import json
from pathlib import Path

from diagnostics.runs.folder import ARRAYS, CHECKPOINT, SETTINGS, begin_folder, keep_results
from diagnostics.runs.store import ResultStore


class Asked:
    """A run with a key of JSON."""

    def __init__(self, note: str) -> None:
        self.key, self.name = json.dumps({"note": note}), "one"


def carried_out(run: Asked, out: Path, store: ResultStore) -> Path:
    folder = begin_folder(out, run)
    for name in (CHECKPOINT, ARRAYS):
        (folder / name).touch()
    store.add({"key": run.key})
    return folder


def test_runs_of_one_name_and_other_settings_have_folders_of_their_own(tmp_path: Path):
    store, runs = ResultStore(tmp_path / "runs.jsonl"), [Asked(note) for note in "abc"]
    folders = [carried_out(run, tmp_path, store) for run in runs]
    assert folders[0] == tmp_path / "one"
    assert len(set(folders)) == 3
    assert [json.loads((folder / SETTINGS).read_text())["note"] for folder in folders] == list("abc")
    # Whichever is asked for again finds what it left, in any order.
    for run, folder in reversed([*zip(runs, folders, strict=True)]):
        assert begin_folder(tmp_path, run) == folder
        assert (folder / CHECKPOINT).exists()


def test_a_folder_that_lost_its_settings_is_nobodys_and_one_with_others_stays(tmp_path: Path):
    store = ResultStore(tmp_path / "runs.jsonl")
    folder = carried_out(Asked("a"), tmp_path, store)
    (folder / SETTINGS).write_text("{")
    assert begin_folder(tmp_path, Asked("b")) != folder
    assert (folder / CHECKPOINT).exists()
    (folder / SETTINGS).unlink()
    assert begin_folder(tmp_path, Asked("c")) == folder
    assert not (folder / CHECKPOINT).exists()


def test_a_result_is_kept_while_its_folder_is_whole(tmp_path: Path):
    store, first, second = ResultStore(tmp_path / "runs.jsonl"), Asked("a"), Asked("b")
    folders = [carried_out(run, tmp_path, store) for run in (first, second)]
    keep_results([first, second], store, tmp_path, resume=True)
    assert list(store.read()) == [first.key, second.key]
    (folders[1] / ARRAYS).unlink()
    keep_results([first, second], store, tmp_path, resume=True)
    assert list(store.read()) == [first.key]


def test_without_resume_results_and_checkpoints_of_these_runs_go(tmp_path: Path):
    store, first, second = ResultStore(tmp_path / "runs.jsonl"), Asked("a"), Asked("b")
    folders = [carried_out(run, tmp_path, store) for run in (first, second)]
    keep_results([first], store, tmp_path, resume=False)
    assert list(store.read()) == [second.key]
    assert [(folder / CHECKPOINT).exists() for folder in folders] == [False, True]
