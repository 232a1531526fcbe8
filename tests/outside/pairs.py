"""Loaders of pairs as most outsiders write them: shuffled tuples or dicts of tensors; and the step of most loops."""

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tests.outside.data import Cells

TUPLE = {"before": 0, "perturbation": 1, "after": 2}
"""Fields of batches ``(before, perturbation, after)``."""

DICT = {"before": "before", "after": "after"}
"""Fields of dicts, to which the perturbation's key is added."""


class RowsAsDicts(Dataset):
    """One pair a row, as a dict of tensors."""

    def __init__(self, columns):
        self.columns = columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, i):
        return {name: column[i] for name, column in self.columns.items()}


def columns(part: Cells) -> dict[str, torch.Tensor]:
    """All that a pair may give; ``gene`` is the number of genes where nothing is perturbed, (pairs,) if one is."""
    n_genes = part.before.shape[1]
    gene = np.where(part.perturbed.any(axis=1, keepdims=True), part.gene, n_genes)
    return {
        "before": torch.tensor(part.before),
        "after": torch.tensor(part.after),
        "perturbed": torch.tensor(part.perturbed, dtype=torch.float32),
        "dose": torch.tensor(part.dose),
        "value": torch.tensor(np.where(part.perturbed, part.before + part.dose, 0)),
        "gene": torch.tensor(gene).squeeze(1),
        "measured": torch.tensor(part.measured),
        "cell_type": torch.tensor(part.cell_type),
    }


def loaders(split: tuple[Cells, Cells], names: tuple[str, ...], *, as_dict=False, batch_size=64, **of_loader):
    """Loaders of the training pairs, shuffled, and of the held-out ones; some columns, in this order."""
    made = []
    for part, shuffle in zip(split, (True, False), strict=True):
        some = {name: columns(part)[name] for name in names}
        data = RowsAsDicts(some) if as_dict else TensorDataset(*some.values())
        made.append(DataLoader(data, batch_size=batch_size, shuffle=shuffle, **of_loader))
    return made[0], made[1]


def step_of(model, optimizer, loss_of):
    """The step of most loops; ``loss_of(batch)`` runs the model."""

    def training_step(batch):
        model.train()
        optimizer.zero_grad()
        loss = loss_of(batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    return training_step
