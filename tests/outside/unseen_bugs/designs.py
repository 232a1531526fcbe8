"""Designs and settings with which the code, correct as it is, cannot learn; and names that are not unique."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import Parts
from tests.outside.data import cells
from tests.outside.unseen_bugs.twins import fit, reported, tensors, world_of

G = 13
screen, Mlp = world_of(G, world=22)


@reported(
    name="sixteen graph convolutions in a row",
    source="https://github.com/yl-1993/learn-to-cluster/issues/23",
    bug="Sixteen layers of averaging over neighbours make the states of all genes the same.",
    cause="architecture",
    line="depth of the graph network: over-smoothing, genes cannot be told apart",
    hurts="held-out error 0.418 against 0.108 of the mended twin and 0.968 of the mean",
)
def oversmoothed(mended: bool) -> Parts:
    torch.manual_seed(0)
    split = screen()
    adjacency = torch.tensor(split[0].weight != 0, dtype=torch.float32)
    adjacency = adjacency + adjacency.T + torch.eye(G)
    adjacency = adjacency / adjacency.sum(1, keepdim=True)

    class Convolutions(nn.Module):
        def __init__(self, dim=24):
            super().__init__()
            self.first = nn.Linear(2 + G, dim)
            self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(2 if mended else 16))
            self.out = nn.Linear(dim, 1)

        def forward(self, x, p):
            names = torch.eye(G).expand(len(x), G, G)
            h = self.first(torch.cat([torch.stack([x - 3, p], dim=2), names], dim=2))
            start = h
            for layer in self.layers:
                h = F.relu(layer(adjacency @ h))
                if mended:
                    h = h + start
            return x + self.out(h).squeeze(2)

    return fit(Convolutions(), split, lr=5e-3, n_epochs=15)


@reported(
    name="batch norm after the output layer",
    source="https://github.com/Lab41/attalos/pull/89",
    bug="Each layer, also the last, is followed by batch norm without scale: predictions have mean 0 and variance 1.",
    cause="architecture/bug",
    line="normalisation of the outputs: they cannot have the means of the targets",
    hurts="held-out error 9.19 against 0.0573 of the mended twin and 0.968 of the mean",
)
def normalised_outputs(mended: bool) -> Parts:
    torch.manual_seed(1)

    def block(n_in, n_out, last=False):
        layers: list[nn.Module] = [nn.Linear(n_in, n_out)]
        if not (last and mended):
            layers.append(nn.BatchNorm1d(n_out, affine=not last))
        return layers if last else [*layers, nn.ReLU()]

    class Joined(nn.Sequential):
        def forward(self, x, p):  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().forward(torch.cat([x, p], dim=1))

    model = Joined(*block(2 * G, 96), *block(96, 96), *block(96, G, last=True))
    return fit(model, screen(), n_epochs=25)


@reported(
    name="nine sigmoid layers",
    source="https://github.com/aymericdamien/TensorFlow-Examples/pull/146",
    bug="All nine hidden layers have a sigmoid: gradients vanish on their way to the first.",
    cause="architecture",
    line="sigmoid activations of a deep network: the first layers do not move",
    hurts="held-out error 0.413 against 0.0892 of the mended twin and 0.968 of the mean",
)
def sigmoids(mended: bool) -> Parts:
    torch.manual_seed(2)
    act = nn.ReLU if mended else nn.Sigmoid
    layers = [nn.Linear(2 * G, 64), act()]
    for _ in range(8):
        layers += [nn.Linear(64, 64), act()]

    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(*layers, nn.Linear(64, G))

        def forward(self, x, p):
            return x + self.net(torch.cat([x - 3, p], dim=1))

    return fit(Deep(), screen(), lr=2e-3, n_epochs=20)


@reported(
    name="rate from a search that reaches too high",
    source="https://github.com/NLeSC/mcfly/issues/43",
    bug="The rate that was drawn for Adam, 0.3, is a hundred times too high: the units die and the loss stays.",
    cause="optimiser",
    line="learning rate 0.3: after the first updates nothing is learnt any more",
    hurts="held-out error 1.02 against 0.0375 of the mended twin and 0.968 of the mean",
)
def high_rate(mended: bool) -> Parts:
    torch.manual_seed(3)
    return fit(Mlp(residual=False), screen(), lr=3e-3 if mended else 0.3)


@reported(
    name="combinations as categories of their own",
    source="https://github.com/theislab/cpa/issues/42",
    bug="Each pair of perturbed genes is a category of its own: a pair that is not in training has an untrained one.",
    cause="architecture/data",
    line="one embedding for each combination: unseen combinations cannot be predicted",
    hurts="held-out error 1.78 against 0.141 of the mended twin and 1.59 of the mean",
)
def combinations(mended: bool) -> Parts:
    torch.manual_seed(4)
    n_genes = 7
    whole = cells(2200, n_genes, seed=5, world=23, dose="fixed", n_perturbed=2)
    low, high = np.sort(whole.gene, axis=1).T
    category = low * n_genes + high
    held = np.isin(category, [1, 12, 18, 33])
    train, test = whole.rows(np.flatnonzero(~held)), whole.rows(np.flatnonzero(held))

    class Categories(nn.Module):
        def __init__(self, dim=32):
            super().__init__()
            self.embedding = nn.Embedding(n_genes if mended else n_genes**2, dim)
            self.out = nn.Linear(dim, n_genes)

        def forward(self, x, p):
            pair = p.topk(2, dim=1).indices.sort(dim=1).values
            if mended:
                return x + self.out(self.embedding(pair).sum(1))
            return x + self.out(self.embedding(pair[:, 0] * n_genes + pair[:, 1]))

    return fit(Categories(), (train, test), lr=5e-3, n_epochs=15)


class Decayed(torch.optim.Optimizer):
    """Adam's step, and the decay of the weights beside it."""

    def __init__(self, params, lr, decay, scaled):
        super().__init__(params, {"lr": lr})
        self.inner = torch.optim.Adam(self.param_groups, lr=lr)
        self.decay = decay * (lr if scaled else 1.0)

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for w in group["params"]:
                w.mul_(1 - self.decay)
        self.inner.step()


