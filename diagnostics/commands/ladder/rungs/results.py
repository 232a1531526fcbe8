"""``RungResult``: what one rung came to, and the causes that can be named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from diagnostics.commands.ladder.rungs.thresholds import DEPTH_SHARE, MEASUREMENT_LOSS

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


def measured_result(record: Mapping[str, Any], message: str, *, next_step: str) -> RungResult:
    """What measuring costs, of a graph's recovery or of the agreement of effects: the same thresholds for both.

    Parameters
    ----------
    record : mapping
        Of the assay rung.
    message : str
        What is left after measuring, and what there was before.
    next_step : str
        Where measuring costs too much.
    """
    facts, found = record["facts"], record["facts"]["recovery"]
    if facts["depth_share"] > DEPTH_SHARE:
        return result_of(
            record,
            f"{facts['depth_share']:.0%} of the variance of a gene goes with all other genes of its cell ({message})",
            cause="measurement",
            next_step="depth was not taken away, or was twice: log1p of counts over the cell's total, and cells of "
            "little depth left out",
        )
    if found["assay"] >= facts["unmeasured_recovery"] * (1 - MEASUREMENT_LOSS):
        return result_of(record, message)
    return result_of(
        record,
        f"{message}; {found['without counting noise']:.2f} without counting noise and lost counts, "
        f"{found['unlimited']:.2f} of unlimited cells",
        cause="measurement",
        next_step=next_step,
    )
