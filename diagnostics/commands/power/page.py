"""The page of ``power``: the answer, the curves and the tables, one HTML file that needs no network."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diagnostics.cli.pages import render
from diagnostics.cli.svg import svg
from diagnostics.commands.power.figures import drawings
from diagnostics.commands.power.table import sentences, tables

if TYPE_CHECKING:
    from diagnostics.commands.power.run import PowerReport

_TEMPLATE = Path(__file__).with_name("page.html")


def page(report: "PowerReport", command: Sequence[str]) -> str:
    """The whole page."""
    answer, basis, *notes = sentences(report)
    found = report.detection
    good = any(
        (one.value or float("inf")) <= found.design.effect for one in (found.limit(name) for name in found.limits)
    )
    return render(
        _TEMPLATE,
        report=report,
        answer=answer,
        basis=basis,
        notes=notes,
        kind="pass" if good else "open",
        figures=[(title, caption, svg(figure, title)) for title, caption, figure in drawings(report)],
        tables=tables(report),
        command=shlex.join(command),
    )
