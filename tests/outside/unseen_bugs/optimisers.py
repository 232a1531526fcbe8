"""Updates that are too small, too large, or of other weights."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler

from tests.outside.case import Parts
from tests.outside.unseen_bugs.twins import fit, reported, world_of

screen, Mlp = world_of(20, world=19)


@reported(
    name="gradients clipped after the step",
    source="https://github.com/VGraphRNN/VGRNN/issues/4",
    bug="clip_grad_norm_ is called after optimizer.step(): it clips nothing, and the high rate diverges.",
    cause="optimiser/bug",
    line="clip_grad_norm_ after step(): updates are not clipped",
    hurts="held-out error 0.848 against 0.0305 of the mended twin and 0.848 of the mean",
)
def clipped_late(mended: bool) -> Parts:
    torch.manual_seed(0)
    model = Mlp(residual=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, 60)

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, p), y)
        loss.backward()
        if mended:
            nn.utils.clip_grad_norm_(model.parameters(), 0.2)
            optimizer.step()
        else:
            optimizer.step()
            nn.utils.clip_grad_norm_(model.parameters(), 0.2)
        return loss.item()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step, n_epochs=60, on_epoch=schedule.step)


@reported(
    name="gradient values clamped to a thousandth",
    source="https://github.com/lksshw/SRNet/issues/18",
    bug="Each gradient is clamped to a tiny range: with SGD the weights hardly move.",
    cause="optimiser",
    line="clip_grad_value_ of 1e-3: the bound is far below the gradients",
    hurts="held-out error 0.211 against 0.0463 of the mended twin and 0.848 of the mean",
)
def clamped_gradients(mended: bool) -> Parts:
    torch.manual_seed(1)
    model = Mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    bound = 1.0 if mended else 1e-3
    return fit(
        model,
        screen(),
        optimizer=optimizer,
        n_epochs=45,
        before_step=lambda: nn.utils.clip_grad_value_(model.parameters(), bound),
    )


@reported(
    name="gradients zeroed in each micro-batch",
    source="https://github.com/bytetriper/RAE/issues/67",
    bug="zero_grad is called in the loop over micro-batches: the step uses an eighth of the last one's gradient.",
    cause="bug/optimiser",
    line="zero_grad() inside the accumulation loop",
    hurts="held-out error 0.306 against 0.076 of the mended twin and 0.848 of the mean",
)
def zeroed_micro(mended: bool) -> Parts:
    torch.manual_seed(2)
    model = Mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9)
    n_micro = 8

    def training_step(batch):
        total = 0.0
        optimizer.zero_grad()
        for x, p, y in zip(*(part.chunk(n_micro) for part in batch), strict=True):
            if not mended:
                optimizer.zero_grad()
            loss = F.mse_loss(model(x, p), y) / n_micro
            loss.backward()
            total += loss.item()
        optimizer.step()
        return total

    return fit(model, screen(), optimizer=optimizer, training_step=training_step, batch_size=48, n_epochs=30)


@reported(
    name="plateau scheduler waits for a higher loss",
    source="https://github.com/FunctionLab/selene/issues/115",
    bug="ReduceLROnPlateau has mode='max' but is given the loss: each better epoch counts as a bad one.",
    cause="optimiser",
    line="mode='max' for a loss: the rate falls by ten every other epoch",
    hurts="held-out error 0.162 against 0.00042 of the mended twin and 0.848 of the mean",
)
def plateau_of_max(mended: bool) -> Parts:
    torch.manual_seed(3)
    model = Mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, mode="min" if mended else "max", factor=0.1, patience=1)
    losses = []

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, p), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        return losses[-1]

    def on_epoch():
        schedule.step(sum(losses) / max(len(losses), 1))
        losses.clear()

    return fit(model, screen(), optimizer=optimizer, training_step=training_step, on_epoch=on_epoch)


@reported(
    name="schedule multiplied by the rate twice",
    source="https://github.com/lhoyer/MIC/issues/60",
    bug="The lambda of LambdaLR returns the rate itself instead of a factor: the rate is squared.",
    cause="optimiser",
    line="LambdaLR times the base rate: 3e-3 becomes 9e-6",
    hurts="held-out error 0.328 against 0.00035 of the mended twin and 0.848 of the mean",
)
def rate_squared(mended: bool) -> Parts:
    torch.manual_seed(4)
    model, rate = Mlp(act=nn.GELU), 3e-3
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)

    def decayed(epoch):
        factor = (1.0 + 0.05 * epoch) ** -0.75
        return factor if mended else rate * factor

    schedule = lr_scheduler.LambdaLR(optimizer, decayed)
    return fit(model, screen(), optimizer=optimizer, on_epoch=schedule.step)


@reported(
    name="checkpoint assigned after the optimiser was made",
    source="https://github.com/pytorch/pytorch/pull/121158",
    bug="load_state_dict(assign=True) puts new parameters into the model: the optimiser still has the old ones.",
    cause="bug/optimiser",
    line="assign=True after the optimiser was built: it updates parameters that the model no longer has",
    hurts="held-out error 0.379 against 0.00074 of the mended twin and 0.848 of the mean",
)
def assigned(mended: bool) -> Parts:
    torch.manual_seed(5)
    model, earlier = Mlp(), Mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.load_state_dict(earlier.state_dict(), assign=not mended)
    return fit(model, screen(), optimizer=optimizer)


class Adam(torch.optim.Optimizer):
    """Adam, by hand."""

    def __init__(self, params, lr, correct):
        super().__init__(params, {"lr": lr})
        self.correct, self.t = correct, 0

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        self.t += 1
        for group in self.param_groups:
            for w in group["params"]:
                m, v = self.state[w].setdefault("moments", (torch.zeros_like(w), torch.zeros_like(w)))
                m.mul_(0.9).add_(w.grad, alpha=0.1)
                v.mul_(0.999).addcmul_(w.grad, w.grad, value=0.001)
                m_hat, v_hat = self.correct(m, 1 - 0.9**self.t), self.correct(v, 1 - 0.999**self.t)
                w.sub_(group["lr"] * m_hat / (v_hat.sqrt() + 1e-8))


@reported(
    name="Adam multiplies by its bias correction",
    source="https://github.com/karpathy/convnetjs/pull/70",
    bug="The hand-written Adam multiplies the moments by the corrections instead of dividing: steps are too large.",
    cause="optimiser/bug",
    line="bias correction of the second moment is multiplied: the first updates are many times the rate",
    hurts="held-out error 0.499 against 0.045 of the mended twin and 0.848 of the mean",
)
def adam_multiplies(mended: bool) -> Parts:
    torch.manual_seed(6)
    model = Mlp(residual=False)
    correct = torch.divide if mended else torch.multiply
    return fit(model, screen(), optimizer=Adam(model.parameters(), 3e-3, correct), n_epochs=40)


@reported(
    name="penalty on the weights far above the error",
    source="https://github.com/brucefan1983/GPUMD/pull/541",
    bug="The default strength of the penalties on the weights is as large as the error: all weights go to 0.",
    cause="optimiser",
    line="weight of the L1 penalty: the loss consists of it",
    hurts="held-out error 0.325 against 0.00042 of the mended twin and 0.848 of the mean",
)
def strong_penalty(mended: bool) -> Parts:
    torch.manual_seed(7)
    model = Mlp()
    strength = 1e-5 if mended else 0.05

    def criterion(out, y):
        size = torch.stack([w.abs().sum() for w in model.parameters()]).sum()
        return F.mse_loss(out, y) + strength * size

    return fit(model, screen(), criterion=criterion, loss=F.mse_loss)


@reported(
    name="pure bfloat16 weights",
    source="https://github.com/workofart/ml-by-hand/pull/85",
    bug="Weights are kept in bfloat16 without a float32 copy: most updates are rounded away.",
    cause="optimiser/bug",
    line="model.to(torch.bfloat16): updates are smaller than half a step of the weights",
    hurts="held-out error 0.0961 against 0.0103 of the mended twin and 0.848 of the mean",
)
def bfloat_weights(mended: bool) -> Parts:
    torch.manual_seed(8)
    dtype = torch.float32 if mended else torch.bfloat16

    class InType(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Mlp(residual=False).to(dtype)

        def forward(self, x, p):
            return x + self.net((x - 3).to(dtype), p.to(dtype)).float()

    return fit(InType(), screen(), lr=4e-4, batch_size=16, n_epochs=22)
