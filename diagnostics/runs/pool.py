"""Several runs over worker processes: progress while they go, results as each ends, resume after an interrupt.

A run owns one folder: ``settings.json`` says what was asked, ``result.json`` appears when it is done. With
``resume``, a folder whose settings are the same to the letter is taken as it is when finished, and continued from its
checkpoint when not; otherwise what an earlier run left there is removed first, so that no file outlives its settings.

Workers are spawned, never forked (a fork of a process with threads can hang), and each keeps to one thread.
"""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Protocol, TypeVar

import gpcp
from diagnostics.results.run_record import RunRecord
from gpcp.core.files import write_json

OnStep = Callable[[int, float], None]
"""Called during training with the number of steps done and the loss."""

SETTINGS, RESULT, CHECKPOINT, HISTORY, ARRAYS = (
    "settings.json",
    "result.json",
    "checkpoint.pt",
    "history.json",
    "arrays.npz",
)
"""The files of a run's folder."""

_MESSAGE_EVERY_S = 0.2
_Message = tuple[int, int, float]


class Job(Protocol):
    """What a run is asked for: a picklable value."""

    @property
    def name(self) -> str:
        """Folder of its results."""
        ...

    @property
    def n_steps(self) -> int:
        """Training steps, by which the longest are started first."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Everything that decides its result."""
        ...


class Listener(Protocol):
    """Who is told how the runs go on."""

    def step(self, job: int, n_done: int, loss: float) -> None:
        """Run ``job`` has done ``n_done`` of its training steps."""
        ...

    def done(self, job: int, record: RunRecord, *, resumed: bool) -> None:
        """Run ``job`` is finished; ``resumed`` where it was found finished."""
        ...


class RunStoppedError(Exception):
    """Raised inside a worker's training when the command is interrupted."""


_JobT = TypeVar("_JobT", bound=Job)
Work = Callable[[_JobT, Path, OnStep], RunRecord]


def finished(job: Job, folder: Path) -> RunRecord | None:
    """The record that an earlier run with the same settings left in ``folder``, or None."""
    if not (folder / RESULT).exists() or not _same_settings(job, folder):
        return None
    return RunRecord.from_json(json.loads((folder / RESULT).read_text(encoding="utf-8")))


def _settings(job: Job) -> Any:
    """As they come back from a file (a tuple as a list); another version's results are other results."""
    return json.loads(json.dumps({"gpcp": gpcp.__version__, **job.to_json()}))


def run_all(
    jobs: Sequence[_JobT],
    work: Work[_JobT],
    *,
    out: Path,
    n_workers: int,
    resume: bool,
    listener: Listener,
) -> list[RunRecord]:
    """Do every job and give the records in the order of ``jobs``.

    Parameters
    ----------
    jobs : sequence of Job
    work : callable
        ``work(job, folder, on_step)``, a function of a module, because worker processes import it.
    out : Path
        Each job's folder lies in it under the job's name.
    n_workers : int
        Worker processes; with 1 everything happens in this process.
    resume : bool
        Take finished runs of the same settings as they are, and continue interrupted ones.
    listener : Listener

    Raises
    ------
    KeyboardInterrupt
        After the workers have stopped; their checkpoints stay.
    """
    records: dict[int, RunRecord] = {}
    for index, job in enumerate(jobs):
        record = finished(job, out / job.name) if resume else None
        if record is not None:
            records[index] = record
            listener.done(index, record, resumed=True)
    todo = sorted((i for i in range(len(jobs)) if i not in records), key=lambda i: -jobs[i].n_steps)
    for index in todo:
        _prepare(jobs[index], out / jobs[index].name, resume=resume)
    if n_workers == 1 or len(todo) <= 1:
        for index in todo:
            records[index] = _run_here(index, jobs[index], work, out, listener)
    elif todo:
        _run_in_workers(jobs, todo, work, out, min(n_workers, len(todo)), listener, records)
    return [records[index] for index in range(len(jobs))]


def _same_settings(job: Job, folder: Path) -> bool:
    path = folder / SETTINGS
    return path.exists() and json.loads(path.read_text(encoding="utf-8")) == _settings(job)


def _prepare(job: Job, folder: Path, *, resume: bool) -> None:
    keep = resume and _same_settings(job, folder)
    for name in (RESULT,) if keep else (RESULT, SETTINGS, CHECKPOINT, HISTORY, ARRAYS):
        (folder / name).unlink(missing_ok=True)
    write_json(folder / SETTINGS, _settings(job))


def _run_here(index: int, job: _JobT, work: Work[_JobT], out: Path, listener: Listener) -> RunRecord:
    def on_step(n_done: int, loss: float) -> None:
        listener.step(index, n_done, loss)

    record = _finish(job, work, out / job.name, on_step)
    listener.done(index, record, resumed=False)
    return record


def _finish(job: _JobT, work: Work[_JobT], folder: Path, on_step: OnStep) -> RunRecord:
    record = work(job, folder, on_step)
    write_json(folder / RESULT, record.to_json())
    return record


def _run_in_workers(
    jobs: Sequence[_JobT],
    todo: Sequence[int],
    work: Work[_JobT],
    out: Path,
    n_workers: int,
    listener: Listener,
    records: dict[int, RunRecord],
) -> None:
    context = multiprocessing.get_context("spawn")
    # Its put returns when the message is in the pipe: no message comes after the result that it belongs to.
    messages: SimpleQueue[_Message] = context.SimpleQueue()
    stop = context.Event()
    pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_begin, initargs=(messages, stop))
    try:
        waiting: dict[Future[RunRecord], int] = {
            pool.submit(_run_there, index, jobs[index], work, out / jobs[index].name): index for index in todo
        }
        while waiting:
            ended, _ = wait(waiting, timeout=_MESSAGE_EVERY_S, return_when=FIRST_COMPLETED)
            while not messages.empty():
                listener.step(*messages.get())
            for future in ended:
                index = waiting.pop(future)
                records[index] = future.result()
                listener.done(index, records[index], resumed=False)
    finally:
        # On success no worker is left to hear it; on an interrupt or an error the others stop at their next step.
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


# What a worker process was given at its start: its line to the parent, and the flag that tells it to stop.
_line: tuple["SimpleQueue[_Message]", Event] | None = None


def _begin(messages: "SimpleQueue[_Message]", stop: Event) -> None:
    global _line
    _line = (messages, stop)
    # Ctrl-C reaches the whole group of processes: the parent alone answers it, through `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def _run_there(index: int, job: _JobT, work: Work[_JobT], folder: Path) -> RunRecord:
    assert _line is not None, "a worker starts with _begin"
    messages, stop = _line
    sent_s = 0.0

    def on_step(n_done: int, loss: float) -> None:
        nonlocal sent_s
        if stop.is_set():
            raise RunStoppedError
        if n_done == job.n_steps or time.monotonic() - sent_s > _MESSAGE_EVERY_S:
            sent_s = time.monotonic()
            messages.put((index, n_done, loss))

    return _finish(job, work, folder, on_step)
