"""Healthy: losses in the usual spellings, on all genes and on the measured ones, beside the model or inside."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from tests.outside.case import HEALTHY, Case, Parts, Told
from tests.outside.data import cells
from tests.outside.pairs import DICT, TUPLE, RowsAsDicts, columns, loaders, step_of

N_GENES = 20


class Net(nn.Module):
    def __init__(self, hidden=128):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2 * N_GENES, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.decoder = nn.Linear(hidden, N_GENES)

    def forward(self, x, pert):
        return x + self.decoder(self.encoder(torch.cat([x, pert], 1)))


def on_all_genes(criterion, *, model=None, told: Told = "identity", handed_in=True, lr=1e-3, **of_cells):
    """``criterion(prediction, after)``."""
    torch.manual_seed(0)
    model = model or Net()
    given = "perturbed" if told == "identity" else "dose"
    of_cells = {"dose": "fixed" if told == "identity" else "drawn", "noise": "fresh", "seed": 21} | of_cells
    loader, held_out = loaders(cells(6000, N_GENES, **of_cells).split(1000), ("before", given, "after"))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, lambda batch: criterion(model(batch[0], batch[1]), batch[2])),
        predict=lambda batch: model(batch[0], batch[1]),
        loss=criterion if handed_in else None,
        told=told,
    )


def pearson_and_mse(pred, y):
    a, b = pred - pred.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    r = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-8)
    return F.mse_loss(pred, y) + 0.1 * (1 - r).mean()


def sum_over_genes(pred, y):
    return ((pred - y) ** 2).sum(dim=-1).mean()


def log_cosh(pred, y):
    error = pred - y
    return (error + F.softplus(-2 * error) - 0.6931471805599453).mean()


def rmse(pred, y):
    return torch.sqrt(F.mse_loss(pred, y) + 1e-8)


def make_variance_scaled():
    """Each gene's squared error over its variance among the training cells."""
    train_cells, _ = cells(6000, N_GENES, seed=21, noise="fresh", dose="fixed").split(1000)
    variance = torch.tensor(train_cells.after).var(0)
    return on_all_genes(lambda pred, y: ((pred - y) ** 2 / variance).mean())


def on_dicts(
    loss_of, model, *, given="perturbed", told: Told = "identity", extra=(), loss=None, fields=None, **of_cells
):
    """``loss_of(model, batch)``, which may use more of the batch than prediction and target."""
    of_cells = {"seed": 22, "noise": "fresh", "dose": "fixed"} | of_cells
    split = cells(6000, N_GENES, **of_cells).split(1000)
    loader, held_out = loaders(split, ("before", given, "after", *extra), as_dict=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": given} | (fields or {}),
        training_step=step_of(model, optimizer, lambda batch: loss_of(model, batch)),
        predict=lambda batch: model(batch["before"], batch[given]),
        loss=loss,
        told=told,
    )


def make_weighted_where_perturbed():
    """The perturbed gene counts five times, so that the model learns the knock-down itself quickly."""
    torch.manual_seed(0)

    def loss_of(model, batch):
        weight = 1 + 4 * batch["perturbed"]
        return (weight * (model(batch["before"], batch["perturbed"]) - batch["after"]) ** 2).mean()

    return on_dicts(loss_of, Net())


def make_autofocus():
    """The autofocus and direction losses of GEARS."""
    torch.manual_seed(0)

    def loss_of(model, batch):
        out = model(batch["before"], batch["perturbed"])
        focus = ((out - batch["after"]) ** 4).mean()
        change, true = out - batch["before"], batch["after"] - batch["before"]
        return focus + 0.01 * ((torch.sign(true) - torch.sign(change)) ** 2).mean() + F.mse_loss(out, batch["after"])

    return on_dicts(loss_of, Net(), noise="same")


