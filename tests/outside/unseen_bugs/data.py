"""Pairs whose parts do not belong together, or that are not all there."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, WeightedRandomSampler

from tests.outside.case import Parts
from tests.outside.pairs import columns
from tests.outside.unseen_bugs.twins import fit, reported, tensors, world_of

G = 14
screen, Mlp = world_of(G, world=14)


class Zipped(IterableDataset):
    """Batches of several loaders side by side."""

    def __init__(self, *loaders):
        self.loaders = loaders

    def __iter__(self):
        for batches in zip(*self.loaders, strict=True):
            yield tuple(tensor for batch in batches for tensor in batch)


@reported(
    name="two loaders shuffled by themselves and zipped",
    source="https://github.com/sayakpaul/SimSiam-TF/issues/1",
    bug="Control cells and treated cells have a shuffled loader each: the rows of a zipped batch are no pairs.",
    cause="data/bug",
    line="two shuffles with different seeds: before and after belong to different pairs",
    hurts="held-out error 0.819 against 0.00055 of the mended twin and 0.965 of the mean",
)
def zipped(mended: bool) -> Parts:
    torch.manual_seed(0)
    train, test = screen()
    c = columns(train)
    loaders = []
    for names in (("before", "perturbed"), ("after",)):
        own = torch.Generator().manual_seed(1 if mended else len(names))
        loaders.append(tensors(*(c[name] for name in names), generator=own))
    return fit(Mlp(), (train, test), loader=DataLoader(Zipped(*loaders), batch_size=None), n_epochs=20)


@reported(
    name="sampler given one weight for each class",
    source="https://github.com/deep-voice/soundbay/pull/49",
    bug="WeightedRandomSampler gets the weights of the perturbations, not of the cells: it draws the first cells only.",
    cause="data/bug",
    line="weights of the sampler: as many cells are ever seen as there are classes",
    hurts="held-out error 0.359 against 0.00063 of the mended twin and 0.966 of the mean",
)
def class_weights(mended: bool) -> Parts:
    torch.manual_seed(1)
    train, test = screen()
    c = columns(train)
    weights = 1 / torch.bincount(c["gene"], minlength=G).clamp(min=1).double()
    sampler = WeightedRandomSampler((weights[c["gene"]] if mended else weights).tolist(), num_samples=len(c["gene"]))
    return fit(
        Mlp(), (train, test), loader=tensors(c["before"], c["perturbed"], c["after"], sampler=sampler), n_epochs=20
    )


@reported(
    name="label encoder fitted again on the held-out cells",
    source="https://github.com/vanderschaarlab/synthcity/issues/250",
    bug="Perturbation names are encoded for training and test by themselves; a gene missing in the test shifts all.",
    cause="data/bug",
    line="codes of the held-out perturbations: each is another gene's code",
    hurts="held-out error 0.756 against 0.00022 of the mended twin and 0.88 of the mean",
)
def encoded_again(mended: bool) -> Parts:
    torch.manual_seed(2)
    train, test = screen(1100, 350)
    test = test.rows(np.flatnonzero(test.gene[:, 0] > 1))
    names = [np.array([f"GENE{i:02d}" for i in part.gene[:, 0]]) for part in (train, test)]
    vocabulary, codes = np.unique(names[0], return_inverse=True)
    held_out = np.searchsorted(vocabulary, names[1]) if mended else np.unique(names[1], return_inverse=True)[1]

    class Embedded(nn.Module):
        def __init__(self, dim=32):
            super().__init__()
            self.pert, self.cell = nn.Embedding(G, dim), nn.Linear(G, dim)
            self.out = nn.Sequential(nn.ReLU(), nn.Linear(dim, 64), nn.ReLU(), nn.Linear(64, G))

        def forward(self, x, code):
            return x + self.out(self.pert(code) + self.cell(x - 3))

    return fit(
        Embedded(),
        (train, test),
        loader=tensors(train.before, codes, train.after),
        held_out=tensors(test.before, held_out, test.after, shuffle=False),
    )


class OneByOne(IterableDataset):
    """As many batches as there are in an epoch, fetched one by one."""

    def __init__(self, batches, mended):
        self.batches, self.mended = batches, mended

    def __iter__(self):
        epoch = iter(self.batches)
        for _ in range(len(self.batches)):
            yield next(epoch) if self.mended else next(iter(self.batches))


@reported(
    name="first batch fetched again and again",
    source="https://github.com/awslabs/gluonts/issues/281",
    bug="Each batch is next(iter(loader)), which starts anew: the loader is in order, so all batches are its first.",
    cause="data/bug",
    line="next(iter(...)) in the loop: all but the first batch of cells are never seen",
    hurts="held-out error 0.102 against 0.00025 of the mended twin and 0.965 of the mean",
)
def first_again(mended: bool) -> Parts:
    torch.manual_seed(3)
    train, test = screen()
    c = columns(train)
    batches = tensors(c["before"], c["perturbed"], c["after"], shuffle=False)
    return fit(Mlp(), (train, test), loader=DataLoader(OneByOne(batches, mended), batch_size=None), n_epochs=20)


@reported(
    name="one list repeated as all rows",
    source="https://github.com/MRtrix3/mrtrix3/pull/1218",
    bug="The one-hot rows are made by [[0.0] * n_genes] * n_cells: all rows are the same list.",
    cause="data/bug",
    line="multiplied list: every cell has the flags of all perturbed genes",
    hurts="held-out error 0.375 against 0.00052 of the mended twin and 0.965 of the mean",
)
def repeated_list(mended: bool) -> Parts:
    torch.manual_seed(4)
    split = screen()
    batches = []
    for part in split:
        n = len(part.before)
        flags = [[0.0] * G for _ in range(n)] if mended else [[0.0] * G] * n
        for row, gene in enumerate(part.gene[:, 0]):
            flags[row][gene] = 1.0
        batches.append(tensors(part.before, torch.tensor(flags), part.after, shuffle=part is split[0]))
    return fit(Mlp(), split, loader=batches[0], held_out=batches[1], n_epochs=20)


@reported(
    name="files of cells in the order of their names as strings",
    source="https://github.com/pytorch/vision/issues/714",
    bug="Files cell_0, cell_1, ... are read in the order of strings, in which 10 is before 2; labels are by number.",
    cause="data",
    line="order of sorted(names): cells before belong to other rows than the cells after",
    hurts="held-out error 0.524 against 0.00044 of the mended twin and 0.965 of the mean",
)
def string_order(mended: bool) -> Parts:
    torch.manual_seed(5)
    train, test = screen()
    files = {f"cell_{i}.npy": row for i, row in enumerate(train.before)}
    listed = sorted(files, key=lambda name: int(name[5:-4])) if mended else sorted(files)
    before = np.stack([files[name] for name in listed])
    loader = tensors(before, train.perturbed.astype(np.float32), train.after)
    return fit(Mlp(), (train, test), loader=loader, n_epochs=20)


@reported(
    name="counts stored as bytes",
    source="https://github.com/numpy/numpy/issues/7966",
    bug="Counts are stored as uint8 to save memory: those from 256 on wrap around.",
    cause="data",
    line="dtype uint8 of the training counts: large counts became small ones",
    hurts="held-out error 0.283 against 0.17 of the mended twin and 1.84 of the mean",
)
def bytes_of_counts(mended: bool) -> Parts:
    torch.manual_seed(6)
    split = screen()
    batches = []
    for part in split:
        logs = []
        for log in (part.before, part.after):
            counts = np.round(np.exp(1.5 * log)).astype(np.int64)
            if part is split[0] and not mended:
                counts = counts.astype(np.uint8)
            logs.append(np.log1p(counts.astype(np.float32)))
        flags = part.perturbed.astype(np.float32)
        batches.append(tensors(logs[0], flags, logs[1], shuffle=part is split[0]))
    return fit(Mlp(residual=False), split, loader=batches[0], held_out=batches[1], n_epochs=30)


@reported(
    name="assignment to a selection of a selection",
    source="https://github.com/pytorch/pytorch/issues/133456",
    bug="values[treated][rows, gene] = level writes to a copy: the perturbation never gets into the input.",
    cause="bug",
    line="chained indexing: the model is not told which gene is perturbed",
    hurts="held-out error 0.356 against 0.00083 of the mended twin and 0.826 of the mean",
)
def written_to_a_copy(mended: bool) -> Parts:
    torch.manual_seed(7)

    class InSilico(nn.Module):
        """Sets the perturbed gene to a level below all others, then looks at the cell."""

        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(G, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, G))

        def forward(self, x, gene):
            values = x - 3
            treated = gene < G
            if mended:
                values[treated.nonzero().squeeze(1), gene[treated]] = -6.0
            else:
                values[treated][torch.arange(int(treated.sum())), gene[treated]] = -6.0
            return x + self.net(values)

    return fit(InSilico(), screen(1500, 250, p_control=0.1), names=("before", "gene", "after"), n_epochs=16)


@reported(
    name="perturbed gene read from the first half of the condition",
    source="https://github.com/snap-stanford/GEARS/issues/6",
    bug="Conditions are named A+ctrl or ctrl+A; the part before the plus is taken as the gene.",
    cause="data/bug",
    line="parsing of the condition: half of the perturbed cells are taken for controls",
    hurts="held-out error 0.206 against 0.00035 of the mended twin and 0.965 of the mean",
)
def condition_names(mended: bool) -> Parts:
    torch.manual_seed(8)
    split = screen()
    batches = []
    for part in split:
        flags = torch.zeros(len(part.before), G)
        for row, gene in enumerate(part.gene[:, 0]):
            condition = f"G{gene}+ctrl" if (7 * row + gene) % 2 else f"ctrl+G{gene}"
            halves = condition.split("+")
            found = [half for half in (halves if mended else halves[:1]) if half != "ctrl"]
            for name in found:
                flags[row, int(name[1:])] = 1.0
        batches.append(tensors(part.before, flags, part.after, shuffle=part is split[0]))
    return fit(Mlp(), split, loader=batches[0], held_out=batches[1], n_epochs=20)
