"""Real cells made ready for a run: split by cell, a panel of genes chosen, labels brought to the pairs.

Held out are cells, never pairs: a cell that is in a training pair is in no held-out one. What the cells share
beyond their type (donor, batch) stays shared by both sides.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.errors import Errors, errors_of
from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor, control_of, perturbation_of
from gpcp.panels.first_pass import gene_statistics
from gpcp.panels.panel import GenePanel, choose_genes

_BLOCK_CELLS = 2048


def all_cells(source: CellSource) -> CellBatch:
    """Every cell of a source as one batch, sorted by ``cell_id``; dense, so choose the genes first.

    Raises
    ------
    InputError
        The source has no cell.
    """
    cells = concatenate_cells(list(source.cells(batch_size=_BLOCK_CELLS, seed=0)))
    return cells.rows(np.argsort(cells.cell_id_B))


def choose_panel(training: CellSource, n_genes: int = 50, *, min_expressed: float = 0.1) -> GenePanel:
    """The genes whose expression varies most over the training cells, within and between cell types.

    Of the genes that are measured in every cell, expressed in at least ``min_expressed`` of them and not constant.
    Reads the source once.

    Parameters
    ----------
    training : CellSource
        Never the held-out cells: a panel chosen on them has seen them.
    n_genes : int
        At least 2.
    min_expressed : float
        Share of cells with a value above 0.

    Raises
    ------
    InputError
        As :func:`gpcp.panels.panel.choose_genes`, or there is no cell.
    """
    return choose_genes(
        gene_statistics(training),
        n_genes=n_genes,
        min_measured=1.0,
        min_expressed=min_expressed,
        varying=True,
        by="variance",
    )


def labels_of(pairs: PairBatch, cells: CellBatch) -> Mapping[str, NDArray[np.str_]]:
    """The covariates of the cells before, (B,) each, as a ``Predictor`` takes them.

    Parameters
    ----------
    pairs : PairBatch
    cells : CellBatch
        From :func:`all_cells`: sorted by ``cell_id``, and all that the pairs are made of.

    Raises
    ------
    InputError
        A cell of the pairs is not among the cells.
    """
    place_B = np.minimum(np.searchsorted(cells.cell_id_B, pairs.before_id_B), len(cells) - 1)
    unknown_B = cells.cell_id_B[place_B] != pairs.before_id_B
    if unknown_B.any():
        raise InputError(
            f"cell {int(pairs.before_id_B[int(unknown_B.argmax())])} of the pairs is not among the {len(cells)} cells "
            "given: give all cells that the pairs are made of, sorted by cell_id"
        )
    return {name: values_N[place_B] for name, values_N in cells.covariates.items()}


def labelled_losses(predictor: Predictor, pairs: PairBatch, cells: CellBatch) -> Errors:
    """Squared errors of a predictor that is given the covariates of each pair; see :func:`labels_of`."""
    predicted_BG = predictor.predict(control_of(pairs), perturbation_of(pairs), labels_of(pairs, cells))
    return errors_of(predicted_BG, pairs)
