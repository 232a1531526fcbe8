"""A sweep of a second: a world of five genes, models of eight numbers a token, trainings of a few steps."""

from pathlib import Path
from typing import Any

from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.model.config import ModelConfig
from gpcp.search.result import SweepResult, SweepRow
from gpcp.search.space import Space, hyperparameter_of
from gpcp.search.sweep import SweepConfig, sweep
from gpcp.training.config import FitConfig
from simulators.sources import SimulatedPairs
from simulators.worlds import world

MODEL = ModelConfig(n_genes=5, width=8, n_heads=2, n_decoder_blocks=1, n_rounds=1)
FIT = FitConfig(accelerator="cpu")
PAIRS = SimulatedPairs(scm=world("scale_free/5").scm, regime="interventional", n_pairs=200)
CONFIG = SweepConfig(n_trials=5, n_seeds=3, n_epochs=1, epoch_pairs=128)


def held_out() -> PairBatch:
    return concatenate(list(PAIRS.pairs(batch_size=100, seed=99))[:1])


def space(*texts: str, model: ModelConfig = MODEL, fit: FitConfig = FIT) -> Space:
    return Space([hyperparameter_of(text) for text in texts or ("learning_rate=1e-5..1",)], model, fit)


def swept(
    place: Path, *texts: str, pairs: PairSource = PAIRS, config: SweepConfig = CONFIG, **more: Any
) -> SweepResult:
    kept = {key: more.pop(key) for key in ("model", "fit") if key in more}
    return sweep(pairs, held_out(), space(*texts, **kept), config, storage=str(place), **more)


def row(slot: int, loss_s: tuple[float, ...], outcome: str = "finished", **values: Any) -> SweepRow:
    return SweepRow(
        slot=slot, values=values, outcome=outcome, loss_R=loss_s, n_parameters=1, n_steps=1, seconds=1.0 + slot
    )


def result(rows: list[SweepRow], *texts: str, start_loss: float = 2.0, n_seeds: int = 3) -> SweepResult:
    return SweepResult(
        rows=tuple(rows),
        n_seeds=n_seeds,
        start_loss=start_loss,
        levels={"baseline": 2.0, "Bayes risk": 0.5},
        space=space(*texts),
        settings={},
    )
