"""What ``recover-graph`` does with its arguments: plan the runs, do them, show and write what came out."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from diagnostics.cli.ending import finish
from diagnostics.cli.options import n_workers
from diagnostics.cli.text import width
from diagnostics.commands.recover_graph.command import Request
from diagnostics.commands.recover_graph.figures import draw_all, load_arrays
from diagnostics.commands.recover_graph.plan import Plan, carry_out, plan_of
from diagnostics.commands.recover_graph.progress import RunsProgress
from diagnostics.commands.recover_graph.report import report_page
from diagnostics.commands.recover_graph.screens.run import execute_screen
from diagnostics.commands.recover_graph.table import header, table
from diagnostics.commands.recover_graph.verdicts import verdicts
from diagnostics.results.report import Report
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.execute import Ended
from diagnostics.runs.execute import execute as execute_runs
from diagnostics.runs.experiment import SCREEN
from diagnostics.runs.folder import folder_of, keep_results
from diagnostics.runs.store import ResultStore
from gpcp.core.files import write_text


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Plan, run, show and write; the exit code.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been trained or written then.
    """
    with request.output.taken("recover_graph") as out:
        if request.text.startswith(f"{SCREEN}:"):
            return execute_screen(request, command_line, out)
        return _recovered(request, command_line, out)


def _recovered(request: Request, command_line: Sequence[str], out: Path) -> int:
    start_s = time.perf_counter()
    plan = plan_of(request)
    store = ResultStore(out / "runs.jsonl")
    keep_results(plan.jobs, store, out, resume=not request.fresh)
    with RunsProgress(plan.jobs, quiet=request.output.quiet) as progress:

        def on_run(ended: Ended) -> None:
            progress.done(ended.index, RunRecord.from_json(ended.record), resumed=ended.resumed)

        found = execute_runs(
            plan.jobs,
            partial(carry_out, out=out),
            store,
            workers=n_workers(request.workers),
            scheduler=request.scheduler,
            cost=lambda run: run.n_steps,
            on_run=on_run,
            on_step=progress.step,
        )
    records = [RunRecord.from_json(record) for record in found]
    report = Report(results=verdicts(records), world=plan.world, seed=tuple(sorted({r.seed for r in records})))
    _show_and_write(request, command_line, out, plan, records, report, start_s)
    return report.exit_code


def _show_and_write(
    request: Request,
    command_line: Sequence[str],
    out: Path,
    plan: Plan,
    records: Sequence[RunRecord],
    report: Report,
    start_s: float,
) -> None:
    """Print the table, draw the figures, write all files."""
    runs = [load_arrays(record, folder_of(out, job)) for record, job in zip(records, plan.jobs, strict=True)]

    def draw() -> list[Path]:
        page = out / "report.html"
        seconds = time.perf_counter() - start_s
        write_text(page, report_page(runs, report, command=list(command_line), seconds=seconds))
        return [page, *draw_all(runs, out)]

    measured = {
        "world": plan.world,
        "preset": request.preset,
        "verdict": "pass" if report.passed else "fail",
        "regimes": [record.to_json() for record in records],
        "report": report.to_json(),
    }
    finish(
        request.output,
        out,
        screen(records, report),
        measured,
        files=("table.txt", "results.json"),
        draw=draw,
        command_line=command_line,
        start_s=start_s,
    )


def screen(records: Sequence[RunRecord], report: Report) -> str:
    """All that the command prints of its results: the world, the table, the verdicts."""
    return "\n\n".join([header(records), table(records), report.text(width=width())])
