"""Schedules of the learning rate that never let it be large enough, or for long enough."""

import math

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader

from tests.outside.bugs.twins import N_GENES, reported, screen
from tests.outside.case import Parts


class Screen(torch.utils.data.Dataset):
    """Pairs as dicts, with the change of each gene that was perturbed."""

    def __init__(self, cells):
        self.rows = [
            {"control": torch.tensor(x), "dose": torch.tensor(d), "target": torch.tensor(y), "pert": torch.tensor(m)}
            for x, d, y, m in zip(cells.before, cells.dose, cells.after, cells.perturbed, strict=True)
        ]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


class DoseNet(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * N_GENES, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, N_GENES)
        )

    def forward(self, batch):
        return batch["control"] + self.layers(torch.cat([batch["control"] - 3, batch["dose"]], dim=1))


def scheduled(make_scheduler, *, per_batch, lr=2e-3, n_epochs=10, on_epoch=None, kind=torch.optim.Adam, **options):
    model = DoseNet()
    train, test = screen(5000, dose="drawn")
    loader = DataLoader(Screen(train), batch_size=50, shuffle=True)
    optimizer = kind(model.parameters(), lr=lr, **options)
    scheduler = make_scheduler(optimizer, loader)
    criterion = nn.MSELoss()

    def training_step(batch):
        optimizer.zero_grad()
        loss = criterion(model(batch), batch["target"])
        loss.backward()
        optimizer.step()
        if per_batch:
            scheduler.step()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=DataLoader(Screen(test), batch_size=500),
        fields={"before": "control", "perturbation": "pert", "after": "target", "dose": "dose"},
        training_step=training_step,
        predict=model,
        loss=criterion,
        told="identity and dose",
        on_epoch=None if per_batch else scheduler.step,
        n_epochs=n_epochs,
    )


@reported(
    name="scheduler stepped per batch",
    source="https://github.com/ivadomed/ivadomed/pull/55",
    bug="ExponentialLR meant per epoch is stepped after each batch: the rate is gone in the first epoch.",
    cause="optimiser",
    line="scheduler.step() in the batch loop: the learning rate decays to 0 within an epoch",
    hurts="held-out error 0.236 against 0.003 of the mended twin and 0.674 of the mean",
)
def per_batch(mended: bool) -> Parts:
    torch.manual_seed(0)
    return scheduled(lambda opt, _: lr_scheduler.ExponentialLR(opt, gamma=0.8), per_batch=not mended)


@reported(
    name="scheduler that is off multiplies by 0",
    source="https://github.com/LINCellularNeuroscience/VAME/issues/26",
    bug="With the schedule turned off StepLR gets gamma=0 instead of 1: the rate is 0 after the first steps.",
    cause="optimiser",
    line="gamma=0: the learning rate is 0 from the second epoch on",
    hurts="held-out error 0.023 against 0.0023 of the mended twin and 0.674 of the mean",
)
def gamma_zero(mended: bool) -> Parts:
    torch.manual_seed(1)
    gamma = 1.0 if mended else 0.0
    return scheduled(lambda opt, _: lr_scheduler.StepLR(opt, step_size=1, gamma=gamma), per_batch=False)


@reported(
    name="integer division in the warm-up",
    source="https://github.com/facebookresearch/maskrcnn-benchmark/issues/335",
    bug="last_epoch // warmup_iters is 0 until the warm-up is over: the rate stays at its first value.",
    cause="optimiser",
    line="learning rate stays at a thousandth through the warm-up, which is most of the training",
    hurts="held-out error 0.230 against 0.0039 of the mended twin and 0.674 of the mean",
)
def integer_warmup(mended: bool) -> Parts:
    torch.manual_seed(2)
    warmup_factor, warmup_iters = 1 / 1000, 790

    def factor(iteration):
        if iteration >= warmup_iters:
            return 1.0
        alpha = iteration / warmup_iters if mended else iteration // warmup_iters
        return warmup_factor * (1 - alpha) + alpha

    return scheduled(lambda opt, _: lr_scheduler.LambdaLR(opt, factor), per_batch=True)


