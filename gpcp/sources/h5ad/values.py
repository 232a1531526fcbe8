"""One pass over a layer of an AnnData file: its values checked, turned into log expression and kept for some genes.

Totals are taken over all genes of the matrix; only then are the genes of the panel picked out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.gene_ids import MatrixGenes
from gpcp.sources.h5ad.kinds import KIND_IN_WORDS, LARGEST_LOG, Look, RowTally, Sparse, ValueTally, tally
from gpcp.sources.h5ad.layers import Values, look_at_layer, other_layers
from gpcp.sources.h5ad.normalise import log1p_tpm
from gpcp.sources.h5ad.totals import HowCounted
from gpcp.sources.index import Which

Taken = Literal["counts", "log"]
LogSparse: TypeAlias = "sp.csr_array[np.float32, tuple[int, int]]"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LogValues:
    """What one pass over a layer leaves.

    Parameters
    ----------
    log_NG : sparse float32, (N, G)
        Log expression; NaN where unmeasured. Where values are not kept, the NaN alone.
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


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reading:
    """How the values of a layer become log expression, decided once for the whole layer.

    Parameters
    ----------
    layer : str
    values : str
        What the caller says that they are.
    taken_as, look
        What :func:`decided` gives.
    genes : MatrixGenes
        Of the layer.
    columns : int64
        Columns to keep.
    row_N : int64, (N,)
        Rows to keep, ascending; the others count for nothing.
    how : HowCounted
        Of the rows kept.
    """

    layer: str
    values: Values
    taken_as: Taken
    look: Look
    genes: MatrixGenes
    columns: NDArray[np.int64]
    row_N: NDArray[np.int64]
    how: HowCounted

    def log(self, block_BG: Sparse, cells: Which) -> tuple[LogSparse, NDArray[np.float64] | None]:
        """Log expression of the genes to keep, and the totals of counts; ``block_BG``, which is changed, has all genes.

        ``cells`` are its places among the rows kept.
        """
        total_B = None
        if self.taken_as == "counts":
            if self.values == "auto" and not self.look.normalised:
                block_BG.data = np.rint(self.look.undo(block_BG.data))
            full_N, total_N = self.how.full_length_N, self.how.total_N
            block_BG, total_B = log1p_tpm(
                block_BG,
                self.genes.length_G,
                counted_G=self.genes.is_gene_G,
                full_length_B=None if full_N is None else full_N[cells],
                total_B=None if total_N is None else total_N[cells],
            )
        elif self.look.base != np.e:
            block_BG.data = block_BG.data * np.log(self.look.base)
        return block_BG[:, self.columns].astype(np.float32), total_B


def decided(file: H5adFile, layer: str, values: Values, row_N: NDArray[np.int64]) -> tuple[Taken, Look]:
    """What the values of some cells of a layer are taken for, and what they look like.

    Raises
    ------
    InputError
        They may be counts or log values, are something else, or are said to be counts and are log values.
    """
    found = look_at_layer(file, layer, row_N)
    where = f"layer {layer!r} of {file.name!r}"
    if values == "auto" and found.kind in ("unclear", "root", "mixed") and found.normalised:
        raise InputError(
            f"{where} holds {KIND_IN_WORDS[found.kind]}: pass values='counts' or values='log' for what they are "
            f"({other_layers(file, layer)})"
        )
    if values == "counts" and found.kind == "log" and found.certain:
        raise InputError(
            f"{where} holds fractions that are log values, and a second logarithm would spoil them: pass values='log' "
            f"({other_layers(file, layer)})"
        )
    if values == "auto":
        counts = found.kind in ("counts", "binary", "fractional") or not found.normalised
        return ("counts" if counts else "log"), found
    return values, found


def read_log_values(
    file: H5adFile, reading: Reading, *, dataset_N: NDArray[np.int64], refuse_nan: bool, keep: bool = True
) -> LogValues:
    """Read a layer once.

    Parameters
    ----------
    reading : Reading
    dataset_N : int64, (N,)
        Number of each kept cell's dataset; all 0 where none is known.
    keep : bool
        Whether log values are kept, or only which of them are NaN.

    Raises
    ------
    InputError
        A value that is infinite, negative, or NaN where that is refused (the message names gene and cell); values
        that are not what ``values`` says.
    """
    layer, genes, taken_as = reading.layer, reading.genes, reading.taken_as
    expressed_SG = np.zeros((int(dataset_N.max()) + 1, len(genes.label_G)), dtype=np.bool_)
    seen, rows = ValueTally(), RowTally()
    may_be_mixed = reading.values == "auto" and reading.look.normalised
    parts: list[LogSparse] = []
    totals: list[NDArray[np.float64]] = []
    for here_B, cells, block_BG in kept_blocks(file, layer, reading.row_N):
        _refuse_impossible(file, layer, block_BG, here_B, genes, taken_as, refuse_nan=refuse_nan)
        seen += tally(block_BG.data)
        rows += RowTally.of(block_BG) if may_be_mixed else RowTally()
        _refuse_too_large(file, layer, seen, taken_as)
        real = ~np.isnan(block_BG.data)
        dataset_B = np.repeat(dataset_N[cells], np.diff(block_BG.indptr))
        expressed_SG[dataset_B[real], block_BG.indices[real]] = True
        log_BG, total_B = reading.log(block_BG, cells)
        parts.append(log_BG if keep else _nan_alone(log_BG))
        totals += [] if total_B is None else [total_B]
    _check_whole(file, layer, seen, taken_as, mixed=rows.mixed)
    total_N = np.concatenate(totals) if taken_as == "counts" else None
    summary = [_in_words(file, reading, fractions=seen.fractions)]
    if total_N is not None and (total_N == 0).any():
        summary.append(f"{int((total_N == 0).sum())} cells have no count at all and stay 0")
    return LogValues(
        log_NG=sp.vstack(parts, format="csr"),
        expressed_SG=expressed_SG[:, reading.columns],
        summary=tuple(summary),
        total_N=total_N,
    )


