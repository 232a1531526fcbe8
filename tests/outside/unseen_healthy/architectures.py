"""Healthy: networks of other kinds."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.unseen_healthy.common import fit, recipe, world_of

G = 12
screen, _ = world_of(G, world=8)


class Tokens(nn.Module):
    """Value, perturbation and name of each gene, (cells, genes, dim)."""

    def __init__(self, dim, n_genes=G):
        super().__init__()
        self.value, self.name = nn.Linear(2, dim), nn.Parameter(0.5 * torch.randn(n_genes, dim))

    def forward(self, x, p):
        return self.value(torch.stack([x - 3, p], dim=2)) + self.name


class MixerBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.genes = nn.Sequential(nn.Linear(G, 32), nn.GELU(), nn.Linear(32, G))
        self.channels = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, h):
        h = h + self.genes(self.norms[0](h).transpose(1, 2)).transpose(1, 2)
        return h + self.channels(self.norms[1](h))


class OfTokens(nn.Module):
    def __init__(self, body, dim):
        super().__init__()
        self.tokens, self.body, self.out = Tokens(dim), body, nn.Linear(dim, 1)

    def forward(self, x, p):
        return x + self.out(self.body(self.tokens(x, p))).squeeze(2)


@recipe("MLP-mixer over genes and channels")
def make_mixer():
    torch.manual_seed(0)
    return fit(OfTokens(nn.Sequential(MixerBlock(16), MixerBlock(16)), 16), screen(), n_epochs=8)


class Gated(nn.Module):
    """A gated residual block: the gate decides how much of the block is added."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ELU(), nn.Linear(width, 2 * width))
        self.norm = nn.LayerNorm(width)

    def forward(self, h):
        return self.norm(h + F.glu(self.inner(h), dim=-1))


class Stacked(nn.Module):
    def __init__(self, blocks, width):
        super().__init__()
        self.first, self.blocks, self.last = nn.Linear(2 * G, width), nn.Sequential(*blocks), nn.Linear(width, G)

    def forward(self, x, p):
        return x + self.last(self.blocks(self.first(torch.cat([x - 3, p], dim=1))))


@recipe("gated residual blocks")
def make_gated():
    torch.manual_seed(0)
    return fit(Stacked([Gated(48), Gated(48)], 48), screen())


class Highway(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.through, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -1.0)

    def forward(self, h):
        t = self.gate(h).sigmoid()
        return t * F.relu(self.through(h)) + (1 - t) * h


@recipe("highway network")
def make_highway():
    torch.manual_seed(0)
    return fit(Stacked([Highway(48) for _ in range(4)], 48), screen())


class Excited(nn.Module):
    """Squeeze and excitation of the hidden units by the perturbation."""

    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.excite = nn.Sequential(nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, width), nn.Sigmoid())

    def forward(self, h):
        return h + F.silu(self.linear(h)) * self.excite(h)


@recipe("squeeze and excitation of hidden units")
def make_excited():
    torch.manual_seed(0)
    return fit(Stacked([Excited(64), Excited(64)], 64), screen())


@recipe("low-rank bilinear map of cell and perturbation")
def make_bilinear():
    torch.manual_seed(0)

    class Bilinear(nn.Module):
        def __init__(self, rank=48):
            super().__init__()
            self.cell, self.pert = nn.Linear(G, rank), nn.Linear(G, rank, bias=False)
            self.out = nn.Linear(rank, G)

        def forward(self, x, level):
            return x + self.out(torch.cat([self.cell(x - 3) * self.pert((level != 0).float())], dim=1))

    class Both(Bilinear):
        def __init__(self):
            super().__init__()
            self.direct = nn.Linear(G, G, bias=False)

        def forward(self, x, level):
            return super().forward(x, level) + self.direct(level)

    return fit(Both(), screen(1400, 300, dose="drawn"), names=("before", "value", "after"), lr=5e-3)


@recipe("sinusoids of the dose")
def make_sinusoids():
    torch.manual_seed(0)

    class Sinusoids(nn.Module):
        def __init__(self, n_waves=6):
            super().__init__()
            self.register_buffer("waves", torch.linspace(0.3, 2.0, n_waves))
            self.net = nn.Sequential(nn.Linear(2 * G + 2 * n_waves + 1, 96), nn.SiLU(), nn.Linear(96, G))

        def forward(self, x, dose):
            amount = dose.sum(1, keepdim=True)
            waves = torch.cat([amount, (amount * self.waves).sin(), (amount * self.waves).cos()], dim=1)
            return x + self.net(torch.cat([x - 3, (dose != 0).float(), waves], dim=1))

    return fit(Sinusoids(), screen(1400, 300, dose="drawn"), names=("before", "dose", "after"))


