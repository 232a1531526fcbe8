"""Healthy: optimisers and schedules written by hand or seldom seen."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler

from tests.outside.unseen_healthy.common import fit, recipe, world_of

G = 10
screen, Mlp = world_of(G, world=31)


@recipe("gradients centralised before the step")
def make_centralised():
    torch.manual_seed(1)
    model = Mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)

    def centralise():
        for w in model.parameters():
            if w.ndim > 1 and w.grad is not None:
                w.grad -= w.grad.mean(dim=1, keepdim=True)

    return fit(model, screen(), optimizer=optimizer, before_step=centralise)


class Factored(torch.optim.Optimizer):
    """Adafactor without momentum: the second moment of a matrix is kept as those of its rows and columns."""

    def __init__(self, params, lr=1e-2):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for w in group["params"]:
                state = self.state[w]
                state["t"] = state.get("t", 0) + 1
                beta = 1 - state["t"] ** -0.8
                squared = w.grad**2 + 1e-12
                if w.ndim == 2:
                    for key, dim in (("rows", 1), ("columns", 0)):
                        mean = squared.mean(dim)
                        state[key] = beta * state.get(key, torch.zeros_like(mean)) + (1 - beta) * mean
                    rows = state["rows"]
                    second = rows[:, None] * state["columns"][None] / rows.mean()
                else:
                    state["second"] = beta * state.get("second", torch.zeros_like(w)) + (1 - beta) * squared
                    second = state["second"]
                update = w.grad / second.sqrt()
                update /= (update.pow(2).mean().sqrt()).clamp(min=1.0)
                w.sub_(group["lr"] * update)


@recipe("factored second moments by hand, rate decayed linearly")
def make_factored():
    torch.manual_seed(1)
    model = Mlp()
    optimizer = Factored(model.parameters(), lr=5e-3)
    schedule = lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=25)
    return fit(model, screen(), optimizer=optimizer, on_epoch=schedule.step)


@recipe("lookahead: slow weights follow fast ones")
def make_lookahead():
    torch.manual_seed(1)
    model = Mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    slow = [w.detach().clone() for w in model.parameters()]
    count = [0]

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, p), y)
        loss.backward()
        optimizer.step()
        count[0] += 1
        if count[0] % 5 == 0:
            with torch.no_grad():
                for kept, w in zip(slow, model.parameters(), strict=True):
                    kept.lerp_(w, 0.5)
                    w.copy_(kept)
        return loss.item()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step)


@recipe("cosine with warm restarts")
def make_warm_restarts():
    torch.manual_seed(1)
    model = Mlp(act=nn.SiLU)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-3)
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=4, T_mult=2)
    return fit(model, screen(), optimizer=optimizer, on_epoch=schedule.step, n_epochs=28)


def orthogonal(matrix, n_steps=5):
    """The nearest orthogonal matrix, by Newton and Schulz."""
    x = matrix / (matrix.norm() + 1e-7)
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    for _ in range(n_steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x if wide else x.T


class Orthogonalised(torch.optim.Optimizer):
    def __init__(self, params, lr=0.02, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for w in group["params"]:
                velocity = self.state[w].setdefault("velocity", torch.zeros_like(w))
                velocity.mul_(group["momentum"]).add_(w.grad)
                update = orthogonal(w.grad + group["momentum"] * velocity)
                w.sub_(group["lr"] * max(1.0, w.shape[0] / w.shape[1]) ** 0.5 * update)


@recipe("orthogonalised momentum for matrices, Adam for the rest")
def make_orthogonalised():
    torch.manual_seed(1)
    model = Mlp()
    matrices = Orthogonalised([w for w in model.parameters() if w.ndim == 2], lr=0.01)
    rest = torch.optim.Adam([w for w in model.parameters() if w.ndim < 2], lr=3e-3)
    schedules = [lr_scheduler.ExponentialLR(optimizer, 0.9) for optimizer in (matrices, rest)]

    def training_step(batch):
        x, p, y = batch
        model.zero_grad()
        loss = F.mse_loss(model(x, p), y)
        loss.backward()
        matrices.step()
        rest.step()
        return loss.item()

    def on_epoch():
        for schedule in schedules:
            schedule.step()

    return fit(model, screen(), optimizer=matrices, training_step=training_step, on_epoch=on_epoch, n_epochs=20)


@recipe("NAdam with a polynomial decay in each step")
def make_nadam():
    torch.manual_seed(1)
    model = Mlp()
    optimizer = torch.optim.NAdam(model.parameters(), lr=4e-3)
    schedule = lr_scheduler.PolynomialLR(optimizer, total_iters=24 * 25, power=1.5)

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad(set_to_none=True)
        loss = F.mse_loss(model(x, p), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss.detach()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step)


@recipe("decaying noise on the gradients")
def make_gradient_noise():
    torch.manual_seed(1)
    model, count = Mlp(), [0]

    def noise():
        count[0] += 1
        for w in model.parameters():
            w.grad += 0.01 / (1 + count[0]) ** 0.55 * torch.randn_like(w)

    return fit(model, screen(), before_step=noise)


@recipe("proximal step of an L1 penalty on the direct effects")
def make_proximal():
    torch.manual_seed(1)

    class Direct(nn.Module):
        def __init__(self):
            super().__init__()
            self.effect = nn.Parameter(torch.zeros(G, G))
            self.bias = nn.Parameter(torch.zeros(G))

        def forward(self, x, dose):
            return x + dose @ self.effect + self.bias

    model = Direct()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def training_step(batch):
        x, dose, y = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, dose), y)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.effect.copy_(F.softshrink(model.effect, 1e-4))
        return loss.item()

    split = screen(dose="drawn")
    return fit(model, split, names=("before", "dose", "after"), optimizer=optimizer, training_step=training_step)


@recipe("penalty that draws the weights to the pretrained ones")
def make_drawn_to_start():
    torch.manual_seed(1)
    pretraining, split = screen(800, 100, seed=70), screen(500, 250)
    model = Mlp()
    early = torch.optim.Adam(model.parameters(), lr=3e-3)
    x, p, y = (torch.tensor(a, dtype=torch.float32) for a in (*vars_of(pretraining[0]),))
    for _ in range(60):
        early.zero_grad()
        F.mse_loss(model(x, p), y).backward()
        early.step()
    start = copy.deepcopy(model.state_dict())

    def criterion(out, after):
        drift = sum(((w - start[name]) ** 2).sum() for name, w in model.named_parameters())
        return F.mse_loss(out, after) + 1e-4 * drift

    return fit(model, split, criterion=criterion, loss=F.mse_loss, n_epochs=40)


def vars_of(part):
    return part.before, part.perturbed, part.after


@recipe("cells and perturbations updated in turn")
def make_in_turn():
    torch.manual_seed(1)

    class TwoPaths(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.Sequential(nn.Linear(G, 32), nn.Tanh(), nn.Linear(32, G))
            self.pert = nn.Linear(G, G)

        def forward(self, x, p):
            return x + 0.1 * self.cell(x - 3) + self.pert(p)

    model, count = TwoPaths(), [0]
    groups = [{"params": model.cell.parameters(), "lr": 2e-3}, {"params": model.pert.parameters(), "lr": 1e-2}]
    optimizer = torch.optim.RMSprop(groups)

    def training_step(batch):
        x, p, y = batch
        count[0] += 1
        model.cell.requires_grad_(count[0] % 2 == 0)
        model.pert.requires_grad_(count[0] % 2 == 1)
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, p), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step, n_epochs=30)
