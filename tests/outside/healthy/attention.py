"""Healthy: genes as tokens."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import DICT, TUPLE, loaders

N_GENES, DIM = 20, 32


def fit(model, *, lr=2e-3, n_epochs=6, warm_up=40, batch_size=64, seed=61, **of_cells: Any):
    """A loop for models that are called with cell, dose and what is measured (or None)."""
    split = cells(4500, N_GENES, seed=seed, **of_cells).split(500)
    masked = of_cells.get("p_measured", 1.0) < 1
    names = ("before", "dose", "after") + (("measured",) if masked else ())
    loader, held_out = loaders(split, names, as_dict=masked, batch_size=batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warm_up))

    def answer(batch):
        if masked:
            return model(batch["before"], batch["dose"], batch["measured"])
        return model(batch[0], batch[1])

    def training_step(batch):
        model.train()
        optimizer.zero_grad()
        out = answer(batch)
        loss = (
            F.mse_loss(out[batch["measured"]], batch["after"][batch["measured"]])
            if masked
            else F.mse_loss(out, batch[2])
        )
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        return loss.item()

    def predict(batch):
        model.eval()
        return answer(batch)

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": "dose", "mask": "measured"} if masked else TUPLE,
        training_step=training_step,
        predict=predict,
        loss=None if masked else F.mse_loss,
        n_epochs=n_epochs,
    )


class Tokens(nn.Module):
    """A token a gene: its identity, its value and what is done to it."""

    def __init__(self, dim=DIM):
        super().__init__()
        self.gene = nn.Embedding(N_GENES, dim)
        self.value = nn.Sequential(nn.Linear(2, dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, x, dose):
        return self.gene.weight + self.value(torch.stack([x, dose], -1))


class GeneTransformer(nn.Module):
    def __init__(self, depth=2, norm_first=True, dropout=0.0):
        super().__init__()
        self.tokens = Tokens()
        layer = nn.TransformerEncoderLayer(
            DIM, 4, 2 * DIM, dropout=dropout, activation="gelu", batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(DIM, 1)

    def forward(self, x, dose, measured=None):
        padding = None if measured is None else ~measured
        h = self.encoder(self.tokens(x, dose), src_key_padding_mask=padding)
        return x + self.head(h).squeeze(-1)


def make_transformer():
    torch.manual_seed(0)
    return fit(GeneTransformer())


def make_padded():
    torch.manual_seed(0)
    return fit(GeneTransformer(depth=1), p_measured=0.7)


def make_post_norm():
    torch.manual_seed(0)
    return fit(
        GeneTransformer(depth=1, norm_first=False, dropout=0.05),
        lr=2e-3,
        n_epochs=6,
        warm_up=60,
        batch_size=128,
        noise="fresh",
    )


class CrossAttention(nn.Module):
    """The perturbation asks, the genes answer; what comes back is added to every gene."""

    def __init__(self):
        super().__init__()
        self.genes = nn.Parameter(0.1 * torch.randn(N_GENES, DIM))
        self.value = nn.Linear(1, DIM)
        self.query = nn.Linear(N_GENES, DIM)
        self.attention = nn.MultiheadAttention(DIM, 4, batch_first=True)
        self.decoder = nn.Sequential(nn.Linear(2 * DIM, 256), nn.ReLU(), nn.Linear(256, N_GENES))

    def forward(self, x, dose):
        tokens = self.genes + self.value(x[..., None])
        query = self.query(dose).unsqueeze(1)
        context, _ = self.attention(query, tokens, tokens, need_weights=False)
        return x + self.decoder(torch.cat([context, query], -1).squeeze(1))


def make_cross_attention():
    torch.manual_seed(0)
    return fit(CrossAttention(), n_epochs=10)


class Perceiver(nn.Module):
    def __init__(self, n_latents=8):
        super().__init__()
        self.tokens = Tokens()
        self.latents = nn.Parameter(torch.randn(n_latents, DIM) / math.sqrt(DIM))
        self.read = nn.MultiheadAttention(DIM, 4, batch_first=True)
        self.mix = nn.TransformerEncoderLayer(DIM, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.write = nn.MultiheadAttention(DIM, 4, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(DIM), nn.Linear(DIM, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(self, x, dose):
        tokens = self.tokens(x, dose)
        latents = self.latents.expand(len(x), -1, -1)
        latents = self.mix(latents + self.read(latents, tokens, tokens)[0])
        out = tokens + self.write(tokens, latents, latents)[0]
        return x + self.head(out).squeeze(-1)


def make_perceiver():
    torch.manual_seed(0)
    return fit(Perceiver(), n_epochs=8)


class KeepsMaps(nn.Module):
    """Attention written out, which keeps the maps of its last pass for plots."""

    def __init__(self, heads=2):
        super().__init__()
        self.heads = heads
        self.tokens = Tokens()
        self.qkv = nn.Linear(DIM, 3 * DIM, bias=False)
        self.out = nn.Linear(DIM, DIM)
        self.norm = nn.LayerNorm(DIM)
        self.mlp = nn.Sequential(nn.LayerNorm(DIM), nn.Linear(DIM, 64), nn.ReLU(), nn.Linear(64, 1))
        self.last_attention = None

    def forward(self, x, dose):
        h = self.tokens(x, dose)
        q, k, v = self.qkv(self.norm(h)).view(len(x), N_GENES, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attention = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1)
        self.last_attention = attention.detach().mean(1)
        h = h + self.out((attention @ v).transpose(1, 2).flatten(2))
        return x + self.mlp(h).squeeze(-1)


def make_keeps_maps():
    torch.manual_seed(0)
    return fit(KeepsMaps(), n_epochs=8)


class LinearAttention(nn.Module):
    """Queries and keys through elu + 1, so that the cost is linear in genes."""

    def __init__(self):
        super().__init__()
        self.tokens = Tokens()
        self.q, self.k, self.v = (nn.Linear(DIM, DIM) for _ in range(3))
        self.ffn = nn.Sequential(nn.LayerNorm(DIM), nn.Linear(DIM, 96), nn.GELU(), nn.Linear(96, DIM))
        self.head = nn.Linear(DIM, 1)

    def forward(self, x, dose):
        h = self.tokens(x, dose)
        q, k = F.elu(self.q(h)) + 1, F.elu(self.k(h)) + 1
        context = k.transpose(1, 2) @ self.v(h)
        h = h + (q @ context) / (q @ k.sum(1, keepdim=True).transpose(1, 2) + 1e-6)
        return x + self.head(h + self.ffn(h)).squeeze(-1)


def make_linear_attention():
    torch.manual_seed(0)
    return fit(LinearAttention(), n_epochs=8, noise="fresh")


class Binned(nn.Module):
    """Expression in bins, embedded, with a token for the perturbed gene in front, whose output conditions the rest."""

    edges: torch.Tensor

    def __init__(self, n_bins=24):
        super().__init__()
        self.register_buffer("edges", torch.linspace(-2, 8, n_bins - 1))
        self.bins = nn.Embedding(n_bins, DIM)
        self.genes = nn.Embedding(N_GENES, DIM)
        self.token = nn.Linear(N_GENES, DIM)
        layer = nn.TransformerEncoderLayer(DIM, 2, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.Linear(2 * DIM, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x, dose):
        tokens = self.bins(torch.bucketize(x, self.edges)) + self.genes.weight
        cls = self.token(dose).unsqueeze(1)
        h = self.encoder(torch.cat([cls, tokens], 1))
        both = torch.cat([h[:, 1:], h[:, :1].expand(-1, N_GENES, -1) * self.genes.weight], -1)
        return self.head(both).squeeze(-1)


def make_binned():
    torch.manual_seed(0)
    return fit(Binned(), n_epochs=8, noise="fresh")


HEALTHY += [
    Case(name="transformer encoder over genes", make=make_transformer),
    Case(name="transformer with unmeasured genes as padding", make=make_padded),
    Case(name="transformer with norm last and dropout", make=make_post_norm),
    Case(name="cross-attention with the perturbation as query", make=make_cross_attention),
    Case(name="Perceiver", make=make_perceiver),
    Case(name="attention by hand that keeps its maps", make=make_keeps_maps),
    Case(name="linear attention", make=make_linear_attention),
    Case(name="binned expression with a perturbation token", make=make_binned),
]
