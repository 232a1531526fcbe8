"""What figures of each kind are put down to."""

from typing import Any

import pytest

from diagnostics.commands.ladder.rungs.verdict import judged, needs_rates


def known(skill: float | None, *, name: str = "counterfactual", factor: float = 1.0) -> dict[str, Any]:
    """A record of pairs of a known world."""
    return {"rung": name, "skill": skill, "factor": factor}


def pairing(matched: float, paired: float) -> dict[str, Any]:
    """A record of simulated cells."""
    return {"rung": "pairing", "facts": {"n_cells": 100, "recovery": {"matched": matched, "as paired": paired}}}


def assay(before: float, after: float, depth: float = 0.0) -> dict[str, Any]:
    """A record of measured cells."""
    found = {"assay": after, "without counting noise": before, "without depth": after, "unlimited": after}
    facts = {"recovery": found, "unmeasured_recovery": before, "depth_share": depth}
    return {"rung": "assay", "facts": facts}


def real(z: float, loss: float, linear: float = 0.99) -> dict[str, Any]:
    """A record of real pairs whose baseline loses 1."""
    return {
        "rung": "real", "loss": loss, "baseline": 1.0, "skill": 0.5, "facts": {"signal_z": z, "linear_loss": linear},
    }  # fmt: skip


def exact(failed: str | None, cause: str | None) -> dict[str, Any]:
    """A record of the checks."""
    facts = {"n_passed": 3, "failed": failed, "code": "GP1", "cause": cause, "message": "m", "next_step": "n"}
    return {"rung": "exact", "facts": facts}


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (exact(None, None), "none"),
        (exact("loss.scored_only", "bug"), "bug"),
        (exact("optimiser.descends", "optimiser"), "bug"),
        (exact("optimiser.learning_rate", "optimiser"), "learning rate"),
        (exact("architecture.rank", "architecture"), "architecture"),
        (known(0.95), "none"),
        (known(0.5), "architecture"),
        (known(None), "architecture"),
        (known(0.75, name="interventional"), "none"),
        (pairing(0.5, 0.5), "too little data"),
        (pairing(0.9, 0.3), "pairing"),
        (pairing(0.9, 0.85), "none"),
        (assay(0.9, 0.8), "none"),
        (assay(0.9, 0.3), "measurement"),
        (assay(0.9, 0.8, depth=0.5), "measurement"),
        (real(2.0, 0.5), "no signal"),
        (real(50.0, 0.995, linear=0.995), "no signal"),
        (real(50.0, 0.9), "none"),
        (real(50.0, 1.5, linear=0.8), "none"),
    ],
)
def test_a_record_is_put_down_to_its_cause(record: dict[str, Any], cause: str):
    found = judged(record)
    assert found.cause == cause
    assert found.passed == (cause == "none")
    assert bool(found.next_step) == (not found.passed)
    assert found.to_json()["cause"] == cause


@pytest.mark.parametrize(
    ("first", "others", "cause"),
    [
        (0.0, [0.1, 0.9], "learning rate"),
        (0.1, [0.6], "learning rate"),
        (0.4, [0.6], "architecture"),
        (None, [0.2], "architecture"),
        (None, [None, 0.95], "learning rate"),
    ],
)
def test_another_rate_is_the_cause_where_it_learns_much_more(
    first: float | None, others: list[float | None], cause: str
):
    assert needs_rates(known(first))
    found = judged(known(first), [known(skill, factor=0.1) for skill in others])
    assert found.cause == cause
