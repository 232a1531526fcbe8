"""Intervals over seeds against the closed form, and what a verdict picks."""

from typing import Any

import pytest
from scipy.stats import t as student

from diagnostics.audit.metrics.summary import summary_of


def row(answer: str, kind: str, scaled: float | None, **changes: Any) -> dict[str, Any]:
    usual = {"protocol": "mse", "metric": "mse", "answer": answer, "kind": kind, "dial": "", "dose": None}
    return usual | {"raw": 1.0, "scaled": scaled, "bds": 1.0, "direction": -1} | changes


def record(seed: int, *rows: dict[str, Any], dial: str = "", dose: float = 1.0) -> dict[str, Any]:
    shape = {"perturbations": 2, "genes": 3, "cells": 4}
    about = {"seed": seed, "dial": dial, "dose": dose, "scorers": ["a"], "notes": [], "known": True, "shape": shape}
    return about | {"scores": list(rows)}


def records() -> list[dict[str, Any]]:
    made = [
        record(
            seed,
            row("exact sampler", "exact", law),
            row("copy of the reference", "copy", 1.0),
            row("no change", "free", -0.5),
            row("random data", "free", 0.1 * seed),
            row("shuffled labels", "chance", None),
            row("exact sampler", "copy", 0.9, dial="noise", dose=0.5),
        )
        for seed, law in enumerate((0.2, 0.4, 0.6))
    ]
    return [*made, record(0, row("exact sampler", "exact", 0.7), dial="cells", dose=3.0)]


def test_intervals_are_students():
    found = summary_of(records())
    entry = found.entry("mse", "exact sampler")
    assert entry is not None
    assert entry.scaled is not None
    half = student.ppf(0.975, 2) * 0.2 / 3**0.5
    assert (entry.scaled.value, entry.scaled.low, entry.scaled.n) == (
        pytest.approx(0.4),
        pytest.approx(0.4 - half),
        3,
    )


def test_a_verdict():
    (verdict,) = summary_of(records()).verdicts
    assert verdict.free_answer == "random data"
    assert verdict.free is not None
    assert verdict.free.value == pytest.approx(0.1)
    assert verdict.copying is not None
    assert verdict.copying.value == pytest.approx(0.6)
    assert verdict.copying_pays
    assert verdict.chance is None
    assert verdict.direction == -1


def test_doses_are_kept_apart():
    found = summary_of(records())
    noise, cells = found.entry("mse", "exact sampler", "noise", 0.5), found.entry("mse", "exact sampler", "cells", 3.0)
    assert noise is not None
    assert cells is not None
    assert noise.scaled is not None
    assert cells.scaled is not None
    assert (noise.scaled.value, cells.scaled.value) == (pytest.approx(0.9), 0.7)
    assert found.seeds == (0, 1, 2)
