"""Checks of cells that are there twice: the same name, the same values, the same cell in two splits."""

import re

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.screens.check import failed, listed, not_applicable, passed
from diagnostics.audit.screens.screen import Screen
from diagnostics.results.check_result import CheckResult

_FEWEST_VALUES = 10
"""Genes that a cell expresses from which on no other cell has all the same values by chance."""
_SPLIT_NAME = re.compile(r"split|fold|subset|partition", re.IGNORECASE)
_TRAIN, _TEST = {"train", "training"}, {"test", "val", "valid", "validation", "ood", "holdout", "heldout", "held_out"}


def cells_once(screen: Screen) -> CheckResult:
    """No cell is there twice, by its name or by its values."""
    _, first_N, n_same_N = _same_values(screen)
    n_twice = int(np.maximum(n_same_N - 1, 0).sum())
    n_names = int(screen.obs.index.duplicated().sum())
    if not n_twice and not n_names:
        return passed("no two cells have the same values, or the same name", statistic=0, tolerance=0, n=len(screen))
    parts = [f"{n_twice:,} cells have all the values of another cell"] if n_twice else []
    parts += [f"{n_names:,} cells have the name of another cell"] if n_names else []
    if n_twice:
        which = [str(screen.obs.index[row]) for row in first_N[n_same_N > 1][:3].tolist()]
        parts[0] += f" ({listed(which)} first)"
    return failed(
        "; ".join(parts),
        "keep one of each: cells that are there twice make intervals too narrow, and leak between splits",
        statistic=n_twice + n_names,
        tolerance=0,
        n=len(screen),
    )


def splits_disjoint(screen: Screen) -> CheckResult:
    """No cell is in two splits."""
    columns = split_columns(screen)
    if not columns:
        return not_applicable("there is no column of splits")
    code_N, _, _ = _same_values(screen)
    name_N = np.unique(np.asarray(screen.obs.index.astype(str), dtype=str), return_inverse=True)[1]
    found: list[str] = []
    n_worst = 0
    for column in columns:
        split_N = screen.obs[column].astype("string").fillna("").to_numpy().astype(str)
        n_shared = max(_n_in_two(code_N, split_N), _n_in_two(name_N, split_N))
        n_worst = max(n_worst, n_shared)
        if n_shared:
            found.append(f"{n_shared:,} cells are in more than one split of {column!r}")
    if not found:
        shown = ", ".join(map(repr, columns))
        return passed(f"no cell is in two splits of {shown}", statistic=0, tolerance=0, n=len(screen))
    return failed(
        "; ".join(found),
        "keep these cells in one split: a model that has seen a cell is tested on its memory",
        statistic=n_worst,
        tolerance=0,
        n=len(screen),
    )


def split_columns(screen: Screen) -> list[str]:
    """Columns of ``obs`` that say in which split a cell is."""
    found: list[str] = []
    for column in map(str, screen.obs.columns):
        values = screen.obs[column]
        if not 2 <= values.nunique() <= 20:
            continue
        words = {str(value).strip().lower() for value in values.dropna().unique()}
        if words & _TRAIN and (words & _TEST or _SPLIT_NAME.search(column)):
            found.append(column)
    return found


def _same_values(screen: Screen) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """A number for each cell that is shared by cells of the same values (-1 for cells too empty to compare).

    With the first row of each number, and in how many cells it occurs.
    """
    enough_N = screen.per_cell.n_expressed_N >= _FEWEST_VALUES
    code_N = np.full(len(screen), -1, dtype=np.int64)
    rows_N = np.flatnonzero(enough_N)
    _, first_N, inverse_N, n_N = np.unique(
        screen.per_cell.hash_N[rows_N], return_index=True, return_inverse=True, return_counts=True
    )
    code_N[rows_N] = inverse_N
    return code_N, rows_N[first_N], n_N


def _n_in_two(code_N: NDArray[np.int64], split_N: NDArray[np.str_]) -> int:
    """Of how many codes the cells are in more than one split."""
    kept_N = (code_N >= 0) & (split_N != "")
    _, split_code_N = np.unique(split_N, return_inverse=True)
    pairs = np.unique(np.stack([code_N[kept_N], split_code_N[kept_N]]), axis=1)
    return int((np.bincount(pairs[0]) > 1).sum()) if pairs.size else 0
