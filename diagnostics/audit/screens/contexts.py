"""Whether labels of cell types go with expression: a held-out classifier, over all cells and by group of cells."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from diagnostics.audit.screens.check import failed, listed, not_applicable, passed, undecided, with_p
from diagnostics.audit.screens.projection import projected
from diagnostics.audit.screens.screen import Screen
from diagnostics.results.check_result import CheckResult
from gpcp.core.random import stream

_FEWEST_OF_TYPE, _FEWEST_OF_GROUP = 40, 15
_FOLDS = 5
_LEVEL = 0.001
_LEAST_SHARE, _MOST_USUAL = 0.25, 0.1
"""Share of a group's cells predicted as one other type, where of the type's other cells no more than the second are."""
_GROUP_LEVEL = 1e-6
"""Of the test that a group has more of such cells than the type's other cells have."""


def contexts_agree(screen: Screen) -> CheckResult:
    """Cell types can be predicted from expression, and no group of cells looks like another type than its label."""
    if "cell_type" not in screen.columns.contexts:
        return not_applicable("there is no column of cell types")
    types, code_B = np.unique(screen.context("cell_type")[screen.row_B], return_inverse=True)
    if len(types) < 2:
        return not_applicable(f"there is one cell type alone ({str(types[0])!r})")
    n_of_type = np.bincount(code_B)
    kept_B = (n_of_type >= _FEWEST_OF_TYPE)[code_B]
    if len(np.unique(code_B[kept_B])) < 2:
        return undecided(f"fewer than two cell types have {_FEWEST_OF_TYPE} cells in the sample")
    component_BF = projected(screen, within_strata=False)[kept_B]
    code_B = code_B[kept_B]
    predicted_B = _predicted(component_BF, code_B, screen.seed)
    n_types = len(np.unique(code_B))
    right_B = predicted_B == code_B
    recall = float(np.mean([right_B[code_B == code].mean() for code in np.unique(code_B)]))
    chance = 1 / n_types
    # Cells weighted so that each type counts the same: the mean of recalls of as many cells as the rarest has.
    n_rarest = int(np.bincount(code_B)[np.unique(code_B)].min()) * n_types
    p = float(binom.sf(round(recall * n_rarest) - 1, n_rarest, chance))
    text = f"{recall:.0%} of held-out cells are given their own of {n_types} types ({chance:.0%} by chance)"
    if p > _LEVEL:
        return with_p(
            failed(
                f"cell types do not go with expression: {text}",
                "see whether the column of cell types belongs to these cells",
                statistic=recall,
                tolerance=chance,
                n=len(code_B),
            ),
            p,
        )
    odd = _odd_groups(screen, kept_B, types, code_B, predicted_B)
    if odd:
        return failed(
            f"{len(odd)} groups of cells look like another cell type: {listed(odd, 4)}; over all, {text}",
            "see whether the cell type of these cells is swapped",
            statistic=len(odd),
            tolerance=0,
            n=len(code_B),
        )
    return with_p(passed(text, statistic=recall, tolerance=chance, n=len(code_B)), p)


def _predicted(component_BF: NDArray[np.float64], code_B: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Each cell's type by a linear classifier that was fitted to the other folds, types weighted the same."""
    from sklearn import discriminant_analysis as analysis  # pyright: ignore[reportMissingTypeStubs]  # it has none

    fold_B = stream(seed, "screen", "folds").permutation(len(code_B)) % _FOLDS
    predicted_B = np.full(len(code_B), -1, dtype=np.int64)
    codes = np.unique(code_B)
    equal = np.full(len(codes), 1 / len(codes))
    for fold in range(_FOLDS):
        rest_B = fold_B != fold
        classifier: Any = analysis.LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=equal)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classifier.fit(component_BF[rest_B], code_B[rest_B])
            predicted_B[fold_B == fold] = np.asarray(classifier.predict(component_BF[fold_B == fold]), dtype=np.int64)
    return predicted_B


def _odd_groups(
    screen: Screen,
    kept_B: NDArray[np.bool_],
    types: NDArray[np.str_],
    code_B: NDArray[np.int64],
    predicted_B: NDArray[np.int64],
) -> list[str]:
    """Perturbations, or batches, whose cells of one type are mostly predicted as one other."""
    odd: list[str] = []
    rows_B = screen.row_B[kept_B]
    groups = {"": screen.label_N[rows_B], "batch ": screen.context("donor", "batch")[rows_B]}
    for what, group_B in groups.items():
        for code in np.unique(code_B).tolist():
            of_type_B = code_B == code
            for group in np.unique(group_B[of_type_B]).tolist():
                here_B = of_type_B & (group_B == group)
                others_B = of_type_B & ~here_B
                if here_B.sum() < _FEWEST_OF_GROUP or not others_B.any():
                    continue
                n_of = np.bincount(predicted_B[here_B], minlength=len(types))
                n_of[code] = 0
                other = int(np.argmax(n_of))
                n, n_other = int(here_B.sum()), int(n_of[other])
                share, usual = n_other / n, (1 + int((predicted_B[others_B] == other).sum())) / (1 + others_B.sum())
                p = float(binom.sf(n_other - 1, n, usual))
                if share >= _LEAST_SHARE and usual <= _MOST_USUAL and p <= _GROUP_LEVEL:
                    like = f"like {str(types[other])!r} ({share:.0%} of {n})"
                    odd.append(f"{what}{group or 'all'} of {str(types[code])!r} {like}")
    return odd
