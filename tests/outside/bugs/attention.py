"""Models of gene tokens that attend along the wrong axis, or lose the token that matters."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.outside.bugs.twins import N_GENES, reported, screen
from tests.outside.case import Parts


def token_training(model, *, n_pairs=4000, n_epochs=10, lr=2e-3, batch_size=64, forward=None, held_out_batch=64):
    train, test = screen(n_pairs, 800)

    def collate(rows):
        values, flags, target = (torch.stack(column) for column in zip(*rows, strict=True))
        return {"values": values, "pert_flags": flags, "target_values": target}

    def loader(cells, **options):
        arrays = (cells.before, cells.perturbed.astype("int64"), cells.after)
        return DataLoader(TensorDataset(*map(torch.tensor, arrays)), collate_fn=collate, **options)

    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)

    def train_batch(batch):
        model.train()
        predicted, target = (forward or whole)(batch)
        loss = F.mse_loss(predicted, target)
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    def whole(batch):
        return model(batch["values"], batch["pert_flags"]), batch["target_values"]

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader(train, batch_size=batch_size, shuffle=True, drop_last=True),
        held_out=loader(test, batch_size=held_out_batch),
        fields={"before": "values", "perturbation": "pert_flags", "after": "target_values"},
        training_step=train_batch,
        predict=lambda batch: model(batch["values"], batch["pert_flags"]),
        told="identity",
        n_epochs=n_epochs,
    )


class Tokens(nn.Module):
    """Gene, value and flag embeddings in sum, encoded and read out gene by gene, as scGPT's generator has it."""

    def __init__(self, mix, d=32):
        super().__init__()
        self.gene_encoder, self.pert_encoder = nn.Embedding(N_GENES, d), nn.Embedding(2, d)
        self.value_encoder = nn.Linear(1, d)
        self.mix = mix
        self.norm = nn.LayerNorm(d)
        self.decoder = nn.Sequential(nn.Linear(d, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(self, values, flags, genes=None):
        genes = torch.arange(N_GENES).expand_as(values) if genes is None else genes
        h = self.gene_encoder(genes) + self.pert_encoder(flags) + self.value_encoder(values.unsqueeze(2) - 3)
        return values + self.decoder(self.norm(self.mix(h))).squeeze(2)


class Attention(nn.Module):
    """One head by hand."""

    def __init__(self, d=32, axis=-1, stop=None):
        super().__init__()
        self.axis, self.stop = axis, stop or (lambda t: t)
        self.q, self.k, self.v = (nn.Linear(d, d) for _ in range(3))
        self.o = nn.Linear(d, d)

    def forward(self, h):
        scores = self.q(h) @ self.k(h).transpose(1, 2) / h.shape[-1] ** 0.5
        weight = F.softmax(scores, dim=self.axis)
        return h + self.o(self.stop(weight) @ self.stop(self.v(h)))


@reported(
    name="encoder without batch_first",
    source="https://github.com/DaoyuanLi2816/Molecule-Generator/pull/22",
    bug="TransformerEncoderLayer expects (tokens, cells, d) and gets (cells, tokens, d): cells attend to each other.",
    cause="bug/architecture",
    line="batch_first=True is missing: attention runs over the cells of the batch, not over genes",
    hurts="held-out error 0.079 against 0.00075 of the mended twin and 0.741 of the mean",
)
def batch_first(mended: bool) -> Parts:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=mended)
    return token_training(Tokens(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)))


@reported(
    name="softmax of the attention over the batch",
    source="https://github.com/PetrochukM/PyTorch-NLP/issues/2",
    bug="The attention's softmax has dim=0, the batch: weights of a gene do not sum to 1, and depend on other cells.",
    cause="bug",
    line="softmax dim=0: attention is normalised over the cells of the batch",
    hurts="held-out error 1.707 against 0.025 of the mended twin and 0.741 of the mean",
)
def softmax_batch(mended: bool) -> Parts:
    torch.manual_seed(1)
    return token_training(Tokens(Attention(axis=-1 if mended else 0)), held_out_batch=7)


