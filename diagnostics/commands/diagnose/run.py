"""What ``diagnose`` does with its arguments: build the subject, ask every check, show and write."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Self, TextIO, final

from diagnostics.checks.cascade import all_checks, chosen, ignored, missing
from diagnostics.checks.engine.check import Check
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.explained import explained
from diagnostics.cli.app import INTERRUPTED
from diagnostics.cli.options import pairs_asked
from diagnostics.cli.progress import Progress
from diagnostics.cli.text import cut, fill, show, width
from diagnostics.commands.diagnose.command import Request
from diagnostics.commands.diagnose.figures import figures_of
from diagnostics.commands.diagnose.page import page
from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.subjects import subject_named
from diagnostics.results.card import Card
from diagnostics.results.check_result import CheckResult
from diagnostics.results.rendering import outcome_text
from diagnostics.results.report import Report
from gpcp.core.files import check_file, write_json, write_text

OPTIONAL = " (optional: by --only)"


def list_checks() -> int:
    """Print every check by family: what it asks, what kind it is and what a failure is put down to."""
    for family, checks in groupby(all_checks(), key=lambda check: check.family):
        print(f"{family}:")
        for check in checks:
            print(
                f"{check.code} {check.name:<40} {check.kind:<12} {check.cause:<13} {check.question}"
                + OPTIONAL * check.optional
            )
    return 0


def explain(word: str) -> int:
    """Print the section of one check.

    Raises
    ------
    InputError
        No check has this code or name.
    """
    print(explained(word))
    return 0


def execute(request: Request, command_line: Sequence[str]) -> int:
    """Diagnose, show and write.

    Returns
    -------
    int
        0 nothing found, 1 a cause found or a check that could not be carried out, 130 interrupted.

    Raises
    ------
    InputError
        Something asked for cannot be done; nothing has been written then.
    """
    checks = chosen(request.only)
    ignored(request.ignore)
    check_file(request.json, "--json")
    check_file(request.html, "--html")
    start_s = time.perf_counter()
    subject = subject_asked(request)
    probe = Probe(subject, seed=request.seed)
    lacking = Counter(parts for check in checks if (parts := missing(check, subject)))
    with Lines([check for check in checks if not missing(check, subject)], quiet=request.quiet) as lines:
        report = diagnose(
            subject,
            only=request.only,
            ignore=request.ignore,
            stop_early=request.stop_early,
            cures=request.cures,
            on_check=lines,
            probe=probe,
        )
    seconds = time.perf_counter() - start_s
    if not request.quiet:
        for parts, n_checks in lacking.items():
            print(f"n/a   {n_checks} more checks need {' and '.join(parts)}: not given")
    card = Card.of(report, {check.name: check.question for check in checks})
    print(f"{subject.name}: {len(report.results) - lacking.total()} checks in {seconds:.1f} s")
    show(card.text(width=width()))
    _write(request, command_line, report, card, checks, probe, seconds)
    if report.interrupted:
        print("diagnostics: interrupted; what was found by then is above", file=sys.stderr)
        return INTERRUPTED
    return 1 if report.diagnosis is not None or card.errors else 0


def subject_asked(request: Request) -> Subject:
    """The subject of a request: its pairs, its model, its training.

    Raises
    ------
    InputError
        A name is unknown, a file cannot be read, or parts do not fit together.
    """
    pairs = None
    if request.source.source is not None:
        pairs = pairs_asked(request.source, request.pairs, max_cells=request.max_cells, seed=request.seed)
    return subject_named(
        pairs,
        model=request.model,
        n_genes=request.n_genes,
        checkpoint=request.checkpoint,
        learning_rate=request.learning_rate,
        seed=request.seed,
    )


def _write(
    request: Request,
    command_line: Sequence[str],
    report: Report,
    card: Card,
    checks: Sequence[Check],
    probe: Probe,
    seconds: float,
) -> None:
    command = list(command_line)
    if request.json is not None:
        write_json(request.json, contents(report, card, command, seconds))
    if request.html is not None:
        # After Ctrl-C nothing more is computed: the page has what is there.
        figures = figures_of(probe, report, compute=not report.interrupted)
        questions = {check.name: check.question for check in checks}
        write_text(request.html, page(report, card, figures, questions, command=command, seconds=seconds))


def contents(report: Report, card: Card, command: Sequence[str], seconds: float) -> Mapping[str, Any]:
    """What the JSON file holds: the report, with the verdict's heading and its next step."""
    return {
        "command": list(command),
        **report.to_json(),
        "heading": card.heading,
        "next_step": card.next_step,
        "open": [one.name for one in card.open],
        "errors": [one.name for one in card.errors],
        "seconds": seconds,
    }


def line_of(one: CheckResult, columns: int) -> str:
    """One check as it is found: outcome, name, seconds and message; the message of a pass is cut to the width."""
    head = f"{outcome_text(one)} {one.name:<32} {one.seconds or 0.0:5.1f} s  "
    if one.outcome in ("pass", "not_applicable"):
        return cut_line(head, one.message, columns)
    return fill(" ".join(one.message.split()), first=head, indent=" " * 8, columns=columns)


def cut_line(head: str, message: str, columns: int) -> str:
    """Head and message on one line, its end replaced by dots where it is longer."""
    return head + cut(message, max(columns - len(head), 8))


@final
class Lines:
    """A line on stdout for each check as it is found, and progress on stderr.

    Parameters
    ----------
    checks : sequence of Check
        To come, in this order.
    quiet : bool
        Nothing at all.
    stream : file, optional
        Of the progress; stderr by default.
    """

    def __init__(self, checks: Sequence[Check], *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._names = [check.name for check in checks]
        # The first check's own line comes at once.
        self._progress = Progress("begins", len(checks), unit="checks", quiet=quiet, opening=False, stream=stream)

    def __enter__(self) -> Self:
        self._progress.__enter__()
        self._next()
        return self

    def __exit__(self, *ended: object) -> None:
        self._progress.__exit__(*ended)

    def __call__(self, found: CheckResult) -> None:
        """Show a result, if its check is among those announced: nothing is said of what cannot be asked."""
        if found.name not in self._names:
            return
        self._progress.say(line_of(found, width()), stream=sys.stdout)
        self._progress.advance()
        self._next()

    def _next(self) -> None:
        if self._progress.done < len(self._names):
            self._progress.what = self._names[self._progress.done]
            self._progress.advance(0)
