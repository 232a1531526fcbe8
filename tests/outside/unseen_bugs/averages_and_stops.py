"""Weights that answer: averages, checkpoints, and trainings that end too early."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from tests.outside.case import Parts
from tests.outside.pairs import columns
from tests.outside.unseen_bugs.twins import fit, reported, world_of

G = 16
screen, Mlp = world_of(G, world=13, noise="fresh", noise_sd=0.4)


def stepping(model, optimizer, after_step):
    def training_step(batch):
        x, p, y = batch
        model.train()
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, p), y)
        loss.backward()
        optimizer.step()
        after_step(loss.item())
        return loss.item()

    return training_step


@reported(
    name="average of the weights with a flipped sign",
    source="https://github.com/ostris/ai-toolkit/issues/1034",
    bug="shadow += (1 - decay) * (shadow - weight): the average that answers is driven away from the weights.",
    cause="bug",
    line="sign of the EMA update: the shadow weights diverge while the loss looks normal",
    hurts="held-out error 8.8e+15 against 0.336 of the mended twin and 0.781 of the mean",
)
def flipped_average(mended: bool) -> Parts:
    torch.manual_seed(0)
    model, decay = Mlp(), 0.98
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    shadow = {name: w.detach().clone() for name, w in model.named_parameters()}

    @torch.no_grad()
    def update(_loss):
        for name, w in model.named_parameters():
            gap = (shadow[name] - w) * (1 - decay)
            shadow[name].add_(-gap if mended else gap)

    return fit(
        model,
        screen(),
        optimizer=optimizer,
        training_step=stepping(model, optimizer, update),
        predict=lambda batch: functional_call(model, shadow, (batch[0], batch[1])),
        n_epochs=15,
    )


@reported(
    name="average without the statistics of batch norm",
    source="https://github.com/FlyreelAI/sesemi/issues/36",
    bug="The averaged copy takes over parameters but no buffers: its batch norm keeps mean 0 and variance 1.",
    cause="bug",
    line="running_mean and running_var of the averaged model are never copied",
    hurts="held-out error 1.07 against 0.305 of the mended twin and 0.781 of the mean",
)
def average_without_buffers(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Normed(nn.Module):
        def __init__(self, hidden=64):
            super().__init__()
            self.first, self.norm = nn.Linear(2 * G, hidden), nn.BatchNorm1d(hidden)
            self.last = nn.Linear(hidden, G)

        def forward(self, x, p):
            return x + self.last(F.relu(self.norm(self.first(torch.cat([x, p], dim=1)))))

    model = Normed()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    averaged = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(_loss):
        for ours, theirs in zip(averaged.parameters(), model.parameters(), strict=True):
            ours.lerp_(theirs, 0.05)
        if mended:
            for ours, theirs in zip(averaged.buffers(), model.buffers(), strict=True):
                ours.copy_(theirs)

    return fit(
        model,
        screen(),
        optimizer=optimizer,
        training_step=stepping(model, optimizer, update),
        predict=lambda batch: averaged(batch[0], batch[1]),
        n_epochs=20,
    )


@reported(
    name="checkpoint of the highest validation loss",
    source="https://github.com/mila-iqia/cookiecutter-pyml/issues/119",
    bug="The callback that keeps the best model monitors the validation loss with mode='max'.",
    cause="bug",
    line="comparison of the validation loss: the worst epoch's weights answer",
    hurts="held-out error 0.798 against 0.291 of the mended twin and 0.713 of the mean",
)
def worst_checkpoint(mended: bool) -> Parts:
    torch.manual_seed(2)
    train, test = screen(1200, 250)
    train, valid = train.split(150)
    model = Mlp()
    kept = {"loss": float("inf") if mended else -float("inf"), "model": copy.deepcopy(model)}
    c = columns(valid)

    def on_epoch():
        with torch.no_grad():
            loss = F.mse_loss(model(c["before"], c["perturbed"]), c["after"]).item()
        if (loss < kept["loss"]) if mended else (loss > kept["loss"]):
            kept.update(loss=loss, model=copy.deepcopy(model))

    return fit(
        model,
        (train, test),
        on_epoch=on_epoch,
        predict=lambda batch: kept["model"](batch[0], batch[1]),
        n_epochs=25,
    )


class Stopper:
    def __init__(self, patience):
        self.patience, self.best, self.wait, self.stop = patience, float("inf"), 0, False

    def __call__(self, loss):
        if loss < self.best:
            self.best, self.wait = loss, 0
        else:
            self.wait += 1
            self.stop = self.stop or self.wait >= self.patience


@reported(
    name="early stopping counts batches",
    source="https://github.com/NeptuneProjects/RISCluster/issues/1",
    bug="The early stopper is called after each batch instead of each epoch: it stops within the first epochs.",
    cause="bug/optimiser",
    line="stopper called per batch: after a few noisy batches no more updates are made",
    hurts="held-out error 0.889 against 0.32 of the mended twin and 0.781 of the mean",
)
def stops_by_batch(mended: bool) -> Parts:
    torch.manual_seed(3)
    model, stopper, losses = Mlp(), Stopper(patience=5), []
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    update = stepping(model, optimizer, losses.append if mended else stopper)

    def training_step(batch):
        # The loop of the report breaks; here it has nothing more to do.
        return stopper.best if stopper.stop else update(batch)

    def on_epoch():
        if mended:
            stopper(sum(losses) / max(len(losses), 1))
            losses.clear()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step, on_epoch=on_epoch)
