"""Healthy: sets of cells of one type under one perturbation, answered together and compared as distributions."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import step_of

N_GENES, SET = 20, 16


class Sets(Dataset):
    """Cells of one type and one perturbed gene, in sets of a fixed size; what is left over is dropped."""

    def __init__(self, part):
        group = part.gene[:, 0] * 100 + part.cell_type
        self.rows = []
        for one in np.unique(group):
            members = np.flatnonzero(group == one)
            self.rows += [members[i : i + SET] for i in range(0, len(members) - SET + 1, SET)]
        self.part = part

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        at = self.rows[i]
        return {
            "ctrl": torch.tensor(self.part.before[at]),
            "pert": torch.tensor(self.part.perturbed[at], dtype=torch.float32),
            "stim": torch.tensor(self.part.after[at]),
        }


def stack(sets):
    """Sets one after the other: (sets * cells, genes)."""
    return {name: torch.cat([one[name] for one in sets]) for name in sets[0]}


def fit(model, distance, *, noise: Literal["same", "fresh"] = "same", answer_mean=False, n_epochs=20, lr=2e-3):
    """``distance(predicted, observed)`` of (sets, cells, genes); a set may be answered with its mean cell."""
    made = [
        DataLoader(Sets(part), batch_size=8, shuffle=shuffle, collate_fn=stack)
        for part, shuffle in zip(
            cells(8000, N_GENES, seed=101, dose="fixed", noise=noise).split(2000), (True, False), strict=True
        )
    ]
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def forward(batch):
        return model(*(batch[name].view(-1, SET, N_GENES) for name in ("ctrl", "pert")))

    def predict(batch):
        out = forward(batch)
        if answer_mean:
            out = out.mean(1, keepdim=True).expand_as(out)
        return out.flatten(0, 1)

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=made[0],
        held_out=made[1],
        fields={"before": "ctrl", "perturbation": "pert", "after": "stim"},
        training_step=step_of(
            model, optimizer, lambda batch: distance(forward(batch), batch["stim"].view(-1, SET, N_GENES))
        ),
        predict=predict,
        told="identity",
        set_size=SET,
        n_epochs=n_epochs,
    )


def energy(a, b):
    def mean_distance(u, v):
        return (((u[:, :, None] - v[:, None]) ** 2).sum(-1) + 1e-8).sqrt().mean()

    return 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)


def mmd(a, b, widths=(5.0, 10.0, 40.0)):
    def kernel(u, v):
        d = ((u[:, :, None] - v[:, None]) ** 2).sum(-1)
        return torch.stack([torch.exp(-d / w) for w in widths]).sum(0).mean()

    return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)


def sinkhorn(a, b, epsilon=1.0, n_iterations=15):
    """Transport cost between equally weighted cells under an entropic plan, whose own gradient is stopped."""
    cost = torch.cdist(a, b).pow(2) / N_GENES
    with torch.no_grad():
        log_k = -cost * N_GENES / epsilon
        u = torch.zeros(cost.shape[:2])
        v = torch.zeros_like(u)
        for _ in range(n_iterations):
            u = -torch.logsumexp(log_k + v[:, None], 2)
            v = -torch.logsumexp(log_k + u[..., None], 1)
        plan = torch.exp(log_k + u[..., None] + v[:, None])
        plan = plan / plan.sum((1, 2), keepdim=True)
    return (plan * cost).sum((1, 2)).mean()


def pseudobulk(a, b):
    return F.mse_loss(a.mean(1), b.mean(1))


def cell_by_cell(a, b):
    return F.mse_loss(a, b)


class DeepSets(nn.Module):
    """Every cell is moved with regard to the mean of its set."""

    def __init__(self, dim=64):
        super().__init__()
        self.cell = nn.Sequential(nn.Linear(N_GENES, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.pert = nn.Linear(N_GENES, dim)
        self.out = nn.Sequential(nn.Linear(3 * dim, 128), nn.ReLU(), nn.Linear(128, N_GENES))

    def forward(self, x, pert):
        h = self.cell(x)
        both = torch.cat([h, h.mean(1, keepdim=True).expand_as(h), self.pert(pert)], -1)
        return x + self.out(both)


class SetTransformer(nn.Module):
    """Cells attend to the cells of their set."""

    def __init__(self, dim=64):
        super().__init__()
        self.inp = nn.Linear(2 * N_GENES, dim)
        self.layer = nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(dim, N_GENES)

    def forward(self, x, pert):
        return x + self.out(self.layer(self.inp(torch.cat([x, pert], -1))))


def make(model, distance, **options):
    def made():
        torch.manual_seed(0)
        return fit(model(), distance, **options)

    return made


HEALTHY += [
    Case(name="energy distance between sets", make=make(DeepSets, energy)),
    Case(
        name="kernel distance between sets, the mean answers", make=make(DeepSets, mmd, noise="fresh", answer_mean=True)
    ),
    Case(
        name="set transformer with an energy distance",
        make=make(SetTransformer, energy, noise="fresh", answer_mean=True),
    ),
    Case(name="entropic transport between sets", make=make(SetTransformer, sinkhorn, lr=1e-3)),
    Case(name="pseudobulk means of sets", make=make(DeepSets, pseudobulk, noise="fresh", answer_mean=True)),
    Case(name="sets compared cell by cell", make=make(SetTransformer, cell_by_cell, n_epochs=12)),
]
