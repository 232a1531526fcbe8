"""Healthy: ways to give a model the perturbation, and to let it act."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import HEALTHY, Case, Parts, Told
from tests.outside.data import cells
from tests.outside.pairs import DICT, TUPLE, loaders, step_of

N_GENES = 20


def fit(
    model, given, *, told: Told = "identity and dose", lr=1e-3, n_epochs=10, optimizer=None, seed=81, **of_cells: Any
):
    """``model(before, given)``."""
    loader, held_out = loaders(cells(6000, N_GENES, seed=seed, **of_cells).split(1000), ("before", given, "after"))
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=lr)
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, lambda batch: F.mse_loss(model(batch[0], batch[1]), batch[2])),
        predict=lambda batch: model(batch[0], batch[1]),
        loss=F.mse_loss,
        told=told,
        n_epochs=n_epochs,
    )


class IndexEmbedding(nn.Module):
    """A learned vector a perturbed gene, none where nothing is perturbed."""

    def __init__(self, dim=64):
        super().__init__()
        self.embedding = nn.Embedding(N_GENES + 1, dim, padding_idx=N_GENES)
        self.net = nn.Sequential(nn.Linear(N_GENES + dim, 128), nn.ReLU(), nn.Linear(128, N_GENES))

    def forward(self, x, gene):
        return x + self.net(torch.cat([x, self.embedding(gene)], 1))


def make_index_embedding():
    torch.manual_seed(0)
    parts = fit(IndexEmbedding(), "gene", told="identity", dose="fixed", p_control=0.1)
    # Asked which gene each index means, one says it of the control's too.
    return replace(parts, intent={"targets": [*range(N_GENES), -1]})


def make_bag():
    """Two genes are perturbed at once; their vectors are summed by an embedding bag."""
    torch.manual_seed(0)

    class Double(nn.Module):
        """The order of the two genes says nothing."""

        def __init__(self, dim=64):
            super().__init__()
            self.embedding = nn.EmbeddingBag(N_GENES, dim, mode="sum")
            self.x = nn.Linear(N_GENES, dim)
            self.out = nn.Sequential(nn.ReLU(), nn.Linear(dim, 128), nn.ReLU(), nn.Linear(128, N_GENES))

        def forward(self, x, genes):
            return x + self.out(self.x(x) + self.embedding(genes))

    return fit(Double(), "gene", told="identity", dose="fixed", n_perturbed=2, lr=2e-3, n_epochs=12)


class ScaledEmbedding(nn.Module):
    """A vector a gene, scaled by a learned curve of the dose, which comes in an entry of its own."""

    def __init__(self, dim=64):
        super().__init__()
        self.embedding = nn.Embedding(N_GENES, dim)
        self.curve = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, dim))
        self.net = nn.Sequential(nn.Linear(dim + N_GENES, 128), nn.ReLU(), nn.Linear(128, N_GENES))

    def forward(self, x, gene, amount):
        p = self.embedding(gene) * self.curve(amount)
        return x + self.net(torch.cat([x, p], 1))


def make_scaled_embedding():
    torch.manual_seed(0)
    loader, held_out = loaders(
        cells(6000, N_GENES, seed=82).split(1000), ("before", "gene", "dose", "after"), as_dict=True
    )
    model = ScaledEmbedding()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def forward(batch):
        return model(batch["before"], batch["gene"], batch["dose"].sum(1, keepdim=True))

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": "gene", "dose": "dose"},
        training_step=step_of(model, optimizer, lambda batch: F.mse_loss(forward(batch), batch["after"])),
        predict=forward,
        n_epochs=10,
    )


def make_set_value():
    """The model is given the value that the gene is set to, and which gene by a mask."""
    torch.manual_seed(0)
    loader, held_out = loaders(
        cells(6000, N_GENES, seed=83).split(1000), ("before", "value", "perturbed", "after"), as_dict=True
    )
    net = nn.Sequential(nn.Linear(3 * N_GENES, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, N_GENES))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def forward(batch):
        x, value, on = batch["before"], batch["value"], batch["perturbed"]
        held = torch.where(on > 0, value, x)
        return held + net(torch.cat([x, held - x, on], 1)) * (1 - on)

    return Parts(
        model=net,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": "value"},
        training_step=step_of(net, optimizer, lambda batch: F.mse_loss(forward(batch), batch["after"])),
        predict=forward,
        told="value",
    )


class FiLM(nn.Module):
    """The perturbation scales and shifts hidden units."""

    def __init__(self, hidden=96, depth=2):
        super().__init__()
        self.inp = nn.Linear(N_GENES, hidden)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(depth))
        self.films = nn.ModuleList(nn.Linear(N_GENES, 2 * hidden) for _ in range(depth))
        self.out = nn.Linear(hidden, N_GENES)

    def forward(self, x, pert):
        h = F.relu(self.inp(x))
        for layer, film in zip(self.layers, self.films, strict=True):
            scale, shift = film(pert).chunk(2, 1)
            h = F.relu(layer(h) * (1 + scale) + shift)
        return x + self.out(h)


def make_film():
    torch.manual_seed(0)
    return fit(FiLM(), "dose", noise="fresh")


class HyperNetwork(nn.Module):
    """The perturbation writes a low-rank layer for the cell."""

    def __init__(self, rank=4):
        super().__init__()
        self.rank = rank
        self.write = nn.Sequential(nn.Linear(N_GENES, 64), nn.ReLU(), nn.Linear(64, 2 * rank * N_GENES + N_GENES))

    def forward(self, x, pert):
        down, up, bias = self.write(pert).split([self.rank * N_GENES, self.rank * N_GENES, N_GENES], 1)
        h = torch.einsum("bg,brg->br", x, down.view(-1, self.rank, N_GENES)) / N_GENES
        return x + torch.einsum("br,brg->bg", h, up.view(-1, self.rank, N_GENES)) + bias


def make_hypernetwork():
    torch.manual_seed(0)
    return fit(HyperNetwork(), "dose", lr=2e-3)


class Experts(nn.Module):
    """The perturbation routes to the two best of six experts, with a loss that keeps all in use."""

    def __init__(self, n_experts=6, hidden=48):
        super().__init__()
        self.router = nn.Linear(N_GENES, n_experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * N_GENES, hidden), nn.ReLU(), nn.Linear(hidden, N_GENES))
            for _ in range(n_experts)
        )
        self.balance = torch.zeros(())

    def forward(self, x, pert):
        gates = torch.softmax(self.router(pert), 1)
        top, at = gates.topk(2, dim=1)
        sparse = torch.zeros_like(gates).scatter(1, at, top / top.sum(1, keepdim=True))
        used = (sparse > 0).float().mean(0)
        self.balance = len(self.experts) * (used * gates.mean(0)).sum()
        outs = torch.stack([expert(torch.cat([x, pert], 1)) for expert in self.experts], 1)
        return x + (sparse.unsqueeze(-1) * outs).sum(1)


def make_experts():
    torch.manual_seed(0)
    model = Experts()
    parts = fit(model, "perturbed", told="identity", dose="fixed", lr=2e-3)

    def loss_of(batch):
        return F.mse_loss(model(batch[0], batch[1]), batch[2]) + 0.01 * model.balance

    parts.training_step = step_of(model, parts.optimizer, loss_of)
    return parts


def make_delta():
    """Trained on differences; the answer adds the cell before."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.SiLU(), nn.Linear(128, N_GENES))
    parts = fit(model, "dose")

    def delta(batch):
        return model(torch.cat([batch[0] - 3, batch[1]], 1))

    parts.training_step = step_of(model, parts.optimizer, lambda batch: F.mse_loss(delta(batch), batch[2] - batch[0]))
    parts.predict = lambda batch: batch[0] + delta(batch)
    parts.loss = None
    return parts


