"""Go through pairs under ``torchrun`` with two processes; each writes what it saw, for test_two_processes.py."""

import json
import os
import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from gpcp.core.pairs import PairSource
from gpcp.loading.prefetch import Prefetched
from gpcp.loading.torch_dataset import PairDataset
from gpcp.model.batch import model_batch
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.pairing.paired import Paired
from gpcp.sources.cache.cells import CachedCells
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from simulators.sources import SimulatedCells, SimulatedPairs
from simulators.worlds import world

BATCH, N_CELLS, N_STEPS = 8, 130, 11
"""65 pairs are 9 batches, the last of one pair: an odd number for two processes; 11 steps are more than two passes."""

CONFIG = FitConfig(n_steps=N_STEPS, batch_size=BATCH, warmup_steps=2, evaluate_every=5, accelerator="cpu")


def cells() -> SimulatedCells:
    """What is paired, and what the cache holds."""
    return SimulatedCells(scm=world("chain/4", seed=0).scm, n_cells=N_CELLS)


def sources(cache: Path) -> dict[str, PairSource]:
    """Every kind: simulated, of known length and not late; planned, of known length; streamed, of unknown length."""
    scm = world("chain/4", seed=0).scm
    planned, streamed = Paired(CachedCells(cache), engine="planned"), Paired(cells(), engine="streaming")
    return {
        "simulated": SimulatedPairs(scm=scm, regime="interventional", n_pairs=N_CELLS // 2),
        "planned": planned,
        "streamed": streamed,
        "planned, read ahead": Prefetched(planned, depth=2),
        "streamed, read ahead": Prefetched(streamed, depth=2),
    }


def seen(source: PairSource, *, even: bool) -> list[list[tuple[int, int]]]:
    """The cells of each pair of each batch that this process gets in epoch 3."""
    dataset = PairDataset(source, batch_size=BATCH, seed=1, even=even)
    dataset.set_epoch(3)
    return [
        list(zip(batch.before_id_B.tolist(), batch.after_id_B.tolist(), strict=True))
        for batch in DataLoader(dataset, batch_size=None)
    ]


def loop(source: PairSource, fabric: Fabric) -> int:
    """Somebody's own training loop over one epoch, whose every step waits for the other process; its steps."""
    model = GenePerturbationTransformer(ModelConfig(n_genes=4, width=8, n_heads=2))
    wrapped, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters()))
    n_steps = 0
    for pairs in DataLoader(PairDataset(source, batch_size=BATCH), batch_size=None):
        batch, after_BL = model_batch(pairs)
        optimizer.zero_grad()
        fabric.backward(((wrapped(batch) - after_BL) ** 2)[batch.scored_BL].mean())
        optimizer.step()
        n_steps += 1
    return n_steps


def trained(source: PairSource, fabric: Fabric) -> dict[str, list[float]]:
    """The losses of this process, and the weights."""
    model, losses = GenePerturbationTransformer(ModelConfig(n_genes=4, width=8, n_heads=2)), list[float]()
    fit(model, source, CONFIG, fabric=fabric, on_step=lambda _, loss: losses.append(loss))
    weights = torch.cat([p.detach().flatten() for p in model.parameters()]).tolist()
    return {"losses": losses, "weights": weights}


def main(folder: Path) -> None:
    fabric = Fabric(accelerator="cpu", devices=int(os.environ["WORLD_SIZE"]), strategy="ddp")
    fabric.launch()
    found = {
        name: {
            "all": seen(source, even=False),
            "even": seen(source, even=True),
            "loop": loop(source, fabric),
            "fit": trained(source, fabric),
        }
        for name, source in sources(folder / "cache").items()
    }
    (folder / f"rank{fabric.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
