"""``CureResult``: what one cure, applied from outside in short paired trainings, does to the held-out loss."""

import math
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

from diagnostics.results.check_result import CheckResult
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import to_json

CureOutcome = Literal["helps", "harms", "inconclusive", "not_tried"]
CURE_OUTCOMES: tuple[CureOutcome, ...] = get_args(CureOutcome)

CURE_TEXT = {"helps": "helps", "harms": "harms", "inconclusive": "open", "not_tried": "not tried"}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CureResult:
    """What one cure did.

    Parameters
    ----------
    name : str
        What was changed, such as ``"learning rate x0.1"``.
    outcome : {"helps", "harms", "inconclusive", "not_tried"}
        Whether the whole interval of the gain lies above 0, below 0, or neither.
    message : str
        The finding in one sentence, or why it was not tried.
    checks : tuple of str
        The failing checks whose cause it would be.
    loss_without, loss_with : float, optional
        Mean held-out loss after training without and with it; None where a training ended in no finite number.
    gain, low, high : float, optional
        By how much the held-out loss is lower with it, and the 95 % interval.
    n_runs, n_steps : int, optional
        Pairs of trainings, and steps of each.

    Raises
    ------
    InputError
        An unknown outcome, or a number that is not finite.
    """

    name: str
    outcome: CureOutcome
    message: str
    checks: tuple[str, ...] = ()
    loss_without: float | None = None
    loss_with: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    n_runs: int | None = None
    n_steps: int | None = None

    def __post_init__(self) -> None:
        if self.outcome not in CURE_OUTCOMES:
            raise InputError(f"CureResult.outcome is {self.outcome!r}; {nearest(self.outcome, CURE_OUTCOMES)}")
        for field in ("loss_without", "loss_with", "gain", "low", "high"):
            value = getattr(self, field)
            if value is not None and not math.isfinite(value):
                raise InputError(f"CureResult.{field} of {self.name!r} is {value}: give a finite number or None")

    def line(self) -> str:
        """Name, finding and outcome."""
        shown = f"{self.name}: {self.message}"
        return shown if self.outcome == "not_tried" else f"{shown}: {CURE_TEXT[self.outcome]}"

    def to_json(self) -> dict[str, Any]:
        """Every field under its own name, as JSON's types."""
        return to_json(self)


def apart(results: tuple[CheckResult, ...], cures: tuple[CureResult, ...]) -> str | None:
    """The failing check that the measured gains put before the diagnosis; None where they leave the order as it is.

    Its best cure's whole interval lies above that of the diagnosis's best cure. Where the diagnosis has no cure that
    was tried, nothing is known of its gain, and the order stays.
    """
    best: dict[str, CureResult] = {}
    for cure in cures:
        for name in cure.checks if cure.gain is not None else ():
            if name not in best or (best[name].gain or 0.0) < (cure.gain or 0.0):
                best[name] = cure
    failed = [one for one in results if one.outcome == "fail"]
    first = next((one.name for one in failed if not one.consequence_of), None)
    if first is None or first not in best:
        return None
    above = max(best[first].high or 0.0, 0.0)
    found = [one.name for one in failed if one.name in best and (best[one.name].low or 0.0) > above]
    return max(found, key=lambda name: best[name].gain or 0.0, default=None)
