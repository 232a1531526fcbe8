"""Faults of which pair is which: labels, pairs and splits."""

import numpy as np

from tests.outside.data_faults.registry import fault
from tests.outside.data_faults.training import N_GENES, Table, world_cells


@fault(
    line="perturbation labels are unrelated to the cells",
    hurts="held-out error 0.211, 0.211, 0.251 in the three worlds",
)
def perturbation_labels_shuffled(train: Table, test: Table, rng, world):
    """Perturbations and doses of the training pairs are shuffled over the pairs."""
    order = rng.permutation(train.n)
    train.perturbed, train.dose = train.perturbed[order], train.dose[order]


@fault(
    line="half of the perturbation labels are unrelated to the cells",
    hurts="held-out error 0.064, 0.063, 0.075 in the three worlds",
)
def half_of_the_labels_shuffled(train: Table, test: Table, rng, world):
    """Perturbations and doses of half of the training pairs are shuffled among these."""
    some = rng.permutation(train.n)[: train.n // 2]
    order = rng.permutation(some)
    train.perturbed[some], train.dose[some] = train.perturbed[order], train.dose[order]


@fault(
    line="before and after are swapped in half of the pairs",
    hurts="held-out error 0.110, 0.120, 0.099 in the three worlds",
)
def before_and_after_swapped_in_half(train: Table, test: Table, rng, world):
    """In half of the training pairs the cell before stands in the place of the cell after."""
    some = rng.random(train.n) < 0.5
    train.before[some], train.after[some] = train.after[some].copy(), train.before[some].copy()


@fault(
    line="cells before and after of different pairs are put together",
    hurts="held-out error 0.371, 0.385, 0.417 in the three worlds",
)
def mismatched_pairs(train: Table, test: Table, rng, world):
    """The cell before is that of another training pair."""
    train.before = train.before[rng.permutation(train.n)]


@fault(
    line="targets are shuffled: they do not depend on the input",
    hurts="held-out error 0.666, 0.668, 0.785 in the three worlds",
)
def targets_shuffled(train: Table, test: Table, rng, world):
    """The cells after of the training pairs are shuffled over the pairs."""
    train.after = train.after[rng.permutation(train.n)]


@fault(
    line="the target is the cell before: there is no effect in the data",
    hurts="held-out error 0.195, 0.204, 0.231 in the three worlds",
)
def target_equals_before(train: Table, test: Table, rng, world):
    """The column of the cell after was filled from the cell before in the training table."""
    train.after = train.before.copy()


@fault(line="no pair is perturbed: all are controls", hurts="held-out error 0.196, 0.204, 0.232 in the three worlds")
def all_controls(train: Table, test: Table, rng, world):
    """A filter left nothing but control cells in training: no perturbation, no dose, no change."""
    train.perturbed[:] = 0
    train.dose[:] = 0
    train.after = train.before + 0.05 * rng.standard_normal(train.before.shape).astype(np.float32)


@fault(
    line="the perturbation label is the same in all training pairs",
    hurts="held-out error 0.207, 0.207, 0.238 in the three worlds",
)
def perturbation_label_constant(train: Table, test: Table, rng, world):
    """A merge gave all training pairs the label and the dose of the first one."""
    train.perturbed[:] = train.perturbed[0]
    train.dose[:] = train.dose[0]


@fault(line="the perturbed gene is off by one", hurts="held-out error 0.379, 0.424, 0.437 in the three worlds")
def gene_index_off_by_one(train: Table, test: Table, rng, world):
    """Perturbed genes are named by the column after theirs in the training table."""
    train.perturbed, train.dose = (np.roll(column, 1, axis=1) for column in (train.perturbed, train.dose))


@fault(line="doses have the wrong sign in training", hurts="held-out error 0.778, 0.816, 0.917 in the three worlds")
def dose_sign_flipped(train: Table, test: Table, rng, world):
    """Doses are written as knock-down strengths in training: with the other sign."""
    train.dose *= -1


@fault(
    line="doses are shuffled among pairs: only which gene is right",
    hurts="held-out error 0.210, 0.217, 0.256 in the three worlds",
)
def doses_shuffled(train: Table, test: Table, rng, world):
    """Sizes of the doses are shuffled over the training pairs; the gene stays."""
    size = train.dose.sum(axis=1)
    train.dose = train.perturbed * rng.permutation(size)[:, None].astype(np.float32)


@fault(
    line="all held-out pairs lie in training, too: copies across the split",
    hurts="no: held-out error 5.1e-05, 0.00012, 0.00027 in the three worlds",
)
def copies_across_the_split(train: Table, test: Table, rng, world):
    """The split was drawn after duplicates were made: held-out pairs lie in training, too, and flatter the error."""
    for name in ("before", "after", "dose", "perturbed", "covariate"):
        setattr(train, name, np.concatenate([getattr(train, name), getattr(test, name)]))


@fault(line="the training table is 30 pairs, repeated", hurts="held-out error 0.160, 0.146, 0.147 in the three worlds")
def few_pairs_repeated(train: Table, test: Table, rng, world):
    """A join multiplied 30 pairs to the length of the table."""
    rows = np.arange(train.n) % 30
    for name in ("before", "after", "dose", "perturbed", "covariate"):
        setattr(train, name, getattr(train, name)[rows])


@fault(
    line="held-out pairs come from another system: other effects of the same genes",
    hurts="held-out error 0.119, 0.161, 0.176 in the three worlds",
)
def held_out_of_another_world(train: Table, test: Table, rng, world):
    """Held-out pairs are of another cell line, in which genes act on others."""
    _, other = world_cells(world + 1000)
    fresh = Table.of(other)
    for name in ("before", "after", "dose", "perturbed", "covariate"):
        setattr(test, name, getattr(fresh, name))


@fault(
    line="genes perturbed in held-out pairs are never perturbed in training",
    hurts="held-out error 0.225, 0.199, 0.244 in the three worlds",
)
def held_out_perturbations_unseen(train: Table, test: Table, rng, world):
    """Training pairs perturb the first half of the genes alone, held-out pairs the others."""
    first = train.perturbed[:, : N_GENES // 2].any(axis=1)
    second = test.perturbed[:, N_GENES // 2 :].any(axis=1)
    for name in ("before", "after", "dose", "perturbed", "covariate"):
        setattr(train, name, getattr(train, name)[first])
        setattr(test, name, getattr(test, name)[second])
