"""What ``audit-metrics`` does: plan the cases, score each, show and write the table."""

from collections.abc import Sequence
from pathlib import Path

from diagnostics.audit.metrics.audit import audit_case, screen_of
from diagnostics.audit.metrics.case import Case, Design, ScreenFile
from diagnostics.audit.metrics.plan import cases_of
from diagnostics.audit.metrics.summary import MetricsAudit, summary_of
from diagnostics.cli.options import n_workers
from diagnostics.cli.progress import EndingRuns
from diagnostics.cli.text import show
from diagnostics.commands.screens.audit_metrics.command import Request
from diagnostics.commands.screens.audit_metrics.figure import draw
from diagnostics.commands.screens.audit_metrics.table import audit_text, entries_csv, verdicts_csv
from diagnostics.runs.execute import Ended
from diagnostics.runs.execute import execute as execute_runs
from diagnostics.runs.store import Record, ResultStore
from gpcp.core.files import write_text


def execute(subject: Design | ScreenFile, request: Request, command_line: Sequence[str]) -> int:
    """Plan, score, show and write.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been scored then.
    """
    cases = cases_of(
        subject,
        protocols=request.protocols,
        dials=request.dials,
        seeds=request.seeds,
        reference_cells=request.reference_cells,
    )
    if isinstance(subject, ScreenFile):
        screen_of(subject)  # what is wrong with a file is found before anything is written
    with request.output.taken("audit-metrics") as out:
        records = _scored(cases, request, out)
        found = summary_of(records)
        text = audit_text(found, subject)
        show(text)
        write_text(out / "audit.txt", text + "\n")
        write_text(out / "verdicts.csv", verdicts_csv(found))
        write_text(out / "scores.csv", entries_csv(found))
        names = [path.name for path in draw(found, out)]
        request.output.keep(out / "audit.json", _content(found, subject, command_line))
        if not request.output.quiet:
            show(f"\n{out}: {', '.join(['audit.txt', 'verdicts.csv', 'scores.csv', 'audit.json', *names])}")
    return 0


def _scored(cases: Sequence[Case], request: Request, out: Path) -> list[Record]:
    with EndingRuns(len(cases), unit="runs", quiet=request.output.quiet) as progress:

        def shown(ended: Ended) -> None:
            if not ended.resumed:
                progress.ended(ended.n_left, cases[ended.index].name)

        return execute_runs(
            cases,
            audit_case,
            ResultStore(out / "runs.jsonl"),
            workers=n_workers(request.workers),
            fresh=request.fresh,
            on_run=shown,
        )


def _content(found: MetricsAudit, subject: Design | ScreenFile, command_line: Sequence[str]) -> dict[str, object]:
    """What the JSON file holds."""
    import gpcp

    return {
        "command": " ".join(command_line),
        "gpcp_version": gpcp.__version__,
        "subject": subject,
        "scorers": found.scorers,
        "seeds": found.seeds,
        "shape": dict(found.shape),
        "exact_answer_known": found.known,
        "notes": found.notes,
        "verdicts": found.verdicts,
        "scores": found.entries,
    }
