"""Healthy: layers and inputs are normalised, in the usual ways."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import TUPLE, loaders

N_GENES = 20


def trained_with_adam(model, *, lr=1e-3, weight_decay=0.0, n_epochs=10, seed=1):
    """The same screen and loop for each model of this file."""
    loader, held_out = loaders(
        cells(6000, N_GENES, seed=seed, dose="fixed").split(1000), ("before", "perturbed", "after")
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay)

    def training_step(batch):
        model.train()
        x, pert, y = batch
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, pert), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict(batch):
        model.eval()
        return model(batch[0], batch[1])

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=training_step,
        predict=predict,
        loss=F.mse_loss,
        told="identity",
        n_epochs=n_epochs,
    )


class BatchNormMLP(nn.Module):
    def __init__(self, dims=(2 * N_GENES, 128, 128)):
        super().__init__()
        layers = []
        for n_in, n_out in pairwise(dims):
            layers += [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Linear(dims[-1], N_GENES)

    def forward(self, x, pert):
        return x + self.out(self.trunk(torch.cat([x, pert], -1)))


def make_batch_norm():
    torch.manual_seed(0)
    return trained_with_adam(BatchNormMLP())


class PreNormBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1, self.fc2 = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, h):
        return h + self.fc2(F.gelu(self.fc1(self.norm(h))))


class ResNetMLP(nn.Module):
    def __init__(self, dim=96, depth=4):
        super().__init__()
        self.embed = nn.Linear(2 * N_GENES, dim)
        self.blocks = nn.ModuleList(PreNormBlock(dim) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, N_GENES))

    def forward(self, x, pert):
        h = self.embed(torch.cat([x, pert], -1))
        for block in self.blocks:
            h = block(h)
        return self.head(h)


def make_layer_norm():
    torch.manual_seed(0)
    return trained_with_adam(ResNetMLP(), n_epochs=12)


class GroupNormNet(nn.Module):
    def __init__(self, dim=128):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * N_GENES, dim),
            nn.GroupNorm(8, dim),
            nn.SiLU(),
            nn.Linear(dim, dim),
            nn.GroupNorm(8, dim),
            nn.SiLU(),
            nn.Linear(dim, N_GENES),
        )

    def forward(self, x, pert):
        return self.layers(torch.cat([x, pert], 1)) + x


def make_group_norm():
    torch.manual_seed(1)
    return trained_with_adam(GroupNormNet())


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, h):
        return self.scale * h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps)


class SwiGLUNet(nn.Module):
    def __init__(self, dim=96):
        super().__init__()
        self.embed = nn.Linear(2 * N_GENES, dim)
        self.norm = RMSNorm(dim)
        self.gate, self.up, self.down = (
            nn.Linear(dim, 128, bias=False),
            nn.Linear(dim, 128, bias=False),
            nn.Linear(128, dim, bias=False),
        )
        self.head = nn.Linear(dim, N_GENES)

    def forward(self, x, pert):
        h = self.embed(torch.cat([x, pert], 1))
        n = self.norm(h)
        return self.head(h + self.down(F.silu(self.gate(n)) * self.up(n)))


def make_rms_norm():
    torch.manual_seed(0)
    return trained_with_adam(SwiGLUNet(), lr=2e-3)


def make_weight_norm():
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = weight_norm(nn.Linear(2 * N_GENES, 128))
            self.b = weight_norm(nn.Linear(128, N_GENES))

        def forward(self, x, pert):
            return x + self.b(torch.tanh(self.a(torch.cat([x, pert], 1))))

    return trained_with_adam(Net(), lr=2e-3)


def make_spectral_norm():
    torch.manual_seed(0)

    class Lipschitz(nn.Module):
        """1-Lipschitz hidden layers, scaled back by a linear head."""

        def __init__(self):
            super().__init__()
            self.fc1 = spectral_norm(nn.Linear(2 * N_GENES, 128))
            self.fc2 = spectral_norm(nn.Linear(128, 128))
            self.head = nn.Linear(128, N_GENES)

        def forward(self, x, pert):
            h = F.leaky_relu(self.fc1(torch.cat([x, pert], 1)))
            return x + self.head(F.leaky_relu(self.fc2(h)))

    return trained_with_adam(Lipschitz(), lr=3e-3, n_epochs=12)


class Standardised(nn.Module):
    """Works on z-scores inside; callers see expression."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.net = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ELU(), nn.Linear(128, N_GENES))

    def forward(self, x, pert):
        z = (x - self.mean) / self.std
        return (z + self.net(torch.cat([z, pert], 1))) * self.std + self.mean


def make_standardised():
    torch.manual_seed(0)
    train_cells, _ = cells(6000, N_GENES, seed=1, dose="fixed").split(1000)
    before = torch.tensor(train_cells.before)
    return trained_with_adam(Standardised(before.mean(0), before.std(0)))


HEALTHY += [
    Case(name="batch norm after each layer", make=make_batch_norm),
    Case(name="residual blocks with layer norm first and zero-initialised ends", make=make_layer_norm),
    Case(name="group norm and SiLU", make=make_group_norm),
    Case(name="RMSNorm and SwiGLU", make=make_rms_norm),
    Case(name="weight norm and tanh", make=make_weight_norm),
    Case(name="spectral norm", make=make_spectral_norm),
    Case(name="standardised by training statistics in buffers", make=make_standardised),
]
