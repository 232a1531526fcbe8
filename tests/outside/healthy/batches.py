"""Healthy: batches as lists, named tuples and dicts with entries for other purposes, own collation, samplers."""

from collections import namedtuple
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, TensorDataset, WeightedRandomSampler

from tests.outside.case import HEALTHY, Case, Parts, Told
from tests.outside.data import cells
from tests.outside.pairs import DICT, TUPLE, RowsAsDicts, columns, loaders, step_of

N_GENES = 20
GENE_NAMES = [f"GENE{i}" for i in range(N_GENES)]


class Net(nn.Module):
    def __init__(self, n_extra=0, hidden=128):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * N_GENES + n_extra, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.out = nn.Linear(hidden, N_GENES)

    def forward(self, x, *others):
        return x + self.out(self.net(torch.cat([x, *others], 1)))


def halves(n=6000, *, dose: Any = "fixed", **of_cells: Any):
    return cells(n, N_GENES, seed=111, dose=dose, **of_cells).split(1000)


def fit(model, pairs, fields, forward, target, *, told: Told = "identity", n_epochs=10):
    """``pairs`` are the two loaders; ``forward(batch)`` answers, ``target(batch)`` is what should be answered."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=pairs[0],
        held_out=pairs[1],
        fields=fields,
        training_step=step_of(model, optimizer, lambda batch: F.mse_loss(forward(batch), target(batch))),
        predict=forward,
        loss=F.mse_loss,
        told=told,
        n_epochs=n_epochs,
    )


def make_list():
    """A list in an order of its own, as a collate function returns it."""
    torch.manual_seed(0)

    def collate(rows):
        return [torch.stack(column) for column in zip(*rows, strict=True)]

    loader, held_out = loaders(halves(), ("perturbed", "after", "before"), collate_fn=collate)
    model = Net()
    fields = {"perturbation": 0, "after": 1, "before": 2}
    return fit(model, (loader, held_out), fields, lambda batch: model(batch[2], batch[0]), lambda batch: batch[1])


Pair = namedtuple("Pair", ["ctrl", "pert", "stim", "cell_type"])


class NamedPairs(Dataset):
    def __init__(self, part):
        c = columns(part)
        self.rows = list(zip(c["before"], c["perturbed"], c["after"], c["cell_type"], strict=True))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return Pair(*self.rows[i])


def make_named_tuple():
    torch.manual_seed(0)
    train_part, test_part = halves(4000, noise="fresh")
    model = Net(n_extra=2)

    def forward(batch):
        return model(batch.ctrl, batch.pert, F.one_hot(batch.cell_type, 2).float())

    return fit(
        model,
        (
            DataLoader(NamedPairs(train_part), batch_size=64, shuffle=True),
            DataLoader(NamedPairs(test_part), batch_size=256),
        ),
        {"before": 0, "perturbation": 1, "after": 2},
        forward,
        lambda batch: batch.stim,
    )


def make_extras():
    """Names, a batch id and a library size travel with the tensors; the model uses the last two."""
    torch.manual_seed(0)
    rng = np.random.default_rng(5)

    def collate(rows):
        batch = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
        names = ["ctrl" if i == N_GENES else GENE_NAMES[i] for i in batch.pop("gene").tolist()]
        return batch | {"pert_names": names, "library_size": batch["x"].clamp(min=0).sum(1, keepdim=True)}

    made = []
    for part, shuffle in zip(halves(p_control=0.1), (True, False), strict=True):
        c = columns(part)
        names = {"x": "before", "y": "after", "pert": "perturbed", "gene": "gene", "cell_type": "cell_type"}
        rows = {key: c[name] for key, name in names.items()}
        rows["batch_id"] = torch.tensor(rng.integers(3, size=len(part.gene)))
        made.append(DataLoader(RowsAsDicts(rows), batch_size=64, shuffle=shuffle, collate_fn=collate))
    model = Net(n_extra=4)

    def forward(batch):
        one_hot = F.one_hot(batch["batch_id"], 3).float()
        return model(batch["x"], batch["pert"], one_hot, batch["library_size"] / 60)

    fields = {"before": "x", "after": "y", "perturbation": "pert"}
    return fit(model, made, fields, forward, lambda batch: batch["y"])


class Streamed(IterableDataset):
    """Shards in an order drawn each epoch, cells shuffled within each."""

    def __init__(self, part, *, shard=500, shuffle=True):
        c = columns(part)
        self.tensors = [c["before"], c["perturbed"], c["after"]]
        self.shard, self.shuffle = shard, shuffle

    def __iter__(self):
        starts = torch.arange(0, len(self.tensors[0]), self.shard)
        if self.shuffle:
            starts = starts[torch.randperm(len(starts))]
        for start in starts.tolist():
            rows = torch.arange(start, min(start + self.shard, len(self.tensors[0])))
            for i in rows[torch.randperm(len(rows))] if self.shuffle else rows:
                yield tuple(t[i] for t in self.tensors)


def make_iterable():
    torch.manual_seed(0)
    train_part, test_part = halves()
    model = Net()
    return fit(
        model,
        (
            DataLoader(Streamed(train_part), batch_size=64),
            DataLoader(Streamed(test_part, shuffle=False), batch_size=64),
        ),
        TUPLE,
        lambda batch: model(batch[0], batch[1]),
        lambda batch: batch[2],
    )


def make_weighted_sampler():
    """Rare perturbations are drawn as often as common ones; the last, short batch is dropped."""
    torch.manual_seed(0)
    whole = cells(9000, N_GENES, seed=112, dose="fixed")
    keep = np.flatnonzero((whole.gene[:, 0] % 2 == 0) | (np.arange(9000) % 4 == 0) | (np.arange(9000) >= 8000))
    train_part, test_part = whole.rows(keep).split(1000)
    n_of_gene = np.bincount(train_part.gene[:, 0], minlength=N_GENES)
    weights = 1.0 / n_of_gene[train_part.gene[:, 0]]
    sampler = WeightedRandomSampler(weights.tolist(), num_samples=len(weights))
    names = ("before", "perturbed", "after")
    train_set, test_set = (TensorDataset(*(columns(p)[n] for n in names)) for p in (train_part, test_part))
    model = Net()
    return fit(
        model,
        (DataLoader(train_set, batch_size=64, sampler=sampler, drop_last=True), DataLoader(test_set, batch_size=128)),
        TUPLE,
        lambda batch: model(batch[0], batch[1]),
        lambda batch: batch[2],
    )


def make_normalising_collate():
    """Counts are stored; the collate function scales them to the same depth and takes logarithms."""
    torch.manual_seed(0)
    rng = np.random.default_rng(6)

    def log_normalised(x):
        return torch.log1p(x / x.sum(1, keepdim=True).clamp(min=1) * 500)

    def collate(rows):
        x, pert, y = (torch.stack(column) for column in zip(*rows, strict=True))
        return {"x": log_normalised(x), "pert": pert, "y": log_normalised(y)}

    made = []
    for part, shuffle in zip(halves(noise="fresh"), (True, False), strict=True):
        depth = rng.uniform(0.5, 2.0, (2, len(part.gene), 1))
        counts = [
            rng.poisson(d * np.exp(np.clip(a, -3, 5))) for d, a in zip(depth, (part.before, part.after), strict=True)
        ]
        tensors = [torch.tensor(a, dtype=torch.float32) for a in (counts[0], part.perturbed, counts[1])]
        made.append(DataLoader(TensorDataset(*tensors), batch_size=64, shuffle=shuffle, collate_fn=collate))
    model = Net()
    fields = {"before": "x", "perturbation": "pert", "after": "y"}
    return fit(model, made, fields, lambda batch: model(batch["x"], batch["pert"]), lambda batch: batch["y"])


class OnePerturbation(Sampler):
    """Batches of cells under the same perturbation, in an order drawn each epoch."""

    def __init__(self, gene, batch_size):
        self.batches = [b for g in gene.unique() for b in torch.where(gene == g)[0].split(batch_size)]

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for i in torch.randperm(len(self.batches)):
            yield self.batches[i].tolist()


def make_one_perturbation_a_batch():
    torch.manual_seed(0)
    train_part, test_part = halves()
    made = [RowsAsDicts({n: columns(p)[n] for n in ("before", "gene", "after")}) for p in (train_part, test_part)]
    sampler = OnePerturbation(columns(train_part)["gene"], 64)
    model = Net()

    def forward(batch):
        return model(batch["before"], F.one_hot(batch["gene"], N_GENES).float())

    return fit(
        model,
        (DataLoader(made[0], batch_sampler=sampler), DataLoader(made[1], batch_size=64)),
        DICT | {"perturbation": "gene"},
        forward,
        lambda batch: batch["after"],
        n_epochs=15,
    )


class ControlsDrawn(Dataset):
    """A perturbed cell and a control of its type, drawn anew each time."""

    def __init__(self, part, controls):
        self.part = columns(part)
        self.of_type = [columns(controls)["before"][controls.cell_type == t] for t in (0, 1)]

    def __len__(self):
        return len(self.part["after"])

    def __getitem__(self, i):
        pool = self.of_type[int(self.part["cell_type"][i])]
        control = pool[int(torch.randint(len(pool), ()))]
        return {"ctrl": control, "pert": self.part["perturbed"][i], "y": self.part["after"][i]}


def make_controls_drawn():
    torch.manual_seed(0)
    controls = cells(1000, N_GENES, seed=113, p_control=1.0)
    train_set, test_set = (ControlsDrawn(part, controls) for part in halves(noise="fresh"))
    model = Net()
    return fit(
        model,
        (DataLoader(train_set, batch_size=64, shuffle=True), DataLoader(test_set, batch_size=64)),
        {"before": "ctrl", "perturbation": "pert", "after": "y"},
        lambda batch: model(batch["ctrl"], batch["pert"]),
        lambda batch: batch["y"],
    )


def make_scalar_dose():
    """Which gene by index, by how much by one number, stored in double precision and cast in the step."""
    torch.manual_seed(0)
    made = []
    for part, shuffle in zip(halves(dose="drawn"), (True, False), strict=True):
        c = columns(part)
        rows = {
            "before": c["before"].double(),
            "gene": c["gene"],
            "dose": c["dose"].sum(1).double(),
            "after": c["after"].double(),
        }
        made.append(DataLoader(RowsAsDicts(rows), batch_size=64, shuffle=shuffle))
    model = Net()

    def forward(batch):
        dose = F.one_hot(batch["gene"], N_GENES) * batch["dose"][:, None]
        return model(batch["before"].float(), dose.float())

    fields = DICT | {"perturbation": "gene", "dose": "dose"}
    return fit(model, made, fields, forward, lambda batch: batch["after"].float(), told="identity and dose")


HEALTHY += [
    Case(name="batches as lists in another order", make=make_list),
    Case(name="batches as named tuples", make=make_named_tuple),
    Case(name="batches with names, batch ids and library sizes", make=make_extras),
    Case(name="iterable data set of shuffled shards", make=make_iterable),
    Case(name="weighted sampler that drops the last batch", make=make_weighted_sampler),
    Case(name="counts normalised in the collate function", make=make_normalising_collate),
    Case(name="one perturbation a batch", make=make_one_perturbation_a_batch),
    Case(name="controls drawn anew for each perturbed cell", make=make_controls_drawn),
    Case(name="index and scalar dose in double precision", make=make_scalar_dose),
]
