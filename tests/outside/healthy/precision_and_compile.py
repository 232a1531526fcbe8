"""Healthy: lower precision, compiled models, checkpointed activations, hooks and averaged weights."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.checkpoint import checkpoint

from tests.outside.case import HEALTHY, Case, Parts
from tests.outside.data import cells
from tests.outside.pairs import TUPLE, loaders, step_of

N_GENES = 20


class Net(nn.Module):
    def __init__(self, hidden=128, batch_norm=False):
        super().__init__()
        self.inp = nn.Linear(2 * N_GENES, hidden)
        self.norm = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.mid = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, N_GENES)

    def forward(self, x, pert):
        h = F.relu(self.norm(self.inp(torch.cat([x, pert], 1))))
        return x + self.out(F.relu(self.mid(h)))


def screen(**of_cells):
    split = cells(6000, N_GENES, **({"seed": 41, "dose": "fixed"} | of_cells)).split(1000)
    return loaders(split, ("before", "perturbed", "after"))


def parts_of(model, optimizer, training_step, predict, *, data=None, **more):
    loader, held_out = data or screen()
    return Parts(
        model=model,
        optimizer=optimizer,
        loader=loader,
        held_out=held_out,
        fields=TUPLE,
        training_step=training_step,
        predict=predict,
        told="identity",
        **more,
    )


def make_autocast():
    """bf16 in the forward pass, weights and loss in float32."""
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def training_step(batch):
        model.train()
        x, pert, y = batch
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(x, pert)
        loss = F.mse_loss(out.float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict(batch):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(batch[0], batch[1]).float()

    return parts_of(model, optimizer, training_step, predict, loss=F.mse_loss)


def make_grad_scaler():
    """The scaler of mixed precision, with gradients unscaled before they are clipped."""
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)

    def training_step(batch):
        model.train()
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.mse_loss(model(batch[0], batch[1]).float(), batch[2])
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        return loss.item()

    return parts_of(model, optimizer, training_step, lambda batch: model(batch[0], batch[1]), loss=F.mse_loss)


def make_double():
    torch.manual_seed(0)
    model = Net(hidden=64).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def forward(batch):
        return model(batch[0].double(), batch[1].double())

    step = step_of(model, optimizer, lambda batch: F.mse_loss(forward(batch), batch[2].double()))
    return parts_of(model, optimizer, step, forward)


def make_compiled(backend):
    def make():
        torch.manual_seed(0)
        torch.compiler.reset()
        model = Net(hidden=96)
        compiled = torch.compile(model, backend=backend)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        step = step_of(model, optimizer, lambda batch: F.mse_loss(compiled(batch[0], batch[1]), batch[2]))
        return parts_of(model, optimizer, step, lambda batch: compiled(batch[0], batch[1]), loss=F.mse_loss)

    return make


class Checkpointed(Net):
    """Hidden activations are computed again in the backward pass."""

    def forward(self, x, pert):
        h = F.relu(self.inp(torch.cat([x, pert], 1)))
        h = checkpoint(self.block, h, use_reentrant=False) if self.training else self.block(h)
        return x + self.out(h)

    def block(self, h):
        return h + F.relu(self.mid(h))


def make_checkpointed():
    torch.manual_seed(0)
    model = Checkpointed()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    step = step_of(model, optimizer, lambda batch: F.mse_loss(model(batch[0], batch[1]), batch[2]))

    def predict(batch):
        model.eval()
        return model(batch[0], batch[1])

    return parts_of(model, optimizer, step, predict, loss=F.mse_loss)


def make_hooks():
    """Forward hooks keep activations, of which the step regularises one."""
    torch.manual_seed(0)
    model = Net()
    kept = {}

    def keep(name):
        def hook(module, inputs, output):
            kept[name] = output

        return hook

    model.inp.register_forward_hook(keep("inp"))
    model.mid.register_forward_hook(keep("mid"))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(batch):
        return F.mse_loss(model(batch[0], batch[1]), batch[2]) + 1e-4 * kept["mid"].pow(2).mean()

    step = step_of(model, optimizer, loss_of)
    return parts_of(model, optimizer, step, lambda batch: model(batch[0], batch[1]))


def make_ema_by_hand(decay=0.98):
    """A copy that follows the weights answers."""
    torch.manual_seed(0)
    model = Net()
    ema = deepcopy(model).requires_grad_(False).eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def training_step(batch):
        model.train()
        optimizer.zero_grad()
        loss = F.mse_loss(model(batch[0], batch[1]), batch[2])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(ema.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        return loss.item()

    return parts_of(
        model, optimizer, training_step, lambda batch: ema(batch[0], batch[1]), data=screen(noise="fresh"), n_epochs=12
    )


def make_ema_of_torch():
    torch.manual_seed(0)
    model = Net()
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def training_step(batch):
        model.train()
        loss = F.mse_loss(model(batch[0], batch[1]), batch[2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        averaged.update_parameters(model)
        return loss.item()

    def predict(batch):
        averaged.eval()
        return averaged(batch[0], batch[1])

    return parts_of(model, optimizer, training_step, predict, loss=F.mse_loss, n_epochs=15)


def make_swa():
    """Weights of the last epochs are averaged; batch norm statistics of the average are computed anew."""
    torch.manual_seed(0)
    loader, held_out = screen(seed=42)
    model = Net(batch_norm=True)
    averaged = AveragedModel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    swa_scheduler = SWALR(optimizer, swa_lr=1e-3, anneal_epochs=2)
    epochs = 0

    def on_epoch():
        nonlocal epochs
        epochs += 1
        if epochs > 6:
            averaged.update_parameters(model)
            swa_scheduler.step()
            update_bn((torch.cat([x, pert], 1) for x, pert, _ in loader), _OneInput(averaged))

    def predict(batch):
        chosen = averaged if epochs > 6 else model
        chosen.eval()
        return chosen(batch[0], batch[1])

    step = step_of(model, optimizer, lambda batch: F.mse_loss(model(batch[0], batch[1]), batch[2]))
    return parts_of(model, optimizer, step, predict, data=(loader, held_out), on_epoch=on_epoch, n_epochs=10)


class _OneInput(nn.Module):
    """update_bn hands the model one tensor."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, both):
        return self.model(both[:, :N_GENES], both[:, N_GENES:])


HEALTHY += [
    Case(name="bf16 autocast", make=make_autocast),
    Case(name="gradient scaler, unscaled and clipped", make=make_grad_scaler),
    Case(name="double precision", make=make_double),
    Case(name="compiled, eager backend", make=make_compiled("eager")),
    Case(name="compiled, aot_eager backend", make=make_compiled("aot_eager")),
    Case(name="activations checkpointed", make=make_checkpointed),
    Case(name="forward hooks keep activations", make=make_hooks),
    Case(name="exponential moving average by hand answers", make=make_ema_by_hand),
    Case(name="exponential moving average of torch answers", make=make_ema_of_torch),
    Case(name="stochastic weight averaging with batch norm", make=make_swa),
]
