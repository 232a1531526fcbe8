"""What ``selftest`` does: plan the subjects, diagnose each, show and write how often the checks are right."""

from collections.abc import Sequence
from pathlib import Path

from diagnostics.cli.options import n_workers
from diagnostics.cli.progress import EndingRuns
from diagnostics.commands.selftest.command import Request
from diagnostics.commands.selftest.runs import Run, carry_out
from diagnostics.commands.selftest.table import figures, markdown, met
from diagnostics.runs.execute import Ended
from diagnostics.runs.execute import execute as execute_runs
from diagnostics.runs.store import ResultStore
from gpcp.core.files import write_text


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Plan, run, show and write; the exit code.

    Raises
    ------
    InputError
        A fault or a check does not exist, or there is nothing to run; nothing has been run then.
    """
    from diagnostics.checks.cascade import chosen
    from diagnostics.faults.catalogue import FAULTS, fault_named

    only = tuple(request.only)
    chosen(only)
    names = [fault_named(name).name for name in request.faults] or list(FAULTS)
    runs = [Run(fault=name, seed=seed, only=only) for name in names for seed in request.seeds]
    runs += [Run(fault="", seed=number, only=only) for number in range(request.healthy)]
    with request.output.taken("selftest") as out:
        return _tested(request, command_line, runs, out)


def _tested(request: Request, command_line: Sequence[str], runs: Sequence[Run], out: Path) -> int:
    from diagnostics.faults.catalogue import FAULTS

    with EndingRuns(len(runs), unit="subjects", quiet=request.output.quiet) as progress:

        def shown(ended: Ended) -> None:
            if not ended.resumed:
                what, record = runs[ended.index].name, ended.record
                progress.ended(ended.n_left, f"{what}: {record['diagnosis'] or 'no alarm'} ({record['seconds']:.0f} s)")

        records = execute_runs(
            runs,
            carry_out,
            ResultStore(out / "runs.jsonl"),
            workers=n_workers(request.workers),
            scheduler=request.scheduler,
            fresh=request.fresh,
            on_run=shown,
        )
    found = figures(records, FAULTS)
    text = markdown(records, FAULTS)
    print(text, flush=True)
    write_text(out / "selftest.md", text)
    request.output.keep(out / "selftest.json", {"command": list(command_line), **found})
    return 0 if met(found) else 1
