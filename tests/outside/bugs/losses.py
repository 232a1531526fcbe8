"""The loss is not the one that was meant."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.bugs.twins import N_GENES, reported, screen, tuples
from tests.outside.case import Parts


class PerturbNet(nn.Module):
    """Cell before and which gene falls, to the cell after."""

    def __init__(self, hidden=128):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2 * N_GENES, hidden), nn.ReLU(), nn.Linear(hidden, N_GENES))

    def forward(self, x, p):
        return x + self.body(torch.cat([x - 3, p], dim=1))


def loaders(train, test, batch_size=64):
    return [
        tuples(part.before, part.perturbed.astype("float32"), part.after, batch_size=batch_size, shuffle=part is train)
        for part in (train, test)
    ]


def fit(model, loss_of_batch, loaders, *, lr=1e-3, optimizer=None, loss=None, predict=None, n_epochs=10):
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=lr)

    def training_step(batch):
        model.train()
        optimizer.zero_grad()
        value = loss_of_batch(batch)
        value.backward()
        optimizer.step()
        return value.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loaders[0],
        held_out=loaders[1],
        fields={"before": 0, "perturbation": 1, "after": 2},
        training_step=training_step,
        predict=predict or (lambda batch: model(batch[0], batch[1])),
        loss=loss,
        told="identity",
        n_epochs=n_epochs,
    )


@reported(
    name="column against row in the loss of each gene",
    source="https://github.com/benedekrozemberczki/pytorch_geometric_temporal/pull/233",
    bug="Each gene's head gives (cells, 1), its target is (cells,): the difference broadcasts to (cells, cells).",
    cause="bug",
    line="shapes of prediction and target in the loss: (B, 1) minus (B,)",
    hurts="held-out error 0.653 against 0.0016 of the mended twin and 0.745 of the mean",
)
def broadcast_loss(mended: bool) -> Parts:
    torch.manual_seed(0)

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU())
            self.heads = nn.ModuleList(nn.Linear(128, 1) for _ in range(N_GENES))

        def forward(self, x, p):
            h = self.body(torch.cat([x, p], dim=1))
            return [x[:, [g]] + head(h) for g, head in enumerate(self.heads)]

    model = Heads()

    def loss(batch):
        x, p, y = batch
        total = torch.zeros(())
        for g, y_hat in enumerate(model(x, p)):
            target = y[:, [g]] if mended else y[:, g]
            total = total + torch.mean((y_hat - target) ** 2)
        return total / N_GENES

    pairs = screen(4000)
    return fit(model, loss, loaders(*pairs), predict=lambda batch: torch.cat(model(batch[0], batch[1]), dim=1))


@reported(
    name="softmax before the cross entropy of binned expression",
    source="https://github.com/Lightning-Universe/lightning-bolts/issues/654",
    bug="The network ends in a softmax and the cross entropy takes a softmax again.",
    cause="bug/architecture",
    line="softmax at the end of the network, before cross_entropy, which expects logits",
    hurts="held-out error 0.422 against 0.079 of the mended twin and 0.727 of the mean",
)
def double_softmax(mended: bool) -> Parts:
    torch.manual_seed(0)
    edges = torch.linspace(-2, 8, 41)
    centres = (edges[1:] + edges[:-1]) / 2

    class Binned(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2 * N_GENES, 256), nn.ReLU(), nn.Linear(256, N_GENES * len(centres)))

        def forward(self, x, p):
            logits = self.body(torch.cat([x, p], dim=1)).view(len(x), N_GENES, len(centres))
            return logits if mended else F.softmax(logits, dim=-1)

    model = Binned()

    def loss(batch):
        x, p, y = batch
        bins = torch.bucketize(y, edges).clamp(1, len(centres)) - 1
        return F.cross_entropy(model(x, p).flatten(0, 1), bins.flatten())

    def predict(batch):
        out = model(batch[0], batch[1])
        return (out.softmax(-1) if mended else out) @ centres

    return fit(model, loss, loaders(*screen()), predict=predict, lr=2e-3)


@reported(
    name="reconstruction of the input instead of the target",
    source="https://github.com/ikostrikov/TensorFlow-VAE-GAN-DRAW/pull/1",
    bug="The loss compares the prediction with the cell before instead of the cell after.",
    cause="bug",
    line="the loss is taken against the cell before; the cell after is never read",
    hurts="held-out error 0.282 against 0.0001 of the mended twin and 0.727 of the mean",
)
def loss_on_input(mended: bool) -> Parts:
    torch.manual_seed(0)
    model = PerturbNet()

    def loss(batch):
        x, p, y = batch
        return F.mse_loss(model(x, p), y if mended else x)

    return fit(model, loss, loaders(*screen()))


@reported(
    name="sum over cells and genes with the rate of a mean",
    source="https://github.com/jax-ml/jax/pull/3113",
    bug="The loss is summed over a large batch while the rate was chosen for the mean: gradients explode.",
    cause="optimiser",
    line="reduction='sum' (step size grows with the batch): rate too large",
    hurts="held-out error NaN against 5.9e-05 of the mended twin and 0.727 of the mean",
)
def summed_loss(mended: bool) -> Parts:
    torch.manual_seed(0)
    model = PerturbNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)

    def loss(batch):
        x, p, y = batch
        return F.mse_loss(model(x, p), y, reduction="mean" if mended else "sum")

    return fit(model, loss, loaders(*screen(), batch_size=256), optimizer=optimizer, loss=F.mse_loss, n_epochs=25)


@reported(
    name="sign of negative errors in the pinball loss",
    source="https://github.com/scikit-learn/scikit-learn/pull/6429",
    bug="For predictions above the target the quantile loss is negative instead of positive.",
    cause="bug",
    line="sign of the loss where the prediction is too high: it falls without end",
    hurts="held-out error 2e+08 against 0.0041 of the mended twin and 0.727 of the mean",
)
def pinball_sign(mended: bool) -> Parts:
    torch.manual_seed(0)
    model = PerturbNet()
    quantile = 0.5

    def pinball(y_hat, y):
        diff = y - y_hat
        above = diff > 0
        wrong = diff if not mended else -diff
        return torch.where(above, quantile * diff, (1 - quantile) * wrong).mean()

    return fit(model, lambda b: pinball(model(b[0], b[1]), b[2]), loaders(*screen()), loss=pinball, lr=2e-3)


class Vae(nn.Module):
    """The change of the cell through a few latent numbers, as scGen-like models have it."""

    def __init__(self, n_latent=16):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU(), nn.Linear(128, 2 * n_latent))
        self.decoder = nn.Sequential(nn.Linear(n_latent, 128), nn.ReLU(), nn.Linear(128, N_GENES))

    def forward(self, x, p):
        mu, logvar = self.encoder(torch.cat([x, p], dim=1)).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return x + self.decoder(z), mu, logvar


@reported(
    name="KL summed over the batch beside an averaged error",
    source="https://github.com/zdebruine/MMVAE/pull/19",
    bug="The KL is a sum over cells and latents, the error a mean over both: the posterior collapses.",
    cause="bug",
    line="weight of the KL against the reconstruction: posterior collapse",
    hurts="held-out error 0.273 against 0.00026 of the mended twin and 0.727 of the mean",
)
def kl_sum(mended: bool) -> Parts:
    torch.manual_seed(0)
    model = Vae()

    def loss(batch):
        x, p, y = batch
        y_hat, mu, logvar = model(x, p)
        kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return F.mse_loss(y_hat, y) + (1e-3 / y.numel() if mended else 1.0) * kl

    return fit(model, loss, loaders(*screen()), predict=lambda b: model(b[0], b[1])[0], lr=2e-3, n_epochs=15)


@reported(
    name="combined loss computed but another one returned",
    source="https://github.com/oclivegriffin/crosscode/pull/3",
    bug="Reconstruction and effect losses are combined, but the reconstruction of the cell before alone is returned.",
    cause="bug",
    line="the returned loss lacks the term of the perturbed cell: its decoder gets no gradient",
    hurts="held-out error 1.021 against 0.0048 of the mended twin and 0.727 of the mean",
)
def wrong_return(mended: bool) -> Parts:
    torch.manual_seed(0)

    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU())
            self.reconstruct = nn.Linear(128, N_GENES)
            self.effect = nn.Linear(128, N_GENES)

        def forward(self, x, p):
            h = self.encoder(torch.cat([x, p], dim=1))
            return self.reconstruct(h), x + self.effect(h)

    model = TwoHeads()

    def loss(batch):
        x, p, y = batch
        x_hat, y_hat = model(x, p)
        reconstruction_loss = F.mse_loss(x_hat, x)
        total = reconstruction_loss + F.mse_loss(y_hat, y)
        return total if mended else reconstruction_loss

    return fit(model, loss, loaders(*screen()), predict=lambda b: model(b[0], b[1])[1])
