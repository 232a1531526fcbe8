"""What counts are a share of: all genes of the cell, in the layer read or, where that holds some of them, elsewhere."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.sources.h5ad.feature_types import genes_among
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.gene_ids import texts
from gpcp.sources.h5ad.layers import kind_of_layer

TOTAL_COLUMNS = ("raw_sum", "total_counts", "n_counts", "ncounts", "nCount_RNA", "n_umis", "nUMI", "n_UMI")
"""Under which names files hold each cell's total of counts."""

NONE = "none"
"""Totals of the layer itself, whatever else the file knows."""

_SLACK = 1e-3
"""Relative: totals may have been rounded."""
_A_SUBSET = 1.05
"""From this ratio of a known total to the layer's own, in the median cell, a layer holds some genes of several."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Totals:
    """Totals of cells from elsewhere than the layer.

    Parameters
    ----------
    total_N : float64, (N,), or None
        None where the layer's own sums are used.
    summary : str
        Which they are.
    """

    total_N: NDArray[np.float64] | None
    summary: str


def totals_of(
    file: H5adFile,
    layer: str,
    counted_G: NDArray[np.bool_],
    row_N: NDArray[np.int64],
    *,
    total: str | None = None,
) -> Totals:
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
        return Totals(total_N=None, summary=own)
    raw_G = _raw_with_more(file, layer)
    columns = {name: known_N for name in TOTAL_COLUMNS if (known_N := _numbers(file, name)) is not None}
    if total is None and raw_G is None and not (columns and counted_G.all()):
        return Totals(total_N=None, summary=own)
    sum_N = _sums(file, layer, counted_G)[row_N]
    if total is not None:
        return Totals(total_N=_named(file, total, sum_N, row_N), summary=f"totals from column {total!r} of obs")
    if raw_G is not None:
        raw_N = _sums(file, "raw", raw_G)[row_N]
        if (raw_N >= sum_N * (1 - _SLACK)).all():
            return Totals(total_N=raw_N, summary=f"totals over all {int(raw_G.sum())} genes of raw")
    if counted_G.all():
        # With features that are no genes, a column may be a total of these too.
        for name, known_N in columns.items():
            if _of_more_genes(known_N[row_N], sum_N):
                why = "since the layer holds some genes of several"
                return Totals(total_N=known_N[row_N], summary=f"totals from column {name!r} of obs, {why}")
    return Totals(total_N=None, summary=own)


def _raw_with_more(file: H5adFile, layer: str) -> NDArray[np.bool_] | None:
    """Which features of ``raw`` are genes, where it holds counts of more features than the layer."""
    if layer == "raw" or "raw" not in file.matrices or len(file.var_of("raw")) <= len(file.var_of(layer)):
        return None
    if kind_of_layer(file, "raw") not in ("counts", "fractional"):
        return None
    return genes_among(file.var_of("raw"), texts(file.var_of("raw").index))[0]


def _of_more_genes(known_N: NDArray[np.float64], sum_N: NDArray[np.float64]) -> bool:
    some_N = sum_N > 0
    at_least = bool((known_N >= sum_N * (1 - _SLACK)).all())
    return at_least and bool(some_N.any()) and float(np.median(known_N[some_N] / sum_N[some_N])) > _A_SUBSET


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


def _sums(file: H5adFile, layer: str, counted_G: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum of each cell's counts over some features, NaN left out."""
    sums: list[NDArray[np.float64]] = []
    for _, block in file.blocks(layer):
        block.data = np.nan_to_num(block.data, nan=0.0)
        sums.append(np.asarray(block @ counted_G.astype(np.float64)))
    return np.concatenate(sums) if sums else np.zeros(0)