@reported(
    name="warm-up that never ends",
    source="https://github.com/facebookresearch/ParlAI/pull/4384",
    bug="The test for warming up asks whether the last rate is below 1, which it always is: the rate is never raised.",
    cause="optimiser",
    line="learning rate stays at the warm-up's start, 2e-6",
    hurts="held-out error 0.321 against 0.0027 of the mended twin and 0.674 of the mean",
)
def endless_warmup(mended: bool) -> Parts:
    torch.manual_seed(3)
    peak, start, n_warmup = 2e-3, 2e-6, 80

    class Warmup:
        def __init__(self, optimizer):
            self.optimizer, self.n = optimizer, 0
            self.set(start)

        def set(self, lr):
            for group in self.optimizer.param_groups:
                group["lr"] = lr

        def is_warming_up(self):
            return self.n < n_warmup if mended else self.optimizer.param_groups[0]["lr"] < 1

        def step(self):
            self.n += 1
            if self.is_warming_up():
                self.set(start + (peak - start) * min(self.n / n_warmup, 1) * mended)
            else:
                self.set(peak)

    return scheduled(lambda opt, _: Warmup(opt), per_batch=True)


@reported(
    name="one cycle of a thousand steps, stepped per epoch",
    source="https://github.com/CodefyUI/CodefyUI/issues/244",
    bug="OneCycleLR counts 1000 batches but is stepped once an epoch: ten epochs stay at the foot of the cycle.",
    cause="optimiser",
    line="total_steps of OneCycleLR against the steps taken: the learning rate never rises",
    hurts="held-out error 0.191 against 0.0028 of the mended twin and 0.674 of the mean",
)
def one_cycle(mended: bool) -> Parts:
    torch.manual_seed(4)
    return scheduled(
        lambda opt, _: lr_scheduler.OneCycleLR(
            opt, max_lr=3e-3, total_steps=1000, div_factor=100, cycle_momentum=False
        ),
        per_batch=mended,
    )


@reported(
    name="scheduler stepped per micro-batch",
    source="https://github.com/nvidia-cosmos/cosmos-rl/pull/207",
    bug="A decay whose horizon counts updates is stepped at every one of 10 micro-batches: it ends after a tenth.",
    cause="optimiser",
    line="learning rate is 0 after a tenth of the steps: more scheduler steps than updates",
    hurts="held-out error 0.100 against 0.003 of the mended twin and 0.674 of the mean",
)
def micro_batches(mended: bool) -> Parts:
    torch.manual_seed(5)
    n_epochs, n_micro, made = 10, 10, []

    class LinearDecay:
        def __init__(self, optimizer, horizon):
            self.optimizer, self.horizon, self.n = optimizer, horizon, 0
            self.base = [group["lr"] for group in optimizer.param_groups]

        def step(self):
            self.n += 1
            for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
                group["lr"] = base * max(0.0, 1 - self.n / self.horizon)

    def make(opt, loader):
        made.append(LinearDecay(opt, n_epochs * len(loader)))
        return made[0]

    parts = scheduled(make, per_batch=True, n_epochs=n_epochs)
    (scheduler,) = made

    def accumulated(batch):
        optimizer, losses = parts.optimizer, []
        optimizer.zero_grad()
        for part in range(n_micro):
            micro = {key: value[part::n_micro] for key, value in batch.items()}
            loss = nn.functional.mse_loss(parts.model(micro), micro["target"]) / n_micro
            loss.backward()
            losses.append(loss.item())
            if part == n_micro - 1:
                optimizer.step()
            if part == n_micro - 1 or not mended:
                scheduler.step()
        return sum(losses)

    parts.training_step = accumulated
    return parts


@reported(
    name="cosine restarts with a shrinking peak",
    source="https://github.com/ScrollPrize/villa/pull/1495",
    bug="A cosine with restarts gets a cycle of epochs but is stepped per batch; each restart shrinks the peak.",
    cause="optimiser",
    line="restarts every few batches multiply the rate's peak by 0.7: it is gone after an epoch",
    hurts="held-out error 0.197 against 0.0032 of the mended twin and 0.674 of the mean",
)
def shrinking_restarts(mended: bool) -> Parts:
    torch.manual_seed(6)

    def make(opt, loader):
        cycle = 5 * len(loader) if mended else 5

        def factor(step):
            return 0.7 ** (step // cycle) * 0.5 * (1 + math.cos(math.pi * (step % cycle) / cycle))

        return lr_scheduler.LambdaLR(opt, factor)

    return scheduled(make, per_batch=True)