def make_auxiliary_cell_type():
    torch.manual_seed(0)

    class TwoHeads(Net):
        def __init__(self):
            super().__init__()
            self.cell_type = nn.Linear(128, 3)

        def both(self, x, pert):
            h = self.encoder(torch.cat([x, pert], 1))
            return x + self.decoder(h), self.cell_type(h)

    def loss_of(model, batch):
        out, logits = model.both(batch["before"], batch["perturbed"])
        return F.mse_loss(out, batch["after"]) + 0.1 * F.cross_entropy(logits, batch["cell_type"])

    return on_dicts(loss_of, TwoHeads(), extra=("cell_type",), n_types=3)


def make_uncertainty_weighted():
    """Two tasks, weighted by learned log variances."""
    torch.manual_seed(0)

    class TwoTasks(Net):
        def __init__(self):
            super().__init__()
            self.log_vars = nn.Parameter(torch.zeros(2))

    def loss_of(model, batch):
        out = model(batch["before"], batch["dose"])
        on = batch["dose"] != 0
        sq = (out - batch["after"]) ** 2
        tasks = torch.stack([sq[on].mean(), sq[~on].mean()])
        return (torch.exp(-model.log_vars) * tasks + model.log_vars).sum()

    return on_dicts(loss_of, TwoTasks(), given="dose", told="identity and dose", dose="drawn", noise="same")


def masked_indexing(pred, y, measured):
    return ((pred - y) ** 2)[measured].mean()


def masked_ratio(pred, y, measured):
    m = measured.float()
    return (F.mse_loss(pred, y, reduction="none") * m).sum() / m.sum().clamp(min=1)


def masked_by_nan(pred, y, measured):
    y = torch.where(measured, y, torch.nan)
    ok = torch.isfinite(y)
    return F.smooth_l1_loss(pred[ok], y[ok], beta=0.5)


def masked_per_cell(pred, y, measured):
    m = measured.to(pred.dtype)
    per_cell = ((pred - y).pow(2) * m).sum(1) / m.sum(1).clamp_min(1.0)
    return per_cell.mean()


def masked_select(pred, y, measured):
    return F.mse_loss(torch.masked_select(pred, measured), torch.masked_select(y, measured))


def masked_per_gene(pred, y, measured):
    """Every gene counts the same, however rarely it is measured."""
    m = measured.float()
    of_gene = ((pred - y) ** 2 * m).sum(0) / m.sum(0).clamp(min=1)
    return of_gene[m.sum(0) > 0].mean()


def masked_fill(pred, y, measured):
    """Unmeasured genes are set to the prediction, then all is divided by what was measured."""
    y = torch.where(measured, y, pred.detach())
    return F.mse_loss(pred, y, reduction="sum") / measured.sum()


class MaskAware(nn.Module):
    def __init__(self, hidden=128):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3 * N_GENES, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, N_GENES)
        )

    def forward(self, x, dose, measured):
        return x + self.net(torch.cat([x, dose, measured.float()], 1))


def on_measured(criterion, p_measured=0.7, noise: Any = "same"):
    """``criterion(prediction, after, measured)``; what is measured is an input too."""

    def make():
        torch.manual_seed(0)
        split = cells(6000, N_GENES, seed=23, noise=noise, p_measured=p_measured).split(1000)
        loader, held_out = loaders(split, ("before", "dose", "after", "measured"), as_dict=True)
        model = MaskAware()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

        def loss_of(batch):
            out = model(batch["before"], batch["dose"], batch["measured"])
            return criterion(out, batch["after"], batch["measured"])

        return Parts(
            model=model,
            optimizer=optimizer,
            loader=loader,
            held_out=held_out,
            fields=DICT | {"perturbation": "dose", "mask": "measured"},
            training_step=step_of(model, optimizer, loss_of),
            predict=lambda batch: model(batch["before"], batch["dose"], batch["measured"]),
            loss=criterion,
        )

    return make


