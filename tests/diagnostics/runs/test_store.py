"""The file of results: appended to, read back, mended where it was torn or damaged, and of one process at a time."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.runs.lock import alone
from diagnostics.runs.store import ResultStore
from gpcp.core.errors import InputError, InputWarning
from tests.full_disk import files_of_at_most


def test_lines_are_read_back_and_a_torn_one_is_dropped(tmp_path: Path):
    store = ResultStore(tmp_path / "runs.jsonl")
    assert store.read() == {}
    assert store.add({"key": "a", "pair": (1, 2)}) == {"key": "a", "pair": [1, 2]}
    with store.path.open("ab") as file:
        file.write(b'{"key": "b", ')
    assert store.read() == {"a": {"key": "a", "pair": [1, 2]}}
    store.add({"key": "c", "n": 2})
    assert list(store.read()) == ["a", "c"]


def test_what_is_dropped_is_gone_from_the_file(tmp_path: Path):
    store = ResultStore(tmp_path / "runs.jsonl")
    for key in "abc":
        store.add({"key": key})
    store.drop({"b", "z"})
    assert [json.loads(line)["key"] for line in store.path.read_bytes().splitlines()] == ["a", "c"]


def test_two_at_a_time_are_refused_and_nothing_is_left_behind(tmp_path: Path):
    store = ResultStore(tmp_path / "new" / "runs.jsonl")
    with store.locked(), pytest.raises(InputError, match="in use by process"), store.locked():
        pass
    with store.locked():
        pass
    assert [*tmp_path.iterdir()] == []


def test_a_line_that_is_no_record_is_named_and_its_run_done_again(tmp_path: Path):
    store = ResultStore(tmp_path / "runs.jsonl")
    for key in "abc":
        store.add({"key": key})
    first, second, third = store.path.read_bytes().splitlines(keepends=True)
    store.path.write_bytes(first + second[:7] + third + b"[1]\n")
    with pytest.warns(InputWarning, match=r"runs\.jsonl: no record in line 2, 3: cut out"):
        assert list(store.read()) == ["a"]
    assert list(store.read()) == ["a"]
    store.add({"key": "b"})
    assert list(store.read()) == ["a", "b"]


def test_what_a_full_disk_cuts_short_is_undone(tmp_path: Path):
    store = ResultStore(tmp_path / "runs.jsonl")
    store.add({"key": "a"})
    whole = store.path.read_bytes()
    with files_of_at_most(len(whole) + 10), pytest.raises(OSError, match="too large") as raised:
        store.add({"key": "b", "text": "x" * 100})
    assert raised.value.filename == str(store.path)
    assert store.path.read_bytes() == whole
    store.add({"key": "b"})
    assert list(store.read()) == ["a", "b"]


def test_the_holder_is_named_and_nothing_is_left_of_folders_made_for_a_lock(tmp_path: Path):
    lock = tmp_path / "new" / "folder" / ".lock"
    with alone(lock, what="the folder"), pytest.raises(InputError) as refused, alone(lock, what="the folder"):
        pass
    assert str(refused.value).startswith(f"the folder is in use by process {os.getpid()} on {platform.node()} since ")
    assert [*tmp_path.iterdir()] == []


def test_a_lock_whose_holder_died_is_free(tmp_path: Path, repo: Path):
    lock = tmp_path / ".lock"
    script = f"""
import os, pathlib
from diagnostics.runs.lock import alone
with alone(pathlib.Path({str(lock)!r}), what="the folder"):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=repo, check=False).returncode == 9
    assert lock.exists()
    with alone(lock, what="the folder"):
        pass
    assert [*tmp_path.iterdir()] == []
