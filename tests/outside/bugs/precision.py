"""Numbers of too few bits."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.bugs.twins import N_GENES, reported, screen, tuples
from tests.outside.case import Parts


class HalfNet(nn.Module):
    """May hold its parameters in half precision; answers in single precision."""

    def __init__(self, dtype=torch.float32, width=96):
        super().__init__()
        self.dtype = dtype
        self.net = nn.Sequential(nn.Linear(2 * N_GENES, width), nn.ReLU(), nn.Linear(width, N_GENES)).to(dtype)

    def forward(self, x, p):
        return x + self.net(torch.cat([x - 3, p], dim=1).to(self.dtype)).float()


def low_precision(model, optimizer, *, scale=1.0, n_epochs=12, loss=F.mse_loss):
    train, test = screen(4000)

    def step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        value = loss(model(x, p), y)
        (value * scale).backward()
        optimizer.step()
        return value.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=tuples(train.before, train.perturbed.astype("float32"), train.after),
        held_out=tuples(test.before, test.perturbed.astype("float32"), test.after, shuffle=False),
        fields={"before": 0, "perturbation": 1, "after": 2},
        training_step=step,
        predict=lambda batch: model(batch[0], batch[1]),
        told="identity",
        n_epochs=n_epochs,
    )


@reported(
    name="Adam's epsilon in half precision",
    source="https://github.com/afiaka87/glide-finetune/pull/6",
    bug="Parameters are half precision and Adam's eps is 1e-8, which is 0 there: it divides by 0.",
    cause="optimiser/bug",
    line="eps 1e-8 of Adam is 0 in float16: parameters become NaN",
    hurts="held-out error NaN against 0.00011 of the mended twin and 0.745 of the mean",
)
def half_eps(mended: bool) -> Parts:
    torch.manual_seed(0)
    model = HalfNet(torch.float16)
    return low_precision(model, torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-4 if mended else 1e-8))


@reported(
    name="gradients underflow without a loss scale",
    source="https://github.com/warner-benjamin/optimi/pull/15",
    bug="A loss averaged over many numbers has gradients below the smallest half-precision number: they are 0.",
    cause="optimiser/bug",
    line="float16 gradients are 0 for want of loss scaling: parameters do not move",
    hurts="held-out error 0.332 against 5.6e-05 of the mended twin and 0.745 of the mean",
)
def underflow(mended: bool) -> Parts:
    torch.manual_seed(1)
    model = HalfNet(torch.float16)
    factor = 1e-6
    # Half-precision gradients, single-precision master weights, as a mixed-precision trainer keeps them.
    master = [p.detach().float().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)

    def loss(y_hat, y):
        return factor * F.mse_loss(y_hat, y)

    scale = 1 / factor if mended else 1.0
    parts = low_precision(model, optimizer, loss=loss, scale=scale, n_epochs=25)
    momenta = [torch.zeros_like(m) for m in master]

    def step(batch):
        x, p, y = batch
        model.zero_grad()
        value = loss(model(x, p), y)
        (value * scale).backward()
        with torch.no_grad():
            for parameter, weight, momentum in zip(model.parameters(), master, momenta, strict=True):
                # The rate belongs to the unscaled loss.
                momentum.mul_(0.9).add_(torch.as_tensor(parameter.grad).float() / scale / factor)
                weight.sub_(momentum, alpha=0.1)
                parameter.copy_(weight)
        return value.item() / factor

    parts.training_step = step
    return parts


@reported(
    name="zero_grad missing in the bfloat16 branch",
    source="https://github.com/facebookresearch/nwm/issues/16",
    bug="In the bfloat16 branch of the step zero_grad is missing; only the float32 branch has it.",
    cause="bug/optimiser",
    line="zero_grad is missing in the branch with mixed precision: gradients accumulate",
    hurts="held-out error NaN against 0.00022 of the mended twin and 0.745 of the mean",
)
def bf16_branch(mended: bool) -> Parts:
    torch.manual_seed(2)
    model = HalfNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    parts = low_precision(model, optimizer)
    bfloat_enable = True

    def train_step(batch):
        x, p, y = batch
        if not bfloat_enable:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x, p), y)
            loss.backward()
            optimizer.step()
        else:
            if mended:
                optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                predicted = model(x, p)
            loss = F.mse_loss(predicted.float(), y)
            loss.backward()
            optimizer.step()
        return loss.item()

    parts.training_step = train_step
    return parts
