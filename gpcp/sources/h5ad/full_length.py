"""Which cells of an AnnData file were read by assays of whole transcripts, by a column of ``obs``."""

import numpy as np
from numpy.typing import NDArray

from gpcp.sources.assays import ASSAY_COLUMNS, full_length
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.gene_ids import texts


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
