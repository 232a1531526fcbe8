"""On a world of 20 genes where one decade of learning rates learns, a sweep finds it, and names where the loss is flat.

The model is small, unnormalised and trained for a few dozen steps without clipping, so that at 3e-3 and below the loss
has not begun to fall and at 1e-1 it has exploded. The truth is a grid of quarter decades, eight seeds each, which the
sweeps do not see.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from diagnostics.loss_baselines import loss_baseline
from gpcp.fit_config import FitConfig
from gpcp.model_config import ModelConfig
from gpcp.pairs import concatenate
from gpcp.replicate import replicate
from gpcp.sweep_result import SweepResult
from gpcp.sweep_space import Space, hyperparameter_of
from gpcp.sweeps import SweepConfig, sweep
from simulators.sources import SimulatedPairs
from simulators.worlds import world

pytestmark = pytest.mark.slow

MODEL = ModelConfig(
    n_genes=20,
    width=16,
    n_heads=2,
    n_decoder_blocks=1,
    n_rounds=1,
    head="linear",
    norm="none",
    qk_norm=False,
    skip=False,
)
FIT = FitConfig(batch_size=64, gradient_clip=None, accelerator="cpu")
CONFIG = SweepConfig(n_trials=12, n_seeds=2, n_epochs=2, epoch_pairs=3_072, n_spread=8)
PAIRS = SimulatedPairs(scm=world("scale_free/20").scm, regime="interventional", n_pairs=3_072)
HELD_OUT = concatenate(list(PAIRS.pairs(batch_size=1_000, seed=123))[:1])
N_SWEEPS = 20


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def truth() -> dict[float, float]:
    """Mean loss by learning rate; infinite where a training blew up."""
    n_steps = CONFIG.n_epochs * CONFIG.epoch_pairs // FIT.batch_size
    found: dict[float, float] = {}
    for quarter in range(-12, -1):
        rate = 10.0 ** (quarter / 4)
        losses = []
        for seed in range(1_000, 1_008):
            fit = FitConfig(
                **{**FIT.to_json(), "n_steps": n_steps, "warmup_steps": n_steps // 6, "learning_rate": rate}
            )
            losses.append(replicate(MODEL, fit, PAIRS, HELD_OUT, seed=seed)[1].loss)
        found[rate] = float(np.mean([math.inf if loss is None else loss for loss in losses]))
    return found


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> list[SweepResult]:
    place: Path = tmp_path_factory.mktemp("sweeps")
    space = Space([hyperparameter_of("learning_rate=1e-6..1")], MODEL, FIT)
    return [
        sweep(PAIRS, HELD_OUT, space, SweepConfig(**{**_fields(CONFIG), "seed": seed}), storage=str(place / f"{seed}"))
        for seed in range(N_SWEEPS)
    ]


def _fields(config: SweepConfig) -> dict[str, int | None]:
    return {name: getattr(config, name) for name in ("n_trials", "n_seeds", "n_epochs", "epoch_pairs", "n_spread")}


def test_one_decade_learns(truth: dict[float, float]):
    baseline = loss_baseline(HELD_OUT, HELD_OUT).loss
    best = min(truth, key=lambda rate: truth[rate])
    gain = baseline - truth[best]
    learning = [rate for rate, loss in truth.items() if baseline - loss > 0.1 * gain]
    print({f"{rate:.2g}": round(loss, 3) for rate, loss in truth.items()}, "baseline", round(baseline, 3))
    assert gain > 0.2 * baseline
    assert max(learning) / min(learning) <= 10.001


def test_the_best_that_is_reported_is_within_a_decade_of_the_best(truth: dict[float, float], sweeps: list[SweepResult]):
    best = min(truth, key=lambda rate: truth[rate])
    found = [float(str(one.best.values["learning_rate"])) if one.best is not None else math.nan for one in sweeps]
    print("best", best, "found", [f"{rate:.2g}" for rate in found])
    near = sum(abs(math.log10(rate / best)) <= 1 for rate in found)
    assert near >= 0.95 * N_SWEEPS


def test_the_rates_of_flat_loss_are_named(truth: dict[float, float], sweeps: list[SweepResult]):
    best = min(truth, key=lambda rate: truth[rate])
    for one in sweeps:
        rates = one.rates()
        assert rates is not None
        # Every rate two decades below the best stayed flat, and is named; none that learns is.
        tried = [float(str(row.values["learning_rate"])) for row in one.rows]
        assert {rate for rate in tried if rate < best / 100} <= set(rates.flat_below)
        assert all(rate < best for rate in rates.flat_below)
        high = {rate for rate in tried if rate > 10 * best}
        assert high <= {*rates.flat_above, *rates.diverged_above}
