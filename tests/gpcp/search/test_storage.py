"""Trials in a storage: planned exactly, claimed once, taken over from the dead, and never mixed with others."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from gpcp.core.errors import InputError
from gpcp.search.storage import SILENT_S, SweepStore, open_storage
from gpcp.search.trial import pruner
from tests.source_tree import REPO

SETTINGS: dict[str, Any] = {"source": "a", "_start_loss": 1.0}


def _random(slot: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=slot)


def _store(place: Path | str, name: str = "sweep") -> SweepStore:
    return SweepStore(str(place), name)


def _finish(store: SweepStore, trial: optuna.Trial) -> None:
    trial.suggest_float("x", 0, 1)
    trial.study.tell(trial, 1.0)
    assert trial.user_attrs["owner"]


def _slots(store: SweepStore) -> list[int]:
    return [trial.user_attrs["slot"] for trial in store.trials()]


@settings(max_examples=10)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4), n_points=st.integers(0, 6))
def test_planning_adds_what_is_missing_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], n_points: int
):
    place = tmp_path_factory.mktemp("plan") / "a.journal"
    points = [{"x": slot / 10} for slot in range(n_points)]
    most = 0
    for size in sorted(sizes):
        store = _store(place)
        store.plan(SETTINGS, points if not most else [{"x": 0.99}], size)
        most = max(most, size)
        assert _slots(store) == list(range(most))
    fixed = [trial.system_attrs["fixed_params"] for trial in _planned(place, most).trials()]
    assert fixed == [points[slot] if slot < n_points else {} for slot in range(most)]


def _planned(place: Path | str, n: int, points: list[dict[str, Any]] | None = None) -> SweepStore:
    store = _store(place)
    store.plan(SETTINGS, points or [], n)
    return store


def test_each_trial_is_claimed_once_by_however_many(tmp_path: Path):
    place = tmp_path / "a.journal"
    _planned(place, 12)

    def worker(_: int) -> list[int]:
        store, mine = _planned(place, 12), list[int]()
        while (trial := store.claim(_random, pruner())) is not None:
            mine.append(trial.number)
            time.sleep(0.002)
            _finish(store, trial)
        return mine

    with ThreadPoolExecutor(3) as pool:
        claimed = [number for mine in pool.map(worker, range(3)) for number in mine]
    assert sorted(claimed) == list(range(12))
    assert all(trial.state == TrialState.COMPLETE for trial in _planned(place, 12).trials())


@pytest.mark.slow
def test_a_trial_of_a_process_that_is_gone_is_taken_over_with_what_it_had(tmp_path: Path):
    place = tmp_path / "a.journal"
    code = (
        "import sys, os; from tests.gpcp.search.test_storage import _planned, _random, pruner\n"
        f"store = _planned({str(place)!r}, 2)\n"
        "trial = store.claim(_random, pruner()); trial.suggest_float('x', 0, 1); trial.report(0.5, 0); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=REPO).returncode == 9
    store = _planned(place, 2)
    left = store.trials()[0]
    assert left.state == TrialState.RUNNING
    trial = store.claim(_random, pruner())
    assert trial is not None
    assert trial.number == left.number
    assert trial.params == left.params
    assert store.trials()[0].intermediate_values == {0: 0.5}


def test_a_trial_of_a_process_that_lives_is_left_to_it(tmp_path: Path):
    store = _planned(tmp_path / "a.journal", 2)
    first, second = (store.claim(_random, pruner()) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.number != second.number
    assert store.claim(_random, pruner()) is None
    assert store.n_left() == 2


@pytest.mark.parametrize(("silent_s", "taken"), [(SILENT_S - 60, False), (SILENT_S + 1, True)])
def test_a_worker_elsewhere_is_dead_when_it_has_been_silent(tmp_path: Path, silent_s: float, taken: bool):
    store = _planned(tmp_path / "a.journal", 1)
    trial = store.claim(_random, pruner())
    assert trial is not None
    trial.set_user_attr("owner", {"host": "another", "pid": 1, "at": time.time() - silent_s})
    assert (store.claim(_random, pruner()) is not None) == taken
    if not taken:
        trial.set_user_attr("owner", {"host": "another", "pid": 1, "at": 0.0})
        store.keep_alive(trial)
        assert store.claim(_random, pruner()) is None


def test_what_is_given_back_waits_again(tmp_path: Path):
    store = _planned(tmp_path / "a.journal", 1)
    trial = store.claim(_random, pruner())
    assert trial is not None
    value = trial.suggest_float("x", 0, 1)
    store.release(trial)
    again = store.claim(_random, pruner())
    assert again is not None
    assert again.suggest_float("x", 0, 1) == value


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path):
    place = tmp_path / "a.journal"
    _planned(place, 3)
    whole = place.read_bytes()
    place.write_bytes(whole + b'{"op_code":5,"trial_')
    assert _slots(_planned(place, 4)) == [0, 1, 2, 3]
    assert place.read_bytes().startswith(whole)


def test_other_settings_are_refused_and_the_difference_named(tmp_path: Path):
    place = tmp_path / "a.journal"
    _planned(place, 3)
    store = _store(place)
    with pytest.raises(InputError, match=r"another source \(a, now b\)"):
        store.plan({**SETTINGS, "source": "b"}, [], 3)
    with pytest.raises(InputError, match="has 3 trials, more than the 2"):
        store.plan(SETTINGS, [], 2)
    assert store.plan({**SETTINGS, "_start_loss": 2.0}, [], 3)["_start_loss"] == 1.0
    assert _store(place, "another").settings() is None


def test_a_slot_that_two_have_planned_at_once_is_run_once(tmp_path: Path):
    store = _planned(f"sqlite:///{tmp_path}/a.db", 2)
    assert store.study is not None
    store.study.enqueue_trial({}, user_attrs={"slot": 1})
    numbers = [trial.number for _ in range(3) if (trial := store.claim(_random, pruner())) is not None]
    assert numbers == [0, 1]


def test_a_database_keeps_trials_too(tmp_path: Path):
    place = f"sqlite:///{tmp_path}/a.db"
    store = _planned(place, 2)
    trial = store.claim(_random, pruner())
    assert trial is not None
    store.release(trial)
    for _ in range(2):
        trial = store.claim(_random, pruner())
        assert trial is not None
        _finish(store, trial)
    assert _planned(place, 2).n_left() == 0


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[str]:
    """Optuna's own storage proxy before a journal, in a process of its own."""
    import socket

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from optuna.storages import run_grpc_proxy_server\nfrom gpcp.search.storage import open_storage\n"
        f"run_grpc_proxy_server(open_storage({str(tmp_path / 'a.journal')!r}), host='localhost', port={port})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPO)
    try:
        yield f"grpc://localhost:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_workers_share_a_sweep_through_optunas_proxy(proxy: str):
    until_s = time.monotonic() + 60
    while True:
        try:
            store = _planned(proxy, 6)
            break
        except (InputError, Exception):  # the server is not there yet
            if time.monotonic() > until_s:
                raise
            time.sleep(0.5)
    other = _planned(proxy, 6)
    numbers: list[int] = []
    for one in (store, other, other, store, other, store):
        trial = one.claim(_random, pruner())
        assert trial is not None
        numbers.append(trial.number)
        _finish(one, trial)
    assert numbers == list(range(6))
    assert store.claim(_random, pruner()) is None


@pytest.mark.parametrize("place", ["nosuchdb://host/a", "grpc://localhost:port"])
def test_a_storage_that_cannot_be_opened_says_so(place: str):
    with pytest.raises(InputError, match="cannot be opened"):
        open_storage(place)


def test_a_folder_is_no_journal(tmp_path: Path):
    with pytest.raises(InputError, match="is a folder"):
        open_storage(str(tmp_path))
