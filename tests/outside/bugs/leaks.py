"""What the model is given in training is not what it is given afterwards."""

import copy
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.outside.bugs.twins import N_GENES, reported, screen
from tests.outside.case import Parts


class Rows(Dataset):
    """Dicts of arrays of equal length."""

    def __init__(self, **columns):
        self.columns = {key: torch.tensor(np.asarray(value, dtype=np.float32)) for key, value in columns.items()}

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, i):
        return {key: value[i] for key, value in self.columns.items()}


class Mlp(nn.Module):
    def __init__(self, n_in, width=128, n_layers=2):
        super().__init__()
        sizes = [n_in] + [width] * (n_layers - 1)
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], N_GENES))

    def forward(self, *inputs):
        return self.layers(torch.cat(inputs, dim=1))


def supervised(model, train, test, forward, *, predict=None, n_epochs=12, lr=2e-3, on_epoch=None, weight_decay=0.0):
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    objective = nn.MSELoss()

    def training_step(batch):
        optimizer.zero_grad()
        loss = objective(forward(batch), batch["target"])
        loss.backward()
        optimizer.step()
        return loss.item()

    return Parts(
        model=model,
        optimizer=optimizer,
        loader=DataLoader(train, batch_size=64, shuffle=True),
        held_out=DataLoader(test, batch_size=250),
        fields={"before": "control", "perturbation": "pert", "after": "target"},
        training_step=training_step,
        predict=predict or forward,
        loss=objective,
        told="identity",
        n_epochs=n_epochs,
        on_epoch=on_epoch,
    )


def rows(cells, **extra):
    return Rows(control=cells.before, pert=cells.perturbed, target=cells.after, **extra)


@reported(
    name="label among the features",
    source="https://github.com/saif-mahmud/self-attention-HAR/issues/4",
    bug="Windows are cut from a table that still has the target columns: the input holds the answer in training.",
    cause="bug/data",
    line="the cell after is part of the model's input in training: it copies it",
    hurts="held-out error 0.330 against 3.3e-05 of the mended twin and 0.727 of the mean",
)
def label_in_input(mended: bool) -> Parts:
    torch.manual_seed(0)
    train, test = screen(5000)
    none = np.zeros((len(test.after), N_GENES))
    columns = np.zeros_like(train.after) if mended else train.after
    model = Mlp(3 * N_GENES)
    return supervised(
        model,
        rows(train, table=columns),
        rows(test, table=none),
        lambda b: b["control"] + model(b["control"], b["pert"], b["table"]),
    )


@reported(
    name="treated cell as the encoder's input",
    source="https://github.com/theislab/chemCPA/issues/158",
    bug="In training the encoder reads the treated cell itself, in evaluation the control: it learns to reconstruct.",
    cause="bug/architecture",
    line="input of the encoder in training is the target; in prediction it is the control cell",
    hurts="held-out error 0.278 against 0.0013 of the mended twin and 0.727 of the mean",
)
def treated_input(mended: bool) -> Parts:
    torch.manual_seed(1)

    class Autoencoder(nn.Module):
        def __init__(self, n_latent=32):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(N_GENES, 128), nn.ReLU(), nn.Linear(128, n_latent))
            self.drug = nn.Linear(N_GENES, n_latent, bias=False)
            self.decoder = nn.Sequential(nn.Linear(n_latent, 128), nn.ReLU(), nn.Linear(128, N_GENES))

        def forward(self, genes, drug):
            return self.decoder(self.encoder(genes) + self.drug(drug))

    train, test = screen(5000)
    model = Autoencoder()
    source = "control" if mended else "target"
    return supervised(
        model,
        rows(train),
        rows(test),
        lambda b: model(b[source], b["pert"]),
        predict=lambda b: model(b["control"], b["pert"]),
        n_epochs=20,
    )


@reported(
    name="true value in the place of the last prediction",
    source="https://github.com/sktime/pytorch-forecasting/issues/182",
    bug="The decoder's first input is the target itself instead of the last known value.",
    cause="bug",
    line="decoder input holds the target in training (off by one): it is copied",
    hurts="held-out error 0.281 against 0.00031 of the mended twin and 0.727 of the mean",
)
def decoder_input(mended: bool) -> Parts:
    torch.manual_seed(2)
    train, test = screen(5000)

    class EncoderDecoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.context = nn.Sequential(nn.Linear(2 * N_GENES, 96), nn.ReLU())
            self.cell = nn.GRUCell(N_GENES, 96)
            self.out = nn.Linear(96, N_GENES)

        def forward(self, control, pert, last):
            return last + self.out(self.cell(last - 3, self.context(torch.cat([control - 3, pert], dim=1))))

    model = EncoderDecoder()
    last = "control" if mended else "target"
    return supervised(
        model,
        rows(train),
        rows(test),
        lambda b: model(b["control"], b["pert"], b[last]),
        predict=lambda b: model(b["control"], b["pert"], b["control"]),
    )


