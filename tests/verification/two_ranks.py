"""Train under ``torchrun``, or alone; each process writes what it saw, for test_two_processes.py."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from gpcp.core.errors import InputError
from gpcp.core.pairs import concatenate
from gpcp.loading.sharding import rank_and_number
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from gpcp.training.loss import Objective
from gpcp.training.ranks import launched
from simulators.sources import SimulatedPairs
from simulators.worlds import world

N_STEPS = 10


def main(folder: Path, head: str, objective: Objective, precision: str, weight: str) -> None:
    """What the training of one model sees, and where it ends."""
    made = world("chain/4", seed=0)
    # 7 batches a pass: more steps than a pass has. Pairs score from 1 to 3 genes, so that processes score unequally.
    source = SimulatedPairs(scm=made.scm, regime="interventional", n_pairs=7 * 8)
    config = FitConfig(n_steps=N_STEPS, batch_size=8, warmup_steps=2, evaluate_every=5, checkpoint_every=5)
    given: dict[str, Any] = {"objective": objective, "precision": precision, "pair_weight": weight}
    config = replace(config, accelerator="cpu", **given)
    fabric = launched(config)
    held_out = concatenate(source.pairs(batch_size=16, seed=9))
    losses: list[float] = []
    gradients: list[list[float]] = []
    model = GenePerturbationTransformer(ModelConfig(n_genes=4, width=8, n_heads=2, head=head))

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        gradients.append(flat([cast("torch.Tensor", one.grad) for one in model.parameters()]))
        if (folder / "stop").exists() and step == N_STEPS // 2:
            raise KeyboardInterrupt

    found: dict[str, Any] = {"losses": losses, "gradients": gradients, "refused": []}
    try:
        result = fit(
            model, source, config, held_out=held_out, fabric=fabric, checkpoint=folder / "kept.pt", on_step=on_step
        )
        found["held_out"] = [row.held_out_loss for row in result.history]
    except KeyboardInterrupt:
        # A training that is ended half way, which another number of processes goes on with.
        pass
    found["weights"] = flat(list(model.parameters()))
    wrong = [replace(config, batch_size=7)] + ([replace(config, objective="squared")] if head == "mixture" else [])
    for one in wrong if fabric is not None else []:
        try:
            fit(model, source, one, fabric=fabric)
        except InputError as error:
            found["refused"].append(str(error))
    (folder / f"rank{rank_and_number()[0]}.json").write_text(json.dumps(found))


def flat(tensors: list[torch.Tensor]) -> list[float]:
    """All numbers of some tensors in turn."""
    return torch.cat([one.detach().flatten() for one in tensors]).tolist()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], cast("Objective", sys.argv[3]), sys.argv[4], sys.argv[5])
