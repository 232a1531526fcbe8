"""Padding that counts."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import Parts
from tests.outside.data import Cells
from tests.outside.unseen_bugs.twins import fit, reported, world_of

G = 12
screen, _ = world_of(G, world=17)


def up_to_three() -> tuple[Cells, Cells]:
    """Pairs in which one, two or three genes fall."""
    parts = [screen(450, 90, n_perturbed=k, seed=50 + k) for k in (1, 2, 3)]
    order = torch.randperm(3 * 360, generator=torch.Generator().manual_seed(0)).numpy()
    joined = []
    for which in (0, 1):
        some = [part[which] for part in parts]
        names = [name for name in Cells.__dataclass_fields__ if name not in ("weight", "gene")]
        columns = {name: torch.cat([torch.as_tensor(getattr(c, name)) for c in some]).numpy() for name in names}
        gene = columns["perturbed"].argmax(1)[:, None]
        whole = Cells(weight=some[0].weight, gene=gene, **columns)
        joined.append(whole.rows(order) if which == 0 else whole)
    return joined[0], joined[1]


def listed(p, longest):
    """Indices of the perturbed genes, padded with 0, and which of them are no padding."""
    present, index = p.sort(dim=1, descending=True, stable=True)
    present, index = present[:, :longest] > 0, index[:, :longest]
    return index.masked_fill(~present, 0), present


@reported(
    name="attention mask filled with 1e-9",
    source="https://github.com/awslabs/gluonts/pull/1401",
    bug="Scores of padding are set to 1e-9 instead of -1e9: padding, which has the index of a gene, is attended.",
    cause="bug",
    line="masked_fill(mask, 1e-9) before the softmax leaves the padding in",
    hurts="held-out error 0.1 against 0.0372 of the mended twin and 1.32 of the mean",
)
def tiny_fill(mended: bool) -> Parts:
    torch.manual_seed(0)

    class Attends(nn.Module):
        """The cell asks the list of its perturbations."""

        def __init__(self, dim=24):
            super().__init__()
            self.key, self.effect = nn.Embedding(G, dim), nn.Embedding(G, 32)
            self.query, self.out = nn.Linear(G, dim), nn.Linear(32, G)

        def forward(self, x, p):
            index, present = listed(p, 3)
            query, key = F.normalize(self.query(x - 3), dim=1), F.normalize(self.key(index), dim=2)
            scores = (key @ query[:, :, None]).squeeze(2)
            scores = scores.masked_fill(~present, -1e9 if mended else 1e-9)
            mixed = (scores.softmax(1)[:, :, None] * self.effect(index)).sum(1)
            return x + self.out(mixed) * p.sum(1, keepdim=True)

    return fit(Attends(), up_to_three(), lr=5e-3, n_epochs=16)


@reported(
    name="mean over the padding of the batch",
    source="https://github.com/dbiir/UER-py/pull/190",
    bug="Embeddings of the perturbed genes are averaged with their padding, up to the longest list of the batch.",
    cause="bug",
    line="mean(1) includes the padding: a prediction depends on how long other lists in the batch are",
    hurts="held-out error 0.0622 against 0.0399 of the mended twin and 1.32 of the mean",
)
def mean_of_padding(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.effect = nn.Embedding(G + 1, 32, padding_idx=G)
            self.out = nn.Linear(34, G)

        def forward(self, x, p):
            index, present = listed(p, int(p.sum(1).max()))
            effects = self.effect(index.masked_fill(~present, G))
            count = p.sum(1, keepdim=True)
            pooled = effects.sum(1) / count if mended else effects.mean(1)
            return x + self.out(torch.cat([pooled * count, count, 1 / count], dim=1))

    return fit(Pooled(), up_to_three(), batch_size=6, lr=3e-3, n_epochs=9)
