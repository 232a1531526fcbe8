"""Healthy: something is pre-trained, and all or part of it stays as it is; or a part has no use in this training."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import TUPLE, loaders, step_of

N_GENES, HIDDEN = 20, 96


class Base(nn.Module):
    """A denoising autoencoder of cells, that takes a shift of its hidden layer."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(N_GENES, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, N_GENES))

    def forward(self, x, shift=0.0):
        return self.decoder(self.encoder(x) + shift)


def pretrained(n_steps=500):
    """The base model, trained on cells that nothing was done to."""
    x = torch.tensor(cells(3000, N_GENES, seed=90, p_control=1.0).before)
    model = Base()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(n_steps):
        some = x[torch.randint(len(x), (128,))]
        optimizer.zero_grad()
        F.mse_loss(model(some + 0.1 * torch.randn_like(some)), some).backward()
        optimizer.step()
    return model.eval()


class OnBase(nn.Module):
    """Keeps a frozen base in evaluation mode; a perturbation shifts its hidden layer."""

    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.pert = nn.Sequential(nn.Linear(N_GENES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))

    def train(self, mode=True):
        super().train(mode)
        self.base.encoder[1].eval()
        return self

    def forward(self, x, pert):
        return self.base(x, self.pert(pert))


def fit(model, *, optimizer=None, n_epochs=10, lr=2e-3, intent=None, on_epoch=None, loss_of=None):
    split = cells(5000, N_GENES, seed=91, dose="fixed").split(1000)
    loader, held_out = loaders(split, ("before", "perturbed", "after"))
    optimizer = optimizer or torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)

    def predict(batch):
        model.eval()
        return model(batch[0], batch[1])

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=step_of(
            model, optimizer, loss_of or (lambda batch: F.mse_loss(model(batch[0], batch[1]), batch[2]))
        ),
        predict=predict,
        loss=None if loss_of else F.mse_loss,
        told="identity",
        n_epochs=n_epochs,
        on_epoch=on_epoch,
        intent=intent or {},
    )


def frozen_names(model):
    return {"frozen": [name for name, p in model.named_parameters() if not p.requires_grad]}


def make_frozen_base():
    torch.manual_seed(0)
    model = OnBase(pretrained())
    return fit(model, intent=frozen_names(model))


class LoRALinear(nn.Module):
    def __init__(self, linear, rank=8, alpha=16):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scaling = alpha / rank

    def forward(self, x):
        return self.linear(x) + (x @ self.a.T @ self.b.T) * self.scaling


def make_lora():
    torch.manual_seed(0)
    model = OnBase(pretrained())
    for block in (model.base.encoder, model.base.decoder):
        for i, layer in enumerate(block):
            if isinstance(layer, nn.Linear):
                block[i] = LoRALinear(layer)
    return fit(model, intent=frozen_names(model))


class Adapter(nn.Module):
    """A bottleneck beside what is frozen, zero at first."""

    def __init__(self, dim, width=16):
        super().__init__()
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h):
        return h + self.up(F.gelu(self.down(h)))


def make_adapters():
    torch.manual_seed(0)
    model = OnBase(pretrained())
    model.base.encoder.append(Adapter(HIDDEN))
    model.base.decoder.append(Adapter(N_GENES))
    return fit(model, intent=frozen_names(model))


def make_biases():
    """Only the base's biases and the perturbation's encoder are trained."""
    torch.manual_seed(0)
    model = OnBase(pretrained())
    for name, p in model.base.named_parameters():
        p.requires_grad_(name.endswith("bias"))
    return fit(model, intent=frozen_names(model))


