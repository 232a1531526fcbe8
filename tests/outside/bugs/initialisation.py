"""Where training starts, and what the last layer can answer."""

import copy

import torch
from torch import nn

from tests.outside.bugs.twins import N_GENES, reported, screen, tuples
from tests.outside.case import Parts, train


class Base(nn.Module):
    def __init__(self, n_hidden=64, last: type[nn.Module] = nn.Identity):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2 * N_GENES, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 24), nn.Tanh())
        self.head = nn.Linear(24, N_GENES)
        self.last = last()

    def forward(self, x, p):
        return x + self.last(self.head(self.encoder(torch.cat([x - 3, p], dim=1))))


def adam(model, parameters=None, *, lr=3e-3, n_epochs=12, on_epoch=None, n_pairs=5000):
    cells, others = screen(n_pairs)
    optimizer = torch.optim.Adam(model.parameters() if parameters is None else parameters, lr=lr)
    mse = nn.MSELoss()

    def step(batch):
        x, p, y = batch
        optimizer.zero_grad()
        loss = mse(model(x, p), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=tuples(cells.before, cells.perturbed.astype("float32"), cells.after),
        held_out=tuples(others.before, others.perturbed.astype("float32"), others.after, shuffle=False),
        fields={"before": 0, "perturbation": 1, "after": 2},
        training_step=step,
        predict=lambda batch: model(batch[0], batch[1]),
        loss=mse,
        told="identity",
        n_epochs=n_epochs,
        on_epoch=on_epoch,
    )


@reported(
    name="both layers of the branch start at zero",
    source="https://github.com/yz93/LAVT-RIS/issues/25",
    bug="Both linear layers of a branch are initialised with zeros: each one's gradient is the other's zero.",
    cause="bug/optimiser",
    line="all weights of the branch are 0 and get a gradient of 0",
    hurts="held-out error 0.271 against 1.5e-05 of the mended twin and 0.727 of the mean",
)
def both_zero(mended: bool) -> Parts:
    torch.manual_seed(0)

    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Linear(2 * N_GENES, 64), nn.Linear(64, N_GENES)
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.up.bias)
            if not mended:
                nn.init.zeros_(self.down.weight)
                nn.init.zeros_(self.down.bias)

        def forward(self, x, p):
            return x + self.up(torch.relu(self.down(torch.cat([x - 3, p], dim=1))))

    return adam(Branch())


@reported(
    name="weights filled with one constant",
    source="https://github.com/HomericIntelligence/Mnemosyne/pull/1987",
    bug="Layers are filled with a constant: all hidden units are the same and stay the same.",
    cause="bug/architecture",
    line="hidden units are identical: symmetry of the constant start is never broken",
    hurts="held-out error 0.224 against 0.00012 of the mended twin and 0.727 of the mean",
)
def constant_fill(mended: bool) -> Parts:
    torch.manual_seed(1)
    model = Base()
    if not mended:
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.05 if parameter.dim() > 1 else 0.0)
    return adam(model)


@reported(
    name="strict=False loads nothing",
    source="https://github.com/pytorch/examples/issues/1029",
    bug="Keys of the checkpoint have the prefix 'model.': with strict=False nothing is loaded, in silence.",
    cause="bug",
    line="the pretrained encoder is random: no key of the checkpoint matched; it is frozen",
    hurts="held-out error 0.214 against 0.00031 of the mended twin and 0.727 of the mean",
)
def nothing_loaded(mended: bool) -> Parts:
    torch.manual_seed(2)
    pretrained = Base()
    train(adam(pretrained), n_epochs=6)
    checkpoint = {f"model.{key}": value for key, value in pretrained.encoder.state_dict().items()}
    torch.manual_seed(3)
    model = Base()
    if mended:
        checkpoint = {key.removeprefix("model."): value for key, value in checkpoint.items()}
    model.encoder.load_state_dict(checkpoint, strict=False)
    model.encoder.requires_grad_(False)
    parts = adam(model, model.head.parameters())
    parts.intent = {"frozen": [name for name, _ in model.named_parameters() if name.startswith("encoder")]}
    return parts


@reported(
    name="model reset at each epoch",
    source="https://github.com/google-deepmind/learning-to-learn/issues/18",
    bug="The reset of the problem is part of the epoch: parameters start anew each time.",
    cause="bug/optimiser",
    line="parameters are set to new random values after each epoch",
    hurts="held-out error 0.335 against 0.00012 of the mended twin and 0.727 of the mean",
)
def reset_each_epoch(mended: bool) -> Parts:
    torch.manual_seed(4)
    model = Base()

    def on_epoch():
        if not mended:
            for module in model.modules():
                if isinstance(module, nn.Linear):
                    module.reset_parameters()

    return adam(model, on_epoch=on_epoch)


@reported(
    name="layers of the encoder cloned with their weights",
    source="https://github.com/pytorch/pytorch/issues/72253",
    bug="TransformerEncoder deep-copies its layer: all layers start from the same weights.",
    cause="bug/architecture",
    line="layers start with identical weights",
    hurts="held-out error 0.025 against 0.0053 of the mended twin and 0.751 of the mean",
)
def cloned_layers(mended: bool) -> Parts:
    torch.manual_seed(5)

    class Encoder(nn.Module):
        def __init__(self, d=24, n_layers=3):
            super().__init__()
            self.gene, self.value, self.out = nn.Embedding(N_GENES, d), nn.Linear(2, d), nn.Linear(d, 1)
            layer = nn.TransformerEncoderLayer(d, 2, 32, dropout=0.0, batch_first=True)
            self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(n_layers))
            if mended:
                for parameter in self.layers.parameters():
                    if parameter.dim() > 1:
                        nn.init.xavier_uniform_(parameter)

        def forward(self, x, p):
            h = self.gene.weight + self.value(torch.stack([x - 3, p], dim=2))
            for layer in self.layers:
                h = layer(h)
            return x + self.out(h).squeeze(2)

    return adam(Encoder(), n_epochs=6, n_pairs=3000)


@reported(
    name="ReLU at the output of a regression",
    source="https://github.com/ProteomicsML/ProteomicsML/pull/203",
    bug="The last layer, which predicts the change, ends in a ReLU: no gene can fall.",
    cause="architecture/bug",
    line="final ReLU: predicted changes cannot be negative, targets are",
    hurts="held-out error 0.232 against 0.00013 of the mended twin and 0.727 of the mean",
)
def final_relu(mended: bool) -> Parts:
    torch.manual_seed(6)
    return adam(Base(last=nn.Identity if mended else nn.ReLU))


@reported(
    name="sigmoid at the output of a regression",
    source="https://github.com/jsyoon0823/Time-series-prediction/issues/3",
    bug="Predictions come out of a sigmoid, while the targets are not scaled to [0, 1].",
    cause="architecture/data",
    line="sigmoid output is in (0, 1), targets are not",
    hurts="held-out error 4.509 against 0.016 of the mended twin and 0.727 of the mean",
)
def final_sigmoid(mended: bool) -> Parts:
    torch.manual_seed(7)

    class Regressor(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2 * N_GENES, 128), nn.ReLU(), nn.Linear(128, N_GENES))

        def forward(self, x, p):
            out = self.net(torch.cat([x, p], dim=1))
            return out if mended else torch.sigmoid(out)

    return adam(Regressor())
