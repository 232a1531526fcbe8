"""The page of ``recover-graph`` on a screen: the verdict, every run, and the responses that were read out."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from diagnostics.cli.pages import outcome_class, render
from diagnostics.cli.svg import svg
from diagnostics.cli.text import duration
from diagnostics.commands.recover_graph.report import TEMPLATE, Drawing
from diagnostics.commands.recover_graph.screens.figure import responses_figure
from diagnostics.commands.recover_graph.screens.table import about, columns, notes_of
from diagnostics.graphs.named import DOWNSTREAM
from diagnostics.results.report import Report
from diagnostics.runs.store import Record

_TITLE = "Responses"


def screen_page(
    folders: Sequence[Path], records: Sequence[Record], report: Report, *, command: Sequence[str], seconds: float
) -> str:
    """The whole page.

    Parameters
    ----------
    folders : sequence of Path
        Of the runs.
    records : sequence of mapping
        Of the same runs.
    report : Report
    command : sequence of str
        That gives it again.
    seconds : float
        What it cost.
    """
    first = records[0]
    graph, exact = first["auprc"] is not None, first["bayes_risk"] is not None
    head, rows = columns(records, graph=graph, exact=exact)
    judged = [one for one in report.results if one.outcome in ("pass", "fail")]
    known = "boxes are genes downstream of the target" if graph else "no graph is known, so that nothing is scored"
    return render(
        TEMPLATE,
        report=report,
        kind=outcome_class(report.results),
        n_passed=sum(one.outcome == "pass" for one in judged),
        n_judged=len(judged),
        about=about(first),
        head=head,
        rows=rows,
        legend=f"{_legend(graph=graph, exact=exact)} Of the cells: {'; '.join(notes_of(records))}.",
        figures=[
            Drawing(
                title=_TITLE,
                message=f"The loss of seed {first['seed']}, and mean changes against controls, a row for each "
                f"perturbation: of the model, of training cells{', of the exact law' if exact else ''}; {known}.",
                svg=svg(responses_figure(folders, records), _TITLE),
            )
        ],
        settings={
            "Screen": str(first["world"]),
            "Seeds": ", ".join(str(record["seed"]) for record in records),
            "Target graph": DOWNSTREAM if graph else "none is known",
            "Preset": str(first["preset"]),
            "Training": f"{first['n_pairs']:,} pairs in {first['n_steps']:,} steps",
            "Held-out pairs": f"{first['n_held_out']:,}",
            "Time": duration(seconds),
            "Versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
        },
        command=shlex.join(command),
    )


def _legend(*, graph: bool, exact: bool) -> str:
    way = (
        "Skill: 0 is the input-free baseline, 1 the exact answer for the names of perturbations."
        if exact
        else "Of way: 0 is the input-free baseline, 1 ridge on the names of perturbations, which can be passed."
    )
    scored = (
        " AUPRC is of the genes downstream of each target; ceiling: the exact law's, cells: the training cells' own."
    )
    return f"Losses are mean squared errors on the same held-out pairs. {way}{scored if graph else ''}"
