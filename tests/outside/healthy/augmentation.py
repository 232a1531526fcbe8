"""Healthy: dropout of every kind, and inputs or targets that are changed at random in the step."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import DICT, TUPLE, loaders

N_GENES = 20


class Net(nn.Module):
    def __init__(self, n_in=2 * N_GENES, hidden=128, p=0.0):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(n_in, hidden), nn.ReLU(), nn.Dropout(p), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(p)
        )
        self.out = nn.Linear(hidden, N_GENES)

    def forward(self, *inputs):
        return inputs[0] + self.out(self.net(torch.cat(inputs, dim=1)))


def make_dropout():
    torch.manual_seed(0)
    loader, held_out = loaders(cells(6000, N_GENES, seed=2, noise="fresh").split(1000), ("before", "dose", "after"))
    model = Net(p=0.2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def training_step(batch):
        model.train()
        before, dose, after = batch
        loss = F.mse_loss(model(before, dose), after)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    @torch.no_grad()
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
    )


def make_selu():
    torch.manual_seed(0)
    loader, held_out = loaders(cells(6000, N_GENES, seed=2).split(1000), ("before", "dose", "after"))

    class SelfNormalising(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2 * N_GENES, 100), nn.Linear(100, 100)])
            self.drop, self.out = nn.AlphaDropout(0.05), nn.Linear(100, N_GENES)
            for p in self.layers.parameters():
                if p.ndim == 2:
                    nn.init.kaiming_normal_(p, nonlinearity="linear")
                else:
                    nn.init.zeros_(p)

        def forward(self, x, dose):
            h = torch.cat([x - 3.0, dose], 1)
            for layer in self.layers:
                h = self.drop(F.selu(layer(h)))
            return x + self.out(h)

    model = SelfNormalising()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def training_step(batch):
        x, dose, y = batch
        model.train()
        optimizer.zero_grad()
        loss = ((model(x, dose) - y) ** 2).mean()
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
    )


class Block(nn.Module):
    def __init__(self, dim, p_dropped):
        super().__init__()
        self.p = p_dropped
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim))

    def forward(self, h):
        if not self.training:
            return h + self.mlp(h)
        kept = (torch.rand(len(h), 1) > self.p).float() / (1 - self.p)
        return h + kept * self.mlp(h)


class StochasticDepth(nn.Module):
    def __init__(self, dim=96):
        super().__init__()
        self.embed = nn.Linear(2 * N_GENES, dim)
        self.blocks = nn.Sequential(*(Block(dim, p) for p in (0.0, 0.05, 0.1)))
        self.head = nn.Linear(dim, N_GENES)

    def forward(self, x, pert):
        return x + self.head(self.blocks(self.embed(torch.cat([x, pert], 1))))


def make_stochastic_depth():
    torch.manual_seed(0)
    loader, held_out = loaders(
        cells(6000, N_GENES, seed=3, dose="fixed").split(1000), ("before", "perturbed", "after"), batch_size=128
    )

    model = StochasticDepth()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

    def training_step(batch):
        x, pert, y = batch
        model.train()
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, pert), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict(batch):
        was = model.training
        model.eval()
        out = model(batch[0], batch[1])
        model.train(was)
        return out

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
    )


def with_step(changed_loss, *, name_of_pert="dose", n_in=2 * N_GENES, seed=4, n_epochs=12, **of_cells):
    """A loop over dicts whose loss is computed on changed batches; ``changed_loss(model, batch)``."""
    split = cells(6000, N_GENES, seed=seed, **of_cells).split(1000)
    loader, held_out = loaders(split, ("before", name_of_pert, "after"), as_dict=True)
    model = Net(n_in=n_in)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def training_step(batch):
        model.train()
        optimizer.zero_grad()
        loss = changed_loss(model, batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": name_of_pert},
        training_step=training_step,
        predict=lambda batch: model(batch["before"], batch[name_of_pert]),
        loss=F.mse_loss,
        told="identity and dose" if name_of_pert == "dose" else "identity",
        n_epochs=n_epochs,
    )


def make_noise():
    torch.manual_seed(0)

    def loss(model, batch):
        noisy = batch["before"] + 0.1 * torch.randn_like(batch["before"])
        return F.mse_loss(model(noisy, batch["dose"]), batch["after"])

    return with_step(loss, noise="fresh")[1]


def make_input_masking():
    """A tenth of the input genes is hidden in each cell, and a flag says which; nothing is hidden afterwards."""
    torch.manual_seed(0)

    def loss(model, batch):
        hidden = torch.rand_like(batch["before"]) < 0.1
        x = batch["before"].masked_fill(hidden, 0.0)
        return F.mse_loss(model(x, batch["dose"], hidden.float()), batch["after"])

    model, parts = with_step(loss, n_in=3 * N_GENES, noise="fresh", seed=5)

    def predict(batch):
        return model(batch["before"], batch["dose"], torch.zeros_like(batch["before"]))

    parts.predict = predict
    return parts


def make_gene_subsampling():
    """Each step is scored on twelve genes of the twenty, drawn anew."""
    torch.manual_seed(0)

    def loss(model, batch):
        some = torch.randperm(N_GENES)[:12]
        out = model(batch["before"], batch["perturbed"])
        return F.mse_loss(out[:, some], batch["after"][:, some])

    return with_step(loss, name_of_pert="perturbed", dose="fixed")[1]


def make_mixup():
    torch.manual_seed(0)

    def loss(model, batch):
        lam = torch.distributions.Beta(0.4, 0.4).sample()
        other = torch.randperm(len(batch["before"]))
        x, dose, y = (lam * batch[k] + (1 - lam) * batch[k][other] for k in ("before", "dose", "after"))
        return F.mse_loss(model(x, dose), y)

    return with_step(loss, noise="fresh", seed=6)[1]


HEALTHY += [
    Case(name="dropout in both hidden layers", make=make_dropout),
    Case(name="SELU with alpha dropout", make=make_selu),
    Case(name="stochastic depth", make=make_stochastic_depth),
    Case(name="Gaussian noise added to the inputs in the step", make=make_noise),
    Case(name="a tenth of the input genes hidden in the step", make=make_input_masking),
    Case(name="loss on a random subset of genes in each step", make=make_gene_subsampling),
    Case(name="mixup of pairs in the step", make=make_mixup),
]