@reported(
    name="attention detached to get past an error",
    source="https://github.com/allenai/longformer/issues/201",
    bug="Weights and values are detached, which made an autograd error go away: query, key and value never learn.",
    cause="bug",
    line="detach() on attention weights and values: q, k, v get no gradient",
    hurts="held-out error 0.078 against 0.011 of the mended twin and 0.741 of the mean",
)
def detached_attention(mended: bool) -> Parts:
    torch.manual_seed(2)
    return token_training(Tokens(Attention(stop=None if mended else torch.Tensor.detach)))


@reported(
    name="perturbed gene not among the sampled ones",
    source="https://github.com/bowang-lab/scGPT/issues/189",
    bug="Each batch reads a random subset of genes; the perturbed gene, and with it the flag, is mostly left out.",
    cause="data/bug",
    line="the perturbed gene is cut off by max_seq_len: the model is not given the perturbation",
    hurts="held-out error 0.040 against 0.017 of the mended twin and 0.741 of the mean",
)
def sampled_away(mended: bool) -> Parts:
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    model = Tokens(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False))
    max_seq_len = 6

    def forward(batch):
        keys = torch.rand(batch["values"].shape)
        if mended:
            keys = keys + batch["pert_flags"]
        ids = keys.argsort(dim=1, descending=True)[:, :max_seq_len]
        values, flags, target = (batch[k].gather(1, ids) for k in ("values", "pert_flags", "target_values"))
        return model(values, flags, ids), target

    return token_training(model, forward=forward, n_epochs=15)


@reported(
    name="hidden state carried over to the next batch",
    source="https://github.com/fastai/fastbook/pull/469",
    bug="The recurrent state of the last batch is the start of the next, though its cells are other cells.",
    cause="bug",
    line="hidden state is kept between batches: a prediction depends on the batch before",
    hurts="no: held-out error 0.00037 against 0.00024 of the mended twin and 0.741 of the mean",
)
def carried_state(mended: bool) -> Parts:
    torch.manual_seed(4)

    class Recurrent(nn.Module):
        """Reads a few summaries of the cell one after the other into a state that is kept small."""

        def __init__(self, width=64, n_steps=4):
            super().__init__()
            self.h, self.n_steps = torch.zeros(1, width), n_steps
            self.i_h, self.h_h = nn.Linear(2 * N_GENES, width), nn.Linear(width, width)
            self.h_o = nn.Linear(width, N_GENES)

        def forward(self, values, flags):
            if mended or len(self.h) != len(values):
                self.h = torch.zeros(1, self.h.shape[1])
            x = torch.cat([values - 3, flags], dim=1)
            for _ in range(self.n_steps):
                self.h = torch.tanh(self.h_h(self.h + self.i_h(x)))
            out = self.h_o(self.h)
            self.h = self.h.detach()
            return values + out

    return token_training(Recurrent())


@reported(
    name="one block shared by all heads",
    source="https://github.com/linkedin/Liger-Kernel/pull/269",
    bug="ModuleList([head] * n) holds the same head n times: all genes are read out by the same weights.",
    cause="architecture/bug",
    line="heads are one shared module: all genes get the same change",
    hurts="held-out error 0.274 against 0.00031 of the mended twin and 0.741 of the mean",
)
def shared_heads(mended: bool) -> Parts:
    torch.manual_seed(5)

    class PerGeneHeads(nn.Module):
        def __init__(self, d=64):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2 * N_GENES, 96), nn.ReLU(), nn.Linear(96, d), nn.ReLU())
            heads = [nn.Linear(d, 1) for _ in range(N_GENES)] if mended else [nn.Linear(d, 1)] * N_GENES
            self.heads = nn.ModuleList(heads)

        def forward(self, values, flags):
            h = self.body(torch.cat([values - 3, flags], dim=1))
            return values + torch.cat([head(h) for head in self.heads], dim=1)

    return token_training(PerGeneHeads())
