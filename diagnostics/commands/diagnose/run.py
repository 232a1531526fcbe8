"""What ``python -m diagnostics`` does with its arguments: build the subject, ask every check, show and write.

No dimension key: nothing here is an array.
"""

import argparse
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TextIO, final

from diagnostics.checks.cascade import all_checks, chosen, diagnose, missing
from diagnostics.checks.engine.check import Check
from diagnostics.checks.engine.probe import Probe
from diagnostics.cli.parser import INTERRUPTED
from diagnostics.commands.diagnose.figures import figures_of
from diagnostics.commands.diagnose.page import page
from diagnostics.inputs.subjects import subject_named
from diagnostics.results.card import Card
from diagnostics.results.check_result import CheckResult
from diagnostics.results.report import Report
from gpcp.core.files import check_file, write_json, write_text

WIDTH = 100
SHOWN = {"pass": "pass", "fail": "FAIL", "inconclusive": "open", "not_applicable": "n/a", "error": "ERROR"}


def list_checks() -> int:
    """Print every check, what it asks, what kind it is and what a failure is put down to."""
    for check in all_checks():
        print(f"{check.name:<32} {check.kind:<12} {check.cause:<13} {check.question}")
    return 0


def execute(arguments: argparse.Namespace, given: Sequence[str]) -> int:
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
    checks = chosen(arguments.only)
    check_file(arguments.json, "--json")
    check_file(arguments.html, "--html")
    start_s = time.perf_counter()
    subject = subject_named(arguments)
    probe = Probe(subject, seed=arguments.seed)
    lacking = Counter(parts for check in checks if (parts := missing(check, subject)))
    with Lines([check for check in checks if not missing(check, subject)], quiet=arguments.quiet) as lines:
        report = diagnose(subject, only=arguments.only, stop_early=arguments.stop_early, on_check=lines, probe=probe)
    seconds = time.perf_counter() - start_s
    if not arguments.quiet:
        for parts, n_checks in lacking.items():
            print(f"n/a   {n_checks} more checks need {' and '.join(parts)}: not given")
    card = Card.of(report, {check.name: check.question for check in checks})
    print(f"{subject.name}: {len(report.results) - lacking.total()} checks in {seconds:.1f} s")
    print(card.text(width=_width()))
    _write(arguments, given, report, card, checks, probe, seconds)
    if report.interrupted:
        print("diagnostics: interrupted; what was found by then is above", file=sys.stderr)
        return INTERRUPTED
    return 1 if report.diagnosis is not None or card.errors else 0


def _write(
    arguments: argparse.Namespace,
    given: Sequence[str],
    report: Report,
    card: Card,
    checks: Sequence[Check],
    probe: Probe,
    seconds: float,
) -> None:
    command = ["python", "-m", "diagnostics", *given]
    if arguments.json is not None:
        write_json(arguments.json, contents(report, card, command, seconds))
    if arguments.html is not None:
        # After Ctrl-C nothing more is computed: the page has what is there.
        figures = figures_of(probe, report, compute=not report.interrupted)
        questions = {check.name: check.question for check in checks}
        write_text(arguments.html, page(report, card, figures, questions, command=command, seconds=seconds))


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


def _width() -> int:
    return max(60, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


def line_of(one: CheckResult, width: int) -> str:
    """One check as it is found: outcome, name, seconds, what it says; what passed is cut to the width."""
    head = f"{SHOWN[one.outcome]:<5} {one.name:<32} {one.seconds or 0.0:5.1f} s  "
    if one.outcome in ("pass", "not_applicable"):
        return _cut(head + " ".join(one.message.split()), width)
    return textwrap.fill(head + one.message, width, subsequent_indent=" " * 8, replace_whitespace=True)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 4].rstrip()} ..."


@final
class Lines:
    """What a person sees while checks go on: one line a check, and on a terminal a bar.

    Parameters
    ----------
    checks : sequence of Check
        To come, in this order.
    quiet : bool
        Nothing at all.
    stream : file, optional
        Of the bar; stderr by default.
    """

    def __init__(self, checks: Sequence[Check], *, quiet: bool = False, stream: TextIO | None = None) -> None:
        from tqdm import tqdm

        bar_stream: TextIO = sys.stderr if stream is None else stream
        self._names = [check.name for check in checks]
        self._quiet = quiet
        self._n_found = 0
        self._bar: tqdm[Any] = tqdm(
            total=len(checks),
            file=bar_stream,
            disable=quiet or not bar_stream.isatty(),
            leave=False,
            dynamic_ncols=True,
            bar_format="{n_fmt}/{total_fmt} {bar} {elapsed} {desc}",
        )

    def __enter__(self) -> "Lines":
        self._say(0)
        return self

    def __exit__(self, *ended: object) -> None:
        self._bar.close()

    def __call__(self, found: CheckResult) -> None:
        """Show a result, if its check is among those announced: nothing is said of what cannot be asked."""
        if found.name not in self._names:
            return
        if not self._quiet:
            self._bar.clear()
            print(line_of(found, _width()), flush=True)
        self._bar.update(1)
        self._n_found += 1
        self._say(self._n_found)

    def _say(self, place: int) -> None:
        if place < len(self._names):
            self._bar.set_description_str(self._names[place])
