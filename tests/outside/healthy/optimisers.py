"""Healthy: optimisers, parameter groups, clipping, accumulation and learning-rate schedules as people combine them."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import TUPLE, loaders

N_GENES = 20


class Net(nn.Module):
    def __init__(self, hidden=128):
        super().__init__()
        self.gene_encoder = nn.Linear(N_GENES, hidden)
        self.pert_encoder = nn.Linear(N_GENES, hidden, bias=False)
        self.norm = nn.LayerNorm(hidden)
        self.decoder = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, N_GENES))

    def forward(self, x, pert):
        h = F.relu(self.norm(self.gene_encoder(x) + self.pert_encoder(pert)))
        return x + self.decoder(h)


class Trainer:
    """A small trainer class: optimiser, clipping, schedule by step or by epoch."""

    def __init__(self, optimizer_of, *, schedule=None, per_epoch=False, clip=None, micro_batches=1, n_epochs=10):
        torch.manual_seed(0)
        split = cells(6000, N_GENES, seed=31, dose="fixed", noise="same").split(1000)
        self.loader, self.held_out = loaders(split, ("before", "perturbed", "after"))
        self.model = Net()
        self.optimizer = optimizer_of(self.model)
        self.n_epochs, self.clip, self.micro_batches = n_epochs, clip, micro_batches
        self.scheduler = schedule(self.optimizer, n_epochs * len(self.loader)) if schedule else None
        self.per_epoch = per_epoch

    def loss(self, batch):
        x, pert, y = batch
        return F.mse_loss(self.model(x, pert), y)

    def training_step(self, batch):
        self.model.train()
        self.optimizer.zero_grad()
        total = 0.0
        parts = [t.chunk(self.micro_batches) for t in batch]
        for micro in zip(*parts, strict=True):
            loss = self.loss(micro) * (len(micro[0]) / len(batch[0]))
            loss.backward()
            total += loss.item()
        if self.clip is not None:
            self.clip(self.model.parameters())
        self.optimizer.step()
        if self.scheduler is not None and not self.per_epoch:
            self.scheduler.step()
        return total

    def parts(self, **changed):
        known = {
            "model": self.model,
            "optimizer": self.optimizer,
            "loader": self.loader,
            "held_out": self.held_out,
            "fields": TUPLE,
            "training_step": self.training_step,
            "predict": lambda batch: self.model(batch[0], batch[1]),
            "loss": F.mse_loss,
            "told": "identity",
            "on_epoch": self.scheduler.step if self.scheduler and self.per_epoch else None,
            "n_epochs": self.n_epochs,
        }
        return Parts(**(known | changed))


def adam(lr=1e-3, **options):
    return lambda model: torch.optim.Adam(model.parameters(), lr=lr, **options)


def sgd(lr=0.1, **options):
    return lambda model: torch.optim.SGD(model.parameters(), lr=lr, **options)


def with_decay_groups(model):
    """Decay for matrices, none for biases and norms."""
    decay = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))


def with_rate_groups(model):
    return torch.optim.Adam(
        [
            {"params": model.gene_encoder.parameters(), "lr": 3e-4},
            {"params": [*model.pert_encoder.parameters(), *model.norm.parameters()]},
            {"params": model.decoder.parameters(), "lr": 2e-3},
        ],
        lr=1e-3,
    )


class Lion(torch.optim.Optimizer):
    """Sign of an interpolated momentum."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(torch.sign(b1 * m + (1 - b1) * p.grad), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)
        return loss


def warm_up_and_cosine(optimizer, n_steps, n_warm=50):
    """From 0 up, then down along half a cosine, as most fine-tuning code has it."""

    def factor(step):
        if step < n_warm:
            return step / n_warm
        return 0.5 * (1 + math.cos(math.pi * min((step - n_warm) / max(n_steps - n_warm, 1), 1.0)))

    return lr_scheduler.LambdaLR(optimizer, factor)


def linear_then_exponential(optimizer, n_steps):
    warm = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=40)
    decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.998)
    return lr_scheduler.SequentialLR(optimizer, [warm, decay], milestones=[40])


def make_one_cycle():
    return Trainer(
        adam(), schedule=lambda opt, n: lr_scheduler.OneCycleLR(opt, max_lr=5e-3, total_steps=n + 1, pct_start=0.3)
    ).parts()


def make_plateau():
    trainer = Trainer(adam(3e-3), n_epochs=12)
    scheduler = lr_scheduler.ReduceLROnPlateau(trainer.optimizer, factor=0.5, patience=1)

    def on_epoch():
        trainer.model.eval()
        with torch.no_grad():
            loss = sum(trainer.loss(batch).item() for batch in trainer.held_out) / len(trainer.held_out)
        scheduler.step(loss)

    return trainer.parts(on_epoch=on_epoch)