class Probe(nn.Module):
    """Features are computed without a graph; only what comes after is given to the optimiser."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(HIDDEN + N_GENES, 128), nn.ReLU(), nn.Linear(128, N_GENES))

    def forward(self, x, pert):
        self.encoder.eval()
        with torch.no_grad():
            features = self.encoder(x)
        return x + self.head(torch.cat([features, pert], 1))


def make_probe():
    torch.manual_seed(0)
    model = Probe(pretrained().encoder)
    optimizer = torch.optim.Adam(model.head.parameters(), lr=1e-3)
    return fit(
        model, optimizer=optimizer, intent={"frozen": [f"encoder.{n}" for n, _ in model.encoder.named_parameters()]}
    )


def make_unfrozen_later():
    """The base is frozen for three epochs; then its decoder joins in, at a tenth of the rate."""
    torch.manual_seed(0)
    model = OnBase(pretrained())
    optimizer = torch.optim.Adam(
        [{"params": model.pert.parameters()}, {"params": model.base.decoder.parameters(), "lr": 2e-4}], lr=2e-3
    )
    epochs = 0

    def on_epoch():
        nonlocal epochs
        epochs += 1
        if epochs == 3:
            model.base.decoder.requires_grad_(True)

    return fit(model, optimizer=optimizer, on_epoch=on_epoch, intent=frozen_names(model))


def make_layerwise_rates():
    """The whole base is fine-tuned, the deeper a layer the faster."""
    torch.manual_seed(0)
    model = OnBase(pretrained())
    model.base.requires_grad_(True)
    groups = [
        {"params": model.base.encoder.parameters(), "lr": 2e-4},
        {"params": model.base.decoder.parameters(), "lr": 6e-4},
        {"params": model.pert.parameters(), "lr": 2e-3},
    ]
    return fit(model, optimizer=torch.optim.AdamW(groups, weight_decay=1e-3))


class ManyHeads(nn.Module):
    """Made for several data sets; this training has targets for one head alone."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(128, N_GENES) for name in ("rna", "protein", "chromatin")})
        self.cell_type = nn.Linear(128, 4)

    def forward(self, x, pert, modality="rna"):
        return x + self.heads[modality](self.trunk(torch.cat([x, pert], 1)))


def make_unused_heads():
    torch.manual_seed(0)
    model = ManyHeads()
    unused = [n for n, _ in model.named_parameters() if n.startswith(("heads.protein", "heads.chrom", "cell_type"))]
    return fit(model, lr=1e-3, intent={"unused": unused})


class Tied(nn.Module):
    """One matrix reads genes, perturbations and writes genes."""

    def __init__(self, dim=64):
        super().__init__()
        self.genes = nn.Linear(N_GENES, dim, bias=False)
        self.pert = nn.Linear(N_GENES, dim, bias=False)
        self.pert.weight = self.genes.weight
        self.mix = nn.Sequential(nn.Linear(2 * dim, 128), nn.ReLU(), nn.Linear(128, dim))
        self.bias = nn.Parameter(torch.zeros(N_GENES))

    def forward(self, x, pert):
        h = self.mix(torch.cat([self.genes(x), self.pert(pert)], 1))
        return x + h @ self.genes.weight + self.bias


def make_tied():
    torch.manual_seed(0)
    return fit(Tied())


def make_distilled():
    """A small student follows a teacher and the data; the teacher is no part of it."""
    torch.manual_seed(0)
    teacher = ManyHeads()
    of_teacher = fit(teacher, lr=2e-3)
    for _ in range(5):
        for batch in of_teacher.loader:
            of_teacher.training_step(batch)
    teacher = deepcopy(teacher).eval().requires_grad_(False)

    class Student(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2 * N_GENES, 32), nn.Tanh(), nn.Linear(32, N_GENES))

        def forward(self, x, pert):
            return x + self.net(torch.cat([x, pert], 1))

    student = Student()

    def loss_of(batch):
        out = student(batch[0], batch[1])
        return 0.5 * F.mse_loss(out, batch[2]) + 0.5 * F.mse_loss(out, teacher(batch[0], batch[1]))

    return fit(student, loss_of=loss_of)


HEALTHY += [
    Case(name="frozen autoencoder with trained shifts", make=make_frozen_base),
    Case(name="LoRA on a frozen base", make=make_lora),
    Case(name="adapters on a frozen base", make=make_adapters),
    Case(name="biases of the base alone are trained", make=make_biases),
    Case(name="head on features computed without a graph", make=make_probe),
    Case(name="decoder unfrozen after three epochs", make=make_unfrozen_later),
    Case(name="fine-tuning with rates by layer", make=make_layerwise_rates),
    Case(name="heads of other modalities unused", make=make_unused_heads),
    Case(name="tied weights", make=make_tied),
    Case(name="student of a frozen teacher", make=make_distilled),
]
