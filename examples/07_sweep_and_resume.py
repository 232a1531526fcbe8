"""Which learning rate, and does the head matter? A short sweep that can be interrupted at any time and goes on.

About half a minute. Every configuration is trained from the same seeds; what the seeds alone could explain is a tie.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
from diagnostics.commands.sweep.table import screen
from gpcp import (
    FitConfig,
    ModelConfig,
    PairOptions,
    Space,
    SweepConfig,
    hyperparameter_of,
    open_pairs,
    split_pairs,
    sweep,
)


def main() -> None:
    torch.set_num_threads(1)  # the models are small
    # Any source: "h5ad:cells.h5ad" or "cache:panel_cache" take the place of the world without another change.
    named = open_pairs("synthetic:scale_free/10", PairOptions())
    split = split_pairs(named, n_held_out=1_000, seed=0)

    model = ModelConfig(n_genes=len(split.training.vocab), width=16)
    varied = [hyperparameter_of("learning_rate=1e-5..1"), hyperparameter_of("head=linear,mlp")]
    space = Space(varied, model, FitConfig())
    config = SweepConfig(n_trials=10, n_seeds=3, n_epochs=2, epoch_pairs=2_048)

    with TemporaryDirectory() as folder:
        journal = str(Path(folder) / "sweep.journal")
        # Interrupted here, the same call would take up the trial where it was; with more trials it would go on.
        found = sweep(split.training, split.held_out, space, config, storage=journal)
        print(screen(found))
        more = sweep(split.training, split.held_out, space, replace(config, n_trials=12), storage=journal)
        assert [row.loss_R for row in more.rows[:10]] == [row.loss_R for row in found.rows]

    rates = found.rates()
    best = found.best
    assert rates is not None
    assert best is not None
    print(f"\ntoo low to learn anything: {[f'{rate:.0e}' for rate in rates.flat_below]}; best: {best.values}")


if __name__ == "__main__":
    main()
