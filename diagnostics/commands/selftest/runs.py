"""The runs of the selftest: a planted fault or a healthy subject each, diagnosed."""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import gpcp
from diagnostics.cli.progress import EndingRuns
from diagnostics.commands.selftest.table import figures, markdown, met
from diagnostics.runs.execute import Ended, OnStep
from diagnostics.runs.execute import execute as execute_runs
from diagnostics.runs.store import Record, ResultStore
from gpcp.core.errors import InputError
from gpcp.core.files import write_text

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

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.fault or 'healthy'} {self.seed}"


def carry_out(run: Run, on_step: OnStep) -> Record:
    """Diagnose the subject; the two habits are asked where all checks are.

    Where a fault is found before anything is trained, nothing is: the diagnosis is the same.
    """
    from diagnostics.checks.diagnose import diagnose
    from diagnostics.faults.catalogue import fault_named, planted
    from diagnostics.faults.healthy import beats_a_constant, ground_of, healthy_numbered, overfits_one_batch

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


def execute(arguments: argparse.Namespace) -> int:
    """Plan, run, show and write; the exit code.

    Raises
    ------
    InputError
        A fault or a check does not exist, or there is nothing to run; nothing has been run then.
    """
    from diagnostics.checks.cascade import chosen
    from diagnostics.faults.catalogue import FAULTS, fault_named

    only = tuple(arguments.only)
    chosen(only)
    names = [fault_named(name).name for name in arguments.faults] or list(FAULTS)
    out: Path = arguments.out
    existing = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise InputError(f"--out: {existing} is a file, not a folder; name another place")
    runs = [Run(fault=name, seed=seed, only=only) for name in names for seed in range(arguments.seeds)]
    runs += [Run(fault="", seed=number, only=only) for number in range(arguments.healthy)]

    with EndingRuns(len(runs), unit="subjects", quiet=arguments.quiet) as progress:

        def shown(ended: Ended) -> None:
            if not ended.resumed:
                what, record = runs[ended.index].name, ended.record
                progress.ended(ended.n_left, f"{what}: {record['diagnosis'] or 'no alarm'} ({record['seconds']:.0f} s)")

        records = execute_runs(
            runs,
            carry_out,
            ResultStore(out / "runs.jsonl"),
            workers=arguments.jobs,
            scheduler=arguments.scheduler,
            on_run=shown,
        )
    found = figures(records, FAULTS)
    text = markdown(records, FAULTS)
    write_text(out / "selftest.md", text)
    print(json.dumps(found, indent=2) if arguments.json else text)
    return 0 if met(found) else 1
