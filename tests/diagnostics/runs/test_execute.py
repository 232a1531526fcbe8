"""Many runs: order, progress, what is kept, interrupts, workers that die, and a cluster."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diagnostics.runs.execute import Ended, WorkerDiedError, execute
from diagnostics.runs.store import ResultStore
from gpcp.core.errors import InputError
from tests.diagnostics.runs.cluster import local_cluster
from tests.diagnostics.runs.counting import Counting, count, count_or_die, count_or_refuse, times_carried_out

REPO = Path(__file__).resolve().parents[3]


def counted(folder: Path, numbers: range, **more: float) -> list[Counting]:
    return [Counting(number, str(folder), **more) for number in numbers]  # pyright: ignore[reportArgumentType]


def test_results_come_in_the_order_of_the_runs_and_the_most_expensive_starts_first(tmp_path: Path):
    runs = [Counting(0, str(tmp_path), 2), Counting(1, str(tmp_path), 5), Counting(2, str(tmp_path), 3)]
    ended: list[Ended] = []
    steps: list[tuple[int, int, float]] = []
    found = execute(
        runs,
        count,
        ResultStore(tmp_path / "runs.jsonl"),
        cost=lambda run: run.n_steps,
        on_run=ended.append,
        on_step=lambda *step: steps.append(step),
    )
    assert [record["number"] for record in found] == [0, 1, 2]
    assert [(one.index, one.resumed, one.n_left) for one in ended] == [(1, False, 2), (2, False, 1), (0, False, 0)]
    assert steps[-2:] == [(0, 1, 1.0), (0, 2, 0.5)]


def test_workers_give_the_same_and_tell_their_last_step(tmp_path: Path):
    runs, steps = counted(tmp_path, range(5)), list[tuple[int, int, float]]()
    found = execute(
        runs, count, ResultStore(tmp_path / "runs.jsonl"), workers=2, on_step=lambda *step: steps.append(step)
    )
    assert [record["number"] for record in found] == [0, 1, 2, 3, 4]
    assert {record["process"] for record in found} & {os.getpid()} == set()
    assert {(index, 2, 0.5) for index in range(5)} <= set(steps)
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_done_twice(tmp_path: Path, workers: int):
    store = ResultStore(tmp_path / "runs.jsonl")
    execute(counted(tmp_path, range(2)), count, store, workers=workers)
    ended: list[Ended] = []
    twice = counted(tmp_path, range(4)) + counted(tmp_path, range(4))
    found = execute(twice, count, store, workers=workers, on_run=ended.append)
    assert [record["number"] for record in found] == [0, 1, 2, 3] * 2
    assert times_carried_out(tmp_path) == dict.fromkeys(range(4), 1)
    assert sorted(one.index for one in ended) == list(range(8))
    assert {one.index for one in ended if one.resumed} == {0, 1, 4, 5}
    assert len(store.path.read_bytes().splitlines()) == 4


def test_fresh_does_the_runs_asked_for_anew_and_those_alone(tmp_path: Path):
    store = ResultStore(tmp_path / "runs.jsonl")
    execute(counted(tmp_path, range(3)), count, store)
    execute(counted(tmp_path, range(2)), count, store, fresh=True)
    assert times_carried_out(tmp_path) == {0: 2, 1: 2, 2: 1}
    assert len(store.read()) == 3


def test_fresh_drops_nothing_that_another_process_is_adding_to(tmp_path: Path):
    store = ResultStore(tmp_path / "runs.jsonl")
    execute(counted(tmp_path, range(2)), count, store)
    with store.locked(), pytest.raises(InputError, match="in use by process"):
        execute(counted(tmp_path, range(2)), count, ResultStore(store.path), fresh=True)
    assert len(store.read()) == 2


def test_an_error_of_a_run_ends_the_others_at_once_and_arrives(tmp_path: Path):
    runs = [Counting(0, str(tmp_path)), Counting(1, str(tmp_path), n_steps=1000, wait_s=1.0)]
    with pytest.raises(InputError, match="no good"):
        execute(runs, count_or_refuse, ResultStore(tmp_path / "runs.jsonl"), workers=2)
    assert multiprocessing.active_children() == []


def test_an_interrupt_keeps_what_is_done_and_waits_for_nothing(tmp_path: Path):
    runs = [Counting(0, str(tmp_path)), Counting(1, str(tmp_path), n_steps=1000, wait_s=1.0)]
    store = ResultStore(tmp_path / "runs.jsonl")

    def interrupt(ended: Ended) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(runs, count, store, workers=2, on_run=interrupt)
    assert list(store.read()) == [runs[0].key]
    assert multiprocessing.active_children() == []


def test_a_worker_that_dies_costs_its_own_run_alone(tmp_path: Path):
    store = ResultStore(tmp_path / "runs.jsonl")
    runs = counted(tmp_path, range(6))
    with pytest.raises(WorkerDiedError, match=r"that was doing count 1; .* the same command does the rest"):
        execute(runs, count_or_die, store, workers=2)
    assert sorted(record["number"] for record in store.read().values()) == [0, 2, 3, 4, 5]
    execute(runs, count, store, workers=2)
    assert times_carried_out(tmp_path) == dict.fromkeys(range(6), 1)


SCRIPT = """
import sys
from pathlib import Path
from diagnostics.runs.execute import execute
from diagnostics.runs.store import ResultStore
from tests.diagnostics.runs.cluster import local_cluster
from tests.diagnostics.runs.counting import Counting, count

