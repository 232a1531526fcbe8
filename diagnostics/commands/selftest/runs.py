"""The runs of the selftest: a planted fault or a healthy subject each, diagnosed."""

import json
import time
from dataclasses import asdict, dataclass
from typing import final

import gpcp
from diagnostics.runs.execute import OnStep
from diagnostics.runs.store import Record

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
    from diagnostics.faults.catalogue import fault_named, planted
    from diagnostics.faults.healthy import beats_a_constant, ground_of, healthy_numbered, overfits_one_batch
    from diagnostics.inputs.diagnose import diagnose

    start_s = time.perf_counter()
    if run.fault:
        fault = fault_named(run.fault)
        subject = planted(run.fault, ground_of(run.seed, not_in=fault.not_in, masked=fault.of_masks))
    else:
        subject = healthy_numbered(run.seed)
    report = diagnose(subject, only=run.only, seed=run.seed, stop_early=True)
    if report.interrupted:
        # What was found by then is no result of this run.
        raise KeyboardInterrupt
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
