"""Dropout where it does not belong, and weights that are lost."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import Parts
from tests.outside.pairs import columns
from tests.outside.unseen_bugs.twins import fit, reported, tensors, world_of

G = 14
screen, _ = world_of(G, world=18)


@reported(
    name="share to keep given as the dropout",
    source="https://github.com/bonlime/keras-deeplab-v3-plus/issues/4",
    bug="Ported from a framework that takes the share to keep: nn.Dropout(0.9) drops nine tenths.",
    cause="optimiser/bug",
    line="p=0.9 of the dropout layers should be 0.1",
    hurts="held-out error 0.281 against 0.00119 of the mended twin and 0.972 of the mean",
)
def keep_prob(mended: bool) -> Parts:
    torch.manual_seed(0)

    class Dropped(nn.Module):
        def __init__(self, keep_prob=0.9, hidden=96):
            super().__init__()
            drop = 1 - keep_prob if mended else keep_prob
            self.cell, self.pert = nn.Linear(G, hidden), nn.Linear(G, hidden, bias=False)
            self.drop, self.mid = nn.Dropout(drop), nn.Linear(hidden, hidden)
            self.out = nn.Linear(hidden, G)

        def forward(self, x, p):
            h = self.drop(F.gelu(self.cell(x - 3) + self.pert(p)))
            return x + self.out(self.drop(F.gelu(self.mid(h))))

    model = Dropped()

    def predict(batch):
        model.eval()
        return model(batch[0], batch[1])

    return fit(model, screen(), predict=predict)


@reported(
    name="dropout after the output layer",
    source="https://github.com/maddin79/darch/issues/12",
    bug="Dropout is applied to all layers, also to the last: in training a third of the predicted genes are 0.",
    cause="bug/architecture",
    line="nn.Dropout after the last linear layer: in evaluation all predictions are too small",
    hurts="held-out error 1.27 against 0.072 of the mended twin and 0.972 of the mean",
)
def dropped_outputs(mended: bool) -> Parts:
    torch.manual_seed(1)
    sizes = [2 * G, 96, 96, G]
    layers = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        last = i == len(sizes) - 2
        layers.append(nn.Linear(n_in, n_out))
        if not last:
            layers.append(nn.ReLU())
        if not (last and mended):
            layers.append(nn.Dropout(0.05 if not last else 0.3))

    class Joined(nn.Sequential):
        def forward(self, x, p):  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().forward(torch.cat([x, p], dim=1))

    return fit(Joined(*layers), screen(), n_epochs=40)


@reported(
    name="features with dropout kept from the first epoch",
    source="https://github.com/flairNLP/flair/issues/184",
    bug="Features of a pretrained encoder are kept in memory from the first epoch, in training mode: masks are frozen.",
    cause="bug",
    line="cached features: each cell has the same dropout mask in all epochs, and none in evaluation",
    hurts="held-out error 0.0392 against 0.00051 of the mended twin and 0.902 of the mean",
)
def frozen_masks(mended: bool) -> Parts:
    torch.manual_seed(2)
    train, test = screen(700, 300)
    memory: dict[int, torch.Tensor] = {}

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(G, 32), nn.Tanh(), nn.Dropout(0.5)).requires_grad_(False)
            self.head = nn.Sequential(nn.Linear(32 + G, 64), nn.ReLU(), nn.Linear(64, G))

        def features(self, p, index):
            if mended or not self.training:
                return self.encoder[:2](p)
            new = [i for i, seen in enumerate(index.tolist()) if seen not in memory]
            for i, feature in zip(new, self.encoder(p[new]), strict=True):
                memory[int(index[i])] = feature
            return torch.stack([memory[i] for i in index.tolist()])

        def forward(self, x, p, index):
            return x + self.head(torch.cat([self.features(p, index), x - 3], dim=1))

    model = Head()
    parts = fit(
        model,
        (train, test),
        fields={"before": 0, "perturbation": 1, "after": 3},
        intent={"frozen": ["encoder.0.weight", "encoder.0.bias"]},
    )
    for name, part in (("loader", train), ("held_out", test)):
        c = columns(part)
        batches = tensors(
            c["before"], c["perturbed"], torch.arange(len(c["before"])), c["after"], shuffle=part is train
        )
        setattr(parts, name, batches)
    return parts


@reported(
    name="weights initialised after the pretrained ones were loaded",
    source="https://github.com/thulab/DeepHash/issues/54",
    bug="The initialiser runs over all layers after the pretrained decoder was loaded; the decoder is then frozen.",
    cause="bug",
    line="apply(init) after loading: the frozen decoder is random",
    hurts="held-out error 0.193 against 0.042 of the mended twin and 0.972 of the mean",
)
def initialised_after_load(mended: bool) -> Parts:
    torch.manual_seed(3)
    train, test = screen()
    programs = torch.linalg.svd(torch.tensor(train.after - train.before), full_matrices=False)[2][:9]

    class Programs(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Sequential(nn.Linear(2 * G, 64), nn.ReLU(), nn.Linear(64, 9))
            self.decode = nn.Linear(9, G, bias=False)

        def forward(self, x, p):
            return x + self.decode(self.encode(torch.cat([x, p], dim=1)))

    def init(module):
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)

    model = Programs()
    if mended:
        model.apply(init)
    model.decode.load_state_dict({"weight": programs.T.contiguous()})
    model.decode.requires_grad_(False)
    if not mended:
        model.apply(init)
    return fit(model, (train, test), intent={"frozen": ["decode.weight"]})