def make_rate_by_hand():
    trainer = Trainer(adam(2e-3))
    epoch = 0

    def on_epoch():
        nonlocal epoch
        epoch += 1
        for group in trainer.optimizer.param_groups:
            group["lr"] = 2e-3 * 0.8**epoch

    return trainer.parts(on_epoch=on_epoch)


def make_two_optimisers():
    """One for the perturbation encoder, one for the rest; both step together."""
    trainer = Trainer(lambda model: torch.optim.Adam([p for n, p in model.named_parameters() if "pert" not in n], 1e-3))
    of_pert = torch.optim.SGD(trainer.model.pert_encoder.parameters(), lr=0.1, momentum=0.9)

    def training_step(batch):
        trainer.model.train()
        for opt in (trainer.optimizer, of_pert):
            opt.zero_grad()
        loss = trainer.loss(batch)
        loss.backward()
        for opt in (trainer.optimizer, of_pert):
            opt.step()
        return loss.item()

    return trainer.parts(training_step=training_step)


def make_sharpness_aware(rho=0.02):
    """SAM: the gradient is taken a short way uphill."""
    trainer = Trainer(adam(), n_epochs=8)

    def training_step(batch):
        params = list(trainer.model.parameters())
        trainer.model.train()
        loss = trainer.loss(batch)
        grads = torch.autograd.grad(loss, params)
        norm = torch.stack([g.norm() for g in grads]).norm() + 1e-12
        with torch.no_grad():
            for p, g in zip(params, grads, strict=True):
                p.add_(g, alpha=float(rho / norm))
        trainer.optimizer.zero_grad()
        trainer.loss(batch).backward()
        with torch.no_grad():
            for p, g in zip(params, grads, strict=True):
                p.sub_(g, alpha=float(rho / norm))
        trainer.optimizer.step()
        return loss.item()

    return trainer.parts(training_step=training_step)


def make_closure():
    """LBFGS on all pairs at once; the step hands the optimiser a closure."""
    trainer = Trainer(
        lambda model: torch.optim.LBFGS(model.parameters(), max_iter=10, line_search_fn="strong_wolfe"),
        n_epochs=10,
    )
    loader, _ = loaders(
        cells(6000, N_GENES, seed=31, dose="fixed").split(1000), ("before", "perturbed", "after"), batch_size=5000
    )

    def training_step(batch):
        def closure():
            trainer.optimizer.zero_grad()
            loss = trainer.loss(batch)
            loss.backward()
            return loss

        return trainer.optimizer.step(closure).item()

    return trainer.parts(training_step=training_step, loader=loader)


def clip_norm(parameters):
    nn.utils.clip_grad_norm_(parameters, 1.0)


def clip_value(parameters):
    nn.utils.clip_grad_value_(parameters, 0.1)


def case(name, *args, **options):
    return Case(name=name, make=lambda: Trainer(*args, **options).parts())


HEALTHY += [
    case("SGD with Nesterov momentum", sgd(0.05, momentum=0.9, nesterov=True), n_epochs=15),
    case("RMSprop", lambda model: torch.optim.RMSprop(model.parameters(), lr=5e-4)),
    case("Adagrad", lambda model: torch.optim.Adagrad(model.parameters(), lr=0.02)),
    case(
        "NAdam, gradients clipped by value", lambda model: torch.optim.NAdam(model.parameters(), 1e-3), clip=clip_value
    ),
    case("AdamW with groups by decay, norm clipped", with_decay_groups, clip=clip_norm),
    case("Adam with groups by learning rate", with_rate_groups),
    case("Lion written by hand", lambda model: Lion(model.parameters(), lr=3e-4, weight_decay=0.01)),
    case("four micro-batches accumulated in each step", adam(), micro_batches=4),
    case("StepLR by epoch", adam(2e-3), schedule=lambda o, n: lr_scheduler.StepLR(o, 4, gamma=0.3), per_epoch=True),
    case("cosine by step", adam(2e-3), schedule=lambda o, n: lr_scheduler.CosineAnnealingLR(o, T_max=n)),
    case("warm restarts", adam(2e-3), schedule=lambda o, n: lr_scheduler.CosineAnnealingWarmRestarts(o, 80, 2)),
    case("warm-up from 0 by LambdaLR, then cosine", adam(2e-3), schedule=warm_up_and_cosine, clip=clip_norm),
    case("SequentialLR of warm-up and decay", adam(2e-3), schedule=linear_then_exponential),
    Case(name="OneCycle", make=make_one_cycle),
    Case(name="ReduceLROnPlateau on the held-out loss", make=make_plateau),
    Case(name="learning rate set by hand each epoch", make=make_rate_by_hand),
    Case(name="two optimisers that step together", make=make_two_optimisers),
    Case(name="sharpness-aware minimisation", make=make_sharpness_aware),
    Case(name="LBFGS with a closure", make=make_closure),
]
