"""What goes wrong with files of screens, as functions that damage a sound one, and the check that has to name it."""

from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from gpcp.screens.conventions import screen_columns


def columns_of(screen: Any) -> Any:
    return screen_columns(screen.obs, name="the screen", genes=list(screen.var_names))


def labels_of(screen: Any) -> Any:
    """The labels as text, to be changed and put back."""
    return screen.obs[columns_of(screen).perturbation].astype(str).to_numpy(copy=True)


def with_labels(screen: Any, labels: Any) -> Any:
    screen.obs[columns_of(screen).perturbation] = pd.Categorical(labels)
    return screen


def frequent(screen: Any) -> list[str]:
    """Perturbations, those of the most cells first; combinations left out."""
    columns = columns_of(screen)
    counts = screen.obs[columns.perturbation].astype(str).value_counts()
    return [label for label in counts.index if label not in columns.controls and "+" not in label]


def two_typos(screen: Any) -> Any:
    """Two letters swapped in some cells of a label, a capital O for a zero or I for a one in some of another."""
    labels = labels_of(screen)
    with_one = next(label for label in frequent(screen) if "1" in label)
    other = next(label for label in frequent(screen) if label != with_one and label[1] != label[2])
    for label, typo in ((with_one, with_one.replace("1", "I")), (other, other[0] + other[2] + other[1] + other[3:])):
        rows = np.flatnonzero(labels == label)
        labels[rows[: len(rows) // 3]] = typo
    return with_labels(screen, labels)


def misspelt_control(screen: Any) -> Any:
    labels = labels_of(screen)
    control = columns_of(screen).controls[0]
    rows = np.flatnonzero(labels == control)
    labels[rows[: len(rows) // 4]] = control.replace("tr", "rt").replace("get", "egt")
    return with_labels(screen, labels)


def shifted_column(screen: Any) -> Any:
    """The column of perturbations, 137 rows further down than the matrix."""
    return with_labels(screen, np.roll(labels_of(screen), 137))


def shuffled_column(screen: Any) -> Any:
    return with_labels(screen, np.random.default_rng(1).permutation(labels_of(screen)))


def mixed_values(screen: Any) -> Any:
    """A tenth of the cells is raw where the rest is logged, or the other way round."""
    rows = np.random.default_rng(2).permutation(screen.n_obs)[: screen.n_obs // 10]
    matrix: Any = screen.X.tocsr().copy()
    raw = bool((matrix.data == np.rint(matrix.data)).all())
    total = np.asarray(matrix[rows].sum(axis=1)).reshape(-1, 1)
    changed = matrix[rows].multiply(1e4 / np.maximum(total, 1)).log1p() if raw else matrix[rows].expm1().rint()
    keep = np.setdiff1d(np.arange(screen.n_obs), rows)
    stacked = sp.vstack([matrix[keep], changed.tocsr()]).tocsr()
    screen.X = stacked[np.argsort(np.concatenate([keep, rows]))].astype(np.float32)
    return screen


def controls_of_one_batch(screen: Any) -> Any:
    """The controls of all contexts but one are gone."""
    columns = columns_of(screen)
    column = columns.contexts.get("batch", columns.contexts.get("cell_type"))
    context = screen.obs[column].astype(str)
    control = screen.obs[columns.perturbation].isin(columns.controls)
    return screen[~control | (context == context.iloc[0])].copy()


def target_without_effect(screen: Any) -> Any:
    """The cells of a measured target have the expression of controls of their context."""
    columns = columns_of(screen)
    labels = labels_of(screen)
    target = next(label for label in frequent(screen) if label in screen.var_names)
    stratum = screen.obs[list(columns.contexts.values())].astype(str).agg("/".join, axis=1).to_numpy()
    rng = np.random.default_rng(3)
    source = np.arange(screen.n_obs)
    control = np.isin(labels, columns.controls)
    for one in np.unique(stratum[labels == target]):
        rows = np.flatnonzero((labels == target) & (stratum == one))
        source[rows] = rng.choice(np.flatnonzero(control & (stratum == one)), len(rows))
    # Counted once more, so that no two cells are the same.
    matrix = screen.X.tocsr()[source].astype(np.float64)
    rows = np.flatnonzero(labels == target)
    changed = matrix[rows].toarray()
    whole = bool((changed == np.rint(changed)).all())
    changed = rng.poisson(changed) if whole else np.log1p(np.expm1(changed) * rng.uniform(0.9, 1.1, changed.shape))
    screen.X = _with_rows(matrix, rows, changed)
    return screen


def _with_rows(matrix: Any, rows: Any, changed: Any) -> Any:
    keep = np.setdiff1d(np.arange(matrix.shape[0]), rows)
    stacked = sp.vstack([matrix[keep], sp.csr_matrix(changed)]).tocsr()
    return stacked[np.argsort(np.concatenate([keep, rows]))].astype(np.float32)


def duplicates_across_splits(screen: Any) -> Any:
    """A hundredth of the cells is there again, under new names, in the other split."""
    rng = np.random.default_rng(4)
    screen.obs["split"] = pd.Categorical(rng.choice(["train", "test"], screen.n_obs))
    rich = np.flatnonzero(np.diff(screen.X.tocsr().indptr) >= 10)
    again = screen[np.sort(rng.choice(rich, screen.n_obs // 100, replace=False))].copy()
    again.obs_names = [f"again{i}" for i in range(again.n_obs)]
    again.obs["split"] = np.where(again.obs["split"].astype(str) == "train", "test", "train")
    return ad.concat([screen, again], merge="same")


def values_missing(screen: Any) -> Any:
    screen.X = screen.X.tocsr().astype(np.float32).copy()
    screen.X.data[[5, 500, 1500]] = [np.nan, np.inf, np.nan]
    return screen


def scaled_values(screen: Any) -> Any:
    dense = screen.X.toarray()
    screen.X = ((dense - dense.mean(axis=0)) / np.maximum(dense.std(axis=0), 1e-3)).astype(np.float32)
    return screen


def swapped_cell_types(screen: Any) -> Any:
    """All cells of one perturbation in one type have the label of another type."""
    column = columns_of(screen).contexts["cell_type"]
    types = screen.obs[column].astype(str).to_numpy(copy=True)
    first, second = max(types), min(types)
    labels = labels_of(screen)
    here = [label for label in frequent(screen) if ((labels == label) & (types == second)).sum() >= 15]
    types[(labels == here[0]) & (types == first)] = second
    screen.obs[column] = pd.Categorical(types)
    return screen


def guide_of_two(screen: Any) -> Any:
    """A part of a guide's cells has the label of another perturbation."""
    columns = columns_of(screen)
    labels = labels_of(screen)
    first, second = frequent(screen)[:2]
    guide = screen.obs.loc[labels == first, columns.guide].astype(str).value_counts().index[0]
    rows = np.flatnonzero((screen.obs[columns.guide].astype(str) == guide).to_numpy())
    labels[rows[::3]] = second
    return with_labels(screen, labels)


def shallow_batch(screen: Any) -> Any:
    """The counts of one batch are thinned to a tenth."""
    column = columns_of(screen).contexts["batch"]
    batches = screen.obs[column].astype(str)
    rows = np.flatnonzero((batches == min(batches)).to_numpy())
    matrix = screen.X.tocsr()
    thinned = np.random.default_rng(5).binomial(matrix[rows].toarray().astype(int), 0.1)
    screen.X = _with_rows(matrix, rows, thinned)
    return screen


def dates_for_genes(screen: Any) -> Any:
    names = list(map(str, screen.var_names))
    names[10], names[11] = "1-Mar", "2-Sep"
    screen.var_names = names
    return screen


def labels_missing(screen: Any) -> Any:
    labels = labels_of(screen).astype(object)
    labels[::50] = np.nan
    return with_labels(screen, labels)


def few_cells(screen: Any) -> Any:
    labels = labels_of(screen)
    rows = np.flatnonzero(labels == frequent(screen)[0])
    return screen[np.setdiff1d(np.arange(screen.n_obs), rows[4:])].copy()


ALL, COUNTED, TYPED, GUIDED = (
    {"small", "norman19_mcfaline23_subset", "papalexi2021_lowmoi"},
    {"small", "papalexi2021_lowmoi"},
    {"small", "norman19_mcfaline23_subset"},
    {"small", "papalexi2021_lowmoi"},
)

DAMAGES: tuple[tuple[Callable[[Any], Any], str, set[str]], ...] = (
    (two_typos, "names.spelling", ALL),
    (misspelt_control, "names.spelling", ALL),
    (shifted_column, "effects.in_step", ALL),
    (shuffled_column, "effects.labels", ALL),
    (mixed_values, "values.kind", ALL),
    (controls_of_one_batch, "design.controls", ALL),
    (target_without_effect, "effects.targets", ALL),
    (duplicates_across_splits, "duplicates.splits", ALL),
    (duplicates_across_splits, "duplicates.cells", ALL),
    (values_missing, "values.finite", ALL),
    (scaled_values, "values.kind", ALL),
    (swapped_cell_types, "effects.contexts", TYPED),
    (guide_of_two, "design.guides", GUIDED),
    (shallow_batch, "values.depth", COUNTED),
    (dates_for_genes, "names.genes", ALL),
    (labels_missing, "design.labels", ALL),
    (few_cells, "design.cells", ALL),
)
"""Each damage, the check that names it, and the screens that can have it."""
