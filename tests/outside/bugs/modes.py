"""Training and evaluation mode: dropout, batch norm and sampling at the wrong time."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.bugs.twins import N_GENES, reported, screen, tuples
from tests.outside.case import Parts


def classic(model, *, n_epochs=15, n_pairs=5000, n_held_out=1000, batch_size=64, lr=2e-3, train_mode=True, **settings):
    """The loop of a tutorial; ``predict`` leaves the mode as it finds it."""
    train, test = screen(n_pairs, n_held_out, **settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    loss_fn = nn.MSELoss()

    def step(batch):
        if train_mode:
            model.train()
        X, P, Y = batch
        pred = model(X, P)
        loss = loss_fn(pred, Y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=tuples(train.before, train.perturbed.astype("float32"), train.after, batch_size=batch_size),
        held_out=tuples(test.before, test.perturbed.astype("float32"), test.after, batch_size=256, shuffle=False),
        fields={"before": 0, "perturbation": 1, "after": 2},
        training_step=step,
        predict=lambda batch: model(batch[0], batch[1]),
        loss=loss_fn,
        told="identity",
        n_epochs=n_epochs,
    )


@reported(
    name="functional dropout that is always on",
    source="https://github.com/pytorch/pytorch/issues/26338",
    bug="F.dropout(h) is called without training=self.training: it drops in evaluation mode too.",
    cause="bug",
    line="F.dropout without training=self.training: predictions are random in eval mode",
    hurts="held-out error 0.023 against 0.0028 of the mended twin and 0.727 of the mean",
)
def functional_dropout(mended: bool) -> Parts:
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2 * N_GENES, 256), nn.Linear(256, N_GENES)

        def forward(self, x, p):
            h = F.relu(self.a(torch.cat([x - 3, p], dim=1)))
            h = F.dropout(h, training=self.training) if mended else F.dropout(h)
            return x + self.b(h)

    return classic(Net())


@reported(
    name="flag of its own for training",
    source="https://github.com/d2l-ai/d2l-en/issues/1093",
    bug="Dropout asks self.is_training, a flag of the class that nothing ever turns off, instead of self.training.",
    cause="bug",
    line="dropout follows is_training, which eval() does not change: predictions are random in eval mode",
    hurts="held-out error 0.0099 against 0.00084 of the mended twin and 0.727 of the mean",
)
def own_flag(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Net(nn.Module):
        def __init__(self, is_training=True):
            super().__init__()
            self.is_training = is_training
            self.layers = nn.ModuleList([nn.Linear(2 * N_GENES, 256), nn.Linear(256, 128), nn.Linear(128, N_GENES)])

        def dropout(self, h, p):
            active = self.training if mended else self.is_training
            return h * (torch.rand_like(h) > p).float() / (1 - p) if active else h

        def forward(self, x, p):
            h = self.dropout(F.relu(self.layers[0](torch.cat([x - 3, p], dim=1))), 0.5)
            h = self.dropout(F.relu(self.layers[1](h)), 0.1)
            return x + self.layers[2](h)

    return classic(Net())


class Normed(nn.Module):
    def __init__(self, momentum=0.1, width=128, norm=None):
        super().__init__()
        self.inp = nn.Linear(2 * N_GENES, width)
        self.norm = norm or nn.BatchNorm1d(width, momentum=momentum)
        self.out = nn.Linear(width, N_GENES)

    def forward(self, x, p):
        return x + self.out(F.relu(self.norm(self.inp(torch.cat([x, p], dim=1)))))


@reported(
    name="momentum of batch norm turned down",
    source="https://github.com/pytorch/pytorch/issues/3869",
    bug="After advice to lower it, batch norm's momentum is 0.0001: running statistics never leave their start.",
    cause="bug/architecture",
    line="batch norm's running statistics are stale: train and eval mode disagree",
    hurts="held-out error 0.170 against 0.0018 of the mended twin and 0.727 of the mean",
)
def slow_statistics(mended: bool) -> Parts:
    torch.manual_seed(2)
    return classic(Normed(0.1 if mended else 1e-4))


@reported(
    name="batch norm on batches of two",
    source="https://github.com/wolny/pytorch-3dunet/issues/53",
    bug="Batch norm is trained with one or two cells a batch: its statistics are those of the very cells.",
    cause="bug/optimiser/architecture",
    line="batch size 2 with batch norm: train and eval mode disagree",
    hurts="held-out error 0.114 against 0.0041 of the mended twin and 0.751 of the mean",
)
def tiny_batches(mended: bool) -> Parts:
    torch.manual_seed(3)
    return classic(
        Normed(), batch_size=64 if mended else 2, n_pairs=3000, n_held_out=1000, n_epochs=15 if mended else 4
    )


@reported(
    name="running statistics never updated",
    source="https://github.com/hiwonjoon/tf-frrn/issues/2",
    bug="The part that saves means and variances of batch norm was lost: evaluation uses those of the start.",
    cause="bug",
    line="batch norm's running statistics are still 0 and 1 after training",
    hurts="held-out error 0.178 against 0.0017 of the mended twin and 0.727 of the mean",
)
def lost_statistics(mended: bool) -> Parts:
    torch.manual_seed(4)

    class MyBatchNorm(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
            self.mean: torch.Tensor
            self.var: torch.Tensor
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("var", torch.ones(width))

        def forward(self, h):
            if self.training:
                mean, var = h.mean(0), h.var(0)
                if mended:
                    self.mean.lerp_(mean.detach(), 0.05)
                    self.var.lerp_(var.detach(), 0.05)
            else:
                mean, var = self.mean, self.var
            return self.gain * (h - mean) / (var + 1e-5).sqrt() + self.shift

    return classic(Normed(norm=MyBatchNorm(128)))


@reported(
    name="prediction from a sample of the latent",
    source="https://github.com/cellarium-ai/cellarium-ml/pull/328",
    bug="predict() decodes a sample of the posterior instead of its mean.",
    cause="bug",
    line="z is sampled in predict: predictions of the same cell differ from call to call",
    hurts="held-out error 0.034 against 0.0053 of the mended twin and 0.727 of the mean",
)
def sampled_latent(mended: bool) -> Parts:
    torch.manual_seed(5)

    class Vae(nn.Module):
        def __init__(self, n_latent=24):
            super().__init__()
            self.enc = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU())
            self.mu, self.logvar = nn.Linear(128, n_latent), nn.Linear(128, n_latent)
            self.dec = nn.Sequential(nn.Linear(n_latent, 128), nn.ReLU(), nn.Linear(128, N_GENES))
            self.kl = torch.zeros(())

        def forward(self, x, p):
            h = self.enc(torch.cat([x - 3, p], dim=1))
            mu, logvar = self.mu(h), self.logvar(h)
            self.kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()
            sample = self.training if mended else True
            return x + self.dec(mu + torch.randn_like(mu) * (0.5 * logvar).exp() if sample else mu)

    model = Vae()
    parts = classic(model)

    def step(batch):
        model.train()
        parts.optimizer.zero_grad()
        loss = F.mse_loss(model(batch[0], batch[1]), batch[2]) + 1e-2 * model.kl
        loss.backward()
        parts.optimizer.step()
        return loss.item()

    parts.training_step = step
    parts.loss = None
    return parts


@reported(
    name="eval() after the first validation, and no train()",
    source="https://github.com/fartashf/vsepp/issues/4",
    bug="Validation puts the model into evaluation mode and training goes on in it: no dropout from then on.",
    cause="bug",
    line="model.train() is not called after validation: training runs in eval mode",
    hurts="held-out error 0.621 against 0.523 of the mended twin and 0.743 of the mean",
)
def stays_in_eval(mended: bool) -> Parts:
    torch.manual_seed(6)

    class Dropped(nn.Module):
        """Answers from the cell before without a skip, on few cells: without dropout it overfits."""

        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2 * N_GENES, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, N_GENES))

        def forward(self, x, p):
            return x + self.net(torch.cat([x - 3, p], dim=1))

    model = Dropped()
    parts = classic(model, n_pairs=1300, n_held_out=1000, n_epochs=150, train_mode=mended, noise="fresh")

    def validate():
        model.eval()
        with torch.no_grad():
            for batch in parts.held_out:
                parts.predict(batch)

    parts.on_epoch = validate
    return parts
