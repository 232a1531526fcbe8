"""Real cells made ready for a run: split by cell, a panel of genes chosen, labels brought to the pairs.

Held out are cells, never pairs: a cell that is in a training pair is in no held-out one. What the cells share
beyond their type (donor, batch) stays shared by both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.errors import Errors, errors_of
from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor, control_of, perturbation_of
from gpcp.panels.first_pass import gene_statistics

_BLOCK_CELLS = 2048


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Genes chosen for a run.

    Parameters
    ----------
    genes : tuple of str
        In the order of the source's vocabulary.
    summary : str
        The rule, with its numbers.
    """

    genes: tuple[str, ...]
    summary: str


def all_cells(source: CellSource) -> CellBatch:
    """Every cell of a source as one batch, sorted by ``cell_id``; dense, so choose the genes first.

    Raises
    ------
    InputError
        The source has no cell.
    """
    cells = concatenate_cells(list(source.cells(batch_size=_BLOCK_CELLS, seed=0)))
    return cells.rows(np.argsort(cells.cell_id_B))


def choose_panel(training: CellSource, n_genes: int = 50, *, min_expressed: float = 0.1) -> Panel:
    """The genes whose expression varies most over the training cells.

    Of the genes that are measured in every cell and expressed in at least ``min_expressed`` of them, those with the
    largest variance, within and between cell types. Reads the source once.

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
        Fewer genes than asked for meet the conditions (the message says how many do), or there is no cell.
    """
    if n_genes < 2:
        raise InputError(f"n_genes is {n_genes}: a panel needs at least 2, one to perturb and one to score")
    n_all = len(training.vocab)
    found = gene_statistics(training)
    n_cells, variance_G = found.n_cells, found.variance_G
    # A mean is a rounded sum: what varies by less than 1e-12 of its squares is a constant.
    square_G = n_cells * (variance_G + found.mean_G**2)
    usable_G = (found.n_measured_G == n_cells) & (found.n_expressed_G >= min_expressed * n_cells)
    usable_G &= variance_G > 1e-12 * square_G
    if usable_G.sum() < n_genes:
        raise InputError(
            f"n_genes is {n_genes}, but {int(usable_G.sum())} of {n_all} genes are measured in all {n_cells} training "
            f"cells, expressed in at least {min_expressed:.0%} of them and not constant: ask for fewer genes"
        )
    by_variance = np.argsort(np.where(usable_G, -variance_G, np.inf), kind="stable")
    token_panel = np.sort(by_variance[:n_genes])
    return Panel(
        genes=training.vocab.genes(token_panel),
        summary=f"the {n_genes} genes of largest variance among the {int(usable_G.sum())} of {n_all} that are "
        f"measured in "
        f"all {n_cells} training cells and expressed in at least {min_expressed:.0%} of them",
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