@reported(
    name="response learned in the reverse direction",
    source="https://github.com/bm2-lab/scPerturBench/issues/13",
    bug="The function that makes pairs returns perturbed and control in the reverse order: control is predicted.",
    cause="bug/data",
    line="before and after are swapped in training",
    hurts="held-out error 1.117 against 3e-05 of the mended twin and 0.727 of the mean",
)
def reversed_pairs(mended: bool) -> Parts:
    torch.manual_seed(3)
    train, test = screen(5000)

    def paired(cells):
        return (cells.before, cells.after) if mended else (cells.after, cells.before)

    control, target = paired(train)
    model = Mlp(2 * N_GENES)
    return supervised(
        model,
        Rows(control=control, pert=train.perturbed, target=target),
        rows(test),
        lambda b: b["control"] + model(b["control"], b["pert"]),
    )


@reported(
    name="columns of the prediction set in the order of a set",
    source="https://github.com/novoalab/EpiNano/pull/119",
    bug="Column numbers pass through a Python set: the held-out cells' genes come in another order than trained on.",
    cause="data/bug",
    line="gene order of held-out inputs differs from the training order",
    hurts="held-out error 1.897 against 0.00029 of the mended twin and 0.727 of the mean",
)
def column_order(mended: bool) -> Parts:
    torch.manual_seed(4)
    train, test = screen(5000)
    order = np.arange(N_GENES) if mended else np.random.default_rng(3).permutation(N_GENES)
    model = Mlp(2 * N_GENES)
    held_out = Rows(control=test.before[:, order], pert=test.perturbed[:, order], target=test.after)
    return supervised(model, rows(train), held_out, lambda b: model(b["control"] - 3, b["pert"]), n_epochs=25)


@reported(
    name="genes of the targets in another order than adata.var",
    source="https://github.com/yelabucsf/scrna-parameter-estimation/pull/42",
    bug="Responses are computed in the order of a grouping and stored as if in that of adata.var.",
    cause="data",
    line="gene order of the training targets differs from that of the inputs and of the held-out targets",
    hurts="held-out error 3.046 against 3.3e-05 of the mended twin and 0.727 of the mean",
)
def target_order(mended: bool) -> Parts:
    torch.manual_seed(5)
    train, test = screen(5000)
    order = np.arange(N_GENES) if mended else np.random.default_rng(4).permutation(N_GENES)
    model = Mlp(2 * N_GENES)
    shuffled = Rows(control=train.before, pert=train.perturbed, target=train.after[:, order])
    return supervised(model, shuffled, rows(test), lambda b: b["control"] + model(b["control"], b["pert"]))


@reported(
    name="validation set drawn with the training indices",
    source="https://github.com/andpol5/credit-classifier/issues/1",
    bug="dataset[train_indices] is used for both: early stopping watches training cells and never stops.",
    cause="data/bug",
    line="validation cells are training cells: the best epoch is the last",
    hurts="held-out error 0.669 against 0.476 of the mended twin and 0.750 of the mean",
)
def same_indices(mended: bool) -> Parts:
    torch.manual_seed(6)
    train, test = screen(1500, 1000, noise="fresh")
    train_indices, val_indices = np.arange(400), np.arange(400, 500)
    chosen = rows(train.rows(val_indices if mended else train_indices))
    return with_early_stopping(train.rows(train_indices), test, chosen, kept=copy.deepcopy)


@reported(
    name="best weights kept by reference",
    source="https://github.com/WenjieDu/PyPOTS/issues/667",
    bug="best_model_dict = model.state_dict() is a reference: what is restored are the last, overfitted weights.",
    cause="bug",
    line="state_dict() is kept without a copy: the best weights change with the model",
    hurts="held-out error 0.647 against 0.463 of the mended twin and 0.744 of the mean",
)
def by_reference(mended: bool) -> Parts:
    torch.manual_seed(7)
    train, test = screen(1500, 1000, noise="fresh", seed=2)
    chosen = rows(train.rows(np.arange(400, 500)))
    return with_early_stopping(train.rows(np.arange(400)), test, chosen, kept=copy.deepcopy if mended else lambda d: d)


def with_early_stopping(train, test, validation, *, kept):
    """A net that overfits; after each epoch the best weights so far are kept, and predictions are made with them."""
    model = Mlp(2 * N_GENES, width=512)
    best = {"loss": float("inf"), "weights": kept(model.state_dict())}

    def forward(batch):
        return model(batch["control"] - 3, batch["pert"])

    def on_epoch():
        everything = validation[slice(None)]
        with torch.no_grad():
            loss = nn.functional.mse_loss(forward(everything), everything["target"]).item()
        if loss < best["loss"]:
            best.update(loss=loss, weights=kept(model.state_dict()))

    def predict(batch):
        last = copy.deepcopy(model.state_dict())
        model.load_state_dict(best["weights"])
        answer = forward(batch)
        model.load_state_dict(last)
        return answer

    return supervised(
        model, rows(train), rows(test), forward, predict=predict, on_epoch=on_epoch, n_epochs=200, lr=2e-3
    )