@reported(
    name="decay of the weights not multiplied by the rate",
    source="https://github.com/FluxML/model-zoo/pull/303",
    bug="The decay is applied beside the optimiser and not scaled by the rate: weights lose a twentieth in each step.",
    cause="optimiser/bug",
    line="weight decay without the learning rate: all weights are held near 0",
    hurts="held-out error 0.405 against 0.00042 of the mended twin and 0.968 of the mean",
)
def unscaled_decay(mended: bool) -> Parts:
    torch.manual_seed(5)
    model = Mlp()
    optimizer = Decayed(model.parameters(), 3e-3, 0.05, mended)
    return fit(model, screen(), optimizer=optimizer)


@reported(
    name="barcodes that occur in both lanes",
    source="https://github.com/scverse/scanpy/issues/55",
    bug="Two lanes share barcodes; the perturbation is looked up by barcode, which finds the later lane.",
    cause="data",
    line="cell names that are not unique: cells of the first lane get the perturbation of another cell",
    hurts="held-out error 0.127 against 0.00076 of the mended twin and 0.968 of the mean",
)
def shared_barcodes(mended: bool) -> Parts:
    torch.manual_seed(6)
    train, test = screen()
    half = len(train.before) // 2
    barcodes = [f"BC{i % half:04d}" + (f"-{i // half}" if mended else "") for i in range(len(train.before))]
    guide = dict(zip(barcodes, train.gene[:, 0], strict=True))
    gene = torch.tensor([guide[barcode] for barcode in barcodes])
    loader = tensors(train.before, F.one_hot(gene, G).float(), train.after)
    return fit(Mlp(), (train, test), loader=loader, n_epochs=20)
