"""The page of ``diagnose``: the verdict, the figures and the table of checks, one HTML file that needs no network."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from diagnostics.cli.pages import render
from diagnostics.commands.diagnose.figures import Shown
from diagnostics.results.card import Card
from diagnostics.results.report import Report

_TEMPLATE = Path(__file__).with_name("page.html")


def page(
    report: Report,
    card: Card,
    figures: Sequence[Shown],
    questions: Mapping[str, str],
    *,
    command: Sequence[str],
    seconds: float,
) -> str:
    """The whole page.

    Parameters
    ----------
    report : Report
    card : Card
    figures : sequence of Shown
    questions : mapping of str to str
        What each check asks, by its name.
    command : sequence of str
        That gives it again.
    seconds : float
        What it cost.
    """
    return render(
        _TEMPLATE,
        report=report,
        card=card,
        kind=_kind(card),
        figures=figures,
        questions=questions,
        command=shlex.join(command),
        seconds=seconds,
    )


def _kind(card: Card) -> str:
    """The colour of the verdict."""
    if card.first is not None:
        return "fail"
    if card.errors:
        return "error"
    return "open" if "no check" in card.means else "pass"
