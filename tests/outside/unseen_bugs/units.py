"""Predictions, targets and inputs in other units than the code believes."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import Parts
from tests.outside.unseen_bugs.twins import fit, reported, tensors, world_of

screen, Mlp = world_of(11, world=21)


@reported(
    name="scaler inverted with the variance and the deviation",
    source="https://github.com/hanlu-nju/channel_independent_MTSF/issues/3",
    bug="Predictions are brought back by x * variance + deviation instead of x * deviation + mean.",
    cause="bug",
    line="inverse_transform: predictions are in other units than the data",
    hurts="held-out error 3.39 against 0.0131 of the mended twin and 1.11 of the mean",
)
def inverse_of_scaler(mended: bool) -> Parts:
    torch.manual_seed(0)
    train, test = screen()
    after = torch.tensor(train.after)
    mean, std = after.mean(0), after.std(0)
    model = Mlp(residual=False)

    def criterion(out, y):
        return F.mse_loss(out, (y - mean) / std)

    def predict(batch):
        out = model(batch[0], batch[1])
        return out * std + mean if mended else out * std**2 + std

    return fit(model, (train, test), criterion=criterion, predict=predict, loss=None)


def sequenced(part, rng):
    """Counts of cells of very different depth, before and after."""
    depth = np.exp(rng.normal(0, 0.9, (len(part.before), 1)))
    return [rng.poisson(200 * depth * np.exp(0.8 * (log - 3))).astype(np.float32) for log in (part.before, part.after)]


@reported(
    name="counts divided by the sum of the batch",
    source="https://github.com/allenai/deep_qa/pull/152",
    bug="The library size is summed over all axes: counts are divided by those of the whole batch.",
    cause="bug",
    line="sum() without an axis in the normalisation: a cell's input depends on the batch and keeps its depth",
    hurts="held-out error 0.0578 against 0.0375 of the mended twin and 0.7 of the mean",
)
def batch_library(mended: bool) -> Parts:
    torch.manual_seed(1)
    rng = np.random.default_rng(3)
    split = screen(1200, 250)
    batches = []
    for part in split:
        before, after = sequenced(part, rng)
        target = np.log1p(1e3 * after / after.sum(1, keepdims=True))
        batches.append(tensors(before, part.perturbed.astype(np.float32), target, shuffle=part is split[0]))

    class Normalising(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Mlp()

        def forward(self, counts, p):
            total = counts.sum(1, keepdim=True) if mended else counts.sum() / len(counts)
            return self.net(torch.log1p(1e3 * counts / total), p)

    return fit(Normalising(), split, loader=batches[0], held_out=batches[1])


@reported(
    name="gene without variance is standardised",
    source="https://github.com/fastai/fastai/issues/889",
    bug="A gene that is never expressed in training has a deviation of 0; it is divided by it.",
    cause="data/bug",
    line="standard deviation 0 of a constant gene: its input is NaN",
    hurts="held-out error NaN against 0.00118 of the mended twin and 1.06 of the mean",
)
def constant_gene(mended: bool) -> Parts:
    torch.manual_seed(2)
    split = screen()
    batches = []
    for part in split:
        before, after = part.before.copy(), part.after.copy()
        before[:, 4] = after[:, 4] = 0.0
        batches.append(tensors(before, part.perturbed.astype(np.float32), after, shuffle=part is split[0]))

    class Standardised(nn.Module):
        def __init__(self):
            super().__init__()
            inputs = batches[0].dataset.tensors[0]
            self.register_buffer("mean", inputs.mean(0))
            std = inputs.std(0)
            self.register_buffer("std", torch.where(std > 0, std, torch.ones(())) if mended else std)
            self.net = Mlp(residual=False)

        def forward(self, x, p):
            return x + self.net((x - self.mean) / self.std, p)

    return fit(Standardised(), split, loader=batches[0], held_out=batches[1], n_epochs=20)


@reported(
    name="natural exponential of logarithms to base 2",
    source="https://github.com/theislab/single-cell-tutorial/issues/20",
    bug="Training targets are log2(counts + 1); predictions are brought back to counts by expm1.",
    cause="bug",
    line="base of the logarithm: predicted counts are too large by a power",
    hurts="held-out error 3.2e+04 against 53.4 of the mended twin and 371 of the mean",
)
def base_two(mended: bool) -> Parts:
    torch.manual_seed(4)
    split = screen(1200, 250)
    rng = np.random.default_rng(5)
    batches = []
    for part in split:
        before, after = (rng.poisson(4 * np.exp(0.6 * log)).astype(np.float32) for log in (part.before, part.after))
        batches.append(tensors(before, part.perturbed.astype(np.float32), after, shuffle=part is split[0]))
    model = Mlp()

    def forward(batch):
        return model(torch.log2(batch[0] + 1), batch[1])

    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        optimizer.zero_grad()
        loss = F.mse_loss(forward(batch), torch.log2(batch[2] + 1))
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict(batch):
        return torch.exp2(forward(batch)) - 1 if mended else torch.expm1(forward(batch))

    return fit(
        model,
        split,
        optimizer=optimizer,
        training_step=training_step,
        predict=predict,
        loss=None,
        loader=batches[0],
        held_out=batches[1],
    )
