"""Gradients that are cut off, or are not numbers."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.bugs.twins import N_GENES, reported, screen, tuples
from tests.outside.case import Parts


class TwoEncoders(nn.Module):
    """A cell encoder and a perturbation encoder whose latents are added, as in CPA."""

    def __init__(self, cut=lambda z: z, width=48):
        super().__init__()
        self.cut = cut
        self.cell = nn.Sequential(nn.Linear(N_GENES, 64), nn.ReLU(), nn.Linear(64, width))
        self.pert = nn.Sequential(nn.Linear(N_GENES, 8), nn.Tanh(), nn.Linear(8, width))
        self.decode = nn.Sequential(nn.ReLU(), nn.Linear(width, N_GENES))

    def forward(self, x, p):
        return x + self.decode(self.cell(x) + self.cut(self.pert(p)))


def loop(model, criterion=F.mse_loss, *, data=None, lr=2e-3, n_epochs=12, clip=None, **settings):
    train, test = screen(5000, **settings) if data is None else data
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)

    def training_step(batch):
        inputs, flags, labels = batch
        optimizer.zero_grad()
        outputs = model(inputs, flags)
        loss = criterion(outputs, labels)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=tuples(train.before, train.perturbed.astype(np.float32), train.after),
        held_out=tuples(test.before, test.perturbed.astype(np.float32), test.after, shuffle=False),
        fields={"before": 0, "perturbation": 1, "after": 2},
        training_step=training_step,
        predict=lambda batch: model(batch[0], batch[1]),
        loss=criterion,
        told="identity",
        n_epochs=n_epochs,
    )


@reported(
    name="latent detached to silence an error",
    source="https://github.com/NVlabs/FUNIT/issues/23",
    bug="The perturbation's latent is detached, which made an error of autograd go away: its encoder never learns.",
    cause="bug",
    line="detach() between the perturbation encoder and the decoder: the encoder gets no gradient",
    hurts="held-out error 0.183 against 0.0087 of the mended twin and 0.727 of the mean",
)
def detached(mended: bool) -> Parts:
    torch.manual_seed(0)
    return loop(TwoEncoders(cut=(lambda z: z) if mended else (lambda z: z.detach())))


@reported(
    name="perturbation chosen by argmax in the graph",
    source="https://github.com/Ugenteraan/Deep_Hierarchical_Classification/issues/6",
    bug="The latent program is picked by argmax: what picks it gets no gradient.",
    cause="bug/architecture",
    line="argmax is not differentiable: the gate gets no gradient",
    hurts="held-out error 0.181 against 6.2e-07 of the mended twin and 0.727 of the mean",
)
def argmax_gate(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Programs(nn.Module):
        def __init__(self, n_programs=32):
            super().__init__()
            # A random start picks the same few programs for many genes.
            self.gate = nn.Linear(N_GENES, n_programs)
            self.programs = nn.Parameter(0.1 * torch.randn(n_programs, N_GENES))

        def forward(self, x, p):
            scores = 10 * self.gate(p)
            weight = scores.softmax(-1)
            if not mended:
                weight = F.one_hot(scores.argmax(-1), scores.shape[-1]).float()
            return x + weight @ self.programs

    return loop(Programs(), lr=1e-2)


@reported(
    name="feature encoder left frozen",
    source="https://github.com/mahmoodlab/TRIDENT/issues/122",
    bug="A factory freezes the encoder's parameters; the tutorial trains on top of random frozen features.",
    cause="bug/optimiser",
    line="requires_grad=False on the encoder, which was never pretrained",
    hurts="held-out error 0.190 against 0.00029 of the mended twin and 0.727 of the mean",
)
def frozen(mended: bool) -> Parts:
    torch.manual_seed(2)
    model = TwoEncoders()
    if not mended:
        for parameter in model.pert.parameters():
            parameter.requires_grad = False
    return loop(model)


@reported(
    name="residual changed by a ReLU in place",
    source="https://github.com/rosinality/vq-vae-2-pytorch/issues/60",
    bug="The block starts with ReLU(inplace=True), which cuts the skip connection's own tensor at 0.",
    cause="bug",
    line="in-place ReLU at the start of the residual block overwrites the input that is added back",
    hurts="held-out error 0.092 against 9.6e-05 of the mended twin and 0.727 of the mean",
)
def in_place_relu(mended: bool) -> Parts:
    torch.manual_seed(3)
    train, _ = screen(5000)
    mean = torch.tensor(train.before.mean(0))

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.net = nn.Sequential(
                nn.ReLU(inplace=not mended), nn.Linear(width, 128), nn.ReLU(inplace=True), nn.Linear(128, width)
            )

        def forward(self, h):
            return h + self.net(h)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block(2 * N_GENES)
            self.block2 = Block(2 * N_GENES)

        def forward(self, x, p):
            h = torch.cat([x - mean, p], dim=1)
            return mean + self.block2(self.block(h))[:, :N_GENES]

    return loop(Residual())


@reported(
    name="square root in the branch that where does not take",
    source="https://github.com/pytorch/pytorch/issues/187297",
    bug="where(u > 0, sqrt(u), u) has no number as gradient where u is negative.",
    cause="bug",
    line="NaN gradient of torch.where with a root of negative numbers in the branch that is not taken",
    hurts="held-out error NaN against 4.8e-05 of the mended twin and 0.727 of the mean",
)
def where_root(mended: bool) -> Parts:
    torch.manual_seed(4)

    class Compressed(nn.Module):
        """Large increases are compressed, decreases are left as they are."""

        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU(), nn.Linear(128, N_GENES))

        def forward(self, x, p):
            u = self.net(torch.cat([x - 3, p], dim=1))
            root = torch.sqrt(u.clamp(min=0.25)) - 0.25 if mended else torch.sqrt(u) - 0.25
            return x + torch.where(u > 0.25, root, u)

    return loop(Compressed())


@reported(
    name="square root of a distance that is 0",
    source="https://github.com/open-mmlab/mmrotate/issues/205",
    bug="The error is a root of summed squares without an epsilon; control cells start with a distance of exactly 0.",
    cause="bug",
    line="gradient of sqrt at 0 is NaN: no epsilon under the root",
    hurts="held-out error NaN against 0.00014 of the mended twin and 0.652 of the mean",
)
def root_at_zero(mended: bool) -> Parts:
    torch.manual_seed(5)

    class FromControl(nn.Module):
        """The last layer starts at 0, so that the first prediction is the cell before."""

        def __init__(self):
            super().__init__()
            last = nn.Linear(128, N_GENES)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.net = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU(), last)

        def forward(self, x, p):
            return x + self.net(torch.cat([x, p], dim=1))

    def distance(y_hat, y):
        squares = ((y_hat - y) ** 2).sum(dim=1)
        return torch.sqrt(squares + 1e-6 if mended else squares).mean()

    return loop(FromControl(), distance, p_control=0.3)


@reported(
    name="missing targets masked after the loss",
    source="https://github.com/pytorch/pytorch/issues/121416",
    bug="Genes that were not measured are NaN; the squared error is taken first and masked afterwards.",
    cause="bug",
    line="NaN targets: mask before the loss, their gradient is NaN even where masked",
    hurts="held-out error NaN against 0.00054 of the mended twin and 0.744 of the mean",
)
def nan_masked_after(mended: bool) -> Parts:
    torch.manual_seed(6)
    train, test = screen(5000, p_measured=0.9)
    model = TwoEncoders()

    def criterion(y_hat, y):
        seen = torch.logical_not(torch.isnan(y))
        if mended:
            return F.mse_loss(y_hat[seen], y[seen])
        return F.mse_loss(y_hat, y, reduction="none")[seen].mean()

    parts = loop(model, criterion, data=(train, test))
    of_three = parts.training_step

    def training_step(batch):
        x, p, y, measured = batch
        # As in the file: NaN where a gene was not measured after.
        return of_three((x, p, y.masked_fill(~measured, float("nan"))))

    parts.loader, parts.held_out = (
        tuples(part.before, part.perturbed.astype(np.float32), part.after, part.measured, shuffle=part is train)
        for part in (train, test)
    )
    parts.fields = {**parts.fields, "mask": 3}
    parts.training_step = training_step
    parts.loss = None
    return parts