def kept_blocks(
    file: H5adFile, layer: str, row_N: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], slice, Sparse]]:
    """The rows to keep of each block: which they are, their places among all that are kept, and their values."""
    kept_N = np.zeros(len(file.obs), dtype=np.bool_)
    kept_N[row_N] = True
    n_done = 0
    for start, block in file.blocks(layer):
        here_B = np.flatnonzero(kept_N[start : start + block.shape[0]])
        yield start + here_B, slice(n_done, n_done + len(here_B)), block[here_B]
        n_done += len(here_B)


def _nan_alone(log_BG: LogSparse) -> LogSparse:
    """The values that are NaN, and no other."""
    nan_BG = log_BG.copy()
    nan_BG.data = np.where(np.isnan(log_BG.data), log_BG.data, np.float32(0))
    nan_BG.eliminate_zeros()
    return nan_BG


def _refuse_impossible(
    file: H5adFile,
    layer: str,
    block_BG: Sparse,
    row_B: NDArray[np.int64],
    genes: MatrixGenes,
    values: Taken,
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
    raise InputError(f"{where}: {what}; {other_layers(file, layer)}")


def _refuse_too_large(file: H5adFile, layer: str, seen: ValueTally, taken_as: Taken) -> None:
    """Refuse, as soon as it is seen, what no logarithm is."""
    if taken_as == "log" and seen.highest > LARGEST_LOG:
        raise InputError(
            f"layer {layer!r} of {file.name!r} goes up to {seen.highest:g}: no log value of a share of a million is "
            f"above {LARGEST_LOG:g}; pass values='counts' if these are counts ({other_layers(file, layer)})"
        )


def _check_whole(file: H5adFile, layer: str, seen: ValueTally, taken_as: Taken, *, mixed: bool) -> None:
    """Refuse what only the whole layer shows."""
    where = f"layer {layer!r} of {file.name!r}"
    if mixed:
        raise InputError(
            f"{where} holds {KIND_IN_WORDS['mixed']}: two kinds of values in one matrix; write the file again from "
            "matrices of one kind"
        )
    if not seen.n_values:
        raise InputError(f"{where} holds no value above 0: there is nothing to learn from; {other_layers(file, layer)}")
    if taken_as == "log" and not seen.fractions:
        raise InputError(
            f"{where} holds nothing but whole numbers up to {seen.highest:g}, as counts do: pass values='counts' "
            f"({other_layers(file, layer)})"
        )


def _in_words(file: H5adFile, reading: Reading, *, fractions: bool) -> str:
    """What the values are and what was done with them."""
    layer, genes, values, look, how = reading.layer, reading.genes, reading.values, reading.look, reading.how
    decided_by = " (decided from the values)" if values == "auto" else ""
    where = f"layer {layer!r} of {file.name!r}"
    if reading.taken_as == "log":
        base = "used as they are" if look.base == np.e else f"of base {look.base:g}, turned into natural ones"
        depth = "" if look.normalised else "; they are logarithms of counts, so that a cell's depth is in every value"
        return f"{where} as log values{decided_by}, {base}{depth}"
    undone = f"{KIND_IN_WORDS[look.kind]} of counts, undone" if values == "auto" and not look.normalised else ""
    counts = f"{where} as {undone or KIND_IN_WORDS['fractional' if fractions else 'counts']}{decided_by}"
    if genes.length_G is None:
        return f"{counts}, turned into log1p(CPM): no gene lengths; {how.summary}"
    n_known = int(np.count_nonzero(~np.isnan(genes.length_G) & genes.is_gene_G))
    of_length = f"totals over the {n_known} of {int(genes.is_gene_G.sum())} genes whose length is known"
    of_length = how.summary if how.of_raw else of_length
    if how.full_length_N is None or how.full_length_N.all():
        return f"{counts}, turned into log1p(TPM); {of_length}"
    n_full, n_cells = int(how.full_length_N.sum()), len(how.full_length_N)
    return (
        f"{counts}, turned into log1p(TPM) for {n_full} cells of full-length assays ({of_length}) and log1p(CPM) for "
        f"the other {n_cells - n_full} ({how.summary})"
    )
