"""``CheckResult``: the outcome of one check, the numbers that it was judged by, and what to do next."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, final, get_args

from gpcp.core.errors import InputError, nearest
from gpcp.core.files import to_json

Outcome = Literal["pass", "fail", "inconclusive", "not_applicable", "error"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

Cause = Literal["data", "optimiser", "architecture", "bug"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
"""What keeps a model from learning: there is nothing to learn from; the updates do not get there; the model cannot
represent the answer; the code does something else than was meant."""

NUMBER_FIELDS = ("statistic", "null", "p", "tolerance", "ceiling", "baseline", "seconds", "smallest_effect")
"""Fields of a result that are finite numbers, or None."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """What one check found.

    ``pass`` and ``fail`` must carry the number that they were judged by, and a ``fail`` what to do about it.

    Parameters
    ----------
    name, code : str
        Of the check, such as ``"loss.scored_only"`` and ``"GP202"``. A check leaves them empty: whoever runs the check
        fills them in, see :meth:`of`.
    outcome : {"pass", "fail", "inconclusive", "not_applicable", "error"}
        ``"error"``: the check itself could not be carried out; the rest of the report stands.
    message : str
        The finding in one sentence of plain language, with its numbers.
    next_step : str
        What to do about it; a ``fail`` must have one.
    statistic : float, optional
        The number that decides.
    null : float, optional
        What the statistic would be if there were nothing to find.
    p, tolerance : float, optional
        The p-value, or the bound that the statistic was held against: one of them for ``pass`` and ``fail``.
    ceiling, baseline : float, optional
        The best that could have been reached, and what an input-free baseline reaches.
    n : int, optional
        How many cells, pairs or runs it rests on.
    seconds : float, optional
        What it cost.
    cause : {"data", "optimiser", "architecture", "bug"}, optional
        What a ``fail`` is put down to; a check gives it where it differs from its own.
    smallest_effect : float, optional
        Of an ``inconclusive``: the least departure from the null that this many cells could have shown.
    consequence_of : str
        The name of an earlier failing check that explains this one.
    traceback : str
        Of an ``error``.

    Raises
    ------
    InputError
        An unknown outcome, a number that is not finite, a ``p`` outside 0 .. 1, a verdict without its statistic
        and bound, or a ``fail`` without a next step.
    """

    name: str = ""
    code: str = ""
    outcome: Outcome
    message: str
    next_step: str = ""
    statistic: float | None = None
    null: float | None = None
    p: float | None = None
    tolerance: float | None = None
    ceiling: float | None = None
    baseline: float | None = None
    n: int | None = None
    seconds: float | None = None
    cause: Cause | None = None
    smallest_effect: float | None = None
    consequence_of: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        """Outcome, code, name and finding on one line, and what to do about it."""
        head = " ".join(one for one in (self.outcome.replace("_", " "), self.code, self.name) if one)
        return f"{head}: {self.message}" + (f" -> {self.next_step}" if self.next_step else "")

    def __post_init__(self) -> None:
        if not self.message:
            raise InputError(f"CheckResult {self.name!r} needs a sentence in `message`")
        if self.outcome not in OUTCOMES:
            raise InputError(
                f"CheckResult.outcome of {self.name!r} is {self.outcome!r}; {nearest(self.outcome, OUTCOMES)}"
            )
        if self.cause is not None and self.cause not in CAUSES:
            raise InputError(f"CheckResult.cause of {self.name!r} is {self.cause!r}; {nearest(self.cause, CAUSES)}")
        for field in NUMBER_FIELDS:
            value = getattr(self, field)
            if value is not None and not math.isfinite(value):
                raise InputError(f"CheckResult.{field} of {self.name!r} is {value}: give a finite number or None")
        if self.p is not None and not 0 <= self.p <= 1:
            raise InputError(f"CheckResult.p of {self.name!r} is {self.p}: a probability is within 0 .. 1")
        if self.outcome in ("pass", "fail") and (self.statistic is None or (self.p is None and self.tolerance is None)):
            raise InputError(
                f"CheckResult {self.name!r} is a {self.outcome} without its statistic and its p or tolerance: "
                "say what it was judged by"
            )
        if self.outcome == "fail" and not self.next_step:
            raise InputError(f"CheckResult {self.name!r} fails without a next_step: say what to do about it")

    def of(self, name: str, *, cause: Cause, seconds: float, code: str = "") -> "CheckResult":
        """The result under the name of its check; a failure is put down to ``cause`` unless it has one of its own."""
        return replace(
            self, name=name, code=code, cause=(self.cause or cause) if self.outcome == "fail" else None, seconds=seconds
        )

    def to_json(self) -> dict[str, Any]:
        """Every field under its own name, as JSON's types."""
        return to_json(self)
