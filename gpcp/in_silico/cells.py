"""Which cells a screen predicts, and what it has to know of them."""

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.model.perturbation_table import PerturbationTable
from gpcp.sources.subsets import OnlyGenes


def cells_to_screen(source: CellSource, vocab: GeneVocab, *, n_cells: int = 200, seed: int = 0) -> CellBatch:
    """The first cells of a pass over a source, which are a random sample, with the genes of a predictor in its order.

    Raises
    ------
    InputError
        The source lacks a gene (the message names the nearest), or gives no cell.
    """
    known = source if source.vocab == vocab else OnlyGenes(source, vocab.feature_id)
    kept: list[CellBatch] = []
    n_left = n_cells
    for batch in known.cells(batch_size=min(n_cells, 1024), seed=seed):
        kept.append(batch.rows(slice(0, n_left)))
        n_left -= len(kept[-1])
        if not n_left:
            break
    if n_left == n_cells:
        raise InputError("the source gives no cell: a screen needs at least one")
    return concatenate_cells(kept)


def control_of_cells(cells: CellBatch) -> NDArray[np.float32]:
    """Expression before, float32 (B, G), with NaN where unmeasured, as a predictor takes it."""
    return np.where(cells.measured_BG, cells.expression_BG, np.float32(np.nan))


def mean_of_genes(cells: CellBatch) -> dict[str, float]:
    """Mean expression of each gene over the cells that measure it; no entry where none does."""
    n_G = cells.measured_BG.sum(axis=0)
    total_G = cells.expression_BG.sum(axis=0, dtype=np.float64)
    return {gene: float(total / n) for gene, total, n in zip(cells.vocab.feature_id, total_G, n_G, strict=True) if n}


def check_measured(cells: CellBatch, table: PerturbationTable) -> None:
    """Refuse a gene that no cell measures: its perturbation could not be predicted anywhere.

    Raises
    ------
    InputError
        The message names the gene, and the nearest measured ones.
    """
    measured_G = np.asarray(cells.measured_BG.any(axis=0))
    for token in table.token_E[~measured_G[table.token_E]]:
        gene = cells.vocab.feature_id[int(token)]
        known = cells.vocab.genes(np.flatnonzero(measured_G))
        raise InputError(f"gene {gene!r} is measured in none of the {len(cells)} cells; {nearest(gene, known)}")
