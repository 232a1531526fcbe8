"""Updates that do not reach the parameters, or are too large or too small."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.bugs.twins import N_GENES, reported, screen, tuples
from tests.outside.case import Parts


class AutoEncoder(nn.Module):
    """Encodes a cell, adds the perturbation's latent, decodes the change."""

    def __init__(self, n_latent=32):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(N_GENES, 64), nn.ReLU(), nn.Linear(64, n_latent))
        self.pert_embedding = nn.Linear(N_GENES, n_latent, bias=False)
        self.decoder = nn.Sequential(nn.Linear(n_latent, 64), nn.ReLU(), nn.Linear(64, N_GENES))

    def forward(self, x, p):
        return x + self.decoder(self.encoder(x - 3) + self.pert_embedding(p))


class Trainer:
    """The loop of a small project: every step of an update can be overridden."""

    def __init__(self, model, optimizer=None, lr=2e-3):
        self.model = model
        self.optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=lr)

    def loss(self, batch):
        return F.mse_loss(self.model(batch[0], batch[1]), batch[2])

    def step(self, batch):
        self.model.train()
        self.optimizer.zero_grad()
        loss = self.loss(batch)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def on_epoch(self):
        pass

    def predict(self, batch):
        return self.model(batch[0], batch[1])

    def parts(self, n_epochs=12, batch_size=64, n_pairs=5000):
        train, test = screen(n_pairs)
        return Parts(
            model=self.model,
            optimizer=self.optimizer,
            loader=tuples(train.before, train.perturbed.astype("float32"), train.after, batch_size=batch_size),
            held_out=tuples(test.before, test.perturbed.astype("float32"), test.after, shuffle=False),
            fields={"before": 0, "perturbation": 1, "after": 2},
            training_step=self.step,
            predict=self.predict,
            loss=F.mse_loss,
            told="identity",
            on_epoch=self.on_epoch,
            n_epochs=n_epochs,
        )


@reported(
    name="zero_grad forgotten",
    source="https://github.com/wenet-e2e/wekws/pull/73",
    bug="optimizer.zero_grad() is never called: every step follows the sum of all gradients so far.",
    cause="bug/optimiser",
    line="zero_grad is missing: gradients accumulate over batches",
    hurts="held-out error NaN against 0.0001 of the mended twin and 0.727 of the mean",
)
def no_zero_grad(mended: bool) -> Parts:
    torch.manual_seed(0)

    class Accumulating(Trainer):
        def step(self, batch):
            if mended:
                self.optimizer.zero_grad()
            loss = self.loss(batch)
            loss.backward()
            self.optimizer.step()
            return loss.item()

    model = AutoEncoder()
    return Accumulating(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)).parts(n_epochs=20)


