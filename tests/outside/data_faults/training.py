"""An ordinary training on a table of pairs, in which nothing is wrong but what the table holds."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.outside.case import Parts
from tests.outside.data import Cells, cells

N_GENES = 20

WORLDS = (0, 1, 2)


@final
@dataclass
class Table:
    """Columns of a split; a fault may write to them, they are copies.

    Parameters
    ----------
    before, after, dose : float32, (pairs, genes)
    perturbed : float32, (pairs, genes)
        1 where a gene is perturbed.
    covariate : float32, (pairs, covariates)
        Whatever else stands in the table: the cell type, and what a fault adds.
    """

    before: np.ndarray
    after: np.ndarray
    dose: np.ndarray
    perturbed: np.ndarray
    covariate: np.ndarray
    n: int = field(init=False)

    def __post_init__(self):
        self.n = len(self.before)

    @staticmethod
    def of(cells: Cells) -> "Table":
        return Table(
            cells.before.copy(),
            cells.after.copy(),
            cells.dose.copy(),
            cells.perturbed.astype(np.float32),
            np.eye(2, dtype=np.float32)[cells.cell_type],
        )


@lru_cache(maxsize=8)
def world_cells(world: int) -> tuple[Cells, Cells]:
    made = cells(4000, N_GENES, seed=100 + world, world=world, dose="drawn", p_control=0.1)
    return made.split(1000)


def tables(world: int) -> tuple[Table, Table]:
    """Training and held-out table."""
    train, test = world_cells(world)
    return Table.of(train), Table.of(test)


class PlainNet(nn.Module):
    def __init__(self, n_covariates):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3 * N_GENES + n_covariates, 128), nn.ReLU(), nn.Linear(128, N_GENES))

    def forward(self, before, perturbed, dose, covariate):
        return before + self.net(torch.cat([before - 3, perturbed, dose, covariate], dim=1))


class SumOfLatents(nn.Module):
    """Cell, perturbation and covariates have a latent each; a perturbation's is multiplied by its dose."""

    def __init__(self, n_covariates, width=48):
        super().__init__()
        self.cell = nn.Sequential(nn.Linear(N_GENES, 64), nn.ReLU(), nn.Linear(64, width))
        self.gene = nn.Parameter(0.1 * torch.randn(N_GENES, width))
        self.scaled = nn.Parameter(0.1 * torch.randn(N_GENES, width))
        self.covariate = nn.Linear(n_covariates, width, bias=False)
        self.decoder = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, N_GENES))

    def forward(self, before, perturbed, dose, covariate):
        latent = self.cell(before - 3) + perturbed @ self.gene + dose @ self.scaled + self.covariate(covariate)
        return before + self.decoder(latent)


class NormedNet(nn.Module):
    def __init__(self, n_covariates, width=96):
        super().__init__()
        self.inp = nn.Linear(3 * N_GENES + n_covariates, width)
        self.block = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.out = nn.Linear(width, N_GENES)

    def forward(self, before, perturbed, dose, covariate):
        h = self.inp(torch.cat([before - 3, perturbed, dose, covariate], dim=1))
        return before + self.out(h + self.block(h))


MODELS = (PlainNet, SumOfLatents, NormedNet)


def training(train: Table, test: Table, world: int, *, n_epochs: int = 12) -> Parts:
    """A training of the world's own model on the two tables."""
    torch.manual_seed(world)
    model = MODELS[world % len(MODELS)](train.covariate.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def loader(table: Table, *, shuffle: bool):
        columns = (table.before, table.perturbed, table.dose, table.covariate, table.after)
        tensors = (torch.tensor(column, dtype=torch.float32) for column in columns)
        return DataLoader(TensorDataset(*tensors), batch_size=64, shuffle=shuffle)

    def training_step(batch):
        *inputs, after = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(*inputs), after)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader(train, shuffle=True),
        held_out=loader(test, shuffle=False),
        fields={"before": 0, "perturbation": 1, "dose": 2, "after": 4},
        training_step=training_step,
        predict=lambda batch: model(*batch[:4]),
        loss=F.mse_loss,
        told="identity and dose",
        n_epochs=n_epochs,
    )