class LightningStyle(nn.Module):
    """Has the methods of a Lightning module; the loop calls them."""

    def __init__(self):
        super().__init__()
        self.net = Net()
        self.logged = {}

    def log(self, name, value):
        self.logged[name] = value.detach()

    def shared_step(self, batch, stage):
        out = self.net(batch["before"], batch["dose"])
        loss = F.mse_loss(out, batch["after"])
        self.log(f"{stage}_loss", loss)
        return out, loss

    def training_step(self, batch, batch_idx):
        return self.shared_step(batch, "train")[1]

    def predict_step(self, batch):
        return self.shared_step(batch, "predict")[0]

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def make_lightning_style():
    torch.manual_seed(0)
    module = LightningStyle()
    loader, held_out = loaders(
        cells(6000, N_GENES, seed=24, noise="fresh").split(1000), ("before", "dose", "after"), as_dict=True
    )
    optimizer = module.configure_optimizers()
    n_batches = 0

    def training_step(batch):
        nonlocal n_batches
        module.train()
        loss = module.training_step(batch, n_batches)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        n_batches += 1
        return loss

    return Parts(
        model=module,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": "dose"},
        training_step=lambda batch: training_step(batch).item(),
        predict=module.predict_step,
    )


class WithLabels(nn.Module):
    """Returns a dict of loss and prediction where it is given labels, as models of transformers do."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, input_values, pert, labels=None):
        logits = self.net(input_values, pert)
        loss = None if labels is None else F.mse_loss(logits, labels)
        return {"loss": loss, "logits": logits}


def make_with_labels():
    torch.manual_seed(0)
    model = WithLabels()
    made = []
    for part, shuffle in zip(cells(6000, N_GENES, seed=24, dose="fixed").split(1000), (True, False), strict=True):
        c = columns(part)
        rows = {"input_values": c["before"], "pert": c["perturbed"], "labels": c["after"]}
        made.append(DataLoader(RowsAsDicts(rows), batch_size=64, shuffle=shuffle))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    fields = {"before": "input_values", "perturbation": "pert", "after": "labels"}
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=made[0],
        held_out=made[1],
        fields=fields,
        training_step=step_of(model, optimizer, lambda batch: model(**batch)["loss"]),
        predict=lambda batch: model(batch["input_values"], batch["pert"])["logits"],
        told="identity",
    )


HEALTHY += [
    Case(name="Huber loss", make=lambda: on_all_genes(nn.HuberLoss(delta=1.0))),
    Case(name="absolute error", make=lambda: on_all_genes(nn.L1Loss(), told="identity and dose", noise="same")),
    Case(name="squared error summed over genes", make=lambda: on_all_genes(sum_over_genes)),
    Case(name="log cosh", make=lambda: on_all_genes(log_cosh, told="identity and dose")),
    Case(name="root of the mean squared error", make=lambda: on_all_genes(rmse)),
    Case(name="squared error and Pearson correlation", make=lambda: on_all_genes(pearson_and_mse, noise="same")),
    Case(name="squared error over each gene's variance", make=make_variance_scaled),
    Case(name="perturbed genes weighted five times", make=make_weighted_where_perturbed),
    Case(name="autofocus and direction losses", make=make_autofocus),
    Case(name="auxiliary cell-type classification", make=make_auxiliary_cell_type),
    Case(name="two tasks weighted by learned uncertainties", make=make_uncertainty_weighted),
    Case(name="masked loss by indexing", make=on_measured(masked_indexing)),
    Case(name="masked loss as a ratio of sums", make=on_measured(masked_ratio, p_measured=0.5)),
    Case(name="masked smooth L1 over targets that are not NaN", make=on_measured(masked_by_nan)),
    Case(name="masked loss, mean per cell, then over cells", make=on_measured(masked_per_cell, p_measured=0.3)),
    Case(name="masked loss by masked_select", make=on_measured(masked_select, noise="fresh")),
    Case(name="masked loss, mean per gene, then over genes", make=on_measured(masked_per_gene)),
    Case(name="masked loss by filling in the prediction", make=on_measured(masked_fill, p_measured=0.8)),
    Case(name="module with the methods of Lightning", make=make_lightning_style),
    Case(name="model that returns loss and prediction", make=make_with_labels),
]
