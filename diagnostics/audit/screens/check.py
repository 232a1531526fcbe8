"""A check of a screen: a function from the screen to one result, registered under its name and code."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

from diagnostics.audit.screens.screen import Screen
from diagnostics.results.check_result import CheckResult

ScreenFunction: TypeAlias = Callable[[Screen], CheckResult]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenCheck:
    """A check and what it asks.

    Parameters
    ----------
    code, name : str
        Such as ``"SC101"`` and ``"values.finite"``.
    question : str
    function : callable
    """

    code: str
    name: str
    question: str
    function: ScreenFunction

    def __call__(self, screen: Screen) -> CheckResult:
        """The result under the check's name; whatever goes wrong is a result of its own, and the others go on."""
        start_s = time.perf_counter()
        try:
            found = self.function(screen)
        except Exception as error:
            found = CheckResult(
                outcome="error",
                message=f"the check could not be carried out: {type(error).__name__}: {' '.join(str(error).split())}",
                next_step="report it with the file's obs: it is a fault of the check",
                traceback=traceback.format_exc(),
            )
        return found.of(self.name, code=self.code, cause="data", seconds=time.perf_counter() - start_s)


def passed(message: str, *, statistic: float, tolerance: float, n: int) -> CheckResult:
    """All is well, by this number against this bound."""
    return CheckResult(outcome="pass", message=message, statistic=statistic, tolerance=tolerance, n=n)


def failed(message: str, next_step: str, *, statistic: float, tolerance: float, n: int) -> CheckResult:
    """Something is wrong, by this number against this bound."""
    return CheckResult(
        outcome="fail", message=message, next_step=next_step, statistic=statistic, tolerance=tolerance, n=n
    )


def not_applicable(message: str) -> CheckResult:
    """There is nothing to ask of this file."""
    return CheckResult(outcome="not_applicable", message=message)


def undecided(message: str, *, n: int | None = None) -> CheckResult:
    """The file has too little to decide it."""
    return CheckResult(outcome="inconclusive", message=message, n=n)


def with_p(result: CheckResult, p: float) -> CheckResult:
    """The same with a p-value."""
    return replace(result, p=p)


def listed(names: Sequence[object], most: int = 5) -> str:
    """The first few of some names."""
    shown = ", ".join(str(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
