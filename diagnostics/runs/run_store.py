"""Many independent runs, in worker processes, one line of JSON kept as each ends.

No dimension key: nothing here is an array.

The parent alone writes. A line that a kill cut short has no line end: it is dropped, and its run done again.
"""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol, TypeVar

Record = dict[str, Any]


class Run(Protocol):
    """What is to be done: a picklable value."""

    @property
    def key(self) -> str:
        """What decides its result."""
        ...


_RunT = TypeVar("_RunT", bound=Run)


def read_runs(path: Path) -> dict[str, Record]:
    """The runs that are finished, by their key; what follows the last line end is cut off the file."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    records: list[Record] = [json.loads(line) for line in whole.splitlines()]
    return {record["key"]: record for record in records}


def append(path: Path, record: Record) -> None:
    """Add a line, in one write that is on the disk when this returns."""
    line = (json.dumps(record) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _begin() -> None:
    import signal

    import torch

    torch.set_num_threads(1)
    # Ctrl-C reaches the whole group of processes: the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ended(todo: Sequence[_RunT], carry_out: Callable[[_RunT], Record], n_jobs: int) -> Iterator[Record]:
    if n_jobs == 1 or len(todo) <= 1:
        yield from map(carry_out, todo)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    others = {process.pid for process in multiprocessing.active_children()}
    pool = ProcessPoolExecutor(min(n_jobs, len(todo)), mp_context=context, initializer=_begin)
    try:
        for future in as_completed([pool.submit(carry_out, run) for run in todo]):
            yield future.result()
    except BaseException:
        # An interrupt, or an error of one run: what the others would come to is written nowhere, and may take long.
        for process in multiprocessing.active_children():
            if process.pid not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def do_runs(
    runs: Sequence[_RunT],
    carry_out: Callable[[_RunT], Record],
    path: Path,
    *,
    n_jobs: int,
    on_run: Callable[[Record, int], None],
) -> list[Record]:
    """Do what is not done yet, and give all records in the order of the runs.

    Parameters
    ----------
    runs : sequence of Run
        Started in this order.
    carry_out : callable
        A function of a module, because worker processes import it; its record has the run's ``key``.
    path : Path
        One line for each finished run; those of other runs stay.
    n_jobs : int
        Worker processes; with 1 all happens in this one.
    on_run : callable
        Called with each new record and the number of runs that are left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done = read_runs(path)
    todo = [run for run in runs if run.key not in done]
    for number, record in enumerate(_ended(todo, carry_out, n_jobs), start=1):
        append(path, record)
        done[record["key"]] = record
        on_run(record, len(todo) - number)
    return [done[run.key] for run in runs]
