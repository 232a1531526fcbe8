"""Healthy: variational, adversarial and flow models, in which something is drawn in training and not when answering."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import DICT, TUPLE, loaders, step_of

N_GENES, N_TYPES = 20, 2


def mlp(n_in, n_out, hidden=128):
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, n_out)
    )


def screen(names=("before", "perturbed", "after"), *, as_dict=False, **of_cells):
    split = cells(6000, N_GENES, **({"seed": 51, "dose": "fixed", "noise": "fresh"} | of_cells)).split(1000)
    return loaders(split, names, as_dict=as_dict)


class CVAE(nn.Module):
    """Encodes the cell before; decodes the cell after under the perturbation; keeps its last KL term."""

    kl: torch.Tensor

    def __init__(self, latent=24):
        super().__init__()
        self.encoder = mlp(N_GENES, 2 * latent)
        self.decoder = mlp(latent + N_GENES, N_GENES)

    def forward(self, x, pert, sample=False):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar) if self.training or sample else mu
        self.kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
        return self.decoder(torch.cat([z, pert], 1))


def make_cvae():
    """Beta rises from 0 over the first steps."""
    torch.manual_seed(0)
    loader, held_out = screen()
    model = CVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    n_steps = 0

    def training_step(batch):
        nonlocal n_steps
        model.train()
        beta = 0.02 * min(1.0, n_steps / 400)
        optimizer.zero_grad()
        reconstruction = F.mse_loss(model(batch[0], batch[1]), batch[2])
        loss = reconstruction + beta * model.kl / N_GENES
        loss.backward()
        optimizer.step()
        n_steps += 1
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
        told="identity",
        n_epochs=15,
    )


class ScGen(nn.Module):
    """A VAE of single cells; a perturbation is a learned shift in its latent space."""

    def __init__(self, latent=32):
        super().__init__()
        self.encoder = mlp(N_GENES, 2 * latent)
        self.decoder = mlp(latent, N_GENES)
        self.shift = nn.Linear(N_GENES, latent, bias=False)

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, -1)
        return mu, logvar.clamp(-8, 4)


def make_latent_arithmetic():
    torch.manual_seed(0)
    loader, held_out = screen(noise="same", as_dict=True)
    model = ScGen()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(batch):
        mu, logvar = model.encode(batch["before"])
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        same = F.mse_loss(model.decoder(z), batch["before"])
        moved = F.mse_loss(model.decoder(z + model.shift(batch["perturbed"])), batch["after"])
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).mean()
        return same + moved + 1e-3 * kl

    def predict(batch):
        z = model.encode(batch["before"])[0] + model.shift(batch["perturbed"])
        return model.decoder(z)

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": "perturbed"},
        training_step=step_of(model, optimizer, loss_of),
        predict=predict,
        told="identity",
        n_epochs=15,
    )


class CPA(nn.Module):
    """Additive latent space: basal state, plus perturbation by dose, plus cell type."""

    def __init__(self, latent=32):
        super().__init__()
        self.encoder = mlp(N_GENES, latent)
        self.decoder = mlp(latent, N_GENES)
        self.pert = nn.Linear(N_GENES, latent, bias=False)
        self.cell_type = nn.Embedding(N_TYPES, latent)
        self.adversary = mlp(latent, N_TYPES, hidden=64)

    def forward(self, x, dose, cell_type):
        basal = self.encoder(x)
        return self.decoder(basal + self.pert(dose) + self.cell_type(cell_type)), basal


def make_cpa():
    """The adversary has its own optimiser and steps every third time, as in the published code."""
    torch.manual_seed(0)
    loader, held_out = screen(("before", "dose", "cell_type", "after"), dose="drawn", as_dict=True, noise="same")
    model = CPA()
    main = [p for name, p in model.named_parameters() if not name.startswith("adversary")]
    optimizer = torch.optim.Adam(main, lr=1e-3)
    of_adversary = torch.optim.Adam(model.adversary.parameters(), lr=1e-3)
    n_steps = 0

    def training_step(batch):
        nonlocal n_steps
        model.train()
        out, basal = model(batch["before"], batch["dose"], batch["cell_type"])
        n_steps += 1
        if n_steps % 3 == 0:
            of_adversary.zero_grad()
            F.cross_entropy(model.adversary(basal.detach()), batch["cell_type"]).backward()
            of_adversary.step()
        optimizer.zero_grad()
        wrong = F.cross_entropy(model.adversary(basal), batch["cell_type"])
        loss = F.mse_loss(out, batch["after"]) - 0.005 * wrong.clamp(max=2.0)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=DICT | {"perturbation": "dose"},
        training_step=training_step,
        predict=lambda batch: model(batch["before"], batch["dose"], batch["cell_type"])[0],
        n_epochs=15,
    )


def kernel_mean(a, b, width):
    return torch.exp(-torch.cdist(a, b).pow(2) / width).mean()


def make_wasserstein_autoencoder():
    """The latent distribution is held near a Gaussian by a kernel two-sample distance."""
    torch.manual_seed(0)
    loader, held_out = screen(noise="same")
    latent = 24
    model = nn.ModuleDict({"encoder": mlp(N_GENES, latent), "decoder": mlp(latent + N_GENES, N_GENES)})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def forward(batch):
        z = model["encoder"](batch[0])
        return model["decoder"](torch.cat([z, batch[1]], 1)), z

    def loss_of(batch):
        out, z = forward(batch)
        prior = torch.randn_like(z)
        width = 2.0 * latent
        mmd = kernel_mean(z, z, width) + kernel_mean(prior, prior, width) - 2 * kernel_mean(z, prior, width)
        return F.mse_loss(out, batch[2]) + 0.1 * mmd

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, loss_of),
        predict=lambda batch: forward(batch)[0],
        told="identity",
        n_epochs=15,
    )


class Velocity(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp(2 * N_GENES + 1, N_GENES)

    def forward(self, x, pert, t):
        return self.net(torch.cat([x, pert, t], 1))


def make_flow_matching(n_steps=5):
    """A velocity field from the cell before to the cell after, integrated by Euler steps."""
    torch.manual_seed(0)
    loader, held_out = screen(noise="same")
    model = Velocity()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def loss_of(batch):
        x0, pert, x1 = batch
        t = torch.rand(len(x0), 1)
        return F.mse_loss(model((1 - t) * x0 + t * x1, pert, t), x1 - x0)

    def predict(batch):
        x, pert, _ = batch
        for i in range(n_steps):
            x = x + model(x, pert, torch.full((len(x), 1), i / n_steps)) / n_steps
        return x

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, loss_of),
        predict=predict,
        told="identity",
    )


def make_denoising_autoencoder():
    torch.manual_seed(0)
    loader, held_out = screen(("before", "dose", "after"), dose="drawn")
    model = mlp(2 * N_GENES, N_GENES)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(batch):
        x = batch[0] * (torch.rand_like(batch[0]) > 0.05) + 0.05 * torch.randn_like(batch[0])
        return F.mse_loss(model(torch.cat([x, batch[1]], 1)), batch[2])

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, loss_of),
        predict=lambda batch: model(torch.cat([batch[0], batch[1]], 1)),
        loss=F.mse_loss,
        n_epochs=15,
    )


def make_sampling_vae(n_samples=8):
    """Answers with the mean of some samples, drawn anew each time."""
    torch.manual_seed(0)
    loader, held_out = screen()
    model = CVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(batch):
        return F.mse_loss(model(batch[0], batch[1]), batch[2]) + 1e-3 * model.kl

    def predict(batch):
        model.eval()
        return torch.stack([model(batch[0], batch[1], sample=True) for _ in range(n_samples)]).mean(0)

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(model, optimizer, loss_of),
        predict=predict,
        told="identity",
        n_epochs=12,
        intent={"random": True},
    )


HEALTHY += [
    Case(name="conditional VAE with beta warm-up", make=make_cvae),
    Case(name="VAE with latent arithmetic", make=make_latent_arithmetic),
    Case(name="additive latent space with an adversary", make=make_cpa),
    Case(name="Wasserstein autoencoder", make=make_wasserstein_autoencoder),
    Case(name="flow matching, Euler steps answer", make=make_flow_matching),
    Case(name="denoising autoencoder", make=make_denoising_autoencoder),
    Case(name="conditional VAE that answers with samples", make=make_sampling_vae),
]
