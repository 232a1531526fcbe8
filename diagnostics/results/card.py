"""The diagnosis in a few lines: the cause, its evidence and the next step; what follows from it; what stays open."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from diagnostics.results.check_result import CheckResult
from diagnostics.results.cure_result import CureResult
from diagnostics.results.rendering import address, line, numbers, titled
from diagnostics.results.report import Report

MEANS: Mapping[str, str] = {
    "data": "the pairs hold too little to learn from, are not what they are taken for, or reach the model otherwise",
    "optimiser": "the updates do not get there",
    "architecture": "the answer is not among what the model can say",
    "bug": "the code does something else than was meant",
}

FEWEST = 50
"""Cells or pairs of an open check on the data below which the verdict is open, too."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a person reads first.

    Parameters
    ----------
    heading : str
        The cause in capitals, that none was found, or that it is open.
    means : str
        One sentence about the heading.
    first : CheckResult or None
        The check that the verdict rests on.
    question : str
        What it asks; empty where there is no such check.
    consequences, open, errors : tuple of CheckResult
        Failures put down to ``first``; what could not be decided; checks that could not be carried out.
    next_step : str
    cures : tuple of CureResult
        What was tried, those that help most first.
    taken_as : mapping of str to str
        What a person's own parts were taken for.
    """

    heading: str
    means: str
    first: CheckResult | None
    question: str
    consequences: tuple[CheckResult, ...]
    open: tuple[CheckResult, ...]
    errors: tuple[CheckResult, ...]
    next_step: str
    cures: tuple[CureResult, ...] = ()
    taken_as: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, report: Report, questions: Mapping[str, str]) -> "Card":
        """The card of a report; ``questions`` are those of the checks by name."""
        errors = tuple(one for one in report.results if one.outcome == "error")
        first = report.diagnosis
        heading, means, next_step = _verdict(report, errors)
        return cls(
            heading=heading,
            means=means,
            first=first,
            question="" if first is None else questions.get(first.name, ""),
            consequences=report.consequences,
            open=tuple(one for one in report.results if one.outcome == "inconclusive"),
            errors=errors,
            next_step=next_step,
            cures=report.cures,
            taken_as=report.taken_as,
        )

    def text(self, *, width: int = 100) -> str:
        """The card in lines of at most ``width`` characters."""
        lines = ["=" * width, *_item("verdict", f"{self.heading}: {self.means}", width)]
        if self.first is not None:
            lines += _item("check", f"{titled(self.first)}: {self.question}".removesuffix(": "), width)
            lines += _item("", address(self.first), width)
            lines += _item("evidence", self.first.message, width)
            lines += _item("", numbers(self.first), width)
        lines += _item("next step", self.next_step, width)
        for place, cure in enumerate(self.cures):
            lines += _item("" if place else "cures", cure.line(), width)
        for title, shown in (("follows", self.consequences), ("open", self.open), ("errors", self.errors)):
            for place, one in enumerate(shown):
                lines += _item("" if place else title, line(one), width)
        for place, (name, words) in enumerate(self.taken_as.items()):
            lines += _item("" if place else "taken as", f"{name}: {words}", width)
        return "\n".join([*lines, "=" * width])


def _verdict(report: Report, errors: tuple[CheckResult, ...]) -> tuple[str, str, str]:
    """Heading, what it means, and what to do."""
    first = report.diagnosis
    n_passed = sum(one.outcome == "pass" for one in report.results)
    if first is not None:
        cause = first.cause or "bug"
        return cause.upper(), MEANS[cause], first.next_step
    so_far = " before it was interrupted" if report.interrupted else ""
    if errors:
        named = "one check" if len(errors) == 1 else f"{len(errors)} checks"
        return (
            "NOT JUDGED",
            f"{named} could not be carried out{so_far}, and no other failed",
            errors[0].next_step,
        )
    few = [one for one in report.results if one.outcome == "inconclusive" and _rests_on_few(one)]
    if few:
        return "OPEN", f"{n_passed} checks passed{so_far} and none failed, but {few[0].message}", few[0].next_step
    if unasked := next(filter(_not_judged, report.results), None):
        words = (
            f"{n_passed} checks passed{so_far} and none failed, but whether it learns is not judged: {unasked.message}"
        )
        return "OPEN", words, "see what cannot be asked of the model under `taken as`, and say it otherwise"
    if not n_passed:
        return "OPEN", f"no check could be decided{so_far}", "give more of the subject: a model, pairs, a rate"
    n_other = sum(one.outcome in ("not_applicable", "inconclusive") for one in report.results)
    asked = f", {n_other} could not be asked or decided" if n_other else ""
    return (
        "NOTHING FOUND",
        f"{n_passed} checks passed{so_far}{asked}, and none failed: nothing was found that keeps this from learning",
        _onwards(report),
    )


def _rests_on_few(result: CheckResult) -> bool:
    """Whether it is about the data, and had so few cells or pairs that a clean verdict would say nothing."""
    return result.name.startswith("data.") and result.n is not None and result.n < FEWEST


def _not_judged(result: CheckResult) -> bool:
    """Whether a training was to be judged, and could not be, since the model cannot be asked what that takes."""
    return result.name == "learning.beats_baseline" and result.message.startswith("cannot be asked ")


def _onwards(report: Report) -> str:
    """What to do where nothing was found."""
    if report.interrupted:
        return "run it to the end"
    judged = {one.name.split(".")[0] for one in report.results if one.outcome != "not_applicable"}
    if judged == {"data"}:
        return (
            "give the model too (--model): its own checks and a short training say whether it learns from these pairs"
        )
    if not any(one.name.startswith("learning.") for one in report.results):
        return "ask all checks (without only= or --only): these train nothing, and so do not say whether it learns"
    if "learning" not in judged:
        return (
            "give the optimiser and the training step (optimizer=, training_step=; of a preset --learning-rate), so "
            "that a training can be judged"
        )
    return "train it for longer, and hold it against its ceiling"


def _item(title: str, text: str, width: int) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(text, width, initial_indent=f"{title:<11}", subsequent_indent=" " * 11)
