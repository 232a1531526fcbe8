"""Numbers end up in another cell, gene or channel than was meant."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.bugs.twins import N_GENES, reported, screen, tuples
from tests.outside.case import Parts


def run(model, *, n_epochs=10, lr=2e-3, batch_size=64, n_pairs=5000, **settings):
    train, test = screen(n_pairs, **settings)
    batches = {
        part: tuples(data.before, data.perturbed.astype("float32"), data.after, batch_size=batch_size, shuffle=fresh)
        for part, data, fresh in (("train", train, True), ("test", test, False))
    }
    optim = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-4)

    def step(batch):
        ctrl, flags, target = batch
        out = model(ctrl, flags)
        loss = F.mse_loss(out, target)
        optim.zero_grad(set_to_none=True)
        loss.backward()
        optim.step()
        return float(loss.detach())

    return Parts(
        model=model,
        optimizer=optim,
        loader=batches["train"],
        held_out=batches["test"],
        fields={"before": 0, "perturbation": 1, "after": 2},
        training_step=step,
        predict=lambda batch: model(batch[0], batch[1]),
        loss=F.mse_loss,
        told="identity",
        n_epochs=n_epochs,
    )


class Heads(nn.Module):
    """Self-attention over genes, written by hand, with switches for how heads are split and merged."""

    def __init__(self, split="transpose", merge="permute", dim=32, n_heads=4):
        super().__init__()
        self.split, self.merge, self.n_heads, self.d = split, merge, n_heads, dim // n_heads
        self.gene = nn.Parameter(0.3 * torch.randn(N_GENES, dim))
        self.value = nn.Linear(2, dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.out = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, 1))

    def heads(self, t):
        b, g, _ = t.shape
        if self.split == "view":
            return t.reshape(b, self.n_heads, g, self.d)
        return t.view(b, g, self.n_heads, self.d).transpose(1, 2)

    def forward(self, x, p):
        h = self.value(torch.stack([x - 3, p], dim=2)) + self.gene
        q, k, v = (self.heads(t) for t in self.qkv(h).chunk(3, dim=2))
        mixed = ((q @ k.transpose(2, 3)) / self.d**0.5).softmax(-1) @ v
        if self.merge == "permute":
            mixed = mixed.permute(0, 2, 1, 3)
        h = h + self.proj(mixed.reshape(len(x), N_GENES, -1))
        return x + self.out(h).squeeze(2)


@reported(
    name="heads split by view without a transpose",
    source="https://github.com/reczoo/FuxiCTR/issues/30",
    bug="(cells, genes, dim) is viewed as (cells, heads, genes, dim / heads): a head's tokens are pieces of genes.",
    cause="bug",
    line="view without transpose in the split of heads mixes genes",
    hurts="held-out error 0.069 against 0.0023 of the mended twin and 0.727 of the mean",
)
def view_heads(mended: bool) -> Parts:
    torch.manual_seed(1)
    # The reported code merges by the same view, which undoes part of the harm.
    model = Heads() if mended else Heads(split="view", merge="view")
    return run(model)


@reported(
    name="heads merged without a permute",
    source="https://github.com/jsbaan/transformer-from-scratch/pull/6",
    bug="(cells, heads, genes, d) is reshaped to (cells, genes, dim) without a permute: a gene gets others' outputs.",
    cause="bug",
    line="reshape without permute after attention mixes genes",
    hurts="no: held-out error 0.00056 against 0.0023 of the mended twin and 0.727 of the mean",
)
def merge_heads(mended: bool) -> Parts:
    torch.manual_seed(1)
    return run(Heads(merge="permute" if mended else "reshape"))


@reported(
    name="channels and genes swapped by a view",
    source="https://github.com/vitrioil/Speech-Separation/issues/4",
    bug="(cells, 2, genes) is viewed as (cells, genes, 2) instead of transposed: genes get others' values.",
    cause="bug",
    line="view(B, genes, 2) where a transpose was needed",
    hurts="held-out error 0.769 against 0.075 of the mended twin and 0.727 of the mean",
)
def view_channels(mended: bool) -> Parts:
    torch.manual_seed(2)

    class PerGene(nn.Module):
        def __init__(self):
            super().__init__()
            self.gene = nn.Parameter(0.3 * torch.randn(N_GENES, 24))
            self.encode = nn.Sequential(nn.Linear(26, 48), nn.GELU(), nn.Linear(48, 12))
            self.decode = nn.Sequential(nn.Linear(12 + 24 + 1, 48), nn.GELU(), nn.Linear(48, 1))

        def forward(self, x, p):
            both = torch.stack([x, p], dim=1)
            both = both.transpose(1, 2) if mended else both.view(len(x), N_GENES, 2)
            gene = self.gene.expand(len(x), -1, -1)
            cell = self.encode(torch.cat([both, gene], dim=2)).sum(dim=1, keepdim=True).expand(-1, N_GENES, -1)
            return both[:, :, 0] + self.decode(torch.cat([cell, gene, both[:, :, 1:]], dim=2)).squeeze(2)

    return run(PerGene())


@reported(
    name="three views of a cell joined along the batch and viewed",
    source="https://github.com/zamanzadeh/CARLA/issues/16",
    bug="Copies of the cells are stacked copy by copy and unfolded cell by cell: a cell gets other cells' copies.",
    cause="bug",
    line="order of cells after cat and view: predictions depend on other cells of the batch",
    hurts="held-out error 0.271 against 0.00013 of the mended twin and 0.727 of the mean",
)
def view_copies(mended: bool) -> Parts:
    torch.manual_seed(3)

    class Denoise(nn.Module):
        """Encodes a cell with and without its flag, then compares."""

        def __init__(self):
            super().__init__()
            self.encode = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU(), nn.Linear(128, 64))
            self.decode = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, N_GENES))

        def forward(self, x, p):
            with_flag, without = torch.cat([x, p], dim=1), torch.cat([x, torch.zeros_like(p)], dim=1)
            h = self.encode(torch.cat([with_flag, without], dim=0))
            h = h.view(2, len(x), -1).transpose(0, 1).flatten(1) if mended else h.view(len(x), -1)
            return x + self.decode(h)

    return run(Denoise())


@reported(
    name="gene positions counted along the batch",
    source="https://github.com/cmu-l3/anlp-fall2025-code/issues/1",
    bug="The gene embedding is looked up by the cell's place in the batch: all genes of a cell get the same one.",
    cause="bug",
    line="arange(x.size(0)): position embedding over the batch, genes cannot be told apart",
    hurts="held-out error 0.081 against 0.00041 of the mended twin and 0.727 of the mean",
)
def batch_positions(mended: bool) -> Parts:
    torch.manual_seed(4)

    class Tokens(nn.Module):
        def __init__(self, dim=32):
            super().__init__()
            self.value = nn.Linear(2, dim)
            self.position = nn.Embedding(512, dim)
            layer = nn.TransformerEncoderLayer(dim, 4, 64, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 1)
            self.out = nn.Linear(dim, 1)

        def forward(self, x, p):
            position = torch.arange(x.size(1))[None] if mended else torch.arange(x.size(0))[:, None]
            h = self.value(torch.stack([x - 3, p], dim=2)) + self.position(position)
            return x + self.out(self.encoder(h)).squeeze(2)

    return run(Tokens())


@reported(
    name="sum with the positions is not assigned",
    source="https://github.com/Lightning-AI/pytorch-lightning/issues/19138",
    bug="x + positions is computed and thrown away: the gene tokens carry no identity.",
    cause="bug",
    line="positional embedding never reaches the output: its parameters get no gradient",
    hurts="held-out error 0.081 against 0.0027 of the mended twin and 0.727 of the mean",
)
def unassigned_positions(mended: bool) -> Parts:
    torch.manual_seed(5)

    class Positions(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.table = nn.Parameter(0.5 * torch.randn(N_GENES, dim))

        def forward(self, h):
            if mended:
                h = h + self.table
            else:
                h + self.table  # pyright: ignore[reportUnusedExpression]
            return h

    class Net(nn.Module):
        def __init__(self, dim=32):
            super().__init__()
            self.value, self.positions = nn.Linear(2, dim), Positions(dim)
            layer = nn.TransformerEncoderLayer(dim, 4, 64, dropout=0.0, batch_first=True)
            self.encoder, self.out = nn.TransformerEncoder(layer, 1), nn.Linear(dim, 1)

        def forward(self, x, p):
            h = self.positions(self.value(torch.stack([x - 3, p], dim=2)))
            return x + self.out(self.encoder(h)).squeeze(2)

    return run(Net())
