"""Axes, orders and directions that are not those that were meant."""

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from tests.outside.case import Parts
from tests.outside.unseen_bugs.twins import fit, reported, world_of

G = 12
screen, _ = world_of(G, world=20)


@reported(
    name="sum over genes without keepdim",
    source="https://github.com/MarcoForte/FBA_Matting/issues/7",
    bug="The dose is summed without keepdim: in batches of as many cells as genes it multiplies genes, not cells.",
    cause="bug",
    line="dose.sum(1) broadcasts along the genes: a prediction depends on the other cells of the batch",
    hurts="held-out error 0.392 against 5.4e-08 of the mended twin and 0.929 of the mean",
)
def no_keepdim(mended: bool) -> Parts:
    torch.manual_seed(0)

    class PerUnit(nn.Module):
        """The response to a unit of the perturbation, times the dose."""

        def __init__(self):
            super().__init__()
            self.response = nn.Sequential(nn.Linear(G, 48), nn.ReLU(), nn.Linear(48, G))

        def forward(self, x, dose):
            which = (dose != 0).float()
            amount = dose.sum(1, keepdim=mended)
            return x + amount * self.response(which)

    split = screen(960, 240, dose="drawn")
    return fit(PerUnit(), split, names=("before", "dose", "after"), batch_size=G, n_epochs=15)


class Tokens(nn.Module):
    """Value, flag and name of each gene as a token."""

    def __init__(self, dim):
        super().__init__()
        self.value, self.name = nn.Linear(2, dim), nn.Parameter(0.5 * torch.randn(G, dim))

    def forward(self, x, p):
        return self.value(torch.stack([x - 3, p], dim=2)) + self.name


@reported(
    name="hidden states of both directions viewed per cell",
    source="https://github.com/graykode/nlp-tutorial/issues/38",
    bug="h_n of a bidirectional GRU, (2, cells, dim), is viewed as (cells, 2 dim): cells get others' states.",
    cause="bug",
    line="h_n.view(batch, -1) without a transpose mixes the cells of the batch",
    hurts="held-out error 0.459 against 0.00024 of the mended twin and 0.976 of the mean",
)
def hidden_viewed(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = Tokens(24)
            self.gru = nn.GRU(24, 32, bidirectional=True, batch_first=True)
            self.head = nn.Linear(64, G)

        def forward(self, x, p):
            _, h_n = self.gru(self.tokens(x, p))
            h = h_n.transpose(0, 1).reshape(len(x), -1) if mended else h_n.view(len(x), -1)
            return x + self.head(h)

    return fit(Recurrent(), screen(), lr=5e-3, n_epochs=10)


@reported(
    name="sequences sorted by length and not sorted back",
    source="https://github.com/fartashf/vsepp/pull/36",
    bug="Cells are sorted by the number of measured genes to be packed; their states are not brought back in order.",
    cause="bug",
    line="missing unsort after pack_padded_sequence: predictions belong to other cells of the batch",
    hurts="held-out error 0.524 against 0.00403 of the mended twin and 1.03 of the mean",
)
def not_unsorted(mended: bool) -> Parts:
    torch.manual_seed(2)

    class Packed(nn.Module):
        """Reads the measured genes of a cell, one after the other."""

        def __init__(self):
            super().__init__()
            self.tokens, self.gru, self.head = Tokens(24), nn.GRU(24, 48, batch_first=True), nn.Linear(48, G)

        def forward(self, x, p, measured):
            first = (~measured).float().argsort(dim=1, stable=True)
            tokens = self.tokens(x, p).gather(1, first[:, :, None].expand(-1, -1, 24))
            lengths, by = measured.sum(1).sort(descending=True)
            _, h_n = self.gru(pack_padded_sequence(tokens[by], lengths, batch_first=True))
            h = h_n[0][by.argsort()] if mended else h_n[0]
            return x + self.head(h)

    def on_measured(out, y):
        return ((out - y) ** 2)[y != 0].mean()

    return fit(
        Packed(),
        screen(1000, 250, p_measured=0.8),
        names=("before", "perturbed", "measured", "after"),
        criterion=on_measured,
        lr=5e-3,
        n_epochs=10,
        loss=None,
        fields={"before": 0, "perturbation": 1, "mask": 2, "after": 3},
    )


@reported(
    name="attention overwrites what the residual should add",
    source="https://github.com/kyegomez/BitNet/issues/32",
    bug="x = attention(x); x = x + x: the block's input is lost, so a gene keeps nothing of its own.",
    cause="bug",
    line="x + x after the attention is no residual connection",
    hurts="held-out error 0.0877 against 0.00429 of the mended twin and 0.976 of the mean",
)
def no_residual(mended: bool) -> Parts:
    torch.manual_seed(3)

    class Block(nn.Module):
        def __init__(self, dim=32):
            super().__init__()
            self.attention = nn.MultiheadAttention(dim, 4, batch_first=True)
            self.ffn = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 64), nn.GELU(), nn.Linear(64, dim))

        def forward(self, x):
            if mended:
                mixed, _ = self.attention(x, x, x, need_weights=False)
                x = x + mixed
            else:
                x, _ = self.attention(x, x, x, need_weights=False)
                x = x + x
            return self.ffn(x) + x

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.blocks, self.out = Tokens(32), nn.Sequential(Block(), Block()), nn.Linear(32, 1)

        def forward(self, x, p):
            return x + self.out(self.blocks(self.tokens(x, p))).squeeze(2)

    return fit(Transformer(), screen(), lr=2e-3, n_epochs=10)


