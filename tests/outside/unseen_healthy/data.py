"""Healthy: cells, units, samplers and batches of other kinds."""

from collections import namedtuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset, WeightedRandomSampler

from tests.outside.case import Parts
from tests.outside.data import cells
from tests.outside.pairs import columns
from tests.outside.unseen_healthy.common import fit, recipe, tensors, world_of

G = 12
screen, Mlp = world_of(G, world=34)

Padded = namedtuple("Padded", ["before", "flags", "genes", "after"])


def padded(rows):
    """Named batches in which the list of perturbed genes is padded by the number of genes."""
    before, flags, after = (torch.stack([row[i] for row in rows]) for i in range(3))
    lists = [flag.nonzero().squeeze(1) for flag in flags]
    return Padded(before, flags, pad_sequence(lists, batch_first=True, padding_value=G), after)


@recipe("lists of perturbed genes padded in the collate function")
def make_padded_lists():
    torch.manual_seed(4)
    split = cells(1600, G, seed=22, world=8, dose="fixed", n_perturbed=2, p_control=0.2).split(300)

    class Summed(nn.Module):
        def __init__(self, dim=32):
            super().__init__()
            self.effect = nn.Embedding(G + 1, dim, padding_idx=G)
            self.cell, self.out = nn.Linear(G, dim), nn.Linear(dim, G)

        def forward(self, x, genes):
            return x + self.out(F.gelu(self.cell(x - 3)) * 0.1 + self.effect(genes).sum(1))

    model = Summed()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def training_step(batch):
        optimizer.zero_grad()
        loss = F.mse_loss(model(batch.before, batch.genes), batch.after)
        loss.backward()
        optimizer.step()
        return loss.item()

    def loader(part, shuffle):
        c = columns(part)
        rows = TensorDataset(c["before"], c["perturbed"], c["after"])
        return DataLoader(rows, batch_size=32, shuffle=shuffle, collate_fn=padded)

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader(split[0], True),
        held_out=loader(split[1], False),
        fields={"before": 0, "perturbation": 1, "after": 3},
        training_step=training_step,
        # The lists are made from the flags again, so that a changed flag counts.
        predict=lambda batch: model(batch[0], padded(list(zip(batch[0], batch[1], batch[3], strict=True))).genes),
        told="identity",
        n_epochs=20,
    )


class Endless(IterableDataset):
    """Random pairs, as many as an epoch is said to have."""

    def __init__(self, tensors_, n_batches, batch_size):
        self.tensors, self.n_batches, self.batch_size = tensors_, n_batches, batch_size

    def __iter__(self):
        for _ in range(self.n_batches):
            rows = torch.randint(len(self.tensors[0]), (self.batch_size,))
            yield {
                "x": self.tensors[0][rows] + 0.02 * torch.randn(self.batch_size, G),
                "pert": self.tensors[1][rows],
                "y": self.tensors[2][rows],
            }


@recipe("endless stream of slightly noisy cells, as dicts")
def make_endless():
    torch.manual_seed(4)
    train, test = screen()
    c, h = columns(train), columns(test)
    model = Mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        optimizer.zero_grad()
        loss = F.mse_loss(model(batch["x"], batch["pert"]), batch["y"])
        loss.backward()
        optimizer.step()
        return loss.item()

    stream = Endless((c["before"], c["perturbed"], c["after"]), 30, 32)
    held_out = [{"x": h["before"], "pert": h["perturbed"], "y": h["after"]}]
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=DataLoader(stream, batch_size=None),
        held_out=DataLoader(held_out, batch_size=None),  # pyright: ignore[reportArgumentType]
        fields={"before": "x", "perturbation": "pert", "after": "y"},
        training_step=training_step,
        predict=lambda batch: model(batch["x"], batch["pert"]),
        loss=F.mse_loss,
        told="identity",
        n_epochs=20,
    )


@recipe("targets standardised in the step and brought back in the prediction")
def make_standardised_targets():
    torch.manual_seed(4)
    train, test = screen()
    after = torch.tensor(train.after)
    mean, std = after.mean(0), after.std(0)
    model = Mlp(residual=False, act=nn.SiLU)

    def criterion(out, y):
        return F.mse_loss(out, (y - mean) / std)

    def predict(batch):
        return model(batch[0], batch[1]) * std + mean

    return fit(model, (train, test), criterion=criterion, predict=predict, loss=None)


def counts_of(split, level=6.0, scale=0.7, seed=1):
    rng = np.random.default_rng(seed)
    made = []
    for part in split:
        counts = [
            rng.poisson(level * np.exp(scale * (log - 3))).astype(np.float32) for log in (part.before, part.after)
        ]
        made.append((counts[0], part.perturbed.astype(np.float32), counts[1]))
    return made


@recipe("trained on logarithms, predicts counts")
def make_predicts_counts():
    torch.manual_seed(4)
    split = screen(1400, 300)
    arrays = counts_of(split, level=40.0)
    model = Mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        counts, p, after = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(counts.log1p(), p), after.log1p())
        loss.backward()
        optimizer.step()
        return loss.item()

    return fit(
        model,
        split,
        optimizer=optimizer,
        training_step=training_step,
        predict=lambda batch: model(batch[0].log1p(), batch[1]).expm1(),
        loss=None,
        loader=tensors(*arrays[0]),
        held_out=tensors(*arrays[1], shuffle=False),
        n_epochs=15,
    )


