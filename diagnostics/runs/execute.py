"""Carry out many independent runs on any executor; each result is kept as its run ends, and no run is done twice."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar, final

from diagnostics.runs.store import Record, ResultStore
from diagnostics.runs.workers import Engine, engine
from gpcp.core.errors import InputError

_MOST_NAMES = 4


class Run(Protocol):
    """What is asked for: a picklable value."""

    @property
    def key(self) -> str:
        """All that decides its result."""
        ...

    @property
    def name(self) -> str:
        """What messages call it."""
        ...


OnStep = Callable[[int, float], None]
"""Called during training with the number of steps done and the loss."""

_RunT = TypeVar("_RunT", bound=Run)
Work = Callable[[_RunT, OnStep], Record]
"""Carries out one run: a function of a module, or a partial of one, because workers import it."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A run that has its result.

    Parameters
    ----------
    index : int
        Its place among the runs.
    record : Record
    resumed : bool
        Its result was there before.
    n_left : int
        Runs without a result.
    """

    index: int
    record: Record
    resumed: bool
    n_left: int


class WorkerDiedError(InputError):
    """Workers died with the runs that they were doing; all other runs have their results."""


def execute(
    runs: Sequence[_RunT],
    carry_out: Work[_RunT],
    store: ResultStore,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    fresh: bool = False,
    cost: Callable[[_RunT], float] | None = None,
    on_run: Callable[[Ended], None] | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> list[Record]:
    """Carry out the runs that have no result yet, and give the results of all in the order of ``runs``.

    Parameters
    ----------
    runs : sequence of Run
        Runs with the same key are one run.
    carry_out : callable
        ``carry_out(run, on_step)`` gives the run's record, with its ``key``.
    store : ResultStore
        Results of other runs that are in it stay.
    workers : int
        Worker processes of this machine; with 1 everything happens in this process.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers are used instead.
    fresh : bool
        Do all of them anew: results of theirs that the store has are dropped.
    cost : callable, optional
        By which the most expensive runs are started first; in the order given by default.
    on_run : callable, optional
        Called for every run that has its result, those found in the store included.
    on_step : callable, optional
        Called with the index of a run, the number of its steps done and its loss; never for runs on a cluster.

    Raises
    ------
    WorkerDiedError
        When all other runs are done: workers died, and the message names the runs that are left.
    InputError
        The store is in use, or the scheduler does not answer; or as ``carry_out``.
    KeyboardInterrupt
        After the workers were ended; finished runs are in the store.
    """
    with store.locked():
        if fresh:
            store.drop({run.key for run in runs})
        progress = _Progress(runs=runs, store=store, on_run=on_run, on_step=on_step)
        progress.resume()
        todo = sorted(progress.todo(), key=lambda index: -cost(runs[index]) if cost else 0.0)
        if scheduler is None and (workers == 1 or len(todo) <= 1):
            for index in todo:
                progress.ended(index, carry_out(runs[index], partial(progress.step, index)))
        elif todo:
            steps = _Steps(get_context("spawn").RawArray("d", [math.nan] * 2 * len(runs)))
            n_workers = min(workers, len(todo))
            with engine(n_workers, scheduler, initializer=_note_steps_in, initargs=(steps.shared,)) as started:
                submit = partial(_submit, started, runs, carry_out)
                lost = _collect(started, submit(todo), progress, steps)
                if started.takes_waiting_runs and len(lost) > 1:
                    # One at a time: a run that is lost alone has killed its worker itself.
                    lost = [one for index in lost for one in _collect(started, submit([index]), progress, steps)]
            if lost:
                raise WorkerDiedError(_died(progress, lost))
    return [progress.records[run.key] for run in runs]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Progress:
    """What is done so far, in the store and for the caller."""

    runs: Sequence[Run]
    store: ResultStore
    on_run: Callable[[Ended], None] | None
    on_step: Callable[[int, int, float], None] | None
    records: dict[str, Record] = field(default_factory=dict[str, Record])

    def todo(self) -> list[int]:
        """The first run of each key that has no result."""
        first_of = {run.key: index for index, run in reversed([*enumerate(self.runs)])}
        return sorted(index for key, index in first_of.items() if key not in self.records)

    def resume(self) -> None:
        self.records.update(self.store.read())
        self._report({run.key for run in self.runs} & set(self.records), resumed=True)

    def step(self, index: int, n_done: int, loss: float) -> None:
        if self.on_step is not None:
            self.on_step(index, n_done, loss)

    def ended(self, index: int, record: Record) -> None:
        key = self.runs[index].key
        self.records[key] = self.store.add(record)
        self._report({key}, resumed=False)

    def _report(self, keys: set[str], *, resumed: bool) -> None:
        n_left = len(self.todo())
        for index, run in enumerate(self.runs):
            if run.key in keys and self.on_run is not None:
                self.on_run(Ended(index=index, record=self.records[run.key], resumed=resumed, n_left=n_left))


def _submit(
    started: Engine, runs: Sequence[_RunT], carry_out: Work[_RunT], indices: Sequence[int]
) -> "dict[Future[Record], int]":
    return {started.executor.submit(_carry_out, carry_out, runs[index], index): index for index in indices}


def _collect(started: Engine, futures: "dict[Future[Record], int]", progress: _Progress, steps: "_Steps") -> list[int]:
    """Keep each result as its run ends; the runs whose workers died."""
    lost: list[int] = []
    for future, died in started.as_ended(futures, partial(steps.report, progress.step)):
        if died:
            lost.append(futures[future])
        else:
            progress.ended(futures[future], future.result())
    return lost


def _died(progress: _Progress, lost: Sequence[int]) -> str:
    names = [progress.runs[index].name for index in lost]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (
        f"the worker died (killed, or out of memory) that was doing {', '.join(names[:_MOST_NAMES])}{more}; all else "
        f"is done and kept in {progress.store.path}: the same command does the rest, with fewer --workers in less "
        "memory"
    )


@final
class _Steps:
    """Steps and losses of running runs, two numbers each, in memory that processes share.

    No lock and no queue: a worker that is killed in the middle of a step hinders nobody.
    """

    def __init__(self, shared: Any) -> None:
        self.shared = shared
        self._reported: dict[int, float] = {}

    def note(self, index: int, n_done: int, loss: float) -> None:
        self.shared[2 * index + 1] = loss
        self.shared[2 * index] = n_done

    def report(self, on_step: Callable[[int, int, float], None]) -> None:
        """Report the runs that went on since the last call."""
        for index in range(len(self.shared) // 2):
            n_done, loss = self.shared[2 * index], self.shared[2 * index + 1]
            if not math.isnan(n_done) and self._reported.get(index) != n_done:
                self._reported[index] = n_done
                on_step(index, int(n_done), loss)


# In a worker process of this machine: where it notes how far its run is.
_steps: _Steps | None = None


def _note_steps_in(shared: Any) -> None:
    global _steps
    _steps = _Steps(shared)


def _carry_out(carry_out: Work[_RunT], run: _RunT, index: int) -> Record:
    """In a worker: of this machine, or of a cluster, which shares no memory with the parent."""
    steps = _steps

    def on_step(n_done: int, loss: float) -> None:
        if steps is not None:
            steps.note(index, n_done, loss)

    return carry_out(run, on_step)
