"""The runs of the selftest: a subject each, in worker processes, one line of JSON as each ends.

No dimension key: nothing here is an array.

The parent alone writes. A line that a kill cut short has no line end: it is dropped, and its run done again.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, final

import gpcp
from diagnostics.selftest_table import figures, markdown, met
from gpcp.atomic import write_text
from gpcp.errors import InputError

Record = dict[str, Any]


class Keyed(Protocol):
    """Something to be done once: a picklable value."""

    @property
    def key(self) -> str:
        """What decides its result."""
        ...


_KeyedT = TypeVar("_KeyedT", bound=Keyed)

HABITS_EVERY = 5
"""Of the worlds every so many is asked the two habits, too: they cost as much as the checks."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One subject to diagnose.

    Parameters
    ----------
    fault : str
        Its name; empty for a healthy subject.
    seed : int
        Number of the world, or of the healthy subject.
    only : tuple of str
        Checks that are run.
    """

    fault: str
    seed: int
    only: tuple[str, ...]

    @property
    def key(self) -> str:
        """What decides its result; another version's results are other results."""
        return json.dumps({"gpcp": gpcp.__version__, **asdict(self)}, sort_keys=True)


def carry_out(run: Run) -> Record:
    """Diagnose the subject; the two habits are asked where all checks are.

    Where a fault is found before anything is trained, nothing is: the diagnosis is the same.
    """
    from diagnostics.checks.cascade import diagnose
    from diagnostics.faults import fault_named, planted
    from diagnostics.healthy import beats_a_constant, ground_of, healthy_numbered, overfits_one_batch

    start_s = time.perf_counter()
    if run.fault:
        subject = planted(run.fault, ground_of(run.seed, not_in=fault_named(run.fault).not_in))
    else:
        subject = healthy_numbered(run.seed)
    report = diagnose(subject, only=run.only, seed=run.seed, stop_early=True)
    seconds = time.perf_counter() - start_s
    asked = not run.only and run.seed % HABITS_EVERY == 0
    habits = {} if not asked else {"overfits": overfits_one_batch(subject), "beats": beats_a_constant(subject)}
    found = report.diagnosis
    return {
        "key": run.key,
        "fault": run.fault,
        "seed": run.seed,
        "subject": subject.name,
        "diagnosis": None if found is None else found.name,
        "cause": None if found is None else found.cause,
        "failed": [one.name for one in report.results if one.outcome == "fail"],
        "errors": [one.name for one in report.results if one.outcome == "error"],
        "seconds": round(seconds, 2),
        **habits,
    }


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


def _ended(todo: Sequence[_KeyedT], n_jobs: int, work: Callable[[_KeyedT], Record]) -> Iterator[Record]:
    if n_jobs == 1 or len(todo) <= 1:
        yield from map(work, todo)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(n_jobs, len(todo)), mp_context=context, initializer=_begin)
    try:
        for future in as_completed([pool.submit(work, run) for run in todo]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def do_runs(
    runs: Sequence[_KeyedT],
    path: Path,
    *,
    work: Callable[[_KeyedT], Record],
    n_jobs: int,
    on_run: Callable[[Record, int], None],
) -> list[Record]:
    """Do what is not done yet, and give all records in the order of the runs.

    Parameters
    ----------
    runs : sequence of Keyed
    path : Path
        One line for each finished run; those of other runs stay.
    work : callable
        A function of a module, because worker processes import it; its record holds the run's ``key``.
    n_jobs : int
        Worker processes; with 1 all happens in this one.
    on_run : callable
        Called with each new record and the number of runs that are left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done = read_runs(path)
    todo = [run for run in runs if run.key not in done]
    for number, record in enumerate(_ended(todo, n_jobs, work), start=1):
        append(path, record)
        done[record["key"]] = record
        on_run(record, len(todo) - number)
    return [done[run.key] for run in runs]


def execute(arguments: argparse.Namespace) -> int:
    """Plan, run, show and write; the exit code.

    Raises
    ------
    InputError
        A fault or a check does not exist, or there is nothing to run; nothing has been run then.
    """
    from diagnostics.checks.cascade import chosen
    from diagnostics.faults import FAULTS, fault_named

    only = tuple(arguments.only)
    chosen(only)
    names = [fault_named(name).name for name in arguments.faults] or list(FAULTS)
    out: Path = arguments.out
    existing = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise InputError(f"--out: {existing} is a file, not a folder; name another place")
    runs = [Run(fault=name, seed=seed, only=only) for name in names for seed in range(arguments.seeds)]
    runs += [Run(fault="", seed=number, only=only) for number in range(arguments.healthy)]

    def shown(record: Record, n_left: int) -> None:
        if not arguments.quiet:
            what = record["fault"] or "healthy"
            print(f"{n_left:5d} left  {what} {record['seed']}: {record['diagnosis'] or 'no alarm'} "
                  f"({record['seconds']:.0f} s)", file=sys.stderr, flush=True)  # fmt: skip

    records = do_runs(runs, out / "runs.jsonl", work=carry_out, n_jobs=arguments.jobs, on_run=shown)
    found = figures(records, FAULTS)
    text = markdown(records, FAULTS)
    write_text(out / "selftest.md", text)
    print(json.dumps(found, indent=2) if arguments.json else text)
    return 0 if met(found) else 1
