"""Gains in loss with their standard errors, and whether one is too small to be worth a model.

Pairs that share a cell are not independent: residuals are summed over each cell before they are squared, as is usual
for dyads (Fafchamps and Gubert 2007). Where no cell occurs twice this is the ordinary standard error.
"""

from dataclasses import dataclass
from math import erfc, inf, sqrt
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.engine.cell_ids import Codes
from diagnostics.checks.engine.check import ALPHA
from diagnostics.results.check_result import Cause, CheckResult
from diagnostics.scoring.errors import Errors

SMALLEST = 0.005
"""The smallest share of the baseline's loss that is worth a model: below it there is nothing to learn."""

CLEAR = 3.0
"""Standard errors above 0 that make a gain clear."""

Cells = tuple[Codes, Codes]
"""Codes of the cells before and after of each pair."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """A difference of losses as a share of a baseline's, with its standard error."""

    value: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether it lies above 0 beyond doubt."""
        return self.value > CLEAR * self.error and self.value > 0

    def p_below(self, bound: float) -> float:
        """Probability of a gain as small as this one if the true one were ``bound`` (one-sided, normal)."""
        return _upper(bound - self.value, self.error)

    def p_above(self, bound: float) -> float:
        """Probability of a gain as large as this one if the true one were ``bound`` (one-sided, normal)."""
        return _upper(self.value - bound, self.error)

    def __str__(self) -> str:
        return f"{self.value:.1%} +- {self.error:.1%}"


def _upper(excess: float, error: float) -> float:
    z = excess / error if error > 0 else (inf if excess > 0 else -inf)
    return 0.5 * erfc(z / sqrt(2))


def gain_of(worse: Errors, better: Errors, baseline: float, cells: Cells | None = None) -> Gain:
    """By how much the second loss lies below the first, as a share of a baseline's loss."""
    return ratio_of(worse.sum_B - better.sum_B, better.n_B * baseline, cells)


def ratio_of(above_B: NDArray[np.floating], below_B: NDArray[np.floating], cells: Cells | None = None) -> Gain:
    """A ratio of two sums over pairs; its error by linearisation, with the cells' clusters where they are given."""
    total = float(below_B.sum())
    if not total > 0:
        return Gain(value=0.0, error=0.0)
    value = float(above_B.sum()) / total
    return Gain(value=value, error=sum_error(above_B - value * below_B, cells) / total)


def sum_error(residual_B: NDArray[np.floating], cells: Cells | None = None) -> float:
    """Standard error of a sum over pairs of mean 0.

    ``sum_c S_c^2 - sum_b r_b^2`` with ``S_c`` the sum over the pairs that hold cell ``c``: every product of two pairs
    that share a cell, once. Never less than if no cell were shared.
    """
    alone = float((residual_B**2).sum())
    if cells is None:
        return sqrt(alone)
    _, code_N = np.unique(np.concatenate(cells), return_inverse=True)
    sum_of_cell = np.bincount(code_N, weights=np.concatenate((residual_B, residual_B)))
    return sqrt(max(alone, float((sum_of_cell**2).sum()) - alone))


def judged(gain: Gain, *, what: str, matters: str, next_step: str, n: int, smallest: float = SMALLEST) -> CheckResult:
    """A gain held against the smallest of interest: too small beyond chance, clear, or neither."""
    p = gain.p_below(smallest)
    outcome = "fail" if p < ALPHA else "pass" if gain.clear else "inconclusive"
    shown = f"{what} {gain} of the loss of the input-free baseline"
    message = {
        "fail": f"{shown}: less than {smallest:.1%}, beyond chance; {matters}",
        "pass": shown,
        "inconclusive": f"{shown}: too few pairs to distinguish it from nothing or from {smallest:.1%}",
    }[outcome]
    return CheckResult(
        outcome=outcome,
        message=message,
        next_step="" if outcome == "pass" else next_step,
        statistic=gain.value,
        null=smallest,
        p=min(1.0, max(0.0, p)),
        smallest_effect=CLEAR * gain.error if outcome == "inconclusive" else None,
        n=n,
    )


def decided(
    p: float, *, healthy: str, faulty: str, next_step: str, statistic: float, null: float, n: int,
    cause: Cause | None = None,
) -> CheckResult:  # fmt: skip
    """A fault where a healthy subject would hardly show this (``p < ALPHA``), else health."""
    fault = p < ALPHA
    return CheckResult(
        outcome="fail" if fault else "pass", message=faulty if fault else healthy, next_step=next_step if fault else "",
        statistic=statistic, null=null, p=min(1.0, max(0.0, p)), n=n, cause=cause if fault else None,
    )  # fmt: skip
