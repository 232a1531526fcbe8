"""Commands that are killed at a random moment and begun again come to what they come to in peace."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from diagnostics.__main__ import main
from diagnostics.runs.folder import CHECKPOINT
from tests.verification.faults.tiny_commands import measured, started, tiny

pytestmark = pytest.mark.slow

TIMED = ("throughput", "benchmark simulators", "benchmark input")
"""Verbs whose results are times."""


@pytest.mark.parametrize("verb", [verb for verb in tiny(Path()) if verb not in TIMED])
def test_killed_at_a_random_moment(verb: str, tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code = main(tiny(whole)[verb])
    process = started(tiny(killed)[verb])
    # Of some seven seconds, of which three or four are imports.
    time.sleep(np.random.default_rng(list(tiny(whole)).index(verb)).uniform(1.0, 6.0))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert main(tiny(killed)[verb]) == code
    assert measured(killed) == measured(whole)


def test_an_interrupted_run_of_other_settings_is_kept(tmp_path: Path):
    out = tmp_path / "out"
    # A run takes a checkpoint when a quarter of its steps are done.
    usual = ["recover-graph", "--world", "chain/4", "--regime", "matched", "--seeds", "1", "--out", str(out)]
    process = started([*usual, "--steps", "400"])
    checkpoint = out / "matched_seed0" / CHECKPOINT
    until_s = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < until_s:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    content = checkpoint.read_bytes()
    for steps in ("8", "12"):
        assert main([*usual, "--steps", steps, "--quiet"]) in (0, 1)
    assert checkpoint.read_bytes() == content
    assert len([*out.glob(f"matched_seed0*/{CHECKPOINT}")]) == 3
