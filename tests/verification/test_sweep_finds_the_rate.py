"""On a world of 20 genes where one decade of learning rates learns, a sweep finds it, and names where the loss is flat.

The model is small, unnormalised and trained for a few dozen steps without clipping, so that at 3e-3 and below the loss
has not begun to fall and at 1e-1 it has exploded. The truth is a grid of quarter decades, four seeds each, which the
sweeps do not see.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diagnostics.scoring.levels import levels_of
from gpcp.core.pairs import concatenate
from gpcp.model.config import ModelConfig
from gpcp.search.result import SweepRow
from gpcp.search.space import Space, hyperparameter_of
from gpcp.search.sweep import SweepConfig, sweep
from gpcp.search.trial import FLAT
from gpcp.training.config import FitConfig
from gpcp.training.replicate import replicate
from simulators.sources import SimulatedPairs
from simulators.worlds import world

pytestmark = pytest.mark.slow

MODEL = ModelConfig(
    n_genes=20,
    width=16,
    n_heads=2,
    n_decoder_blocks=1,
    n_rounds=1,
    head="per_gene",
    norm="none",
    qk_norm=False,
    skip=False,
)
FIT = FitConfig(batch_size=64, gradient_clip=None, accelerator="cpu")
CONFIG = SweepConfig(n_trials=12, n_seeds=2, n_epochs=2, epoch_pairs=3_072, n_spread=8)
PAIRS = SimulatedPairs(scm=world("scale_free/20").scm, regime="interventional", n_pairs=3_072)
HELD_OUT = concatenate(list(PAIRS.pairs(batch_size=1_000, seed=123))[:1])
N_SWEEPS, N_TRUE = 20, 4


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _truth() -> dict[float, float]:
    """Mean loss by learning rate; infinite where a training blew up."""
    n_steps = CONFIG.n_epochs * CONFIG.epoch_pairs // FIT.batch_size
    found: dict[float, float] = {}
    for quarter in range(-12, -2):
        fit = replace(FIT, n_steps=n_steps, warmup_steps=n_steps // 6, learning_rate=10.0 ** (quarter / 4))
        losses = [replicate(MODEL, fit, PAIRS, HELD_OUT, seed=seed)[1].loss for seed in range(1_000, 1_000 + N_TRUE)]
        found[fit.learning_rate] = float(np.mean([math.inf if loss is None else loss for loss in losses]))
    return found


def _rate(row: SweepRow | None) -> float:
    return math.nan if row is None else float(str(row.values["learning_rate"]))


def test_the_decade_that_learns_is_found_and_flat_rates_are_named(tmp_path: Path):
    """One test, since the trainings behind its statements take minutes."""
    truth = _truth()
    baseline = levels_of(HELD_OUT, HELD_OUT, ridge_on=None).baseline
    best = min(truth, key=lambda rate: truth[rate])
    print({f"{rate:.2g}": round(loss, 3) for rate, loss in truth.items()}, "baseline", round(baseline, 3))
    learning = [rate for rate, loss in truth.items() if baseline - loss > FLAT * (baseline - truth[best])]
    assert baseline - truth[best] > 0.1 * baseline, "at the best rate the model learns"
    assert max(learning) / min(learning) <= 10.001, "in one decade alone"

    space = Space([hyperparameter_of("learning_rate=1e-6..1")], MODEL, FIT)
    found: list[float] = []
    for seed in range(N_SWEEPS):
        one = sweep(PAIRS, HELD_OUT, space, replace(CONFIG, seed=seed), storage=str(tmp_path / f"{seed}.journal"))
        found.append(_rate(one.best))
        rates = one.rates()
        assert rates is not None
        # Every rate two decades below the best stayed flat and is named so; so is every one a decade above it.
        tried = [_rate(row) for row in one.rows]
        assert {rate for rate in tried if rate < best / 100} <= set(rates.flat_below), seed
        assert {rate for rate in tried if rate > 10 * best} <= {*rates.flat_above, *rates.diverged_above}, seed
    near = sum(abs(math.log10(rate / best)) <= 1 for rate in found)
    print(f"best {best:.2g}; {near} of {N_SWEEPS} within a decade:", " ".join(f"{rate:.2g}" for rate in sorted(found)))
    assert near >= 0.95 * N_SWEEPS