if __name__ == "__main__":
    folder, scheduler = sys.argv[1], sys.argv[2] or None
    runs = [Counting(number, folder, n_steps=1, wait_s=0.3) for number in range(8)]
    execute(runs, count, ResultStore(Path(folder) / "runs.jsonl"), workers=2, scheduler=scheduler,
            on_run=lambda ended: print(ended.index, flush=True))
"""


def killed_after_three_runs(folder: Path, scheduler: str = "") -> None:
    """Start eight runs in a process of their own and kill it when three have ended."""
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(folder / "script.py"), str(folder), scheduler]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.kill()


def test_killed_half_way_it_goes_on_and_its_workers_do_not_outlive_it(tmp_path: Path):
    killed_after_three_runs(tmp_path)
    store = ResultStore(tmp_path / "runs.jsonl")
    kept = store.read()
    assert 3 <= len(kept) < 8
    # Longer than a run: what its workers were doing goes on no more.
    time.sleep(0.7)
    started = times_carried_out(tmp_path)
    time.sleep(0.7)
    assert times_carried_out(tmp_path) == started
    runs = [Counting(number, str(tmp_path), n_steps=1, wait_s=0.3) for number in range(8)]
    execute(runs, count, store, workers=2)
    assert sorted(record["number"] for record in store.read().values()) == list(range(8))
    assert len(store.path.read_bytes().splitlines()) == 8
    assert all(times_carried_out(tmp_path)[record["number"]] == 1 for record in kept.values())


BORN = """
import signal
from diagnostics.runs.workers import ProcessWorkers

if __name__ == "__main__":
    with ProcessWorkers(1) as workers:
        print(workers.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result() >= {signal.SIGINT, signal.SIGTERM})
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""


def test_a_worker_is_born_with_the_signals_of_its_parent_blocked(repo: Path):
    # In a process of its own: the first worker is the one that a tracker of resources is started for.
    command = [sys.executable, "-c", BORN]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\nset()\n", "")


def test_an_unknown_scheduler_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"^--scheduler 'nothing://here': no Dask scheduler answers there"):
        execute(counted(tmp_path, range(2)), count, ResultStore(tmp_path / "runs.jsonl"), scheduler="nothing://here")


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'gpcp\[cluster\]'"):
        execute(counted(tmp_path, range(2)), count, ResultStore(tmp_path / "runs.jsonl"), scheduler="tcp://x:1")


@pytest.mark.slow
def test_a_cluster_does_the_same_dies_the_same_and_goes_on_the_same(tmp_path: Path):
    for name in ("whole", "dead", "killed"):
        (tmp_path / name).mkdir()
    with local_cluster(tmp_path) as address:
        store = ResultStore(tmp_path / "whole" / "runs.jsonl")
        found = execute(counted(tmp_path / "whole", range(6)), count, store, scheduler=address)
        assert [record["number"] for record in found] == list(range(6))
        assert len({record["process"] for record in found} - {os.getpid()}) == 2

        folder = tmp_path / "killed"
        killed_after_three_runs(folder, address)
        store = ResultStore(folder / "runs.jsonl")
        kept = store.read()
        assert 3 <= len(kept) < 8
        runs = [Counting(number, str(folder), n_steps=1, wait_s=0.3) for number in range(8)]
        execute(runs, count, store, scheduler=address)
        assert len(store.path.read_bytes().splitlines()) == len(store.read()) == 8
        assert all(times_carried_out(folder)[record["number"]] == 1 for record in kept.values())

        store = ResultStore(tmp_path / "dead" / "runs.jsonl")
        with pytest.raises(WorkerDiedError, match="that was doing count 1; all else is done"):
            execute(counted(tmp_path / "dead", range(6)), count_or_die, store, scheduler=address)
        assert sorted(record["number"] for record in store.read().values()) == [0, 2, 3, 4, 5]
