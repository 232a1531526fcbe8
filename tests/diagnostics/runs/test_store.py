"""The file of results: appended to, read back, cut where a kill tore it, and of one process at a time."""

import json
from pathlib import Path

import pytest

from diagnostics.runs.store import ResultStore
from gpcp.core.errors import InputError


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
    with store.locked(), pytest.raises(InputError, match="another process is adding results"), store.locked():
        pass
    with store.locked():
        pass
    assert [*store.path.parent.iterdir()] == []
