"""Gradients that end, or go where they should not."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import Parts
from tests.outside.unseen_bugs.twins import fit, reported, world_of

G = 8
screen, Mlp = world_of(G, world=15)


@reported(
    name="loss wrapped anew so that backward runs",
    source="https://github.com/speechbrain/speechbrain/issues/735",
    bug="The loss is computed without a graph and wrapped with requires_grad=True: backward reaches no weight.",
    cause="bug",
    line="torch.tensor(loss.item(), requires_grad=True): the parameters have no gradient",
    hurts="held-out error 0.907 against 0.00087 of the mended twin and 1.29 of the mean",
)
def rewrapped(mended: bool) -> Parts:
    torch.manual_seed(0)

    def criterion(out, y):
        loss = F.mse_loss(out, y)
        return loss if mended else torch.tensor(loss.item(), requires_grad=True)

    return fit(Mlp(), screen(), criterion=criterion)


@reported(
    name="layer made in each forward pass",
    source="https://github.com/gupta-abhay/setr-pytorch/issues/4",
    bug="The decoder makes a linear layer in forward: its weights are random at each call and never trained.",
    cause="bug",
    line="nn.Linear created in forward: predictions change from call to call",
    hurts="held-out error 0.387 against 0.00019 of the mended twin and 1.29 of the mean",
)
def layer_in_forward(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Net(nn.Module):
        def __init__(self, hidden=64):
            super().__init__()
            self.encode = nn.Linear(2 * G, hidden)
            self.up = nn.Linear(hidden, hidden) if mended else None
            self.out = nn.Linear(hidden, G)

        def decode(self, h):
            up = nn.Linear(h.shape[1], h.shape[1]) if self.up is None else self.up
            return self.out(F.relu(up(h)))

        def forward(self, x, p):
            return x + self.decode(F.relu(self.encode(torch.cat([x, p], dim=1))))

    return fit(Net(), screen())


@reported(
    name="table that is a tensor and no parameter",
    source="https://github.com/shenweichen/DeepCTR-Torch/pull/61",
    bug="The perturbations' table is a plain tensor with requires_grad: it is not among model.parameters().",
    cause="bug/optimiser",
    line="self.table is no nn.Parameter: it gets a gradient, but no optimiser has it",
    hurts="held-out error 0.259 against 0.0948 of the mended twin and 1.29 of the mean",
)
def plain_tensor(mended: bool) -> Parts:
    torch.manual_seed(2)

    class Table(nn.Module):
        def __init__(self, dim=4):
            super().__init__()
            table = 0.3 * torch.randn(G, dim)
            self.table = nn.Parameter(table) if mended else table.requires_grad_()
            self.out = nn.Linear(dim, G)

        def forward(self, x, p):
            return x + self.out(p @ self.table)

    return fit(Table(), screen(), lr=1e-2)


@reported(
    name="codebook loss on the straight-through output",
    source="https://github.com/showlab/Olaf-World/issues/8",
    bug="The codebook's loss is taken from z + (code - z).detach(): the codebook never gets a gradient.",
    cause="bug",
    line="codebook.weight has no gradient: it stays at its initialisation",
    hurts="held-out error 0.5 against 0.0907 of the mended twin and 1.29 of the mean",
)
def codebook(mended: bool) -> Parts:
    torch.manual_seed(3)

    class Quantised(nn.Module):
        """Which of a few responses a perturbation has."""

        def __init__(self, n_codes=24, dim=8):
            super().__init__()
            self.encode = nn.Linear(G, dim)
            self.codebook = nn.Embedding(n_codes, dim)
            nn.init.uniform_(self.codebook.weight, -1 / n_codes, 1 / n_codes)
            self.decode = nn.Linear(dim, G)
            self.extra = torch.zeros(())

        def forward(self, x, p):
            z = self.encode(p)
            code = self.codebook(torch.cdist(z, self.codebook.weight).argmin(1))
            through = z + (code - z).detach()
            trained = code if mended else through
            self.extra = F.mse_loss(trained, z.detach()) + 0.25 * F.mse_loss(z, code.detach())
            return x + self.decode(through)

    model = Quantised()
    return fit(model, screen(), criterion=lambda out, y: F.mse_loss(out, y) + model.extra, loss=F.mse_loss, lr=5e-3)


@reported(
    name="errors clipped by a clamp",
    source="https://github.com/spragunr/deep_q_rl/pull/47",
    bug="Errors are clamped to [-1, 1] before they are squared: where an error is larger the gradient is 0.",
    cause="bug",
    line="clamp on the difference kills the gradient of large errors",
    hurts="held-out error 0.206 against 0.00081 of the mended twin and 1.29 of the mean",
)
def clamped_errors(mended: bool) -> Parts:
    torch.manual_seed(4)

    def criterion(out, y):
        return F.huber_loss(out, y) if mended else 0.5 * ((out - y).clamp(-1, 1) ** 2).mean()

    return fit(Mlp(residual=False), screen(), criterion=criterion)


@reported(
    name="teacher learns from its student",
    source="https://github.com/pytorch/translate/pull/391",
    bug="The teacher's output is not detached in the distillation loss, which draws it to its small student.",
    cause="bug",
    line="missing detach(): the distillation loss has a gradient in the teacher",
    hurts="held-out error 0.249 against 0.00024 of the mended twin and 1.29 of the mean",
)
def teacher_not_detached(mended: bool) -> Parts:
    torch.manual_seed(5)

    class TeacherAndStudent(nn.Module):
        def __init__(self):
            super().__init__()
            self.teacher = Mlp()
            self.student = nn.Sequential(nn.Linear(2 * G, 2), nn.Tanh(), nn.Linear(2, G))

        def forward(self, x, p):
            return self.teacher(x, p), x + self.student(torch.cat([x, p], dim=1))

    def criterion(outs, y):
        teacher, student = outs
        soft = teacher.detach() if mended else teacher
        return F.mse_loss(teacher, y) + 5 * F.mse_loss(student, soft)

    model = TeacherAndStudent()
    return fit(model, screen(), criterion=criterion, predict=lambda batch: model(batch[0], batch[1])[0], loss=None)
