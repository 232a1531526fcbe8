"""Healthy: few and many genes, few cells, strong noise, several perturbations, controls, positive and scaled data."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.outside.case import HEALTHY, Case, Parts, Told
from tests.outside.data import Cells, cells
from tests.outside.pairs import DICT, TUPLE, columns, loaders, step_of


class Net(nn.Module):
    def __init__(self, n_genes, hidden=128, depth=2, n_extra=0, residual=True):
        super().__init__()
        self.residual = residual
        layers, width = [], 2 * n_genes + n_extra
        for _ in range(depth):
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        self.net = nn.Sequential(*layers, nn.Linear(width, n_genes))

    def forward(self, x, *others):
        out = self.net(torch.cat([x, *others], 1))
        return x + out if self.residual else out


def fit(model, split, *, given="dose", lr=1e-3, n_epochs=10, batch_size=64, weight_decay=0.0, told: Told | None = None):
    loader, held_out = loaders(split, ("before", given, "after"), batch_size=batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)

    def predict(batch):
        model.eval()
        return model(batch[0], batch[1])

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, lambda batch: F.mse_loss(model(batch[0], batch[1]), batch[2])),
        predict=predict,
        loss=F.mse_loss,
        told=told or ("identity and dose" if given == "dose" else "identity"),
        n_epochs=n_epochs,
    )


def make_four_genes():
    torch.manual_seed(0)
    return fit(Net(4, hidden=32), cells(3000, 4, seed=121).split(500), n_epochs=12, lr=3e-3)


class Wide(nn.Module):
    """A linear path for what the perturbation does by itself, and a network for what depends on the cell."""

    def __init__(self, n_genes=200):
        super().__init__()
        self.direct = nn.Linear(n_genes, n_genes, bias=False)
        self.net = Net(n_genes, hidden=128, depth=1)

    def forward(self, x, dose):
        return self.net(x, dose) + self.direct(dose)


def make_two_hundred_genes():
    torch.manual_seed(0)
    return fit(Wide(), cells(1700, 200, seed=122).split(300), n_epochs=30, batch_size=32, lr=3e-3)


def make_two_hundred_genes_low_rank():
    """Few cells for so many genes: everything goes through a narrow layer."""
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {"cell": nn.Linear(200, 16), "pert": nn.Linear(200, 64, bias=False), "out": nn.Linear(80, 200)}
    )
    loader, held_out = loaders(
        cells(1500, 200, seed=123, dose="fixed", noise="fresh", noise_sd=0.3).split(300),
        ("before", "perturbed", "after"),
        batch_size=32,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)

    def forward(batch):
        return model["out"](torch.cat([model["cell"](batch[0] - 3), model["pert"](batch[1])], 1)) + 3

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, lambda batch: F.mse_loss(forward(batch), batch[2])),
        predict=forward,
        loss=F.mse_loss,
        told="identity",
        n_epochs=30,
    )


def make_few_cells():
    torch.manual_seed(0)
    split = cells(500, 10, seed=124, dose="fixed").split(200)
    return fit(Net(10, hidden=64, depth=1), split, given="perturbed", n_epochs=80, batch_size=16, weight_decay=0.05)


def make_strong_noise():
    torch.manual_seed(0)
    split = cells(8000, 10, seed=125, noise="fresh", noise_sd=0.8).split(2000)
    return fit(Net(10, hidden=64, residual=False), split, n_epochs=12, weight_decay=0.05)


def make_five_perturbed():
    torch.manual_seed(0)
    return fit(Net(20), cells(6000, 20, seed=126, n_perturbed=5).split(1000), n_epochs=15)


def make_many_controls():
    torch.manual_seed(0)
    return fit(Net(20), cells(6000, 20, seed=127, dose="fixed", p_control=0.4).split(1000), given="perturbed")


def make_unseen_pairs():
    """Trained on one perturbed gene and on some pairs of genes; held out are pairs of genes that were not seen."""
    torch.manual_seed(0)
    single = cells(2500, 12, seed=128, dose="fixed")
    double = cells(4500, 12, seed=129, dose="fixed", n_perturbed=2)
    of_pair = double.gene.min(1) * 12 + double.gene.max(1)
    unseen = np.isin(of_pair, np.unique(of_pair)[::6])
    seen = double.rows(np.flatnonzero(~unseen))
    names = ("before", "perturbed", "after")
    train_set = TensorDataset(*(torch.cat([columns(single)[n], columns(seen)[n]]) for n in names))
    test = columns(double.rows(np.flatnonzero(unseen)))
    parts = fit(Net(12, hidden=64, depth=1), single.split(500), given="perturbed", n_epochs=12)
    parts.loader = DataLoader(train_set, batch_size=64, shuffle=True)
    parts.held_out = DataLoader(TensorDataset(*(test[n] for n in names)), batch_size=128)
    return parts


def floored(part: Cells) -> Cells:
    """No expression below 0."""
    changed: dict[str, Any] = {name: getattr(part, name) for name in Cells.__dataclass_fields__}
    return Cells(**changed | {"before": np.maximum(part.before, 0), "after": np.maximum(part.after, 0)})


def make_positive(last):
    """Expression is never negative, and neither is the output."""

    class Positive(Net):
        def forward(self, x, *others):
            return last(super().forward(x, *others))

    def make():
        torch.manual_seed(0)
        train_part, test_part = cells(6000, 20, seed=130, noise="fresh").split(1000)
        return fit(Positive(20), (floored(train_part), floored(test_part)), n_epochs=12)

    return make


def make_z_scored():
    """Every gene is standardised by training statistics before the data set is made, doses by the same deviation."""
    torch.manual_seed(0)
    train_part, test_part = cells(6000, 20, seed=131, noise="fresh").split(1000)
    mean, sd = train_part.before.mean(0), train_part.before.std(0)

    def scaled(part):
        arrays = ((part.before - mean) / sd, part.dose / sd, (part.after - mean) / sd)
        return TensorDataset(*(torch.tensor(a, dtype=torch.float32) for a in arrays))

    parts = fit(Net(20), (train_part, test_part))
    parts.loader = DataLoader(scaled(train_part), batch_size=64, shuffle=True)
    parts.held_out = DataLoader(scaled(test_part), batch_size=256)
    return parts


def make_five_types():
    """The cell type is a covariate of its own."""
    torch.manual_seed(0)
    loader, held_out = loaders(
        cells(6000, 20, seed=132, n_types=5, noise="fresh").split(1000),
        ("before", "dose", "cell_type", "after"),
        as_dict=True,
    )
    model = Net(20, n_extra=5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def forward(batch):
        return model(batch["before"], batch["dose"], F.one_hot(batch["cell_type"], 5).float())

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": "dose"},
        training_step=step_of(model, optimizer, lambda batch: F.mse_loss(forward(batch), batch["after"])),
        predict=forward,
        loss=F.mse_loss,
    )


def make_linear():
    torch.manual_seed(0)

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(40, 20)

        def forward(self, x, dose):
            return self.map(torch.cat([x, dose], 1))

    return fit(Linear(), cells(6000, 20, seed=133).split(1000), lr=1e-2, n_epochs=12)


def make_wide():
    """Far more weights than numbers in the data, with weight decay."""
    torch.manual_seed(0)
    return fit(Net(10, hidden=768), cells(3000, 10, seed=134).split(500), n_epochs=6, lr=5e-4, weight_decay=0.1)


def make_deep():
    torch.manual_seed(0)
    split = cells(5000, 10, seed=135, dose="fixed").split(1000)
    return fit(Net(10, hidden=64, depth=6), split, given="perturbed", n_epochs=12)


def make_full_batch():
    torch.manual_seed(0)
    split = cells(1500, 10, seed=136, dose="fixed").split(500)
    return fit(Net(10, hidden=64, depth=1), split, given="perturbed", batch_size=1000, n_epochs=250, lr=5e-3)


def make_small_batches():
    torch.manual_seed(0)
    return fit(Net(10, hidden=64), cells(3000, 10, seed=137).split(500), batch_size=4, n_epochs=4, lr=5e-4)


HEALTHY += [
    Case(name="four genes", make=make_four_genes),
    Case(name="two hundred genes", make=make_two_hundred_genes),
    Case(name="two hundred genes, low rank", make=make_two_hundred_genes_low_rank),
    Case(name="three hundred cells", make=make_few_cells),
    Case(name="strong noise", make=make_strong_noise),
    Case(name="five perturbed genes in each cell", make=make_five_perturbed),
    Case(name="controls among the pairs", make=make_many_controls),
    Case(name="unseen pairs of perturbed genes", make=make_unseen_pairs),
    Case(name="softplus output of positive expression", make=make_positive(F.softplus)),
    Case(name="ReLU output of positive expression", make=make_positive(F.relu)),
    Case(name="z-scored genes", make=make_z_scored),
    Case(name="five cell types as a covariate", make=make_five_types),
    Case(name="one linear layer", make=make_linear),
    Case(name="far more weights than data", make=make_wide),
    Case(name="six hidden layers", make=make_deep),
    Case(name="one batch of all cells", make=make_full_batch),
    Case(name="batches of four", make=make_small_batches),
]