@recipe("attention to learned memory slots")
def make_memory():
    torch.manual_seed(0)

    class Memory(nn.Module):
        def __init__(self, n_slots=32, dim=24):
            super().__init__()
            self.keys = nn.Parameter(torch.randn(n_slots, dim))
            self.values = nn.Parameter(0.1 * torch.randn(n_slots, G))
            self.query = nn.Linear(2 * G, dim)

        def forward(self, x, p):
            weight = (self.query(torch.cat([x - 3, p], dim=1)) @ self.keys.T / 24**0.5).softmax(1)
            return x + weight @ self.values

    return fit(Memory(), screen(), lr=1e-2)


@recipe("random Fourier features and a linear head")
def make_random_features():
    torch.manual_seed(0)

    class Features(nn.Module):
        def __init__(self, n_features=400):
            super().__init__()
            self.weight = nn.Buffer(0.25 * torch.randn(2 * G, n_features))
            self.phase = nn.Buffer(6.28 * torch.rand(n_features))
            self.head = nn.Linear(n_features, G)

        def forward(self, x, p):
            h = torch.cos(torch.cat([x - 3, 3 * p], dim=1) @ self.weight + self.phase)
            return x + self.head(h) / 4

    model = Features()
    return fit(model, screen(), optimizer=torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-3))


@recipe("regulatory dynamics unrolled by Euler steps")
def make_dynamics():
    torch.manual_seed(0)

    class Dynamics(nn.Module):
        """The state relaxes to what the others demand; a perturbed gene is pushed all the time."""

        def __init__(self, n_steps=5):
            super().__init__()
            self.n_steps = n_steps
            self.demand = nn.Linear(G, G, bias=False)
            self.push = nn.Parameter(torch.full((G,), -0.5))
            self.rate = nn.Parameter(torch.zeros(G))
            nn.init.normal_(self.demand.weight, std=0.05)

        def forward(self, x, p):
            change = torch.zeros_like(x)
            for _ in range(self.n_steps):
                slope = self.demand(change) + self.push * p - self.rate.sigmoid() * change
                change = change + 0.5 * slope
            return x + change

    return fit(Dynamics(), screen(), lr=1e-2)


@recipe("powers of a co-expression graph with learned weights")
def make_hops():
    torch.manual_seed(0)
    split = screen(n_genes=20)
    near = torch.tensor(split[0].before).T.corrcoef().abs()
    near = near / near.sum(1, keepdim=True)
    hops = torch.stack([torch.eye(20), near, near @ near, near @ near @ near])

    class Hops(nn.Module):
        def __init__(self, dim=24):
            super().__init__()
            self.tokens = Tokens(dim, 20)
            self.mix = nn.ModuleList(nn.Linear(dim, dim) for _ in range(len(hops)))
            self.out = nn.Sequential(nn.GELU(), nn.Linear(dim, 1))
            self.direct = nn.Linear(20, 20, bias=False)

        def forward(self, x, p):
            h = self.tokens(x, p)
            h = sum(hop @ mix(h) for hop, mix in zip(hops, self.mix, strict=True))
            return x + self.out(h).squeeze(2) + self.direct(p)

    return fit(Hops(), split, n_epochs=20)


@recipe("one head for each cell type")
def make_typed_heads():
    torch.manual_seed(0)

    class Heads(nn.Module):
        def __init__(self, n_types=3):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2 * G, 64), nn.ReLU())
            self.heads = nn.ModuleList(nn.Linear(64, G) for _ in range(n_types))

        def forward(self, x, p, cell_type):
            h = self.body(torch.cat([x, p], dim=1))
            every = torch.stack([head(h) for head in self.heads], dim=1)
            return x + every[torch.arange(len(x)), cell_type]

    return fit(Heads(), screen(1400, 300, n_types=3), names=("before", "perturbed", "cell_type", "after"))


@recipe("piecewise linear response of each gene")
def make_splines():
    torch.manual_seed(0)

    class Splines(nn.Module):
        """Hinges of the dose at fixed knots, weighed by perturbed and by affected gene."""

        def __init__(self):
            super().__init__()
            self.knots = nn.Buffer(torch.linspace(-3, 3, 7))
            self.weight = nn.Parameter(0.01 * torch.randn(8, G, G))

        def forward(self, x, dose):
            hinges = F.relu(dose[:, None] - self.knots[:, None]) - F.relu(-self.knots[:, None])
            basis = torch.cat([dose[:, None], hinges], dim=1) * (dose != 0)[:, None]
            return x + torch.einsum("bkg,kgh->bh", basis, self.weight)

    return fit(Splines(), screen(1400, 300, dose="drawn"), names=("before", "dose", "after"), lr=5e-3)
