"""``RungResult``: what one rung came to, and the causes that can be named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

Cause = Literal[
    "bug", "learning rate", "architecture", "pairing", "measurement", "too little data", "no signal", "none", "open"
]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RungResult:
    """What one rung came to.

    Parameters
    ----------
    rung : str
    passed : bool
    cause : str
        ``"none"`` where it passed.
    message, next_step : str
    record : mapping
        Its figures: ``loss``, ``baseline``, ``ceiling``, ``skill``, ``recovery`` and others, where it has them.
    """

    rung: str
    passed: bool
    cause: Cause
    message: str
    next_step: str
    record: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As JSON's types."""
        names = ("rung", "passed", "cause", "message", "next_step")
        return {**{name: getattr(self, name) for name in names}, **self.record}


def result_of(record: Mapping[str, Any], message: str, *, cause: Cause = "none", next_step: str = "") -> RungResult:
    """The result of a rung; passed where no cause is named."""
    return RungResult(
        rung=str(record["rung"]), passed=cause == "none", cause=cause, message=message, next_step=next_step,
        record=record,
    )  # fmt: skip