@reported(
    name="gradients zeroed between backward and step",
    source="https://github.com/gaozhihan/PreDiff/pull/33",
    bug="zero_grad is called after backward and before step: the optimiser never sees a gradient.",
    cause="bug/optimiser",
    line="zero_grad between backward and step: parameters do not move",
    hurts="held-out error 0.292 against 3.9e-05 of the mended twin and 0.727 of the mean",
)
def zeroed_too_late(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Late(Trainer):
        def step(self, batch):
            if mended:
                self.optimizer.zero_grad()
            loss = self.loss(batch)
            loss.backward()
            if not mended:
                self.optimizer.zero_grad()
            self.optimizer.step()
            return loss.item()

    return Late(AutoEncoder()).parts()


@reported(
    name="optimiser given the encoder alone",
    source="https://github.com/zdebruine/MMVAE/issues/39",
    bug="The optimiser is built from the encoder's parameters; decoder and perturbation embedding stay as they were.",
    cause="optimiser/bug",
    line="parameters of decoder and pert_embedding are not in the optimiser",
    hurts="held-out error 0.273 against 5.4e-05 of the mended twin and 0.727 of the mean",
)
def encoder_only(mended: bool) -> Parts:
    torch.manual_seed(2)
    model = AutoEncoder()
    trained = model.parameters() if mended else model.encoder.parameters()
    return Trainer(model, torch.optim.Adam(trained, lr=2e-3)).parts()


@reported(
    name="last parameter group never appended",
    source="https://github.com/zjunlp/HVPNeT/issues/5",
    bug="Groups of parameters are filled in a loop, and the last one is not appended to the list: it does not train.",
    cause="optimiser/bug",
    line="decoder is not in the optimiser's groups",
    hurts="held-out error 0.078 against 9.8e-05 of the mended twin and 0.727 of the mean",
)
def group_not_appended(mended: bool) -> Parts:
    torch.manual_seed(3)
    model = AutoEncoder()
    groups = []
    for prefix, lr in (("encoder", 1e-3), ("pert_embedding", 5e-3), ("decoder", 2e-3)):
        params = {"params": [], "lr": lr}
        for name, parameter in model.named_parameters():
            if name.startswith(prefix):
                params["params"].append(parameter)
        if prefix != "decoder" or mended:
            groups.append(params)
    return Trainer(model, torch.optim.Adam(groups)).parts()


@reported(
    name="layer replaced after the optimiser was made",
    source="https://github.com/microsoft/nni/issues/4521",
    bug="Layers are rebuilt for the number of genes after the optimiser was made, which holds the old ones.",
    cause="optimiser/bug",
    line="the optimiser holds parameters that are not the model's; decoder and embedding do not move",
    hurts="held-out error 0.271 against 3.7e-05 of the mended twin and 0.727 of the mean",
)
def stale_parameters(mended: bool) -> Parts:
    torch.manual_seed(4)
    model = AutoEncoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    model.decoder = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, N_GENES))
    model.pert_embedding = nn.Linear(N_GENES, 32, bias=False)
    if mended:
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return Trainer(model, optimizer).parts()


@reported(
    name="layers in a plain list",
    source="https://github.com/pytorch/pytorch/issues/59925",
    bug="Layers are kept in a Python list: they are not registered, so the optimiser never gets them.",
    cause="optimiser/bug",
    line="layers in a plain list are not registered (nn.ModuleList): not in model.parameters()",
    hurts="held-out error 0.252 against 0.013 of the mended twin and 0.727 of the mean",
)
def plain_list(mended: bool) -> Parts:
    torch.manual_seed(5)

    class Stack(nn.Module):
        def __init__(self, width=64):
            super().__init__()
            layers = [nn.Linear(2 * N_GENES, width), nn.Linear(width, width), nn.Linear(width, 16)]
            self.layers = nn.ModuleList(layers) if mended else layers
            self.out = nn.Linear(16, N_GENES)

        def forward(self, x, p):
            h = torch.cat([x - 3, p], dim=1)
            for layer in self.layers:
                h = torch.tanh(layer(h))
            return x + self.out(h)

    return Trainer(Stack()).parts()


@reported(
    name="rate read from the key of the weight decay",
    source="https://github.com/offbit/evo-design/pull/1",
    bug="By copy and paste the learning rate is read from build_info['weight_decay'], which is 1e-6.",
    cause="optimiser",
    line="learning rate 1e-6: too small",
    hurts="held-out error 0.290 against 4.8e-05 of the mended twin and 0.727 of the mean",
)
def pasted_key(mended: bool) -> Parts:
    torch.manual_seed(6)
    build_info = {"learning_rate": 2e-3, "weight_decay": 1e-6}
    model = AutoEncoder()
    key = "learning_rate" if mended else "weight_decay"
    optimizer = torch.optim.Adam(model.parameters(), lr=build_info[key], weight_decay=build_info["weight_decay"])
    return Trainer(model, optimizer).parts()


