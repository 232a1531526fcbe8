"""How a check's result is written for a person: its outcome, its numbers and its one line, alike in every output."""

import re
from collections.abc import Iterable, Mapping

from diagnostics.results.check_result import CheckResult, Outcome

OUTCOME_TEXT: Mapping[Outcome, str] = {
    "pass": "pass",
    "fail": "FAIL",
    "inconclusive": "open",
    "not_applicable": "n/a",
    "error": "ERROR",
}

NUMBERS = ("statistic", "null", "tolerance", "p", "smallest_effect", "ceiling", "baseline")
"""Fields of a result that are its evidence, in the order shown."""


def outcome_text(one: CheckResult) -> str:
    """Its outcome in one word, padded to the longest."""
    return f"{OUTCOME_TEXT[one.outcome]:<5}"


def numbers(one: CheckResult) -> str:
    """The numbers that a result rests on, in one line."""
    parts = [f"{name.replace('_', ' ')} {getattr(one, name):.3g}" for name in NUMBERS if getattr(one, name) is not None]
    return ", ".join([*parts, *([] if one.n is None else [f"n = {one.n:,}"])])


def finding(one: CheckResult) -> str:
    """Its message; of an open question with the smallest effect that would have been seen."""
    seen = "" if one.smallest_effect is None else f" (would have seen {one.smallest_effect:.2g})"
    return f"{one.message}{seen}"


def not_applying(results: Iterable[CheckResult]) -> str:
    """Which checks do not apply for want of what they need, by their reason; empty where all do."""
    codes: dict[str, list[str]] = {}
    for one in results:
        if one.outcome == "not_applicable" and one.message.startswith(("needs ", "the model is given ", "cannot be ")):
            codes.setdefault(one.message, []).append(one.code or one.name)
    return "; ".join(
        f"{why}: {len(some)} check{'s' * (len(some) > 1)} ({', '.join(some)})" for why, some in codes.items()
    )


def titled(one: CheckResult) -> str:
    """Code and name; the name alone where there is no code."""
    return f"{one.code} {one.name}".lstrip()


def address(one: CheckResult) -> str:
    """Of the section of the page of checks, anchored as Markdown is; empty for a check from elsewhere."""
    if not re.fullmatch(r"GP[1-5]\d\d", one.code):
        return ""
    return "docs/checks.md#" + re.sub(r"[^\w -]", "", titled(one).lower()).replace(" ", "-")


def line(one: CheckResult) -> str:
    """Code, name and finding."""
    return f"{titled(one)}: {finding(one)}"