@reported(
    name="edges listed from target to source",
    source="https://github.com/snap-stanford/deepsnap/issues/7",
    bug="Source and target of each edge are exchanged: messages flow from a gene to its regulators.",
    cause="bug/data",
    line="direction of edge_index: a perturbed gene's targets never hear of it",
    hurts="held-out error 0.152 against 0.0017 of the mended twin and 0.976 of the mean",
)
def reversed_edges(mended: bool) -> Parts:
    torch.manual_seed(4)
    split = screen(n_held_out=250)
    edge_index = torch.tensor(np.array(np.nonzero(split[0].weight)))
    if not mended:
        edge_index = edge_index.flip(0)

    class MessagePassing(nn.Module):
        def __init__(self, dim=24):
            super().__init__()
            self.tokens, self.out = Tokens(dim), nn.Linear(dim, 1)
            self.message = nn.ModuleList(
                nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(2)
            )

        def forward(self, x, p):
            h = self.tokens(x, p)
            source, target = edge_index
            for message in self.message:
                sent = message(torch.cat([h[:, source], h[:, target]], dim=2))
                h = h + torch.zeros_like(h).index_add(1, target, sent)
            return x + self.out(h).squeeze(2)

    return fit(MessagePassing(), split, n_epochs=20)


@reported(
    name="graph convolution without self-loops",
    source="https://github.com/pyg-team/pytorch_geometric/issues/6251",
    bug="The adjacency matrix has no self-loops: a gene's own flag never reaches its own output.",
    cause="bug/architecture",
    line="missing self-loops: the perturbed gene itself is predicted unchanged",
    hurts="held-out error 0.423 against 0.019 of the mended twin and 0.976 of the mean",
)
def no_self_loops(mended: bool) -> Parts:
    torch.manual_seed(5)
    split = screen()
    incoming = torch.tensor(split[0].weight.T != 0, dtype=torch.float32)
    if mended:
        incoming = incoming + torch.eye(G)
    incoming = incoming / incoming.sum(1, keepdim=True).clamp(min=1)

    class Convolutions(nn.Module):
        def __init__(self, dim=32):
            super().__init__()
            self.tokens = Tokens(dim)
            self.layers = nn.ModuleList([nn.Linear(dim, dim), nn.Linear(dim, dim)])
            self.out = nn.Parameter(0.1 * torch.randn(G, dim))

        def forward(self, x, p):
            h = self.tokens(x, p)
            for layer in self.layers:
                h = torch.relu(incoming @ layer(h)) + 0.1 * incoming @ h
            return x + (h * self.out).sum(2)

    return fit(Convolutions(), split, n_epochs=30)
