"""Networks whose layers undo what they were made for."""

import torch
from torch import nn

from tests.outside.case import Parts
from tests.outside.unseen_bugs.twins import fit, reported, world_of

G = 10
screen, _ = world_of(G, world=12)


@reported(
    name="layers without an activation between them",
    source="https://github.com/aymericdamien/TensorFlow-Examples/issues/270",
    bug="The layers of the network follow each other without an activation: all of it is one linear map.",
    cause="architecture/bug",
    line="no activation between the linear layers: the effect of a level cannot depend on the cell",
    hurts="held-out error 0.134 against 0.00214 of the mended twin and 1.6 of the mean",
)
def no_activation(mended: bool) -> Parts:
    torch.manual_seed(0)

    class SetLevel(nn.Module):
        """Told the level that a gene is set to: what changes is the level less the value before."""

        def __init__(self, hidden=96):
            super().__init__()
            between = nn.ReLU if mended else nn.Identity
            self.net = nn.Sequential(
                nn.Linear(3 * G, hidden), between(), nn.Linear(hidden, hidden), between(), nn.Linear(hidden, G)
            )

        def forward(self, x, level):
            on = (level != 0).float()
            return x + self.net(torch.cat([x - 3, level / 3, on], dim=1))

    split = screen(2400, 400, n_genes=6, dose="drawn", noise_sd=0.8)

    class OfSix(SetLevel):
        def __init__(self):
            super().__init__()
            self.net[0], self.net[4] = nn.Linear(18, 96), nn.Linear(96, 6)

    return fit(OfSix(), split, names=("before", "value", "after"), batch_size=64, n_epochs=30)


@reported(
    name="layer norm of a single number",
    source="https://github.com/NVIDIA-Merlin/Transformers4Rec/pull/151",
    bug="Each feature has its layer norm; that of the dose, one number, is always 0.",
    cause="architecture/bug",
    line="LayerNorm(1) erases the dose",
    hurts="held-out error 0.569 against 0.00036 of the mended twin and 0.929 of the mean",
)
def norm_of_one(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Dosed(nn.Module):
        def __init__(self, hidden=96):
            super().__init__()
            self.norm_x, self.norm_dose = nn.LayerNorm(G), nn.Identity() if mended else nn.LayerNorm(1)
            self.net = nn.Sequential(nn.Linear(2 * G + 1, hidden), nn.ReLU(), nn.Linear(hidden, G))

        def forward(self, x, dose):
            which, amount = (dose != 0).float(), self.norm_dose(dose.sum(1, keepdim=True))
            return x + self.net(torch.cat([self.norm_x(x), which, amount], dim=1))

    return fit(Dosed(), screen(1400, 300, dose="drawn"), names=("before", "dose", "after"), lr=5e-3, n_epochs=25)


class Scores(nn.Module):
    """Attention over genes by hand; ``scale`` multiplies the scores."""

    def __init__(self, names, dim, scale):
        super().__init__()
        self.scale, self.names = scale, names
        self.value = nn.Linear(2, dim)
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        self.out = nn.Sequential(nn.Linear(2 * dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, 1))

    def forward(self, x, p):
        h = self.value(torch.stack([x - 3, p], dim=2)) + self.names
        scores = self.scale * self.q(h) @ self.k(h).transpose(1, 2)
        return x + self.out(torch.cat([h, scores.softmax(2) @ self.v(h)], dim=2)).squeeze(2)


@reported(
    name="attention scores divided by the inverse root",
    source="https://github.com/esceptico/perceiver-io/issues/9",
    bug="The scale is already dim ** -0.5 and the scores are divided by it: they are multiplied by the root.",
    cause="bug/architecture",
    line="scale of the attention scores: the softmax is saturated from the start",
    hurts="held-out error 0.0706 against 0.0169 of the mended twin and 1.01 of the mean",
)
def inverse_scale(mended: bool) -> Parts:
    torch.manual_seed(2)
    dim = 32
    scale = dim**-0.5
    model = Scores(nn.Parameter(torch.randn(G, dim)), dim, scale if mended else 1 / scale)
    return fit(model, screen(1200, 250), n_epochs=12)


@reported(
    name="exponents of the positions by integer division",
    source="https://github.com/Kyubyong/transformer/pull/81",
    bug="2 * i // dim is 0 for nearly all i: all sinusoids of the gene positions have the same frequency.",
    cause="bug",
    line="integer division in the exponent: the position table has rank 2",
    hurts="held-out error 0.0857 against 0.0738 of the mended twin and 0.801 of the mean",
)
def integer_exponents(mended: bool) -> Parts:
    torch.manual_seed(3)
    n_genes, dim = 24, 32
    position = torch.arange(n_genes, dtype=torch.float32)[:, None]
    exponent = torch.tensor([2 * i / dim if mended else 2 * i // dim for i in range(dim // 2)])
    angle = position / 50.0**exponent
    table = torch.cat([angle.sin(), angle.cos()], dim=1)
    return fit(Scores(table, dim, dim**-0.5), screen(1200, 250, n_genes=n_genes), n_epochs=12)
