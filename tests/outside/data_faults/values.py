"""Faults of the numbers: units, depth, zeros, columns."""

import numpy as np

from tests.outside.data_faults.registry import fault
from tests.outside.data_faults.training import N_GENES, Table


def logged(x):
    return np.log1p(np.clip(x, 0, None))


@fault(
    line="gene order of held-out pairs differs from training",
    hurts="held-out error 0.311, 0.339, 0.425 in the three worlds",
)
def gene_columns_permuted_in_held_out(train: Table, test: Table, rng, world):
    """Held-out expression has its columns in another order; the perturbation columns have not."""
    order = rng.permutation(N_GENES)
    test.before, test.after = test.before[:, order], test.after[:, order]


@fault(
    line="held-out cells are in other units than training cells",
    hurts="held-out error 0.053, 0.045, 0.058 in the three worlds",
)
def units_differ_in_held_out(train: Table, test: Table, rng, world):
    """Held-out logarithms are of base 2, training ones natural."""
    test.before, test.after = test.before / np.log(2), test.after / np.log(2)


@fault(line="log1p was taken twice in training", hurts="held-out error 0.145, 0.117, 0.118 in the three worlds")
def logarithm_twice(train: Table, test: Table, rng, world):
    """Training cells are logarithms of logarithms."""
    train.before, train.after = logged(train.before), logged(train.after)


@fault(line="training cells are raw counts", hurts="held-out error 2.458, 19.7, 2.6e+04 in the three worlds")
def raw_counts(train: Table, test: Table, rng, world):
    """Training cells are counts, held-out ones logarithms."""
    train.before, train.after = (np.expm1(np.clip(x, 0, 9)) for x in (train.before, train.after))


@fault(
    line="after has integer values in training: expression is truncated",
    hurts="held-out error 0.266, 0.244, 0.248 in the three worlds",
)
def integers_after(train: Table, test: Table, rng, world):
    """The cell after was stored as whole numbers in the training table."""
    train.after = np.trunc(train.after)


@fault(
    line="training targets are scaled gene by gene, held-out ones not",
    hurts="held-out error 8.958, 10.8, 8.355 in the three worlds",
)
def targets_normalised_per_gene(train: Table, test: Table, rng, world):
    """Each gene of the cell after was standardised, in the training table alone."""
    train.after = (train.after - train.after.mean(0)) / train.after.std(0)


@fault(
    line="one gene has a thousand times the variance of the others and rules the loss",
    hurts="held-out error 67.5, 61.4, 64.5 in the three worlds, of which the mean has 66.4, 61.4, 64.3",
    both=True,
)
def one_gene_of_thousandfold_variance(train: Table, test: Table, rng, world):
    """A gene is noise of a thousand times the others' variance, in all tables."""
    scale = 1000**0.5 * train.after.std()
    for table in (train, test):
        for cells in (table.before, table.after):
            cells[:, 3] = scale * rng.standard_normal(table.n)


@fault(
    line="a third of the values is 0 after and none before: dropout in the targets alone",
    hurts="held-out error 1.097, 1.318, 1.009 in the three worlds",
)
def zeros_only_after(train: Table, test: Table, rng, world):
    """A third of the cell after was not captured and reads 0, in the training table."""
    train.after[rng.random(train.after.shape) < 1 / 3] = 0


@fault(
    line="most genes are 0 in most cells: little is left to learn from",
    hurts="held-out error 0.871, 1.075, 0.891 in the three worlds, of which the mean has 0.835, 1.022, 0.827",
    both=True,
)
def mostly_zero(train: Table, test: Table, rng, world):
    """Nine values of ten were not captured, before and after, in all tables."""
    for table in (train, test):
        for cells in (table.before, table.after):
            cells[rng.random(cells.shape) < 0.9] = 0


@fault(
    line="sequencing depth differs between before and after, cell by cell",
    hurts="held-out error 0.824, 1.111, 0.810 in the three worlds",
)
def depth_differs_after(train: Table, test: Table, rng, world):
    """Cells after were sequenced to depths of their own and not normalised, in the training table."""
    train.after = train.after * rng.uniform(0.4, 1.0, (train.n, 1)).astype(np.float32)


@fault(
    line="batch is confounded with the perturbation: an offset comes with certain genes",
    hurts="held-out error 0.425, 0.440, 0.447 in the three worlds",
)
def batch_confounded_with_perturbation(train: Table, test: Table, rng, world):
    """Each perturbation was run in a batch of its own, whose offset lies on the cell after; held-out in one batch."""
    offset = rng.normal(0, 0.7, (N_GENES, N_GENES)).astype(np.float32)
    train.after = train.after + train.perturbed @ offset


@fault(line="a covariate holds the target in training", hurts="held-out error 0.189, 0.220, 0.342 in the three worlds")
def covariate_leaks_the_target(train: Table, test: Table, rng, world):
    """Columns computed from the cell after stand among the covariates; held-out pairs have none yet."""
    train.covariate = np.concatenate([train.covariate, train.after - 3], axis=1)
    test.covariate = np.concatenate([test.covariate, np.zeros_like(test.after)], axis=1)


@fault(line="missing values: NaN in the targets", hurts="held-out error NaN, NaN, NaN in the three worlds")
def missing_values(train: Table, test: Table, rng, world):
    """A few values of the training targets are NaN."""
    train.after[rng.random(train.after.shape) < 1e-3] = np.nan


@fault(
    line="training values are cut off at the genes' median",
    hurts="held-out error 0.735, 0.613, 0.695 in the three worlds",
)
def saturated(train: Table, test: Table, rng, world):
    """Values after above a detector's limit are written as the limit, in the training table."""
    train.after = np.minimum(train.after, np.median(train.after))


@fault(
    line="values before are noise: input and target of a pair do not fit",
    hurts="held-out error 0.408, 0.409, 0.397 in the three worlds",
)
def before_is_noise(train: Table, test: Table, rng, world):
    """The cell before is drowned in technical noise in the training table."""
    train.before = train.before + rng.normal(0, 2.0, train.before.shape).astype(np.float32)
