"""Values of a Census: each cell's fractions of transcripts and its raw counts, checked."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError
from simulators.counted import CountedCells

ROUNDING = 1e-5
"""A share of a cell's TPM that may be missing, or too much: float32 logarithms of TPM are good to 8e-7."""

_READ_ENTRIES = 4_194_304  # cells x genes at a time: 32 MB a float64 array
_ORDER = 0  # a seed of the pass; cells are sorted by id afterwards


def batches_of(source: CellSource) -> Iterator[tuple[CellBatch, NDArray[np.int64] | None]]:
    """All cells of a source, with their counts where it knows them."""
    batch_size = max(1, _READ_ENTRIES // len(source.vocab))
    if isinstance(source, CountedCells):
        for batch in source.counted(batch_size=batch_size, seed=_ORDER):
            yield batch.cells, batch.count_BG
    else:
        for cells in source.cells(batch_size=batch_size, seed=_ORDER):
            yield cells, None


def normalised_of(cells: CellBatch) -> NDArray[np.float64]:
    """Shares of a cell's transcripts from log1p(TPM), float64 (B, G).

    Raises
    ------
    InputError
        A value is below 0, as in a world's own units.
    """
    if (cells.expression_BG < 0).any():
        cell, gene = (int(i) for i in np.argwhere(cells.expression_BG < 0)[0])
        raise InputError(
            f"expression of {cells.vocab.feature_id[gene]} in cell {int(cells.cell_id_B[cell])} is "
            f"{cells.expression_BG[cell, gene]:g}, and log1p(TPM) is never below 0: a world in its own units needs an "
            "assay, SimulatedCells(..., assay=build_assay(...))"
        )
    # Beyond a million the sum is refused anyway: no need to overflow first.
    return np.expm1(np.minimum(cells.expression_BG, np.float32(100)).astype(np.float64)) / 1e6


def check_total(cells: CellBatch, share_B: NDArray[np.float64]) -> None:
    """Refuse cells whose TPM sum to more than a million.

    Parameters
    ----------
    cells : CellBatch
    share_B : float64, (B,)
        What each cell lacks of a million, as a share of it.

    Raises
    ------
    InputError
        The message names the cell.
    """
    if (share_B < -ROUNDING).any():
        cell = int(share_B.argmin())
        raise InputError(
            f"the TPM of cell {int(cells.cell_id_B[cell])} sum to {1e6 * (1 - share_B[cell]):.0f}, more than a "
            "million: the values are not log1p(TPM); read counts instead, or logarithms to base e"
        )


def check_counts(cells: CellBatch, count_BG: NDArray[np.int64], expressed_BG: NDArray[np.bool_]) -> None:
    """Refuse counts that are not above 0 just where the values are.

    Raises
    ------
    InputError
        The message names the gene and the cell.
    """
    wrong_BG = (count_BG > 0) != expressed_BG
    if wrong_BG.any() or (count_BG < 0).any():
        cell, gene = (int(i) for i in np.argwhere(wrong_BG | (count_BG < 0))[0])
        raise InputError(
            f"{cells.vocab.feature_id[gene]} in cell {int(cells.cell_id_B[cell])} has the value "
            f"{cells.expression_BG[cell, gene]:g} and the count {int(count_BG[cell, gene])}: the source's counted() "
            "and cells() contradict each other"
        )