@recipe("sparse counts, mostly zeros, Poisson likelihood")
def make_sparse_counts():
    torch.manual_seed(4)
    split = screen(2400, 400, noise="fresh", noise_sd=0.3)
    arrays = counts_of(split, level=0.6, scale=0.9)

    class Rates(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.pert = nn.Linear(G, 8), nn.Linear(G, G)
            self.mix = nn.Linear(8, G)

        def forward(self, counts, p):
            return self.mix(torch.tanh(self.cell(counts.log1p()))) + self.pert(p)

    model = Rates()
    return fit(
        model,
        split,
        criterion=nn.PoissonNLLLoss(log_input=True),
        predict=lambda batch: model(batch[0], batch[1]).exp(),
        loss=None,
        loader=tensors(*arrays[0], batch_size=64),
        held_out=tensors(*arrays[1], shuffle=False),
        lr=5e-3,
    )


@recipe("the most variable genes of forty")
def make_variable_genes():
    torch.manual_seed(4)
    train, test = cells(3000, 40, seed=23, world=9, dose="fixed").split(500)
    chosen = np.sort(np.argsort(-train.after.var(axis=0))[:16])
    arrays = []
    for part in (train, test):
        kept = np.flatnonzero(part.perturbed[:, chosen].any(axis=1))
        flags = part.perturbed[kept][:, chosen].astype(np.float32)
        arrays.append((part.before[kept][:, chosen], flags, part.after[kept][:, chosen]))
    return fit(
        Mlp(n_genes=16),
        (train, test),
        loader=tensors(*arrays[0]),
        held_out=tensors(*arrays[1], shuffle=False),
    )


@recipe("change against the control mean of the cell's type")
def make_against_control_mean():
    torch.manual_seed(4)
    train, test = screen(2000, 400, noise="fresh", noise_sd=0.4, n_types=3)
    means = torch.stack([torch.tensor(train.before[train.cell_type == t].mean(0)) for t in range(3)])

    class Shift(nn.Module):
        def __init__(self):
            super().__init__()
            self.means = nn.Buffer(means)
            self.net = nn.Sequential(nn.Linear(G + 3, 48), nn.Tanh(), nn.Linear(48, G))

        def forward(self, x, p, cell_type):
            kind = F.one_hot(cell_type, 3).float()
            return self.means[cell_type] + self.net(torch.cat([p, kind], dim=1))

    model = Shift()
    return fit(
        model,
        (train, test),
        names=("before", "perturbed", "cell_type", "after"),
        batch_size=64,
        n_epochs=20,
    )


@recipe("rare perturbations drawn as often as frequent ones")
def make_long_tail():
    torch.manual_seed(4)
    train, test = screen(2600, 250)
    rng = np.random.default_rng(0)
    share = 1 / (1 + np.arange(G)) ** 0.7
    train = train.rows(np.flatnonzero(rng.random(len(train.before)) < share[train.gene[:, 0]]))
    c = columns(train)
    weights = 1 / torch.bincount(c["gene"], minlength=G).double()
    sampler = WeightedRandomSampler(weights[c["gene"]].tolist(), num_samples=len(c["gene"]))
    loader = tensors(c["before"], c["perturbed"], c["after"], sampler=sampler)
    return fit(Mlp(), (train, test), loader=loader)


@recipe("sampler with replacement, fewer pairs than there are")
def make_bootstrap():
    torch.manual_seed(4)
    train, test = screen(2000, 300)
    c = columns(train)
    data = TensorDataset(c["before"], c["perturbed"], c["after"])
    sampler = RandomSampler(data, replacement=True, num_samples=600)
    return fit(Mlp(), (train, test), loader=DataLoader(data, batch_size=24, sampler=sampler, drop_last=True))


@recipe("eighty pairs and a table of shifts")
def make_eighty_pairs():
    torch.manual_seed(4)
    split = screen(280, 200, noise_sd=0.3)

    class Shifts(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Linear(G, G, bias=False)
            nn.init.zeros_(self.shift.weight)

        def forward(self, x, p):
            return x + self.shift(p)

    model = Shifts()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-2, weight_decay=0.01)
    return fit(model, split, optimizer=optimizer, batch_size=8, n_epochs=30)


@recipe("metacells of four as pairs")
def make_metacells():
    torch.manual_seed(4)
    split = screen(6400, 1200, noise="fresh", n_types=1)
    arrays = []
    for part in split:
        order = np.argsort(part.gene[:, 0], kind="stable")
        order = order[: len(order) // 4 * 4].reshape(-1, 4)
        same = (part.gene[order, 0] == part.gene[order[:, :1], 0]).all(axis=1)
        flags = part.perturbed[order[same, 0]].astype(np.float32)
        arrays.append((part.before[order[same]].mean(1), flags, part.after[order[same]].mean(1)))
    model = Mlp(residual=False, hidden=48)
    return fit(
        model,
        split,
        optimizer=torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05),
        loader=tensors(*arrays[0]),
        held_out=tensors(*arrays[1], shuffle=False),
        n_epochs=15,
    )


@recipe("principal components predicted, genes answered")
def make_components():
    torch.manual_seed(4)
    train, test = screen(1600, 300, n_genes=40)
    after = torch.tensor(train.after)
    mean = after.mean(0)
    axes = torch.linalg.svd(after - mean, full_matrices=False)[2][:36].T.contiguous()

    class Components(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("axes", axes)
            self.net = nn.Sequential(nn.Linear(36 + 40, 128), nn.ReLU(), nn.Linear(128, 36))

        def forward(self, x, p):
            scores = (x - mean) @ self.axes
            return scores + self.net(torch.cat([scores, p], dim=1))

    model = Components()
    return fit(
        model,
        (train, test),
        criterion=lambda scores, y: F.mse_loss(scores, (y - mean) @ axes),
        predict=lambda batch: model(batch[0], batch[1]) @ axes.T + mean,
        loss=None,
    )
