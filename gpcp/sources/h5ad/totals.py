"""What counts are a share of: all genes of the cell, in the layer read or, where that holds some of them, elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from gpcp.core.errors import InputError, nearest
from gpcp.sources.h5ad.feature_types import genes_among
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.gene_ids import MatrixGenes, texts
from gpcp.sources.h5ad.layers import agree, look_at_layer

TOTAL_COLUMNS = ("raw_sum", "total_counts", "n_counts", "ncounts", "nCount_RNA", "n_umis", "nUMI", "n_UMI")
"""Under which names files hold each cell's total of counts."""

NONE = "none"
"""Totals of the layer itself, whatever else the file knows."""

_SLACK = 1e-3
"""Relative: totals may have been rounded."""
_ENOUGH, _GOES_WITH = 20, 0.5
"""Least rank correlation of totals with the sums of a part of them, from so many cells on."""
MOST_OF_A_SUBSET = 6_000
"""A layer of more genes than this is taken for whole; what a column says beside may be from before a correction."""
_A_SUBSET = 1.05
"""From this ratio of a known total to the layer's own, in the median cell, a layer holds some genes of several."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HowCounted:
    """How counts become shares of a cell.

    Parameters
    ----------
    total_N : float64, (N,), or None
        Totals of the kept cells; the layer's own sums by default.
    full_length_N : bool, (N,), or None
        Kept cells whose counts are divided by gene lengths; all by default, where there are lengths.
    summary : str
        Which totals.
    of_raw : bool
        Whether they are those of ``raw``, divided by lengths too.
    """

    total_N: NDArray[np.float64] | None = None
    full_length_N: NDArray[np.bool_] | None = None
    summary: str = ""
    of_raw: bool = False


def how_counted(
    file: H5adFile,
    layer: str,
    genes: MatrixGenes,
    in_raw: Callable[[], MatrixGenes],
    row_N: NDArray[np.int64],
    full_N: NDArray[np.bool_] | None,
    total: str | None,
) -> HowCounted:
    """Totals of the kept cells: of counts, and for cells whose counts are divided by lengths of what that gives.

    Parameters
    ----------
    genes : MatrixGenes
        Of the layer.
    in_raw : callable
        Those of ``raw``.
    row_N : int64, (N,)
        Cells that are kept.
    full_N : bool, over all cells of the file, or None
        Cells whose counts are divided.
    total : str, optional
        As :func:`totals_of` takes it.
    """
    totals = totals_of(file, layer, genes.is_gene_G, row_N, total=total)
    if full_N is None:
        return totals
    full_N = full_N[row_N]
    rate_N = np.full(len(row_N), np.nan)
    if totals.of_raw and (length_G := in_raw().length_G) is not None:
        weight_G = np.divide(1, length_G, out=np.zeros_like(length_G), where=~np.isnan(length_G))
        rate_N = sums_over(file, "raw", weight_G)[row_N]
    count_N = np.full(len(row_N), np.nan) if totals.total_N is None else totals.total_N
    return replace(totals, total_N=np.where(full_N, rate_N, count_N), full_length_N=full_N)


def totals_of(
    file: H5adFile,
    layer: str,
    counted_G: NDArray[np.bool_],
    row_N: NDArray[np.int64],
    *,
    total: str | None = None,
) -> HowCounted:
    """Totals over all genes of each cell.

    Parameters
    ----------
    counted_G : bool, (G,)
        Features of the layer that are genes.
    row_N : int64, (N,)
        Cells that are kept.
    total : str, optional
        Column of ``obs``, or ``"none"`` for the layer's own sums. By default those of ``raw`` where it holds counts
        of more genes, else those of a column of :data:`TOTAL_COLUMNS` that is larger than the sums: the layer then
        holds some genes of several.

    Raises
    ------
    InputError
        The column does not exist, is no number, or is less than the sum of a cell's counts.
    """
    own = f"totals over all {int(counted_G.sum())} genes of the layer"
    if total == NONE:
        return HowCounted(summary=own)
    if total is not None:
        sum_N = sums_over(file, layer, counted_G)[row_N]
        return HowCounted(total_N=_named(file, total, sum_N, row_N), summary=f"totals from column {total!r} of obs")
    raw_G, columns = _raw_with_more(file, layer), dict[str, NDArray[np.float64]]()
    if counted_G.all() and len(counted_G) <= MOST_OF_A_SUBSET:
        # With features that are no genes, a column may be a total of these too.
        columns = {name: known_N[row_N] for name in TOTAL_COLUMNS if (known_N := _numbers(file, name)) is not None}
    if raw_G is None and not columns:
        return HowCounted(summary=own)
    sum_N = sums_over(file, layer, counted_G)[row_N]
    if raw_G is not None:
        raw_N = sums_over(file, "raw", raw_G)[row_N]
        if (raw_N >= sum_N * (1 - _SLACK)).all():
            return HowCounted(total_N=raw_N, summary=f"totals over all {int(raw_G.sum())} genes of raw", of_raw=True)
    # Counts that are not whole have been corrected, and have lost some.
    whole = bool((sum_N == np.rint(sum_N)).all())
    if whole and not any(_are_the_sums(known_N, sum_N) for known_N in columns.values()):
        for name, known_N in columns.items():
            if _of_more_genes(known_N, sum_N):
                why = "since the layer holds some genes of several"
                return HowCounted(total_N=known_N, summary=f"totals from column {name!r} of obs, {why}")
    return HowCounted(summary=own)


def _raw_with_more(file: H5adFile, layer: str) -> NDArray[np.bool_] | None:
    """Which features of ``raw`` are genes, where it holds counts of more features than the layer."""
    if layer == "raw" or "raw" not in file.matrices or len(file.var_of("raw")) <= len(file.var_of(layer)):
        return None
    if look_at_layer(file, "raw").kind not in ("counts", "fractional") or not agree(file, layer, "raw"):
        return None
    return genes_among(file.var_of("raw"), texts(file.var_of("raw").index))[0]


def _of_more_genes(known_N: NDArray[np.float64], sum_N: NDArray[np.float64]) -> bool:
    """Whether numbers can be totals of the counts that sums are a part of: whole, never less, and going with them."""
    some_N = sum_N > 0
    if not some_N.any() or (known_N < sum_N * (1 - _SLACK)).any() or (known_N != np.rint(known_N)).any():
        return False
    if float(np.median(known_N[some_N] / sum_N[some_N])) <= _A_SUBSET or known_N.min() == known_N.max():
        return False
    if some_N.sum() < _ENOUGH:
        return True
    return float(spearmanr(known_N[some_N], sum_N[some_N]).statistic) > _GOES_WITH


def _are_the_sums(known_N: NDArray[np.float64], sum_N: NDArray[np.float64]) -> bool:
    some_N = sum_N > 0
    return bool(some_N.any()) and abs(float(np.median(known_N[some_N] / sum_N[some_N])) - 1) < 5 * _SLACK


def _named(file: H5adFile, column: str, sum_N: NDArray[np.float64], row_N: NDArray[np.int64]) -> NDArray[np.float64]:
    if column not in file.obs.columns:
        known = [str(name) for name in file.obs.columns]
        raise InputError(f"total column {column!r} is not in obs of {file.name!r}; {nearest(column, [*known, NONE])}")
    number_N = _numbers(file, column)
    if number_N is None:
        raise InputError(f"total column {column!r} of {file.name!r} holds no positive number for every cell")
    less_N = number_N[row_N] < sum_N * (1 - _SLACK)
    if less_N.any():
        first = int(less_N.argmax())
        raise InputError(
            f"total column {column!r} of {file.name!r} is {number_N[row_N][first]:g} for cell "
            f"{str(file.obs.index[int(row_N[first])])!r}, whose counts add up to {sum_N[first]:g}: no total of them"
        )
    return number_N[row_N]


def _numbers(file: H5adFile, column: str) -> NDArray[np.float64] | None:
    """A column of ``obs`` as positive numbers; None where it is not there or holds anything else."""
    if column not in file.obs.columns or file.obs[column].dtype.kind not in "iuf":
        return None
    number_N = np.asarray(file.obs[column], dtype=np.float64)
    return number_N if np.isfinite(number_N).all() and (number_N >= 0).all() else None


def sums_over(file: H5adFile, layer: str, weight_G: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sum of each cell's counts, each feature times its weight, NaN left out; float64 (N,) over all cells."""
    sums: list[NDArray[np.float64]] = []
    for _, block in file.blocks(layer):
        block.data = np.nan_to_num(block.data, nan=0.0)
        sums.append(np.asarray(block @ weight_G.astype(np.float64)))
    return np.concatenate(sums) if sums else np.zeros(0)
