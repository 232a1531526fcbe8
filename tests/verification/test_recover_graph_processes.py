"""Worker processes change nothing but the time: the same runs in one process and in two."""

import json
from pathlib import Path

import pytest

from tests.diagnostics.commands.verbs import calling

main = calling("recover-graph")


pytestmark = pytest.mark.slow

TINY = ["--world", "chain/4", "--regime", "matched", "--seeds", "0", "1", "--steps", "6", "--quiet"]


def test_two_worker_processes_give_what_one_gives(tmp_path: Path) -> None:
    rows = []
    for n_jobs in ("1", "2"):
        main([*TINY, "--workers", n_jobs, "--out", str(tmp_path / n_jobs)])
        found = json.loads((tmp_path / n_jobs / "results.json").read_text())["regimes"]
        rows.append([{key: row[key] for key in set(row) - {"seconds", "train_seconds"}} for row in found])
    assert rows[0] == rows[1]