@reported(
    name="default rate of 20",
    source="https://github.com/pytorch/examples/pull/223",
    bug="The default learning rate is 20 and gradients are not clipped: the loss explodes.",
    cause="optimiser",
    line="learning rate 20: too large",
    hurts="held-out error NaN against 0.00035 of the mended twin and 0.727 of the mean",
)
def rate_of_20(mended: bool) -> Parts:
    torch.manual_seed(7)
    model = AutoEncoder()
    return Trainer(model, torch.optim.SGD(model.parameters(), lr=0.5 if mended else 20.0)).parts(n_epochs=20)


@reported(
    name="loss divided by the batch twice",
    source="https://github.com/williamleif/GraphSAGE/issues/12",
    bug="A mean loss is divided by the batch size once more: with SGD the rate is 64 times too small.",
    cause="optimiser/bug",
    line="second division by the batch size: the effective rate is too small",
    hurts="held-out error 0.236 against 4.3e-05 of the mended twin and 0.727 of the mean",
)
def divided_twice(mended: bool) -> Parts:
    torch.manual_seed(8)

    class Averaged(Trainer):
        def loss(self, batch):
            loss = super().loss(batch)
            return loss if mended else loss / len(batch[0])

    model = AutoEncoder()
    return Averaged(model, torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)).parts(n_epochs=20)


@reported(
    name="clipping before the gradients are unscaled",
    source="https://github.com/victorchall/EveryDream2trainer/pull/175",
    bug="Gradients of the loss times 65536 are clipped to norm 1 before they are unscaled: 65536 times too short.",
    cause="optimiser/bug",
    line="clip_grad_norm_ on scaled gradients: every update is clipped to almost nothing",
    hurts="held-out error 0.288 against 3.7e-05 of the mended twin and 0.727 of the mean",
)
def clip_scaled(mended: bool) -> Parts:
    torch.manual_seed(9)
    scale = 65536.0

    class Scaled(Trainer):
        def unscale(self):
            for parameter in self.model.parameters():
                parameter.grad /= scale

        def step(self, batch):
            self.optimizer.zero_grad()
            loss = self.loss(batch)
            (scale * loss).backward()
            if mended:
                self.unscale()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            if not mended:
                self.unscale()
            self.optimizer.step()
            return loss.item()

    model = AutoEncoder()
    return Scaled(model, torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)).parts(n_epochs=20)


@reported(
    name="optimiser made anew at every call of fit",
    source="https://github.com/keras-team/keras/issues/13750",
    bug="fit is called batch by batch and makes a new Adam each time: its moments are those of one batch.",
    cause="optimiser/bug",
    line="the optimiser's state is reset at every step: Adam becomes a sign rule at full rate",
    hurts="held-out error 0.0095 against 0.0001 of the mended twin and 0.727 of the mean",
)
def new_adam(mended: bool) -> Parts:
    torch.manual_seed(10)

    class Fitted(Trainer):
        def step(self, batch):
            if not mended:
                self.optimizer.__init__(self.model.parameters(), lr=2e-2)
            return super().step(batch)

    return Fitted(AutoEncoder(), lr=2e-2).parts()


@reported(
    name="shadow weights copied back without an update",
    source="https://github.com/MultimediaTechLab/YOLO/issues/97",
    bug="The moving average is never updated, and its first weights are copied onto the model after each epoch.",
    cause="bug/optimiser",
    line="parameters are set back to their start after each epoch",
    hurts="held-out error 0.301 against 0.00019 of the mended twin and 0.727 of the mean",
)
def dead_shadow(mended: bool) -> Parts:
    torch.manual_seed(11)

    class Averaged(Trainer):
        def __init__(self, model):
            super().__init__(model)
            self.shadow = {k: v.clone() for k, v in model.state_dict().items()}

        def update(self, decay=0.98):
            for k, v in self.model.state_dict().items():
                self.shadow[k].mul_(decay).add_(v, alpha=1 - decay)

        def step(self, batch):
            loss = super().step(batch)
            if mended:
                self.update()
            return loss

        def on_epoch(self):
            self.model.load_state_dict(self.shadow)

    return Averaged(AutoEncoder()).parts()
