"""The page of ``ladder``: verdict, figure and tables, one HTML file that needs no network."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from diagnostics.cli.pages import render
from diagnostics.cli.svg import svg
from diagnostics.commands.ladder.figure import figure_of
from diagnostics.commands.ladder.measured import Measured, head_of_matrix
from diagnostics.commands.ladder.rungs.ladder import READY, Ladder
from diagnostics.commands.ladder.table import head, rows, twin_rows
from diagnostics.results.report import versions

_TEMPLATE = Path(__file__).with_name("page.html")


def page(found: Ladder, *, command: Sequence[str], seconds: float) -> str:
    """The whole page.

    Parameters
    ----------
    found : Ladder
    command : sequence of str
        That gives it again.
    seconds : float
        What it cost.
    """
    shown = any(one.record.get("skill") is not None for one in found.results)
    return render(
        _TEMPLATE,
        found=found,
        kind={"none": "pass", "open": "open"}.get(found.cause, "fail"),
        heading=READY[found.cause],
        head=head(found),
        rows=rows(found),
        twin_rows=twin_rows(found),
        rates=Measured.read().rates(),
        matrix=[head_of_matrix(), *Measured.read().matrix()],
        figure=svg(figure_of(found), "rungs") if shown else "",
        versions=versions(),
        command=shlex.join(command),
        seconds=seconds,
    )
