"""Comparison of two predictions: equal up to rounding, or not.

An identity's only slack is rounding, and what moves must move by more than it: one bound serves both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from diagnostics.results.check_result import Cause, CheckResult

LARGEST = 1e300
"""Stands for a deviation that is not finite: a result's numbers are."""

NO_OWN_STEP = CheckResult(
    outcome="not_applicable", message="there is no training step of its own: it is made of the parts"
)
"""Of checks that ask about a user's own step."""

_SLACK = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Rounding of an answer relative to the largest one: a sum of n terms errs by about sqrt(n) units in the last place
(2e-16, 6e-8), layers on top of each other by a few hundred times that, and the rest is safety: nothing that a fault
does is as small."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """How far two answers lie apart.

    Parameters
    ----------
    largest : float
        Over all places compared; :data:`LARGEST` where one of the two is not finite.
    tolerance : float
        What rounding explains.
    n : int
        Places compared.
    """

    largest: float
    tolerance: float
    n: int

    @property
    def equal(self) -> bool:
        """True where rounding explains it."""
        return self.largest <= self.tolerance

    @property
    def in_words(self) -> str:
        """The number, or that there is none."""
        return "something that is not finite" if self.largest >= LARGEST else f"{self.largest:.2g}"


def deviation(one_BL: Tensor, other_BL: Tensor, where_BL: Tensor | None = None) -> Deviation:
    """Largest absolute difference at some places; everywhere by default."""
    one = one_BL if where_BL is None else one_BL[where_BL]
    other = other_BL if where_BL is None else other_BL[where_BL]
    if not one.numel():
        return Deviation(largest=0.0, tolerance=0.0, n=0)
    finite = one.isfinite() & other.isfinite()
    largest = float((one - other).abs().max()) if bool(finite.all()) else LARGEST
    scale = float(torch.cat((one[finite], other[finite], one.new_zeros(1))).abs().max())
    # Answers of 0 leave the smallest number that is distinguished from 0.
    tolerance = _SLACK.get(one.dtype, 1e-2) * max(scale, math.ulp(0.0))
    return Deviation(largest=largest, tolerance=tolerance, n=int(one.numel()))


def must_equal(found: Deviation, *, same: str, differs: str, next_step: str, cause: Cause | None = None) -> CheckResult:
    """An identity: ``same`` is said where it holds, ``differs`` with the largest deviation where it does not."""
    if found.equal:
        return CheckResult(
            outcome="pass", message=f"{same} (to within {found.largest:.1g})",
            statistic=found.largest, null=0.0, tolerance=found.tolerance, n=found.n,
        )  # fmt: skip
    return CheckResult(
        outcome="fail", message=f"{differs}: answers differ by {found.in_words}, and rounding explains "
        f"{found.tolerance:.1g}", next_step=next_step,
        statistic=found.largest, null=0.0, tolerance=found.tolerance, n=found.n, cause=cause,
    )  # fmt: skip


def must_move(found: Deviation, *, moves: str, stays: str, next_step: str, cause: Cause | None = None) -> CheckResult:
    """The opposite: ``moves`` where something changed by more than rounding, else ``stays``."""
    if not found.n:
        return CheckResult(outcome="not_applicable", message="there are too few genes to ask")
    outcome = "fail" if found.equal else "pass"
    words = f"{stays}: they move by {found.largest:.1g}, no more than rounding" if found.equal else moves
    if not found.equal:
        words += f" (by up to {found.in_words})"
    return CheckResult(
        outcome=outcome, message=words, next_step=next_step if found.equal else "",
        statistic=found.largest, null=0.0, tolerance=found.tolerance, n=found.n,
        cause=cause if found.equal else None,
    )  # fmt: skip


def verdict(
    *, good: bool, message: str, next_step: str, statistic: float, tolerance: float, n: int | None = None,
    null: float | None = None, cause: Cause | None = None,
) -> CheckResult:  # fmt: skip
    """A finding that passes or fails; the next step and the cause are a failure's."""
    bounded = statistic if math.isfinite(statistic) else LARGEST
    return CheckResult(
        outcome="pass" if good else "fail", message=message, next_step="" if good else next_step,
        statistic=bounded, tolerance=tolerance, null=null, n=n, cause=None if good else cause,
    )  # fmt: skip


def as_risk(found: CheckResult, why: str) -> CheckResult:
    """A failure that these pairs cannot meet is no failure: what would go wrong is said, with what to do about it."""
    if found.outcome != "fail":
        return found
    return replace(
        found, outcome="pass", cause=None, message=f"a risk, and no harm to these pairs: {found.message}, {why}"
    )


def shown(names: Sequence[str]) -> str:
    """The first three of some names, and how many there are beside."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
