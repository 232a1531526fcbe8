"""Checks of the values: finite, of one kind, and as deep in one batch as in another."""

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.screens.check import failed, listed, not_applicable, passed
from diagnostics.audit.screens.screen import Screen
from diagnostics.results.check_result import CheckResult
from gpcp.sources.h5ad.kinds import KIND_IN_WORDS

_ENOUGH_VALUES, _FEW_WHOLE = 5, 0.05
"""Values of a cell from which it can be seen what they are; share of whole ones that logarithms do not reach."""
_FEWEST_CELLS, _LEAST_SHARE = 3, 0.001
"""Cells, and share of cells, of another kind from which a matrix is two in one."""
_MOST_RATIO = 3.0
"""Of the medians of two batches of one cell type."""
_FEWEST_OF_BATCH = 10


def finite(screen: Screen) -> CheckResult:
    """No value is NaN or infinite."""
    n_bad_N = screen.per_cell.n_bad_N
    n, n_cells = int(n_bad_N.sum()), int((n_bad_N > 0).sum())
    if not n:
        return passed("every value is finite", statistic=0, tolerance=0, n=len(screen))
    which = [str(name) for name in screen.obs.index[np.flatnonzero(n_bad_N > 0)[:3]]]
    return failed(
        f"{n:,} values of {n_cells:,} cells are NaN or infinite, in {listed(which)} first",
        "drop these cells or write the values anew: a mean over them is NaN, and a nanmean hides them",
        statistic=n,
        tolerance=0,
        n=len(screen),
    )


def one_kind(screen: Screen) -> CheckResult:
    """The values are counts, or logarithms, not some of both, and not scaled."""
    cells = screen.per_cell
    enough_N = cells.n_expressed_N >= _ENOUGH_VALUES
    whole_N = enough_N & (cells.n_whole_N == cells.n_expressed_N)
    fractions_N = enough_N & (cells.n_whole_N <= _FEW_WHOLE * cells.n_expressed_N)
    n_few = int(min(whole_N.sum(), fractions_N.sum()))
    bound = max(_FEWEST_CELLS, _LEAST_SHARE * int(enough_N.sum()))
    if n_few > bound:
        return failed(
            f"{int(whole_N.sum()):,} cells hold whole numbers alone and {int(fractions_N.sum()):,} hold hardly any: "
            f"counts and logarithms in one matrix ({_where(screen, whole_N, fractions_N)})",
            "write all cells as counts, or normalise them all in one way",
            statistic=n_few,
            tolerance=bound,
            n=len(screen),
        )
    kind = screen.look.kind
    if kind in ("scaled", "nothing", "binary", "mixed", "unclear"):
        return failed(
            f"layer {screen.layer!r} holds {KIND_IN_WORDS[kind]}: effects are measured in counts or in logarithms",
            "take the layer of counts, or write log-normalised values",
            statistic=1,
            tolerance=0,
            n=len(screen),
        )
    message = f"layer {screen.layer!r} holds {KIND_IN_WORDS[kind]}, in every cell"
    return passed(message, statistic=n_few, tolerance=bound, n=len(screen))


def _where(screen: Screen, whole_N: NDArray[np.bool_], fractions_N: NDArray[np.bool_]) -> str:
    """In which context or label the rarer kind lies, where it lies in one."""
    rare_N = whole_N if whole_N.sum() <= fractions_N.sum() else fractions_N
    kind = "counts" if rare_N is whole_N else "logarithms"
    for covariate, column in screen.columns.contexts.items():
        values = np.unique(screen.context(covariate)[rare_N])
        if len(values) == 1 and len(np.unique(screen.context(covariate))) > 1:
            return f"{kind} in {column} {values[0]!r} alone"
    return f"{kind} in {int(rare_N.sum()):,} cells of {len(np.unique(screen.label_N[rare_N])):,} labels"


def none_empty(screen: Screen) -> CheckResult:
    """No cell is without any value but 0."""
    empty_N = screen.per_cell.n_expressed_N == 0
    n = int(empty_N.sum())
    fewest = int(screen.per_cell.n_expressed_N.min())
    if not n:
        return passed(f"every cell expresses {fewest:,} genes or more", statistic=0, tolerance=0, n=len(screen))
    return failed(
        f"{n:,} cells express no gene at all, of {len(np.unique(screen.label_N[empty_N])):,} labels",
        "drop them: they are no cells, and pull the means of their labels down",
        statistic=n,
        tolerance=0,
        n=len(screen),
    )


def depth(screen: Screen) -> CheckResult:
    """Batches of one cell type are about as deep, and in one scale."""
    batch_N = screen.context("dataset", "donor", "batch")
    if len(np.unique(batch_N)) < 2:
        return not_applicable("there is no column of batches, donors or datasets with two values")
    type_N = screen.context("cell_type")
    finite_N = screen.per_cell.n_bad_N == 0
    # In place of totals, which are the same in all cells of normalised values, those of what was normalised.
    numbers = {"totals": screen.per_cell.total_N, "genes expressed": screen.per_cell.n_expressed_N.astype(np.float64)}
    if screen.look.kind == "log":
        numbers = {"totals without logarithm": _undone_totals(screen), "genes expressed": numbers["genes expressed"]}
    worst, found = 1.0, ""
    n_compared = 0
    for cell_type in np.unique(type_N).tolist():
        for what, number_N in numbers.items():
            median_of = {
                batch: float(np.median(number_N[rows_N]))
                for batch in np.unique(batch_N[type_N == cell_type]).tolist()
                if (rows_N := finite_N & (type_N == cell_type) & (batch_N == batch) & ~np.isnan(number_N)).sum()
                >= _FEWEST_OF_BATCH
            }
            if len(median_of) < 2:
                continue
            n_compared += 1
            low, high = (pick(median_of, key=lambda one: median_of[one]) for pick in (min, max))
            ratio = median_of[high] / max(median_of[low], 1e-9)
            if ratio > worst:
                of_type = f" of {cell_type!r}" if cell_type else ""
                worst, found = (
                    ratio,
                    f"the median of {what} is {median_of[low]:.3g} in {low!r} and {median_of[high]:.3g} in "
                    f"{high!r}{of_type}, a ratio of {ratio:.2f}",
                )
    if not n_compared:
        return not_applicable("no two batches have cells of one cell type: depth cannot be compared between them")
    found = found or "the medians of all batches are equal"
    if worst <= _MOST_RATIO:
        return passed(found, statistic=worst, tolerance=_MOST_RATIO, n=len(screen))
    return failed(
        found,
        "compare cells with controls of their own batch alone, and normalise the counts; of values that are "
        "normalised already, the batches were normalised differently",
        statistic=worst,
        tolerance=_MOST_RATIO,
        n=len(screen),
    )


def _undone_totals(screen: Screen) -> NDArray[np.float64]:
    """Of the sample's cells, and its genes, the total of what the logarithm was taken of; NaN of other cells."""
    total_N = np.full(len(screen), np.nan)
    linear_BG = screen.log_BG.copy()
    linear_BG.data = np.expm1(linear_BG.data)
    total_N[screen.row_B] = np.asarray(linear_BG.sum(axis=1)).reshape(-1)
    return total_N
