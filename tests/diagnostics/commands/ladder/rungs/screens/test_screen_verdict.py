"""What was found on a screen is put down to its cause."""

from typing import Any

import pytest

from diagnostics.commands.ladder.rungs.verdict import judged


def pairing(matched: float, paired: float) -> dict[str, Any]:
    """Agreement of effects."""
    facts = {"recovery": {"matched": matched, "as paired": paired}, "n_cells": 100}
    return {"rung": "pairing", "screen": True, "skill": 0.5, "facts": facts}


def assay(before: float, after: float, depth: float = 0.0) -> dict[str, Any]:
    """What measuring costs."""
    found = {"assay": after, "without counting noise": before, "unlimited": before}
    facts = {"recovery": found, "unmeasured_recovery": before, "depth_share": depth}
    return {"rung": "assay", "screen": True, "skill": 0.5, "facts": facts}


def real(z: float, seen_z: float, unseen_z: float | None, linear_z: float = 0.0) -> dict[str, Any]:
    """Effects beside chance, and losses beside the baseline."""
    seen = {"skill": 0.5, "z": seen_z, "linear_z": linear_z}
    unseen = None if unseen_z is None else {"skill": 0.1, "z": unseen_z, "linear_z": None}
    facts = {
        "signal_z": z, "n_contexts": 2, "seen": seen, "unseen": unseen, "by": "perturbation", "held_out": ["a", "b"],
        "n_perturbations": 9,
    }  # fmt: skip
    return {"rung": "real", "screen": True, "skill": 0.5, "facts": facts}


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (pairing(0.5, 0.5), "too little data"),
        (pairing(0.9, 0.3), "pairing"),
        (pairing(0.9, 0.85), "none"),
        (assay(0.9, 0.8), "none"),
        (assay(0.9, 0.3), "measurement"),
        (assay(0.9, 0.8, depth=0.5), "measurement"),
        (real(1.0, 5.0, 5.0), "no signal"),
        (real(50.0, 0.5, 5.0), "too little data"),
        (real(50.0, 0.5, 5.0, linear_z=4.0), "none"),
        (real(50.0, 5.0, -3.0), "too little data"),
        (real(50.0, 5.0, 3.0), "none"),
        (real(50.0, 5.0, None), "none"),
    ],
)
def test_a_record_is_put_down_to_its_cause(record: dict[str, Any], cause: str):
    found = judged(record)
    assert found.cause == cause
    assert found.passed == (cause == "none")
    assert bool(found.next_step) == (not found.passed)


def test_a_loss_above_the_baseline_is_called_so():
    assert "loss 3.0 standard errors above the baseline" in judged(real(50.0, 5.0, -3.0)).message


def test_a_model_that_sees_no_context_is_put_beside_one_that_does():
    assert "one context at a time" in judged(real(50.0, 0.5, 5.0)).next_step
