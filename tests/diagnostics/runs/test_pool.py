"""Runs: order, resume, interrupts, worker processes."""

import io
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from diagnostics.commands.recover_graph.progress import RunsProgress
from diagnostics.commands.recover_graph.table import finishing_line
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.pool import CHECKPOINT, RESULT, SETTINGS, OnStep, finished, run_all
from gpcp.core.errors import InputError
from tests.diagnostics.records import example_record


@dataclass(frozen=True)
class Counting:
    """A job whose work is to count to ``n_steps``."""

    seed: int
    n_steps: int = 3
    note: str = ""

    @property
    def name(self) -> str:
        return f"count_{self.seed}"

    def to_json(self) -> dict[str, Any]:
        return {"seed": self.seed, "n_steps": self.n_steps, "note": self.note, "pair": (1, 2)}


@dataclass
class Ears:
    steps: list[tuple[int, int]] = field(default_factory=list)
    ended: list[tuple[int, bool]] = field(default_factory=list)

    def step(self, job: int, n_done: int, loss: float) -> None:
        self.steps.append((job, n_done))

    def done(self, job: int, record: RunRecord, *, resumed: bool) -> None:
        self.ended.append((job, resumed))


def count(job: Counting, folder: Path, on_step: OnStep) -> RunRecord:
    for step in range(job.n_steps):
        on_step(step + 1, 0.5)
        (folder / CHECKPOINT).write_text(str(step + 1))
    return example_record(seed=job.seed, n_steps=job.n_steps)


def test_records_come_in_the_order_of_the_jobs_and_the_longest_starts_first(tmp_path: Path) -> None:
    jobs, ears = [Counting(0, 2), Counting(1, 5), Counting(2, 3)], Ears()
    records = run_all(jobs, count, out=tmp_path, n_workers=1, resume=False, listener=ears)
    assert [record.seed for record in records] == [0, 1, 2]
    assert [job for job, _ in ears.ended] == [1, 2, 0]
    assert ears.steps[-2:] == [(0, 1), (0, 2)]


def test_workers_do_the_same_and_report_their_steps(tmp_path: Path) -> None:
    jobs, ears = [Counting(seed, 2) for seed in range(4)], Ears()
    records = run_all(jobs, count, out=tmp_path, n_workers=2, resume=False, listener=ears)
    assert [record.seed for record in records] == [0, 1, 2, 3]
    assert sorted(ears.ended) == [(job, False) for job in range(4)]
    # Steps are told at most every .2 s, but the last one of a run always is.
    assert {(job, 2) for job in range(4)} <= set(ears.steps)
    assert all((tmp_path / job.name / RESULT).exists() for job in jobs)


def fail(job: Counting, folder: Path, on_step: OnStep) -> RunRecord:
    if job.seed == 0:
        raise InputError("this job is no good")
    while True:
        time.sleep(0.01)
        on_step(1, 0.5)


def test_an_error_in_a_worker_stops_the_others_and_arrives(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no good"):
        run_all([Counting(0), Counting(1)], fail, out=tmp_path, n_workers=2, resume=False, listener=Ears())


def test_a_finished_run_of_the_same_settings_is_not_repeated(tmp_path: Path) -> None:
    run_all([Counting(0)], count, out=tmp_path, n_workers=1, resume=False, listener=Ears())
    ears = Ears()
    jobs = [Counting(0), Counting(1)]
    records = run_all(jobs, count, out=tmp_path, n_workers=1, resume=True, listener=ears)
    assert [record.seed for record in records] == [0, 1]
    assert ears.ended == [(0, True), (1, False)]
    assert all(job == 1 for job, _ in ears.steps)


def test_without_resume_it_is_repeated_and_other_settings_always_are(tmp_path: Path) -> None:
    run_all([Counting(0)], count, out=tmp_path, n_workers=1, resume=False, listener=Ears())
    for job, resume in ((Counting(0), False), (Counting(0, note="other"), True)):
        ears = Ears()
        run_all([job], count, out=tmp_path, n_workers=1, resume=resume, listener=ears)
        assert ears.ended == [(0, False)]
    assert finished(Counting(0), tmp_path / "count_0") is None
    assert finished(Counting(0, note="other"), tmp_path / "count_0") is not None


def interrupted(job: Counting, folder: Path, on_step: OnStep) -> RunRecord:
    (folder / CHECKPOINT).write_text("1")
    raise KeyboardInterrupt


def test_an_interrupt_keeps_the_checkpoint_for_resume_and_only_for_the_same_settings(tmp_path: Path) -> None:
    folder = tmp_path / "count_0"
    with pytest.raises(KeyboardInterrupt):
        run_all([Counting(0)], interrupted, out=tmp_path, n_workers=1, resume=False, listener=Ears())
    assert not (folder / RESULT).exists()

    found: list[bool] = []

    def continues(job: Counting, folder: Path, on_step: OnStep) -> RunRecord:
        found.append((folder / CHECKPOINT).exists())
        raise KeyboardInterrupt

    for job, resume in ((Counting(0), True), (Counting(0, note="other"), True)):
        with pytest.raises(KeyboardInterrupt):
            run_all([job], continues, out=tmp_path, n_workers=1, resume=resume, listener=Ears())
    assert found == [True, False]
    assert json.loads((folder / SETTINGS).read_text())["note"] == "other"


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_away_from_a_terminal_is_one_line_a_run(tmp_path: Path, quiet: bool) -> None:
    jobs, stream = [Counting(0), Counting(1)], io.StringIO()
    with RunsProgress(jobs, quiet=quiet, stream=stream) as progress:
        run_all(jobs, count, out=tmp_path, n_workers=1, resume=False, listener=progress)
    lines = stream.getvalue().splitlines()
    assert quiet or "steps" in lines[0]
    assert not (quiet and lines)
    ended = [line for line in lines if line.startswith("run ")]
    assert len(ended) == (0 if quiet else 2)
    assert all("skill" in line and "Bayes" in line for line in ended)


def test_a_finishing_line_without_a_bayes_risk_names_the_best_linear_predictor() -> None:
    line = finishing_line(example_record(bayes_risk=None, skill=None))
    assert "best linear 0.9000" in line
    assert len(line) <= 120
