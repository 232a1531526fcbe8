"""Healthy: message passing on graphs of genes, recurrent and convolutional models, structural equations."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import TUPLE, loaders, step_of

N_GENES = 20


def screen(**of_cells):
    return cells(5000, N_GENES, **({"seed": 71, "dose": "fixed"} | of_cells)).split(1000)


def fit(model, split, *, given="perturbed", lr=2e-3, n_epochs=10, penalty=None):
    loader, held_out = loaders(split, ("before", given, "after"))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def loss_of(batch):
        loss = F.mse_loss(model(batch[0], batch[1]), batch[2])
        return loss if penalty is None else loss + penalty(model)

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, loss_of),
        predict=lambda batch: model(batch[0], batch[1]),
        loss=F.mse_loss if penalty is None else None,
        told="identity" if given == "perturbed" else "identity and dose",
        n_epochs=n_epochs,
    )


def normalised(adjacency):
    """Symmetric, with self-loops, over the roots of degrees."""
    a = ((adjacency + adjacency.T) > 0).float() + torch.eye(len(adjacency))
    d = a.sum(1).rsqrt()
    return d[:, None] * a * d[None, :]


def coexpression_graph(before, n_neighbours=4):
    r = torch.corrcoef(before.T).abs().fill_diagonal_(0)
    top = r.topk(n_neighbours, dim=1).indices
    return torch.zeros_like(r).scatter_(1, top, 1.0)


class GEARS(nn.Module):
    """Perturbation embeddings pass messages on a known graph; their sum is added to the embeddings of genes."""

    def __init__(self, adjacency, dim=32):
        super().__init__()
        self.register_buffer("a", normalised(adjacency))
        self.pert_embedding = nn.Embedding(N_GENES, dim)
        self.gene_embedding = nn.Embedding(N_GENES, dim)
        self.conv = nn.ModuleList([nn.Linear(dim, dim), nn.Linear(dim, dim)])
        self.fuse = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.weight = nn.Parameter(0.1 * torch.randn(N_GENES, dim))
        self.bias = nn.Parameter(torch.zeros(N_GENES))
        self.across = nn.Sequential(nn.Linear(N_GENES, 64), nn.ReLU(), nn.Linear(64, N_GENES))

    def forward(self, x, pert):
        h = self.pert_embedding.weight
        for conv in self.conv:
            h = h + F.relu(conv(self.a @ h))
        of_cell = self.fuse(pert @ h)
        genes = F.relu(self.gene_embedding.weight + of_cell[:, None])
        delta = (genes * self.weight).sum(-1) + self.bias
        return x + delta + self.across(delta)


def make_gears():
    torch.manual_seed(0)
    split = screen()
    return fit(GEARS(torch.tensor(split[0].weight != 0).float()), split)


class GraphConvolution(nn.Module):
    """Genes with their value and dose as nodes, residual graph convolutions and a head a gene."""

    def __init__(self, adjacency, dim=32, depth=3):
        super().__init__()
        self.register_buffer("a", normalised(adjacency))
        self.identity = nn.Parameter(0.3 * torch.randn(N_GENES, dim))
        self.inp = nn.Linear(2, dim)
        self.own = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
        self.message = nn.ModuleList(nn.Linear(2 * dim, dim) for _ in range(depth))
        self.head = nn.Linear(dim, 1)

    def forward(self, x, dose):
        identity = self.identity.expand(len(x), -1, -1)
        h = self.inp(torch.stack([x, dose], -1)) + identity
        for own, message in zip(self.own, self.message, strict=True):
            h = h + F.relu(own(h) + self.a @ message(torch.cat([h, identity], -1)))
        return x + self.head(h).squeeze(-1)


def make_graph_convolution():
    torch.manual_seed(0)
    split = screen(dose="drawn")
    return fit(GraphConvolution(torch.tensor(split[0].weight != 0).float()), split, given="dose")


def make_coexpression_graph():
    torch.manual_seed(0)
    split = screen(noise="fresh", dose="drawn")
    return fit(GraphConvolution(coexpression_graph(torch.tensor(split[0].before))), split, given="dose")


class GraphAttention(nn.Module):
    """Each gene attends to its neighbours alone."""

    def __init__(self, adjacency, dim=32):
        super().__init__()
        self.register_buffer("closed", ((adjacency + adjacency.T) == 0) & ~torch.eye(N_GENES, dtype=torch.bool))
        self.identity = nn.Parameter(0.3 * torch.randn(N_GENES, dim))
        self.inp = nn.Linear(2, dim)
        self.layers = nn.ModuleList(nn.MultiheadAttention(dim, 2, batch_first=True) for _ in range(2))
        self.head = nn.Sequential(nn.Linear(dim, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x, dose):
        h = self.inp(torch.stack([x, dose], -1)) + self.identity
        for layer in self.layers:
            h = h + layer(h, h, h, attn_mask=self.closed, need_weights=False)[0]
        return x + self.head(h).squeeze(-1)


def make_graph_attention():
    torch.manual_seed(0)
    split = screen(dose="drawn")
    return fit(GraphAttention(torch.tensor(split[0].weight != 0)), split, given="dose")


class Recurrent(nn.Module):
    """Reads the genes in the order of the file, both ways, so that any gene can reach any other."""

    def __init__(self, cell: type[nn.GRU | nn.LSTM] = nn.GRU, dim=32):
        super().__init__()
        self.genes = nn.Embedding(N_GENES, 8)
        self.rnn = cell(10, dim, batch_first=True, bidirectional=True)
        self.summary = nn.Linear(2 * dim, 64)
        self.head = nn.Linear(64, N_GENES)

    def forward(self, x, dose):
        genes = self.genes.weight.expand(len(x), -1, -1)
        out, _ = self.rnn(torch.cat([x[..., None], dose[..., None], genes], -1))
        return x + self.head(F.relu(self.summary(out.amax(1))))


def make_gru():
    torch.manual_seed(0)
    return fit(Recurrent(), screen(dose="drawn"), given="dose")


def make_lstm():
    torch.manual_seed(0)
    return fit(Recurrent(nn.LSTM), screen(noise="fresh"), lr=3e-3)


class Convolutional(nn.Module):
    """One-dimensional convolutions over the file's order, then a dense layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(2, 16, 5, padding=2), nn.ReLU(), nn.Conv1d(16, 16, 5, padding=2), nn.ReLU(), nn.Flatten()
        )
        self.dense = nn.Sequential(nn.Linear(16 * N_GENES, 64), nn.ReLU(), nn.Linear(64, N_GENES))

    def forward(self, x, pert):
        return x + self.dense(self.conv(torch.stack([x, pert], 1)))


