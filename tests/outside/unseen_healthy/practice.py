"""Healthy: how trainings are run, which weights answer, and what is done to the batches."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.pairs import columns
from tests.outside.unseen_healthy.common import fit, recipe, world_of

G = 15
screen, Mlp = world_of(G, world=32)


@recipe("early stopping that restores a deep copy of the best weights")
def make_early_stopping():
    torch.manual_seed(2)
    train, test = screen(700, 250)
    train, valid = train.split(100)
    model = Mlp(hidden=128)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    best = {"loss": float("inf"), "weights": copy.deepcopy(model.state_dict()), "wait": 0}
    c = columns(valid)

    def training_step(batch):
        x, p, y = batch
        model.train()
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, p), y)
        loss.backward()
        if best["wait"] < 8:
            optimizer.step()
        return loss.item()

    def on_epoch():
        model.eval()
        with torch.no_grad():
            loss = F.mse_loss(model(c["before"], c["perturbed"]), c["after"]).item()
        if loss < best["loss"]:
            best.update(loss=loss, weights=copy.deepcopy(model.state_dict()), wait=0)
        else:
            best["wait"] += 1
            if best["wait"] == 8:
                model.load_state_dict(best["weights"])

    return fit(model, (train, test), optimizer=optimizer, training_step=training_step, on_epoch=on_epoch, n_epochs=25)


@recipe("curriculum from small to large doses")
def make_curriculum():
    torch.manual_seed(2)
    split = screen(1400, 300, dose="drawn")
    model, epoch = Mlp(), [0]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        x, dose, y = batch
        limit = 1.0 + 0.25 * epoch[0]
        easy = (dose.abs().amax(1) <= limit).float()
        optimizer.zero_grad()
        error = ((model(x, dose) - y) ** 2).mean(1)
        loss = (error * easy).sum() / easy.sum().clamp(min=1)
        loss.backward()
        optimizer.step()
        return loss.item()

    def on_epoch():
        epoch[0] += 1

    return fit(
        model,
        split,
        names=("before", "dose", "after"),
        optimizer=optimizer,
        training_step=training_step,
        on_epoch=on_epoch,
        loss=F.mse_loss,
    )


class Ensemble(nn.Module):
    def __init__(self, n_members=4):
        super().__init__()
        self.members = nn.ModuleList(Mlp(hidden=32) for _ in range(n_members))

    def each(self, x, p):
        return torch.stack([member(x, p) for member in self.members])

    def forward(self, x, p):
        return self.each(x, p).mean(0)


@recipe("ensemble whose members are trained each for itself")
def make_ensemble():
    torch.manual_seed(2)
    model = Ensemble()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        keep = torch.bernoulli(torch.full((4, len(x), 1), 0.8))
        loss = (keep * (model.each(x, p) - y) ** 2).mean(dim=(1, 2)).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step)


@recipe("autoencoder first, perturbations after five epochs")
def make_two_stages():
    torch.manual_seed(2)

    class Stages(nn.Module):
        def __init__(self, latent=10):
            super().__init__()
            self.encode = nn.Sequential(nn.Linear(G, 64), nn.ELU(), nn.Linear(64, latent))
            self.shift = nn.Linear(G, latent, bias=False)
            self.decode = nn.Sequential(nn.Linear(latent, 64), nn.ELU(), nn.Linear(64, G))

        def forward(self, x, p):
            return self.decode(self.encode(x - 3) + self.shift(p)) + 3

    model, epoch = Stages(), [0]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, torch.zeros_like(p)), x)
        if epoch[0] >= 5:
            loss = 0.2 * loss + F.mse_loss(model(x, p), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def on_epoch():
        epoch[0] += 1

    return fit(
        model,
        screen(),
        optimizer=optimizer,
        training_step=training_step,
        on_epoch=on_epoch,
        n_epochs=40,
        loss=F.mse_loss,
    )


@recipe("consistency with an averaged teacher on noisy cells")
def make_mean_teacher():
    torch.manual_seed(2)
    model = Mlp()
    teacher = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        out = model(x + 0.05 * torch.randn_like(x), p)
        with torch.no_grad():
            soft = teacher(x, p)
        loss = F.mse_loss(out, y) + 0.3 * F.mse_loss(out, soft)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 0.05)
        return loss.item()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step, loss=F.mse_loss)


@recipe("targets smoothed towards the mean of their perturbation")
def make_smoothed_targets():
    torch.manual_seed(2)
    train, test = screen(1200, 250, noise="fresh")
    c = columns(train)
    means = torch.stack([c["after"][c["gene"] == g].mean(0) for g in range(G)])
    model = Mlp(residual=False, hidden=48)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(x - 3, p), 0.7 * y + 0.3 * (p @ means))
        loss.backward()
        optimizer.step()
        return loss.item()

    return fit(
        model,
        (train, test),
        optimizer=optimizer,
        training_step=training_step,
        predict=lambda batch: model(batch[0] - 3, batch[1]),
        loss=F.mse_loss,
    )


@recipe("cells moved along the gradient's sign as augmentation")
def make_adversarial_cells():
    torch.manual_seed(2)
    model = Mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        x, p, y = batch
        moved = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.mse_loss(model(moved, p), y), moved)
        optimizer.zero_grad()
        loss = 0.5 * F.mse_loss(model(x, p), y) + 0.5 * F.mse_loss(model(x + 0.02 * slope.sign(), p), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step, loss=F.mse_loss)


@recipe("the worst twentieth of each batch is left out")
def make_trimmed():
    torch.manual_seed(2)

    def trimmed(out, y):
        errors = ((out - y) ** 2).mean(1)
        return errors.sort().values[: max(1, int(0.95 * len(errors)))].mean()

    return fit(Mlp(), screen(), criterion=trimmed)


@recipe("one block applied four times")
def make_repeated_block():
    torch.manual_seed(2)

    class Repeated(nn.Module):
        def __init__(self, hidden=64):
            super().__init__()
            self.first, self.last = nn.Linear(2 * G, hidden), nn.Linear(hidden, G)
            self.block = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.GELU())

        def forward(self, x, p):
            h = self.first(torch.cat([x - 3, p], dim=1))
            for _ in range(4):
                h = h + 0.5 * self.block(h)
            return x + self.last(h)

    return fit(Repeated(), screen(), n_epochs=20)
