"""log1p(TPM), or log1p(CPM), from counts.

A sparse matrix here stores every value that is not 0, NaN too: a NaN means *unmeasured*, nothing else does.
"""

import numpy as np
from numpy.typing import NDArray

from gpcp.sources.h5ad.kinds import Sparse

PER_MILLION = 1e6


def log1p_tpm(
    counts_BG: Sparse,
    length_G: NDArray[np.float64] | None,
    *,
    counted_G: NDArray[np.bool_] | None = None,
    full_length_B: NDArray[np.bool_] | None = None,
    total_B: NDArray[np.float64] | None = None,
) -> tuple[Sparse, NDArray[np.float64]]:
    """``log1p(1e6 * r / sum(r))`` with ``r = counts / length``; without lengths ``r = counts``, which is log1p(CPM).

    Parameters
    ----------
    counts_BG : sparse float64, (B, G)
        Not negative; NaN where unmeasured. Every gene that the cell's total is to be made of.
    length_G : float64, (G,), or None
        In bases (any unit gives the same). A NaN leaves its gene out of the totals that are made with lengths; its
        values then mean nothing.
    counted_G : bool, (G,), optional
        False leaves a column out of every total: spike-ins, antibodies, guides. All count by default.
    full_length_B : bool, (B,), optional
        Cells whose counts are divided by lengths; all by default, where there are lengths.
    total_B : float64, (B,), optional
        Totals that are known otherwise; the sum is taken where it is NaN.

    Returns
    -------
    sparse float64, (B, G)
        NaN stay where they were and are not part of any total. A cell whose total is 0 stays 0.
    float64, (B,)
        The totals used.
    """
    rate_BG = counts_BG.copy()
    n_cells = rate_BG.shape[0]
    row_E = np.repeat(np.arange(n_cells), np.diff(rate_BG.indptr))
    if length_G is not None:
        divided_E = True if full_length_B is None else full_length_B[row_E]
        rate_BG.data = rate_BG.data / np.where(divided_E, length_G[rate_BG.indices], 1.0)
    known_E = np.nan_to_num(rate_BG.data, nan=0.0)
    if counted_G is not None:
        known_E *= counted_G[rate_BG.indices]
    used_B = np.bincount(row_E, weights=known_E, minlength=n_cells).astype(np.float64)
    if total_B is not None:
        used_B = np.where(np.isnan(total_B), used_B, total_B)
    scale_B = np.divide(PER_MILLION, used_B, out=np.zeros_like(used_B), where=used_B > 0)
    rate_BG.data = np.log1p(rate_BG.data * scale_B[row_E])
    return rate_BG, used_B
