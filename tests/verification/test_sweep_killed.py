"""A sweep of 24 trials, killed half-way and gone on with by two workers: 24 distinct trials, each trained once."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from gpcp.search.storage import SweepStore
from tests.source_tree import REPO

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "diagnostics", "sweep", "--source", "synthetic:scale_free/5", "--quiet"]
COMMAND += ["--over", "learning_rate", "dropout=0..0.5", "width=8,16", "--set", "n_heads=2"]
COMMAND += ["--trials", "24", "--seeds", "2", "--epochs", "2", "--epoch-pairs", "512", "--held-out", "200"]


def _n_finished(journal: Path) -> int:
    if not journal.exists():
        return 0
    store = SweepStore(str(journal), "sweep")
    if store.settings() is None:
        return 0
    return sum(trial.state.is_finished() for trial in store.trials())


@pytest.mark.parametrize(
    ("by", "workers"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGINT, 2)], ids=["kill", "kill 2", "int 2"]
)
def test_nothing_is_lost_and_nothing_is_done_twice(tmp_path: Path, by: signal.Signals, workers: int):
    command = [*COMMAND, "--out", str(tmp_path)]
    journal = tmp_path / "sweep.journal"
    first = subprocess.Popen([*command, "--workers", str(workers)], cwd=REPO)
    until_s = time.monotonic() + 240
    while _n_finished(journal) < 12 and first.poll() is None and time.monotonic() < until_s:
        time.sleep(0.05)
    first.send_signal(by)
    assert first.wait(timeout=60) == (130 if by == signal.SIGINT else -by)
    n_done = _n_finished(journal)
    assert 12 <= n_done < 24

    ended = subprocess.run([*command, "--workers", "2"], cwd=REPO, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    content = json.loads((tmp_path / "sweep.json").read_text())
    assert [trial["slot"] for trial in content["trials"]] == list(range(24))
    configurations = {json.dumps(trial["values"], sort_keys=True) for trial in content["trials"]}
    assert len(configurations) == 24
    assert all(trial["outcome"] in ("finished", "worse", "flat", "diverged") for trial in content["trials"])

    # The journal tells every training that was recorded, by whomever: each of a trial and a seed once.
    store = SweepStore(str(journal), "sweep")
    store.settings()
    assert store.study is not None
    assert len(store.study.trials) == 24
    recorded: Counter[tuple[int, str]] = Counter()
    seen: dict[int, set[str]] = {}
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        done = entry.get("user_attr", {}).get("replicates")
        if done is not None:
            new = set(done) - seen.setdefault(entry["trial_id"], set())
            assert len(new) == 1, "each record adds one training"
            seen[entry["trial_id"]] |= new
            recorded.update((entry["trial_id"], seed) for seed in new)
    assert set(recorded.values()) == {1}
    writers = {entry["worker_id"] for line in journal.read_text().splitlines() if (entry := json.loads(line))}
    assert len(writers) >= 3


def test_two_commands_on_one_journal_share_the_trials(tmp_path: Path):
    command = [*COMMAND, "--storage", str(tmp_path / "shared.journal")]
    both = [
        subprocess.Popen([*command, "--out", str(tmp_path / name)], cwd=REPO, stdout=subprocess.DEVNULL)
        for name in ("one", "two")
    ]
    assert [one.wait(timeout=300) for one in both] == [0, 0]
    store = SweepStore(str(tmp_path / "shared.journal"), "sweep")
    store.settings()
    assert store.study is not None
    assert len(store.study.trials) == 24
    assert all(trial.state.is_finished() for trial in store.study.trials)
    owners = Counter(trial.user_attrs["owner"]["pid"] for trial in store.trials())
    assert len(owners) == 2
