"""Healthy: the loss is a negative log-likelihood and the prediction is the distribution's mean."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, NegativeBinomial, Normal
from torch.utils.data import DataLoader, TensorDataset

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import TUPLE, loaders, step_of

N_GENES = 20


class Trunk(nn.Module):
    """Cell and perturbation to several values a gene."""

    def __init__(self, n_out=2, hidden=128):
        super().__init__()
        self.n_out = n_out
        self.net = nn.Sequential(
            nn.Linear(2 * N_GENES, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, n_out * N_GENES),
        )

    def forward(self, x, pert):
        return self.net(torch.cat([x, pert], 1)).view(len(x), self.n_out, N_GENES).unbind(1)


def on_expression(model, loss_of, mean_of, *, loss=None, lr=1e-3, **of_cells):
    split = cells(6000, N_GENES, seed=7, noise="fresh", **of_cells).split(1000)
    loader, held_out = loaders(split, ("before", "dose", "after"))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, loss_of),
        predict=mean_of,
        loss=loss,
        n_epochs=12,
    )


def make_gaussian():
    torch.manual_seed(0)
    model = Trunk()
    nll = nn.GaussianNLLLoss()

    def loss_of(batch):
        x, dose, y = batch
        delta, raw = model(x, dose)
        return nll(x + delta, y, F.softplus(raw) + 1e-4)

    return on_expression(model, loss_of, lambda batch: batch[0] + model(batch[0], batch[1])[0])


def make_laplace():
    torch.manual_seed(0)
    model = Trunk()

    def loss_of(batch):
        loc, log_scale = model(batch[0], batch[1])
        return -Laplace(batch[0] + loc, log_scale.clamp(-4, 4).exp()).log_prob(batch[2]).mean()

    return on_expression(model, loss_of, lambda batch: batch[0] + model(batch[0], batch[1])[0])


def make_mixture_density():
    """Three Gaussians a gene."""
    torch.manual_seed(0)
    k = 3

    class MDN(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = Trunk(n_out=3 * k)

        def forward(self, x, pert):
            logits, mean, log_sd = torch.stack(self.trunk(x, pert), -1).chunk(3, -1)
            of_gene = Normal(x[..., None] + mean, log_sd.clamp(-5, 3).exp())
            return MixtureSameFamily(Categorical(logits=logits), of_gene)

    model = MDN()

    def loss_of(batch):
        return -Independent(model(batch[0], batch[1]), 1).log_prob(batch[2]).mean() / N_GENES

    return on_expression(model, loss_of, lambda batch: model(batch[0], batch[1]).mean)


def make_quantiles():
    """Three quantiles a gene by the pinball loss; the median answers."""
    torch.manual_seed(0)
    model = Trunk(n_out=3)
    taus = torch.tensor([0.1, 0.5, 0.9]).view(3, 1, 1)

    def loss_of(batch):
        x, dose, y = batch
        error = y - (x + torch.stack(model(x, dose)))
        return torch.maximum(taus * error, (taus - 1) * error).mean()

    return on_expression(model, loss_of, lambda batch: batch[0] + model(batch[0], batch[1])[1])


def counts(dropped=0.0):
    """Counts whose logarithm is the expression, halved in depth; some are lost where the technique fails."""
    rng = np.random.default_rng(11)
    made = []
    for part in cells(6000, N_GENES, seed=8, noise="fresh", dose="fixed").split(1000):
        arrays = [
            rng.poisson(np.exp(np.clip(a, -2, 5)) / 2) * (rng.random(a.shape) >= dropped)
            for a in (part.before, part.after)
        ]
        tensors = [torch.tensor(a, dtype=torch.float32) for a in (arrays[0], part.perturbed, arrays[1])]
        made.append(TensorDataset(*tensors))
    return DataLoader(made[0], batch_size=64, shuffle=True), DataLoader(made[1], batch_size=256)


def on_counts(model, loss_of, mean_of, *, dropped=0.0):
    loader, held_out = counts(dropped)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, loss_of),
        predict=mean_of,
        told="identity",
        n_epochs=12,
    )


def make_poisson():
    torch.manual_seed(0)
    model = Trunk(n_out=1)

    def log_rate(batch):
        return model(torch.log1p(batch[0]), batch[1])[0]

    return on_counts(
        model,
        lambda batch: F.poisson_nll_loss(log_rate(batch), batch[2], log_input=True),
        lambda batch: log_rate(batch).exp(),
    )


class CountNet(nn.Module):
    """Rates times the library size of the cell before; dispersion a gene."""

    def __init__(self, inflated=False):
        super().__init__()
        self.trunk = Trunk(n_out=2 if inflated else 1)
        self.log_theta = nn.Parameter(torch.zeros(N_GENES))

    def forward(self, counts, pert):
        out = self.trunk(torch.log1p(counts), pert)
        library = counts.sum(1, keepdim=True)
        return F.softplus(out[0]) / N_GENES * library, self.log_theta.exp(), out[-1]


def nb_log_prob(mu, theta, y, eps=1e-8):
    return NegativeBinomial(theta, logits=torch.log(mu + eps) - torch.log(theta + eps)).log_prob(y)


def make_negative_binomial():
    torch.manual_seed(0)
    model = CountNet()

    def loss_of(batch):
        mu, theta, _ = model(batch[0], batch[1])
        return -nb_log_prob(mu, theta, batch[2]).sum(1).mean()

    return on_counts(model, loss_of, lambda batch: model(batch[0], batch[1])[0])


def make_zinb():
    torch.manual_seed(0)
    model = CountNet(inflated=True)

    def loss_of(batch):
        mu, theta, logit = model(batch[0], batch[1])
        y = batch[2]
        kept = nb_log_prob(mu, theta, y) + F.logsigmoid(-logit)
        zero = torch.logaddexp(F.logsigmoid(logit), kept)
        return -torch.where(y < 0.5, zero, kept).mean()

    def mean_of(batch):
        mu, _, logit = model(batch[0], batch[1])
        return mu * torch.sigmoid(-logit)

    return on_counts(model, loss_of, mean_of, dropped=0.05)


HEALTHY += [
    Case(name="Gaussian likelihood with a variance head", make=make_gaussian),
    Case(name="Laplace likelihood", make=make_laplace),
    Case(name="mixture density network", make=make_mixture_density),
    Case(name="quantile regression, the median answers", make=make_quantiles),
    Case(name="Poisson likelihood on counts", make=make_poisson),
    Case(name="negative binomial with library size and gene dispersions", make=make_negative_binomial),
    Case(name="zero-inflated negative binomial", make=make_zinb),
]
