"""Budget of trial trainings: pairs a step by the number of genes, steps by the time of one step.

Steps are halved until they fit a budget, so that two runs on one machine make the same number of them unless they sit
at an edge.
"""

import time

import torch

from diagnostics.checks.engine.probe import Probe

BATCH_SIZE = 64
BATCH_ENTRIES = 16_384
"""Entries (pairs x genes) of a training batch, and eight pairs at least."""

ANSWER_ENTRIES = 32_768
"""Entries of a batch that is answered without gradients."""

_N_TIMED = 3


def batch_size(probe: Probe) -> int:
    """Pairs of a trial's training batch."""
    return probe.whole_sets(max(8, min(BATCH_SIZE, BATCH_ENTRIES // len(probe.vocab))))


def answer_size(probe: Probe) -> int:
    """Pairs that are answered at once."""
    return probe.whole_sets(max(4, min(512, ANSWER_ENTRIES // len(probe.vocab))))


def step_seconds(probe: Probe) -> float:
    """What one training step costs: the least of a few, in seconds of this process where it computes itself."""
    return probe.once("step seconds", _timed)


def steps_within(probe: Probe, wanted: int, seconds: float, *, least: int = 8) -> int:
    """``wanted``, halved until the steps fit; ``least`` at least."""
    n_steps, each = wanted, step_seconds(probe)
    while n_steps > least and n_steps * each > seconds:
        n_steps //= 2
    return max(least, n_steps)


def _timed(probe: Probe) -> float:
    with probe.trial("step seconds") as (model, optimizer):
        batches = probe.batches("step seconds", batch_size=batch_size(probe))
        costs: list[float] = []
        for _ in range(1 + _N_TIMED):
            pairs = next(batches)
            start = _clock(probe)
            probe.subject.step(model, optimizer, pairs)
            costs.append(_clock(probe) - start)
    # The first step pays for what is made once.
    return min(costs[1:])


def _clock(probe: Probe) -> float:
    if probe.device.type != "cuda":
        return time.process_time() / max(1, torch.get_num_threads())
    torch.cuda.synchronize(probe.device)
    return time.perf_counter()
