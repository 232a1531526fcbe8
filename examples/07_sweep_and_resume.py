"""Which learning rate, and does the head matter? A short sweep that can be interrupted at any time and goes on.

About half a minute. Every configuration is trained from the same seeds; what the seeds alone could explain is a tie.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from diagnostics import sweep_table
from gpcp import FitConfig, ModelConfig, Space, SweepConfig, hyperparameter_of, sweep
from simulators import SimulatedPairs, world


def main() -> None:
    print(__doc__)
    torch.set_num_threads(1)  # the models are small
    pairs = SimulatedPairs(scm=world("scale_free/10").scm, regime="interventional", n_pairs=20_000)
    # Of a source that is finite, such as "h5ad:cells.h5ad", gpcp.open_pairs and gpcp.split_pairs keep cells apart.
    held_out = next(pairs.pairs(batch_size=1_000, seed=1))

    model = ModelConfig(n_genes=len(pairs.vocab), width=16)
    varied = [hyperparameter_of("learning_rate=1e-5..1"), hyperparameter_of("head=linear,mlp")]
    space = Space(varied, model, FitConfig())
    config = SweepConfig(n_trials=10, n_seeds=3, n_epochs=2, epoch_pairs=2_048)

    with TemporaryDirectory() as folder:
        journal = str(Path(folder) / "sweep.journal")
        # Interrupted here, the same call would take up the trial where it was; with more trials it would go on.
        found = sweep(pairs, held_out, space, config, storage=journal)
        print(sweep_table(found))
        more = sweep(pairs, held_out, space, replace(config, n_trials=12), storage=journal)
        assert [row.loss_R for row in more.rows[:10]] == [row.loss_R for row in found.rows]

    rates = found.rates()
    best = found.best
    assert rates is not None
    assert best is not None
    print(f"\ntoo low to learn anything: {[f'{rate:.0e}' for rate in rates.flat_below]}; best: {best.values}")


if __name__ == "__main__":
    main()
