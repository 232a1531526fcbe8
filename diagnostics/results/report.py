"""``Report``: several results, the first cause that fails, and the exit code that a script can act on."""

import platform
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import metadata
from typing import TYPE_CHECKING, Any, final

import gpcp
from diagnostics.results.check_result import NUMBER_FIELDS, CheckResult
from diagnostics.results.cure_result import CureResult
from diagnostics.results.rendering import outcome_text, titled
from gpcp.core.html import html_table

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 3
"""Version of the JSON, described in ``docs/report.schema.json``; it grows with every change of its fields."""

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn")


def versions() -> dict[str, str]:
    """Version of gpcp, of Python and of the libraries whose arithmetic decides a result; nothing is imported."""
    return {
        "gpcp": gpcp.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
    }


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a command found, in the order of its steps: the first failing result is the cause to look at.

    Parameters
    ----------
    results : tuple of CheckResult
    world : str
        Name of the world, or of the real cells.
    seed : tuple of int
        The seeds that it rests on.
    versions : dict of str to str
        As :func:`versions` gives them.
    interrupted : bool
        True where it was ended early: results that would have followed are missing.
    cures : tuple of CureResult
        What was tried against the failures, those that help most first; none unless it was asked for.
    taken_as : mapping of str to str
        What a person's own parts were taken for, in words; empty where nothing was inferred.
    """

    results: tuple[CheckResult, ...]
    world: str
    seed: tuple[int, ...]
    versions: dict[str, str] = field(default_factory=versions)
    interrupted: bool = False
    cures: tuple[CureResult, ...] = ()
    taken_as: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def diagnosis(self) -> CheckResult | None:
        """The first failing result that is not put down to another, or None."""
        return next((one for one in self.results if one.outcome == "fail" and not one.consequence_of), None)

    @property
    def consequences(self) -> tuple[CheckResult, ...]:
        """Failing results that are put down to the diagnosis."""
        return tuple(one for one in self.results if one.outcome == "fail" and one.consequence_of)

    @property
    def passed(self) -> bool:
        """True where something passed, nothing failed and nothing broke: a report of open questions is not a pass."""
        broken = self.interrupted or any(result.outcome == "error" for result in self.results)
        return not broken and self.diagnosis is None and any(result.outcome == "pass" for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 where :attr:`passed`, else 1."""
        return 0 if self.passed else 1

    def __str__(self) -> str:
        """The verdict with its evidence and next step, as the command prints it; :meth:`text` has every check."""
        # Cards are made of reports.
        from diagnostics.results.card import Card

        return Card.of(self, {}).text()

    def _repr_html_(self) -> str:
        first = self.diagnosis
        n_passed = sum(one.outcome == "pass" for one in self.results)
        verdict = f"{first.cause}: {titled(first)}" if first else "nothing found" if self.passed else "not judged"
        judged = [one for one in self.results if one.outcome in ("fail", "error", "inconclusive")]
        rows = [(outcome_text(one), titled(one), one.message, one.next_step) for one in judged]
        head = ("outcome", "check", "what was measured", "next step")
        n_other = len(self.results) - n_passed - len(judged)
        note = f"{n_passed} checks passed, {n_other} do not apply; .frame() has all, .text() explains them"
        return html_table(f"Verdict on {self.world}: {verdict}", rows, head=head, note=note)

    def text(self, *, width: int = 100) -> str:
        """One paragraph a result, then the verdict, in lines of at most ``width`` characters."""
        lines = [line for name, words in self.taken_as.items() for line in _wrapped(f"taken {name}: {words}", width)]
        for result in self.results:
            lines += _wrapped(f"{outcome_text(result)} {titled(result)}: {result.message}", width)
            if result.next_step:
                lines += _wrapped(f"      -> {result.next_step}", width)
        n_judged = sum(result.outcome in ("pass", "fail") for result in self.results)
        n_passed = sum(result.outcome == "pass" for result in self.results)
        verdict = f"{'PASS' if self.passed else 'FAIL'}: {n_passed} of {n_judged} checks passed on {self.world}"
        if n_judged < len(self.results):
            verdict += f", {len(self.results) - n_judged} could not be asked or decided"
        if self.diagnosis is not None:
            verdict += f"; look first at {self.diagnosis.name!r}"
        for cure in self.cures:
            lines += _wrapped(f"cure  {cure.line()}", width)
        return "\n".join([*lines, *textwrap.wrap(verdict, width)])

    def to_json(self) -> dict[str, Any]:
        """The results, the diagnosis, the verdict and what they rest on, as JSON's types."""
        return {
            "schema": SCHEMA,
            "world": self.world,
            "seed": list(self.seed),
            "versions": self.versions,
            "interrupted": self.interrupted,
            "verdict": "pass" if self.passed else "fail",
            "diagnosis": None if self.diagnosis is None else self.diagnosis.name,
            "cause": None if self.diagnosis is None else self.diagnosis.cause,
            "consequences": [one.name for one in self.consequences],
            "taken_as": dict(self.taken_as),
            "cures": [one.to_json() for one in self.cures],
            "results": [result.to_json() for result in self.results],
        }

    def frame(self) -> "pd.DataFrame":
        """The results as a table: one row each, in their order, and the fields of :class:`CheckResult` as columns.

        What a result does not have is missing (``NaN`` or ``<NA>``) in columns of numbers, None or ``""`` in others.
        """
        import pandas as pd

        columns = [one.name for one in fields(CheckResult)]
        rows = [[getattr(result, name) for name in columns] for result in self.results]
        whole = {"n": "Int64", **dict.fromkeys(NUMBER_FIELDS, "float64")}
        return pd.DataFrame(rows, columns=columns).astype(whole)


def _wrapped(line: str, width: int) -> list[str]:
    indent = " " * 6
    return textwrap.wrap(line, width, subsequent_indent=indent, drop_whitespace=True, initial_indent="")
