"""Damages that the checks were not built on: each was written down with the check expected to name it, then tried.

Of 22 (a damage of a screen), 12 were named by that check before any change, 5 by another one (``design.guides``), 5 by
none: empty cells, for which there was no check (3), genes shifted in the screen whose kind is not known, and values
logged twice in the small screen. What names them since is what stands here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from tests.diagnostics.audit.screens.damages import columns_of, frequent, labels_of, with_labels


def exchanged_labels(screen: Any) -> Any:
    """A measured target and another perturbation have each other's label, in every cell."""
    labels = labels_of(screen)
    first = next(label for label in frequent(screen) if label in screen.var_names)
    second = next(label for label in frequent(screen) if label != first)
    changed = labels.copy()
    changed[labels == first], changed[labels == second] = second, first
    return with_labels(screen, changed)


def shifted_genes(screen: Any) -> Any:
    """The names of genes are one column further on than the matrix."""
    screen.var_names = np.roll(np.asarray(screen.var_names, dtype=object), 1)
    return screen


def logged_twice(screen: Any) -> Any:
    """Log-normalised values, and logged once more in one batch, or in one cell type of one dataset."""
    matrix: Any = sp.csr_matrix(screen.X).astype(np.float64)
    if bool((matrix.data == np.rint(matrix.data)).all()):
        total = np.asarray(matrix.sum(axis=1)).reshape(-1, 1)
        matrix = sp.csr_matrix(matrix.multiply(1e4 / np.maximum(total, 1))).log1p()
    column = columns_of(screen).contexts["batch"]
    batches = screen.obs[column].astype(str).to_numpy()
    again = np.repeat(batches == min(batches), np.diff(matrix.indptr))
    matrix.data[again] = np.log1p(matrix.data[again])
    screen.X = matrix.astype(np.float32)
    return screen


def typo_of_a_digit(screen: Any) -> Any:
    """A digit is doubled in a third of the cells of a label, which spelling cannot tell from another gene."""
    labels = labels_of(screen)
    label = next(one for one in frequent(screen) if one[-1].isdigit())
    rows = np.flatnonzero(labels == label)
    labels[rows[::3]] = label + label[-1]
    return with_labels(screen, labels)


def overflown_counts(screen: Any) -> Any:
    """Counts were kept in eight bits: those above 127 are negative."""
    matrix: Any = sp.csr_matrix(screen.X)
    matrix.data = (matrix.data * 16).astype(np.int64).astype(np.int8).astype(np.float32)
    screen.X = matrix
    return screen


def sorted_labels(screen: Any) -> Any:
    """The column was sorted and put back."""
    return with_labels(screen, np.sort(labels_of(screen)))


def wrong_kind(screen: Any) -> Any:
    """A knock-down is called an activation."""
    screen.obs["perturbation_type"] = "CRISPRa"
    return screen


def shuffled_in_one_batch(screen: Any) -> Any:
    """The labels of one batch, of several, are those of other cells of it."""
    labels = labels_of(screen)
    batches = screen.obs[columns_of(screen).contexts["batch"]].astype(str).to_numpy()
    rows = np.flatnonzero(batches == min(batches))
    labels[rows] = np.random.default_rng(6).permutation(labels[rows])
    return with_labels(screen, labels)


def empty_cells(screen: Any) -> Any:
    """A twentieth of the cells has no count at all."""
    keep = np.ones(screen.n_obs)
    keep[np.random.default_rng(7).permutation(screen.n_obs)[: screen.n_obs // 20]] = 0
    screen.X = sp.csr_matrix(sp.diags_array(keep) @ screen.X).astype(np.float32)
    screen.X.eliminate_zeros()
    return screen


def perturbed_controls(screen: Any) -> Any:
    """Three in ten controls are cells of a perturbation."""
    labels = labels_of(screen)
    rng = np.random.default_rng(8)
    control = columns_of(screen).controls[0]
    n = int((labels == control).sum() * 0.3)
    perturbed = np.flatnonzero(labels != control)
    labels[rng.choice(perturbed, n, replace=False)] = control
    return with_labels(screen, labels)


LATER: tuple[tuple[Callable[[Any], Any], str, set[str]], ...] = (
    (exchanged_labels, "effects.targets", {"small", "papalexi2021_lowmoi", "norman19_mcfaline23_subset"}),
    (shifted_genes, "effects.targets", {"small", "papalexi2021_lowmoi"}),
    (logged_twice, "values.depth", {"small", "papalexi2021_lowmoi"}),
    (typo_of_a_digit, "design.guides", {"small", "papalexi2021_lowmoi"}),
    (overflown_counts, "values.kind", {"small", "papalexi2021_lowmoi"}),
    (sorted_labels, "design.guides", {"small", "papalexi2021_lowmoi"}),
    (wrong_kind, "effects.targets", {"small", "papalexi2021_lowmoi"}),
    (shuffled_in_one_batch, "effects.labels", {"small", "papalexi2021_lowmoi"}),
    (empty_cells, "values.empty", {"small", "papalexi2021_lowmoi", "norman19_mcfaline23_subset"}),
    (perturbed_controls, "design.guides", {"small", "papalexi2021_lowmoi"}),
)
