"""Real cells in memory, dense, with their counts where these can be known: what a screen is planted into."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.sources.in_memory import sample_cells
from gpcp.sources.sparse import SparseCells

MAX_CELLS = 20_000
"""Cells that are read where no number is given."""

_PER_MILLION = 1e6


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RealCells:
    """Some cells of a source.

    Parameters
    ----------
    vocab : GeneVocab
    value_NG : float32, (N, G)
        As the source gives them: log1p(TPM), or a world's own units; 0 where unmeasured.
    measured_NG : bool, (N, G)
    cell_id_N : int64, (N,)
        Ascending.
    count_NG : int64, (N, G), or None
        Counts, where the cells' totals are known and their values are whole numbers of counts.
    total_N : float64, (N,), or None
        Of all genes that were sequenced; known with the counts.
    label_N : str, (N,), or None
        The cells' types, where they are known.
    """

    vocab: GeneVocab
    value_NG: NDArray[np.float32]
    measured_NG: NDArray[np.bool_]
    cell_id_N: NDArray[np.int64]
    count_NG: NDArray[np.int64] | None = None
    total_N: NDArray[np.float64] | None = None
    label_N: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.cell_id_N)

    def rows(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> "RealCells":
        """Some of the cells."""
        return RealCells(
            vocab=self.vocab,
            value_NG=self.value_NG[which],
            measured_NG=self.measured_NG[which],
            cell_id_N=self.cell_id_N[which],
            count_NG=None if self.count_NG is None else self.count_NG[which],
            total_N=None if self.total_N is None else self.total_N[which],
            label_N=None if self.label_N is None else self.label_N[which],
        )

    def of_genes(self, which_G: NDArray[np.integer]) -> "RealCells":
        """The same cells with some of the genes; totals stay those of all genes sequenced."""
        return RealCells(
            vocab=GeneVocab(feature_id=self.vocab.genes(which_G)),
            value_NG=self.value_NG[:, which_G],
            measured_NG=self.measured_NG[:, which_G],
            cell_id_N=self.cell_id_N,
            count_NG=None if self.count_NG is None else self.count_NG[:, which_G],
            total_N=self.total_N,
            label_N=self.label_N,
        )


def real_cells(cells: CellSource, *, max_cells: int = MAX_CELLS, seed: int = 0) -> RealCells:
    """Read cells of any source, a random sample where it has more than ``max_cells``, sorted by their names.

    Raises
    ------
    InputError
        The source has fewer than two cells, or as the source itself.
    """
    if max_cells < 2:
        raise InputError(f"max_cells is {max_cells}: at least 2 are needed")
    held = sample_cells(cells, cells.vocab.feature_id, max_cells=max_cells, seed=seed).held
    labels = held.index.covariates.get("cell_type")
    count_NG = counts_of(held)
    return RealCells(
        vocab=held.vocab,
        value_NG=held.value_BG.toarray().astype(np.float32, copy=False),
        measured_NG=held.measured_BG,
        cell_id_N=held.index.cell_id_B,
        count_NG=count_NG,
        total_N=None if count_NG is None else held.index.total_B,
        label_N=None if labels is None else labels.text_B,
    )


def counts_of(cells: SparseCells) -> NDArray[np.int64] | None:
    """The counts behind log1p(TPM), int64 (B, G); None where totals are unknown or values are no whole counts.

    ``count = expm1(value) * total / 1e6``, whole up to the rounding of float32.
    """
    total_B = cells.index.total_B
    if total_B is None or not np.isfinite(total_B).all() or (cells.value_BG.data < 0).any():
        return None
    dense_BG = cells.value_BG.toarray().astype(np.float64)
    count_BG = np.expm1(dense_BG) * total_B[:, None] / _PER_MILLION
    whole_BG = np.rint(count_BG)
    if (np.abs(count_BG - whole_BG) > 0.02 + 1e-5 * whole_BG).any():
        return None
    return whole_BG.astype(np.int64)


def log_tpm(count_NG: NDArray[np.int64], total_N: NDArray[np.float64]) -> NDArray[np.float32]:
    """log1p of counts per million of each cell's total, float32 (N, G)."""
    per_million_NG = count_NG * (_PER_MILLION / np.maximum(total_N, 1.0))[:, None]
    return np.log1p(per_million_NG).astype(np.float32)
