"""Which cells of an AnnData file were read by assays of whole transcripts, by a column of ``obs``."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.sources.assays import ASSAY_COLUMNS, full_length
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.gene_ids import texts

LENGTH_COLUMN = "feature_length"
"""Where files that follow CELLxGENE's schema hold gene lengths."""

NONE = "none"
"""No lengths, whatever the assays."""


def full_length_cells(file: H5adFile, assay: str | None) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
    """True for cells of assays that read whole transcripts, and the names of these assays.

    Parameters
    ----------
    assay : str, optional
        Column of ``obs``; by default the first of :data:`gpcp.sources.assays.ASSAY_COLUMNS` that is there.

    Returns
    -------
    bool, (N,), or None
        Over all cells of the file; None where no cell is of such an assay or no assay is known.
    """
    column = assay or next((name for name in ASSAY_COLUMNS if name in file.obs.columns), None)
    if column is None or column not in file.obs.columns:
        return None, ()
    names_N = np.array(texts(file.obs[column]), dtype=object)
    whole = full_length(map(str, names_N.tolist()))
    return (np.isin(names_N, whole), tuple(whole)) if whole else (None, ())


def lengths_for(
    file: H5adFile, gene_length: str | Path | None, gene_table: str | Path | None, assay: str | None
) -> tuple[NDArray[np.bool_] | None, str | Path | None]:
    """Cells whose counts are divided by gene lengths, bool (N,), and where the lengths are; None and None for none.

    The parameters are those of :class:`gpcp.sources.h5ad.cells.H5adCells`.

    Raises
    ------
    InputError
        There are such cells, and no lengths.
    """
    if str(gene_length) == NONE:
        return None, None
    full_N, assays = full_length_cells(file, assay)
    if gene_length is None and full_N is not None:
        gene_length = LENGTH_COLUMN if LENGTH_COLUMN in file.var.columns else gene_table
        if gene_length is None:
            raise InputError(
                f"{int(full_N.sum())} cells of {file.name!r} are of full-length assays ({', '.join(assays)}), whose "
                f"counts grow with a gene's length: name a column or a table of lengths with gene_length=, or "
                f"gene_length={NONE!r} for log1p(CPM)"
            )
    if gene_length is not None and full_N is None:
        full_N = np.ones(len(file.obs), dtype=np.bool_)
    return full_N, gene_length
