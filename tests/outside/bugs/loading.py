"""What the loader hands to the model is not what lies in the file."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.outside.bugs.twins import N_GENES, reported, screen
from tests.outside.case import Parts


class CellPairs(Dataset):
    """(control, perturbation, perturbed) of each pair, from arrays that it holds as they are."""

    def __init__(self, control, perturbation, perturbed):
        self.control = np.array(control, dtype=np.float32)
        self.perturbation = np.array(perturbation, dtype=np.float32)
        self.perturbed = np.array(perturbed)

    def __len__(self):
        return len(self.control)

    def __getitem__(self, idx):
        return self.control[idx], self.perturbation[idx], self.perturbed[idx]


class Effect(nn.Module):
    def __init__(self, width=100):
        super().__init__()
        self.fc1 = nn.Linear(2 * N_GENES, width)
        self.fc2 = nn.Linear(width, N_GENES)

    def forward(self, control, perturbation):
        return control + self.fc2(F.relu(self.fc1(torch.cat([control, perturbation], 1))))


def recipe(train_set, test_set, *, shuffle=True, lr=1e-3, n_epochs=10, batch_size=64, kind=torch.optim.Adam, step=None):
    net = Effect()
    optimizer = kind(net.parameters(), lr=lr)

    def train_step(data):
        control, perturbation, perturbed = data if step is None else step(data)
        optimizer.zero_grad()
        loss = F.mse_loss(net(control, perturbation), perturbed.float())
        loss.backward()
        optimizer.step()
        return loss.item()

    return Parts(
        model=net,
        optimizer=optimizer,
        loader=DataLoader(train_set, batch_size=batch_size, shuffle=shuffle),
        held_out=DataLoader(test_set, batch_size=200),
        fields={"before": 0, "perturbation": 1, "after": 2},
        training_step=train_step,
        predict=lambda data: net(data[0], data[1]),
        told="identity",
        n_epochs=n_epochs,
    )


def datasets(kind=CellPairs, **settings):
    train, test = screen(5000, **settings)
    return kind(train.before, train.perturbed, train.after), CellPairs(test.before, test.perturbed, test.after)


@reported(
    name="inputs shuffled without their targets",
    source="https://github.com/DrexelChatbotGroup/DrexelChatbot/issues/15",
    bug="The order of the inputs is randomised, that of the targets is not: the pairs do not belong together.",
    cause="data",
    line="inputs and targets are shuffled apart: targets do not depend on inputs",
    hurts="held-out error 0.655 against 0.00079 of the mended twin and 0.727 of the mean",
)
def shuffled_apart(mended: bool) -> Parts:
    torch.manual_seed(0)
    train, test = datasets()
    order = np.random.default_rng(0).permutation(len(train))
    train.control, train.perturbation = train.control[order], train.perturbation[order]
    if mended:
        train.perturbed = train.perturbed[order]
    return recipe(train, test)


@reported(
    name="mixup with two permutations",
    source="https://github.com/xudonmao/VMT/issues/1",
    bug="Inputs and targets are mixed with partners drawn by two separate shuffles.",
    cause="data/bug",
    line="mixup pairs inputs and targets of different cells",
    hurts="held-out error 0.199 against 0.0045 of the mended twin and 0.727 of the mean",
)
def mixup(mended: bool) -> Parts:
    torch.manual_seed(1)

    def mixed(data):
        control, perturbation, perturbed = data
        first = torch.randperm(len(control))
        second = first if mended else torch.randperm(len(control))
        lam = torch.distributions.Beta(1.0, 1.0).sample((len(control), 1))
        return (
            lam * control + (1 - lam) * control[first],
            lam * perturbation + (1 - lam) * perturbation[first],
            lam * perturbed + (1 - lam) * perturbed[second],
        )

    return recipe(*datasets(), step=mixed)


@reported(
    name="sorted by perturbation and not shuffled",
    source="https://github.com/Deci-AI/super-gradients/issues/416",
    bug="The cells lie sorted by perturbation and the loader does not shuffle: a batch holds one perturbation.",
    cause="data/optimiser",
    line="shuffle=False on sorted data: batches of a single perturbation",
    hurts="held-out error 0.271 against 0.0002 of the mended twin and 0.727 of the mean",
)
def sorted_cells(mended: bool) -> Parts:
    torch.manual_seed(2)
    train, test = datasets()
    order = np.argsort(train.perturbation.argmax(1), kind="stable")
    train.control, train.perturbation, train.perturbed = (
        a[order] for a in (train.control, train.perturbation, train.perturbed)
    )
    return recipe(train, test, shuffle=mended, lr=5e-3)


@reported(
    name="augmentation in place",
    source="https://github.com/facebookresearch/pycls/pull/21",
    bug="Noise is added to a view of the stored cell, so that it grows with each time the cell is loaded.",
    cause="bug/data",
    line="__getitem__ changes the stored cells: the data differ from epoch to epoch, ever noisier",
    hurts="held-out error 0.202 against 0.039 of the mended twin and 0.727 of the mean",
)
def in_place_noise(mended: bool) -> Parts:
    torch.manual_seed(3)
    rng = np.random.default_rng(0)

    class Augmented(CellPairs):
        def __getitem__(self, idx):
            control = self.control[idx].copy() if mended else self.control[idx]
            control += rng.normal(0, 0.05, control.shape).astype(np.float32)
            # Whole-cell dropout of counts: a gene in twenty reads 0 in the input.
            control[rng.random(control.shape) < 0.02] = 0.0
            return control, self.perturbation[idx], self.perturbed[idx]

    return recipe(*datasets(Augmented))


@reported(
    name="normalising in place at each load",
    source="https://github.com/pytorch/vision/issues/680",
    bug="The transform normalises the stored target in place: it is normalised anew each epoch.",
    cause="bug/data",
    line="the transform changes the stored targets in place at every epoch",
    hurts="held-out error 0.016 against 0.0027 of the mended twin and 0.652 of the mean",
)
def in_place_normalise(mended: bool) -> Parts:
    torch.manual_seed(4)

    class Normalised(CellPairs):
        def __getitem__(self, idx):
            target = self.perturbed[idx].copy() if mended else self.perturbed[idx]
            # To counts of 50 in sum.
            target *= 0.5 + 0.5 * 50.0 / max(float(target.sum()), 1.0)
            return self.control[idx], self.perturbation[idx], target

    train, test = datasets(Normalised)
    _, cells = screen(5000)
    scale = 0.5 + 0.5 * 50.0 / np.maximum(cells.after.sum(1, keepdims=True), 1.0)
    test.perturbed = (cells.after * scale).astype(np.float32)
    return recipe(train, test)


@reported(
    name="targets cast to long",
    source="https://github.com/deepset-ai/FARM/issues/395",
    bug="The conversion to tensors tries long first: float targets are silently cut to whole numbers.",
    cause="data/bug",
    line="targets are integers: expression is truncated",
    hurts="held-out error 0.263 against 0.00099 of the mended twin and 0.727 of the mean",
)
def long_targets(mended: bool) -> Parts:
    torch.manual_seed(5)
    train, test = datasets()
    if not mended:
        train.perturbed = train.perturbed.astype(np.int64)
    return recipe(train, test)


@reported(
    name="control cells looked up by row instead of batch code",
    source="https://github.com/ArcInstitute/cell-load/pull/61",
    bug="The control of a perturbed cell is fetched with a row index where the batch's code belongs: another cell.",
    cause="data/bug",
    line="controls do not belong to their perturbed cells: before and after are of other cells",
    hurts="held-out error 0.460 against 0.00084 of the mended twin and 0.767 of the mean",
)
def wrong_control(mended: bool) -> Parts:
    torch.manual_seed(6)
    train, test = datasets(n_types=4)
    if not mended:
        # The code of the row's batch is used as a row again.
        rows = np.arange(len(train))
        train.control = train.control[(7 * rows + 3) % len(train)]
    return recipe(train, test)


@reported(
    name="cells without a guide called control",
    source="https://github.com/sanderlab/scPerturb/issues/6",
    bug="Cells whose guide was not read are tagged control although most of them are perturbed.",
    cause="data",
    line="cells labelled as control are perturbed: mislabelled perturbations",
    hurts="held-out error 0.140 against 0.0015 of the mended twin and 0.727 of the mean",
)
def tagged_control(mended: bool) -> Parts:
    torch.manual_seed(7)
    train, test = datasets()
    unread = np.random.default_rng(0).random(len(train)) < 0.5
    if mended:
        keep = np.flatnonzero(~unread)
        train.control, train.perturbation, train.perturbed = (
            a[keep] for a in (train.control, train.perturbation, train.perturbed)
        )
    else:
        train.perturbation[unread] = 0.0
        # The held-out cells come from the same file.
        test.perturbation[np.random.default_rng(1).random(len(test)) < 0.5] = 0.0
    return recipe(train, test, n_epochs=20)