def make_convolutional():
    torch.manual_seed(0)
    return fit(Convolutional(), screen())


class Structural(nn.Module):
    """A learned weighted graph, along which the change of the perturbed genes runs; they keep their own."""

    off_diagonal: torch.Tensor

    def __init__(self, n_hops=6):
        super().__init__()
        self.w = nn.Parameter(0.01 * torch.randn(N_GENES, N_GENES))
        self.register_buffer("off_diagonal", 1 - torch.eye(N_GENES))
        self.n_hops = n_hops

    def graph(self):
        return self.w * self.off_diagonal

    def forward(self, x, dose):
        fixed = (dose != 0).float()
        change = dose
        for _ in range(self.n_hops):
            change = dose + (1 - fixed) * (change @ self.graph())
        return x + change


def acyclic(model):
    """The polynomial form of the acyclicity penalty, and sparsity."""
    a = model.graph() ** 2
    m = torch.eye(N_GENES) + a / N_GENES
    return 0.1 * (torch.linalg.matrix_power(m, N_GENES).trace() - N_GENES) + 1e-4 * model.graph().abs().sum()


def make_structural():
    torch.manual_seed(0)
    return fit(Structural(), screen(dose="drawn"), given="dose", lr=1e-2, penalty=acyclic)


HEALTHY += [
    Case(name="messages between perturbation embeddings on a known graph", make=make_gears),
    Case(name="graph convolutions on a known graph", make=make_graph_convolution),
    Case(name="graph convolutions on a co-expression graph", make=make_coexpression_graph),
    Case(name="graph attention on a known graph", make=make_graph_attention),
    Case(name="bidirectional GRU over genes", make=make_gru),
    Case(name="bidirectional LSTM over genes", make=make_lstm),
    Case(name="convolutions over genes", make=make_convolutional),
    Case(name="structural equations with an acyclicity penalty", make=make_structural),
]
