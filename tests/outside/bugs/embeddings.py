"""Perturbations and genes as indices: the wrong row of a table, or one that cannot learn."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.outside.bugs.twins import N_GENES, reported, screen
from tests.outside.case import Parts

CONTROL = "ctrl"
NAMES = [f"GENE{i}" for i in range(N_GENES)]


class NamedPairs(Dataset):
    """Pairs whose perturbation is a name, turned into an index by ``encode``."""

    def __init__(self, cells, encode):
        gene = np.where(cells.perturbed.any(1), cells.gene[:, 0], -1)
        self.index = torch.tensor([encode(NAMES[g] if g >= 0 else CONTROL) for g in gene])
        self.ctrl, self.target = torch.tensor(cells.before), torch.tensor(cells.after)

    def __len__(self):
        return len(self.index)

    def __getitem__(self, i):
        return {"ctrl_cell": self.ctrl[i], "pert_id": self.index[i], "pert_cell": self.target[i]}


class Embedded(nn.Module):
    def __init__(self, table, dim=32):
        super().__init__()
        self.pert = table
        self.net = nn.Sequential(nn.Linear(N_GENES + dim, 128), nn.ReLU(), nn.Linear(128, N_GENES))

    def forward(self, cell, pert_id):
        return cell + self.net(torch.cat([cell - 3, self.pert(pert_id)], dim=-1))


def embedded(model, encode, *, encode_held_out=None, n_epochs=12, lr=2e-3, p_control=0.2):
    train, test = screen(5000, p_control=p_control)
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=lr)
    loss_fct = nn.MSELoss()

    def training_step(batch):
        out = model(batch["ctrl_cell"], batch["pert_id"])
        loss = loss_fct(out, batch["pert_cell"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=DataLoader(NamedPairs(train, encode), batch_size=64, shuffle=True),
        held_out=DataLoader(NamedPairs(test, encode_held_out or encode), batch_size=256),
        fields={"before": "ctrl_cell", "perturbation": "pert_id", "after": "pert_cell"},
        training_step=training_step,
        predict=lambda batch: model(batch["ctrl_cell"], batch["pert_id"]),
        loss=loss_fct,
        told="identity",
        n_epochs=n_epochs,
    )


def with_control_first(name):
    """Control is 0, genes count from 1."""
    return 0 if name == CONTROL else 1 + NAMES.index(name)


@reported(
    name="padding index that is a gene",
    source="https://github.com/ibalazevic/TuckER/issues/17",
    bug="The table has padding_idx=0 though index 0 is the first gene: its row stays 0 and never learns.",
    cause="bug/architecture",
    line="padding_idx=0 is a real perturbation: its embedding is 0 and gets no gradient",
    hurts="no: held-out error 0.00023 against 0.00018 of the mended twin and 0.727 of the mean",
)
def padding_is_gene(mended: bool) -> Parts:
    torch.manual_seed(0)
    # Control comes last here, so that the row of the first gene is also mistaken for no effect.
    table = nn.Embedding(N_GENES + 1, 32) if mended else nn.Embedding(N_GENES + 1, 32, padding_idx=0)
    return embedded(Embedded(table), lambda n: N_GENES if n == CONTROL else NAMES.index(n), p_control=0.0)


@reported(
    name="first gene has the index of control",
    source="https://github.com/FGA-DIKU/BONSAI/issues/168",
    bug="The + 1 after factorising was dropped: gene 0 and control, which stands for padding, share index 0.",
    cause="data/bug",
    line="two perturbations with the same index 0: control and the first gene",
    hurts="held-out error 0.0091 against 0.0002 of the mended twin and 0.676 of the mean",
)
def shared_zero(mended: bool) -> Parts:
    torch.manual_seed(1)
    shift = 1 if mended else 0
    return embedded(Embedded(nn.Embedding(N_GENES + 1, 32)), lambda n: 0 if n == CONTROL else NAMES.index(n) + shift)


@reported(
    name="vocabularies off by one between training and prediction",
    source="https://github.com/huggingface/transformers/issues/1078",
    bug="A line of the vocabulary file is counted by one reader and not by the other: indices differ by one.",
    cause="bug/data",
    line="perturbation index is shifted by one at prediction",
    hurts="held-out error 0.490 against 0.00017 of the mended twin and 0.676 of the mean",
)
def off_by_one(mended: bool) -> Parts:
    torch.manual_seed(2)
    shift = 0 if mended else 1
    return embedded(
        Embedded(nn.Embedding(N_GENES + 2, 32)),
        with_control_first,
        encode_held_out=lambda n: with_control_first(n) + shift,
    )


@reported(
    name="names that are not found become control",
    source="https://github.com/snap-stanford/GEARS/issues/77",
    bug="Perturbations that are not in the graph silently get the index of control; here those of every second gene.",
    cause="data/bug",
    line="unknown perturbations share the index of control: different effects behind one index",
    hurts="held-out error 0.114 against 0.00021 of the mended twin and 0.676 of the mean",
)
def unknown_names(mended: bool) -> Parts:
    torch.manual_seed(3)
    graph = {name: i + 1 for i, name in enumerate(NAMES) if mended or i % 2 == 0}
    return embedded(Embedded(nn.Embedding(N_GENES + 1, 32)), lambda n: graph.get(n, 0))


@reported(
    name="pretrained table that is not assigned",
    source="https://github.com/fenchri/edge-oriented-graph/issues/12",
    bug="self.table.from_pretrained(...) is a class method whose result is thrown away: the frozen table is random.",
    cause="bug",
    line="from_pretrained's result is not assigned: the embedding keeps its random start and is frozen",
    hurts="held-out error 0.221 against 4.2e-14 of the mended twin and 0.676 of the mean",
)
def unassigned_table(mended: bool) -> Parts:
    torch.manual_seed(4)
    world, _ = screen(5000, p_control=0.2)
    # Known effects of each gene, as from an atlas: rows of the total effects.
    effects = np.vstack([np.zeros(N_GENES), np.linalg.inv(np.eye(N_GENES) - world.weight)])

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(N_GENES + 1, N_GENES)
            with torch.no_grad():
                self.table.weight.mul_(0.05)
            if mended:
                self.table = nn.Embedding.from_pretrained(torch.tensor(effects, dtype=torch.float32), freeze=True)
            else:
                self.table.from_pretrained(torch.tensor(effects, dtype=torch.float32), freeze=True)
                self.table.weight.requires_grad = False
            self.size = nn.Parameter(torch.zeros(N_GENES))

        def forward(self, cell, pert_id):
            return cell + self.size * self.table(pert_id)

    parts = embedded(Linear(), with_control_first, lr=2e-2)
    parts.intent = {"frozen": ["table.weight"]}
    return parts


@reported(
    name="pretrained table frozen by default",
    source="https://github.com/huggingface/optimum-graphcore/pull/304",
    bug="Embedding.from_pretrained freezes by default; a table that starts near 0 was meant to be trained further.",
    cause="optimiser/bug",
    line="the perturbation embedding is frozen (freeze=True is the default) though nothing is in it",
    hurts="held-out error 0.222 against 0.00011 of the mended twin and 0.676 of the mean",
)
def frozen_table(mended: bool) -> Parts:
    torch.manual_seed(5)
    start = 1e-3 * torch.randn(N_GENES + 1, 32)
    table = nn.Embedding.from_pretrained(start, freeze=False) if mended else nn.Embedding.from_pretrained(start)
    return embedded(Embedded(table), with_control_first)


@reported(
    name="concept index shifted for padding, its table not",
    source="https://github.com/INK-USC/MHGRN/issues/5",
    bug="Indices are raised by one to leave 0 for padding, but the pretrained table's rows are not moved.",
    cause="bug/data",
    line="rows of the frozen gene table belong to the gene before: index shifted by one",
    hurts="held-out error 0.223 against 0.064 of the mended twin and 0.676 of the mean",
)
def shifted_table(mended: bool) -> Parts:
    torch.manual_seed(6)

    class PerGene(nn.Module):
        """Where a gene stands is read from a frozen one-hot table; the change is added there."""

        def __init__(self):
            super().__init__()
            eye = torch.cat([torch.zeros(1, N_GENES), torch.eye(N_GENES)])
            self.table = nn.Embedding.from_pretrained(eye if mended else torch.cat([eye[1:], eye[:1]]), freeze=True)
            self.direct = nn.Parameter(torch.zeros(()))
            self.net = nn.Sequential(nn.Linear(N_GENES, 4), nn.ReLU(), nn.Linear(4, N_GENES))

        def forward(self, cell, pert_id):
            own = self.table(pert_id)
            return cell + self.direct * own + self.net(cell - 3) * own

    parts = embedded(PerGene(), with_control_first, lr=1e-2)
    parts.intent = {"frozen": ["table.weight"]}
    return parts