class LowRank(nn.Module):
    """Gene factors times perturbation factors, and a linear map of the cell: no hidden layer."""

    def __init__(self, rank=12):
        super().__init__()
        self.gene = nn.Parameter(0.3 * torch.randn(rank, N_GENES))
        self.pert = nn.Embedding(N_GENES, rank)
        self.cell = nn.Linear(N_GENES, N_GENES)

    def forward(self, x, gene):
        return self.cell(x) + self.pert(gene) @ self.gene


def make_low_rank():
    torch.manual_seed(0)
    return fit(LowRank(), "gene", told="identity", dose="fixed", noise="fresh", lr=5e-3)


def make_shift_table():
    """The additive baseline as a module: one vector of shifts a perturbation, learned by gradient."""
    torch.manual_seed(0)

    class Shifts(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(N_GENES, N_GENES))

        def forward(self, x, perturbed):
            return x + perturbed @ self.shift

    return fit(Shifts(), "perturbed", told="identity", dose="fixed", lr=2e-2)


def make_principal_components():
    """Genes are embedded by their loadings on the training cells, frozen; a perturbation is its gene's row."""
    torch.manual_seed(0)
    train_cells, _ = cells(6000, N_GENES, seed=81, dose="fixed").split(1000)
    z = (train_cells.before - train_cells.before.mean(0)) / train_cells.before.std(0)
    loadings = torch.tensor(np.linalg.svd(z, full_matrices=False)[2].T, dtype=torch.float32)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding.from_pretrained(loadings * N_GENES**0.5, freeze=True)
            self.net = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU(), nn.Linear(128, N_GENES))

        def forward(self, x, gene):
            return x + self.net(torch.cat([x, self.embedding(gene)], 1))

    model = Net()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    parts = fit(model, "gene", told="identity", dose="fixed", optimizer=optimizer)
    parts.intent = {"frozen": ["embedding.weight"]}
    return parts


HEALTHY += [
    Case(name="perturbation by index, controls at the padding index", make=make_index_embedding),
    Case(name="two perturbed genes in an embedding bag", make=make_bag),
    Case(name="embedding scaled by a curve of the dose", make=make_scaled_embedding),
    Case(name="value that the gene is set to", make=make_set_value),
    Case(name="FiLM", make=make_film),
    Case(name="hypernetwork", make=make_hypernetwork),
    Case(name="mixture of experts routed by the perturbation", make=make_experts),
    Case(name="differences as targets", make=make_delta),
    Case(name="low-rank product of genes and perturbations", make=make_low_rank),
    Case(name="table of shifts", make=make_shift_table),
    Case(name="frozen gene embeddings from principal components", make=make_principal_components),
]
