"""How a public bug of the blind test is handed in: made with the bug, and mended as its healthy twin."""

from collections.abc import Callable
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.outside.case import UNSEEN_BUGS, Case, Parts
from tests.outside.data import Cells, cells
from tests.outside.pairs import columns

Make = Callable[[bool], Parts]

TWINS: dict[str, Callable[[], Parts]] = {}
"""By the name of a bug: the same code with the bug mended."""


def reported(*, name: str, source: str, bug: str, cause: str, line: str, hurts: str) -> Callable[[Make], Make]:
    """Add ``make(mended)`` to the bugs of the blind test."""

    def add(make: Make) -> Make:
        case = Case(name=name, make=partial(make, False), source=source, bug=bug, cause=cause, line=line, hurts=hurts)
        UNSEEN_BUGS.append(case)
        TWINS[name] = partial(make, True)
        return make

    return add


@lru_cache(maxsize=32)
def screen(n_pairs: int = 1000, n_held_out: int = 250, n_genes: int = 12, **settings) -> tuple[Cells, Cells]:
    """Training and held-out pairs of one world; never changed in place."""
    settings = {"seed": 5, "world": 3, "noise": "same", "dose": "fixed", **settings}
    return cells(n_pairs, n_genes, **settings).split(n_held_out)


def world_of(n_genes: int, world: int, **settings):
    """The screen and the plain network of a file's world."""
    return partial(screen, n_genes=n_genes, world=world, **settings), partial(Mlp, n_genes=n_genes)


def tensors(*arrays, batch_size: int = 32, shuffle: bool = True, **of_loader) -> DataLoader:
    """Batches of copies of the arrays."""
    data = TensorDataset(*(torch.as_tensor(array).clone() for array in arrays))
    return DataLoader(data, batch_size=batch_size, shuffle=shuffle and "sampler" not in of_loader, **of_loader)


class Mlp(nn.Module):
    """Adds what it makes of the cell and the perturbation to the cell."""

    def __init__(self, n_genes: int, hidden: int = 64, residual: bool = True, act: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.residual = residual
        self.net = nn.Sequential(
            nn.Linear(2 * n_genes, hidden), act(), nn.Linear(hidden, hidden), act(), nn.Linear(hidden, n_genes)
        )

    def forward(self, x, p):
        out = self.net(torch.cat([x, p], dim=1))
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
    n_epochs=30,
    before_step=lambda: None,
    **changed,
) -> Parts:
    """A plain loop over tuples of some columns; what the case does otherwise is in ``changed``."""
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=lr)

    def training_step(batch):
        *inputs, after = batch
        optimizer.zero_grad()
        loss = criterion(model(*inputs), after)
        loss.backward()
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
