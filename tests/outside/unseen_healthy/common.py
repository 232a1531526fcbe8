"""What most of the recipes of the blind test share: a split, loaders of tuples, a plain loop."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.outside.case import UNSEEN_HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import columns


def recipe(name):
    """Add the decorated maker to the healthy recipes."""

    def add(make):
        UNSEEN_HEALTHY.append(Case(name=name, make=make))
        return make

    return add


def screen(n_pairs=1000, n_held_out=250, n_genes=12, **settings):
    settings = {"seed": 21, "world": 8, "noise": "same", "dose": "fixed", **settings}
    return cells(n_pairs, n_genes, **settings).split(n_held_out)


def world_of(n_genes, world, **settings):
    """The screen and the plain network of a file's world."""
    return partial(screen, n_genes=n_genes, world=world, **settings), partial(Mlp, n_genes=n_genes)


def tensors(*arrays, batch_size=32, shuffle=True, **of_loader):
    data = TensorDataset(*(torch.as_tensor(array).clone() for array in arrays))
    return DataLoader(data, batch_size=batch_size, shuffle=shuffle and "sampler" not in of_loader, **of_loader)


class Mlp(nn.Module):
    def __init__(self, n_genes, hidden=64, residual=True, act: type[nn.Module] = nn.ReLU, n_extra=0):
        super().__init__()
        self.residual = residual
        first = nn.Linear(2 * n_genes + n_extra, hidden)
        self.net = nn.Sequential(first, act(), nn.Linear(hidden, hidden), act(), nn.Linear(hidden, n_genes))

    def forward(self, x, *others):
        out = self.net(torch.cat([x, *others], dim=1))
        return x + out if self.residual else out


def fit(
    model,
    split,
    *,
    names=("before", "perturbed", "after"),
    criterion=F.mse_loss,
    optimizer=None,
    lr=3e-3,
    batch_size=32,
    n_epochs=25,
    before_step=None,
    **changed,
):
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=lr)

    def training_step(batch):
        *inputs, after = batch
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(*inputs), after)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss.item()

    train, test = (tuple(columns(part)[name] for name in names) for part in split)
    known = {
        "model": model,
        "optimizer": optimizer,
        "loader": tensors(*train, batch_size=batch_size),
        "held_out": tensors(*test, batch_size=batch_size, shuffle=False),
        "fields": {"before": 0, "perturbation": 1, "after": len(names) - 1},
        "training_step": training_step,
        "predict": lambda batch: model(*batch[:-1]),
        "loss": criterion,
        "told": "identity and dose" if "dose" in names else "value" if "value" in names else "identity",
        "n_epochs": n_epochs,
    }
    return Parts(**(known | changed))
