"""Healthy: likelihoods and losses of other kinds, alone and in sums."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.unseen_healthy.common import fit, recipe, tensors, world_of

G = 9
screen, Mlp = world_of(G, world=33)


@recipe("Charbonnier loss")
def make_charbonnier():
    torch.manual_seed(3)
    return fit(Mlp(), screen(noise="same"), criterion=lambda out, y: ((out - y) ** 2 + 1e-4).sqrt().mean())


class TwoHeads(nn.Module):
    """A mean and another number for each gene."""

    def __init__(self, n_genes=G, hidden=48):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2 * n_genes, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.mean, self.other = nn.Linear(hidden, n_genes), nn.Linear(hidden, n_genes)

    def forward(self, x, p):
        h = self.body(torch.cat([x - 3, p], dim=1))
        return x + self.mean(h), self.other(h)


def of_two_heads(criterion, split, **settings):
    model = TwoHeads()
    return fit(
        model, split, criterion=criterion, predict=lambda batch: model(batch[0], batch[1])[0], loss=None, **settings
    )


@recipe("Student's t likelihood with a scale head")
def make_student():
    torch.manual_seed(3)

    def criterion(outs, y):
        mean, raw = outs
        return -torch.distributions.StudentT(5.0, mean, F.softplus(raw) + 0.02).log_prob(y).mean()

    return of_two_heads(criterion, screen(1600, 300, noise="fresh", noise_sd=0.3), lr=1e-3, n_epochs=15)


@recipe("variance-weighted Gaussian likelihood")
def make_beta_likelihood():
    torch.manual_seed(3)

    def criterion(outs, y):
        mean, raw = outs
        variance = F.softplus(raw) + 1e-3
        each = 0.5 * ((y - mean) ** 2 / variance + variance.log())
        return (each * variance.detach() ** 0.5).mean()

    return of_two_heads(criterion, screen(), lr=3e-3)


@recipe("continuous ranked probability score of a Gaussian")
def make_crps():
    torch.manual_seed(3)

    def criterion(outs, y):
        mean, raw = outs
        sd = F.softplus(raw) + 0.02
        z = (y - mean) / sd
        normal = torch.distributions.Normal(0.0, 1.0)
        score = z * (2 * normal.cdf(z) - 1) + 2 * normal.log_prob(z).exp() - np.pi**-0.5
        return (sd * score).mean()

    return of_two_heads(criterion, screen(), lr=3e-3)


@recipe("hurdle: detected or not, and how much")
def make_hurdle():
    torch.manual_seed(3)
    split = screen(1200, 250)
    batches = []
    for part in split:
        before, after = (np.maximum(log - 2.5, 0) for log in (part.before, part.after))
        batches.append(tensors(before, part.perturbed.astype(np.float32), after, shuffle=part is split[0]))

    class Hurdle(nn.Module):
        def __init__(self):
            super().__init__()
            self.score, self.amount = Mlp(residual=False), Mlp(residual=False)

        def forward(self, x, p):
            return self.score(x, p), F.softplus(self.amount(x, p))

    model = Hurdle()

    def criterion(outs, y):
        score, amount = outs
        seen = (y > 0).float()
        error = ((amount - y) ** 2 * seen).sum() / seen.sum().clamp(min=1)
        return F.binary_cross_entropy_with_logits(score, seen) + 2 * error

    def predict(batch):
        score, amount = model(batch[0], batch[1])
        return score.sigmoid() * amount

    return fit(model, split, criterion=criterion, loader=batches[0], held_out=batches[1], predict=predict, loss=None)


@recipe("gamma likelihood of positive expression")
def make_gamma():
    torch.manual_seed(3)
    split = screen(1400, 300)
    batches = []
    for part in split:
        before, after = (np.exp(0.3 * log) for log in (part.before, part.after))
        batches.append(tensors(before, part.perturbed.astype(np.float32), after, shuffle=part is split[0]))

    class Positive(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Mlp(residual=False)
            self.log_shape = nn.Parameter(torch.full((G,), 1.0))

        def forward(self, x, p):
            return x * self.net(x.log(), p).exp()

    model = Positive()

    def criterion(mean, y):
        shape = model.log_shape.exp().clamp(max=200.0)
        return -torch.distributions.Gamma(shape, shape / mean).log_prob(y).mean()

    return fit(model, split, criterion=criterion, loader=batches[0], held_out=batches[1], loss=None, lr=2e-3)


@recipe("squared error and a ranking hinge between genes")
def make_ranking():
    torch.manual_seed(3)

    def criterion(out, y):
        other = torch.roll(torch.arange(G), 5)
        gap, true = out - out[:, other], y - y[:, other]
        hinge = F.relu(0.1 - gap * true.sign()) * (true.abs() > 0.3)
        return F.mse_loss(out, y) + 0.02 * hinge.mean()

    return fit(Mlp(), screen(), criterion=criterion)


@recipe("errors of cells and of the perturbations' means in the batch")
def make_two_scales():
    torch.manual_seed(3)
    model = Mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        out = model(x, p)
        counts = p.sum(0).clamp(min=1)[:, None]
        loss = F.mse_loss(out, y) + F.mse_loss(p.T @ out / counts, p.T @ y / counts)
        loss.backward()
        optimizer.step()
        return loss.item()

    return fit(
        model, screen(), optimizer=optimizer, training_step=training_step, batch_size=64, loss=F.mse_loss, n_epochs=40
    )


class Latent(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(2 * G, 64), nn.ReLU(), nn.Linear(64, dim))
        self.decode = nn.Linear(dim, G)

    def forward(self, x, p):
        z = self.encode(torch.cat([x - 3, p], dim=1))
        return x + self.decode(z), z


@recipe("latent units decorrelated by a penalty")
def make_decorrelated():
    torch.manual_seed(3)
    model = Latent()

    def criterion(outs, y):
        out, z = outs
        z = (z - z.mean(0)) / (z.std(0) + 1e-4)
        correlation = z.T @ z / len(z)
        off = correlation - torch.diag(torch.diagonal(correlation))
        return F.mse_loss(out, y) + 1e-3 * (off**2).sum()

    return fit(
        model, screen(), criterion=criterion, predict=lambda batch: model(batch[0], batch[1])[0], loss=None, n_epochs=30
    )


@recipe("histogram of soft bins whose mean answers")
def make_soft_bins():
    torch.manual_seed(3)
    centres = torch.linspace(-2.5, 7.5, 41)

    class Histogram(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2 * G, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
            self.scores = nn.Linear(128, G * 41)

        def forward(self, x, p):
            return self.scores(self.body(torch.cat([x - 3, p], dim=1))).view(len(x), G, 41)

    model = Histogram()

    def criterion(scores, y):
        soft = (-((y[:, :, None] - centres) ** 2) / (2 * 0.25**2)).softmax(2)
        return -(soft * scores.log_softmax(2)).sum(2).mean()

    def predict(batch):
        return model(batch[0], batch[1]).softmax(2) @ centres

    return fit(model, screen(1400, 300), criterion=criterion, predict=predict, loss=None, n_epochs=30)


@recipe("auxiliary head that names the perturbed gene")
def make_named_gene():
    torch.manual_seed(3)

    class Named(nn.Module):
        """What is predicted must tell which gene was perturbed."""

        def __init__(self):
            super().__init__()
            self.net = Mlp()
            self.name = nn.Sequential(nn.Linear(G, 32), nn.ReLU(), nn.Linear(32, G))

        def forward(self, x, p):
            out = self.net(x, p)
            return out, self.name(out - x)

    model = Named()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        out, score = model(x, p)
        loss = F.mse_loss(out, y) + 0.05 * F.cross_entropy(score, p.argmax(1), label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        return loss.item()

    return fit(
        model,
        screen(),
        optimizer=optimizer,
        training_step=training_step,
        predict=lambda batch: model(batch[0], batch[1])[0],
        loss=F.mse_loss,
    )
