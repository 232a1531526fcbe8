"""One pass over a layer of an AnnData file: its values checked, turned into log expression and kept for some genes.

Totals are taken over all genes of the matrix; only then are the genes of the panel picked out.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.gene_ids import MatrixGenes
from gpcp.sources.h5ad.normalise import KIND_IN_WORDS, LARGEST_LOG, Kind, Sparse, ValueTally, log1p_tpm, tally
from gpcp.sources.h5ad.reader import H5adFile

Values = Literal["auto", "counts", "log"]
LogSparse: TypeAlias = "sp.csr_array[np.float32, tuple[int, int]]"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LogValues:
    """What one pass over a layer leaves.

    Parameters
    ----------
    log_NG : sparse float32, (N, G)
        Log expression; NaN where unmeasured.
    expressed_SG : bool, (S, G)
        True where any cell of the dataset has a value other than 0.
    summary : tuple of str
        What the values are taken to be.
    total_N : float64, (N,), optional
        Counts of each cell over all genes of the layer; None where the values were log values.
    """

    log_NG: LogSparse
    expressed_SG: NDArray[np.bool_]
    summary: tuple[str, ...]
    total_N: NDArray[np.float64] | None = None


def choose_layer(file: H5adFile, values: Values) -> tuple[str, str]:
    """The first layer that looks like counts, or else like log values, and why it was chosen.

    Raises
    ------
    InputError
        None looks like what ``values`` asks for.
    """
    kind_of: dict[str, Kind] = {layer: file.look(layer).kind for layer in file.matrices}
    wanted: tuple[Kind, ...] = ("counts", "log") if values == "auto" else (values,)
    for kind in wanted:
        for layer, found in kind_of.items():
            if found == kind:
                return layer, f"layer {layer!r} looks like {KIND_IN_WORDS[kind]}"
    looks = "; ".join(f"{layer!r} {KIND_IN_WORDS[kind]}" for layer, kind in kind_of.items()) or "there is none"
    raise InputError(
        f"no layer of {file.name!r} looks like {' or '.join(KIND_IN_WORDS[kind] for kind in wanted)} ({looks}): "
        "name one with layer= and values="
    )


def read_log_values(
    file: H5adFile,
    layer: str,
    *,
    values: Values,
    genes: MatrixGenes,
    columns: NDArray[np.int64],
    row_N: NDArray[np.int64],
    dataset_N: NDArray[np.int64],
    refuse_nan: bool,
) -> LogValues:
    """Read a layer once.

    Parameters
    ----------
    columns : int64
        Columns to keep.
    row_N : int64, (N,)
        Rows to keep, ascending; the others count for nothing.
    dataset_N : int64, (N,)
        Number of each kept cell's dataset; all 0 where none is known.

    Raises
    ------
    InputError
        A value that is infinite, negative, or NaN where that is refused (the message names gene and cell); values
        that are not what ``values`` says.
    """
    kept_N = np.zeros(len(file.obs), dtype=np.bool_)
    kept_N[row_N] = True
    expressed_SG = np.zeros((int(dataset_N.max()) + 1, len(genes.label_G)), dtype=np.bool_)
    seen, n_empty, n_done = ValueTally(), 0, 0
    taken_as = values
    parts: list[LogSparse] = []
    totals: list[NDArray[np.float64]] = []
    for start, block in file.blocks(layer):
        here_B = np.flatnonzero(kept_N[start : start + block.shape[0]])
        block_BG: Sparse = block[here_B]
        _refuse_impossible(file, layer, block_BG, start + here_B, genes, taken_as, refuse_nan=refuse_nan)
        seen += tally(block_BG.data)
        if taken_as == "auto" and seen.kind != "nothing":
            # The first cells decide; should later ones contradict them, that is an error and no second guess.
            taken_as = "counts" if seen.kind == "counts" else "log"
        _check_kind(file, layer, seen, values, taken_as)
        dataset_B = np.repeat(dataset_N[n_done : n_done + len(here_B)], np.diff(block_BG.indptr))
        real = ~np.isnan(block_BG.data)
        expressed_SG[dataset_B[real], block_BG.indices[real]] = True
        if taken_as == "counts":
            row_of = np.repeat(np.arange(len(here_B)), np.diff(block_BG.indptr))
            count_of = np.where(real, block_BG.data, 0.0)
            totals.append(np.bincount(row_of, weights=count_of, minlength=len(here_B)).astype(np.float64))
            block_BG, n_zero = log1p_tpm(block_BG, genes.length_G)
            n_empty += n_zero
        parts.append(block_BG[:, columns].astype(np.float32))
        n_done += len(here_B)
    _check_whole(file, layer, seen, values, taken_as)
    summary = [_in_words(file, layer, genes, values, taken_as)]
    if n_empty:
        summary.append(f"{n_empty} cells have no count at all and stay 0")
    return LogValues(
        log_NG=sp.vstack(parts, format="csr"),
        expressed_SG=expressed_SG[:, columns],
        summary=tuple(summary),
        total_N=np.concatenate(totals) if taken_as == "counts" else None,
    )


def _refuse_impossible(
    file: H5adFile,
    layer: str,
    block_BG: Sparse,
    row_B: NDArray[np.int64],
    genes: MatrixGenes,
    values: Values,
    *,
    refuse_nan: bool,
) -> None:
    """Refuse what no kind of expression is, naming the first gene and cell."""
    value_N = block_BG.data
    bad_N = np.isinf(value_N) | (value_N < 0) | (np.isnan(value_N) & refuse_nan)
    if not bad_N.any():
        return
    first = int(bad_N.argmax())
    row = int(row_B[np.searchsorted(block_BG.indptr, first, side="right") - 1])
    column = int(block_BG.indices[first])
    gene = genes.id_G[column] or genes.label_G[column]
    where = (
        f"layer {layer!r} of {file.name!r} is {value_N[first]:g} for gene {gene} in cell {str(file.obs.index[row])!r}"
    )
    if not value_N[first] < 0 or np.isinf(value_N[first]):
        remedy = "nan='unmeasured' takes it as not measured" if np.isnan(value_N[first]) else "mend the file"
        raise InputError(f"{where}: {remedy}")
    what = "counts are never negative" if values == "counts" else "neither counts nor log values are ever negative"
    raise InputError(f"{where}: {what}; {_other_layers(file, layer)}")


def _other_layers(file: H5adFile, layer: str) -> str:
    """Which other layers could be used, as the end of a message."""
    kind_of: dict[str, Kind] = {other: file.look(other).kind for other in file.matrices if other != layer}
    usable = [f"layer={other!r} looks like {KIND_IN_WORDS[kind]}" for other, kind in kind_of.items() if _usable(kind)]
    return ", ".join(usable) if usable else "no other layer looks like counts or log values"


def _usable(kind: Kind) -> bool:
    return kind in ("counts", "log")


def _check_kind(file: H5adFile, layer: str, seen: ValueTally, values: Values, taken_as: Values) -> None:
    """Refuse, as soon as it is seen, what contradicts the kind that the values are taken for."""
    where = f"layer {layer!r} of {file.name!r}"
    if taken_as == "log" and seen.highest > LARGEST_LOG:
        raise InputError(
            f"{where} goes up to {seen.highest:g}: no log value of a share of a million is above {LARGEST_LOG:g}; "
            f"pass values='counts' if these are counts ({_other_layers(file, layer)})"
        )
    if values == "auto" and taken_as == "counts" and seen.kind != "counts":
        raise InputError(
            f"{where} begins with whole numbers and has fractions further on: say with values= whether they are "
            "'counts' or 'log'"
        )


def _check_whole(file: H5adFile, layer: str, seen: ValueTally, values: Values, taken_as: Values) -> None:
    """Refuse what only the whole layer shows."""
    where = f"layer {layer!r} of {file.name!r}"
    if seen.kind == "nothing":
        raise InputError(
            f"{where} holds no value above 0: there is nothing to learn from; {_other_layers(file, layer)}"
        )
    if taken_as == "log" and seen.kind == "counts":
        raise InputError(
            f"{where} holds nothing but whole numbers up to {seen.highest:g}, as counts do: pass values='counts' "
            f"({_other_layers(file, layer)})"
        )
    if values == "counts" and seen.kind == "log" and 2 * seen.n_whole < seen.n_values:
        raise InputError(
            f"{where} holds fractions and nothing above {seen.highest:g}, as log values do, and a second logarithm "
            f"would spoil them: pass values='log' ({_other_layers(file, layer)})"
        )


def _in_words(file: H5adFile, layer: str, genes: MatrixGenes, values: Values, taken_as: Values) -> str:
    """What the values are and what was done with them."""
    decided = " (decided from the values)" if values == "auto" else ""
    if taken_as == "log":
        return f"layer {layer!r} of {file.name!r} as log values{decided}, used as they are"
    n_genes = len(genes.label_G)
    if genes.length_G is None:
        return (
            f"layer {layer!r} of {file.name!r} as counts{decided}, turned into log1p(CPM): no gene lengths; "
            f"totals over all {n_genes} genes of the layer"
        )
    n_known = int(np.count_nonzero(~np.isnan(genes.length_G)))
    return (
        f"layer {layer!r} of {file.name!r} as counts{decided}, turned into log1p(TPM); totals over the {n_known} of "
        f"{n_genes} genes whose length is known"
    )
