"""Train under ``torchrun`` with two processes; each writes what it saw, for test_two_processes.py."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric

from gpcp.core.errors import InputError
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from gpcp.training.loss import Objective
from simulators.sources import SimulatedPairs
from simulators.worlds import world


def main(folder: Path, head: str, objective: Objective) -> None:
    fabric = Fabric(accelerator="cpu", devices=int(os.environ["WORLD_SIZE"]), strategy="ddp")
    fabric.launch()
    made = world("chain/4", seed=0)
    # 7 batches a pass: an uneven number for two processes, and more steps than a pass has.
    source = SimulatedPairs(scm=made.scm, regime="interventional", n_pairs=7 * 8)
    model = GenePerturbationTransformer(ModelConfig(n_genes=4, width=8, n_heads=2, head=head))
    losses: list[float] = []
    config = FitConfig(n_steps=10, batch_size=8, warmup_steps=2, evaluate_every=5, accelerator="cpu")
    config = replace(config, objective=objective)
    checkpoint = folder / "checkpoint.pt"
    fit(model, source, config, fabric=fabric, checkpoint=checkpoint, on_step=lambda _, loss: losses.append(loss))
    weights = torch.cat([p.detach().flatten() for p in model.parameters()]).tolist()
    found = {"losses": losses, "weights": weights, "refused": ""}
    if objective == "likelihood":
        try:
            fit(model, source, replace(config, objective="squared"), fabric=fabric)
        except InputError as error:
            found["refused"] = str(error)
    (folder / f"rank{fabric.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], cast("Objective", sys.argv[3]))
