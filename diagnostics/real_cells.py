"""Real cells made ready for a run: split by cell, a panel of genes chosen, labels brought to the pairs.

Dimension key: ``B`` cells or pairs, ``N`` all cells of a source, ``G`` genes of the source,
``P`` genes of the panel, ``T`` cell types.

Held out are cells, never pairs: a cell that is in a training pair is in no held-out one. What the cells share
beyond their type (donor, batch) stays shared by both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.losses import Errors, errors_of
from gpcp.cells import CellBatch, CellSource, concatenate_cells
from gpcp.errors import InputError
from gpcp.pairs import PairBatch
from gpcp.predictors import Predictor, control_of, perturbation_of
from gpcp.randomness import stream
from gpcp.selection import gene_statistics
from gpcp.subsets import OnlyCells

_BLOCK_CELLS = 2048


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CellSplit:
    """Two sources that have no cell in common.

    Parameters
    ----------
    training, held_out : OnlyCells
    says : str
        How they were split.
    """

    training: OnlyCells
    held_out: OnlyCells
    says: str


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Genes chosen for a run.

    Parameters
    ----------
    genes : tuple of str
        In the order of the source's vocabulary.
    says : str
        The rule, with its numbers.
    """

    genes: tuple[str, ...]
    says: str


def all_cells(source: CellSource) -> CellBatch:
    """Every cell of a source as one batch, sorted by ``cell_id``; dense, so choose the genes first.

    Raises
    ------
    InputError
        The source has no cell.
    """
    cells = concatenate_cells(list(source.cells(batch_size=_BLOCK_CELLS, seed=0)))
    return cells.rows(np.argsort(cells.cell_id_B))


def split_cells(source: CellSource, held_out_share: float, seed: int) -> CellSplit:
    """Split a source by cell, each cell type by the same share.

    Of a type of ``n`` cells, ``round(held_out_share * n)`` are held out, but never all: no type is met for the first
    time when it is scored. Cells without a ``cell_type`` covariate are of one type. Reads the source once and keeps
    names and types alone.

    Parameters
    ----------
    source : CellSource
    held_out_share : float
        Within 0 .. 1, both excluded.
    seed : int
        Decides who is held out; the order in which the source gives its cells does not.

    Returns
    -------
    CellSplit

    Raises
    ------
    InputError
        The share is not within 0 .. 1, the source has no cell, or one side would have none.
    """
    if not 0 < held_out_share < 1:
        raise InputError(f"held_out_share is {held_out_share}: it must be above 0 and below 1")
    cell_id_N, type_N = _names_and_types(source)
    rng = stream(seed, "real cells", "split")
    held_N = np.zeros(len(cell_id_N), dtype=np.bool_)
    types_T = np.unique(type_N)
    for cell_type in types_T:
        rows = np.flatnonzero(type_N == cell_type)
        n_held = min(round(held_out_share * len(rows)), len(rows) - 1)
        held_N[rng.choice(rows, size=n_held, replace=False)] = True
    if not held_N.any():
        raise InputError(
            f"no cell would be held out: {held_out_share} of each of {len(types_T)} cell types, {len(cell_id_N)} cells "
            "in all, is none; hold out more"
        )
    n_held = int(held_N.sum())
    return CellSplit(
        training=OnlyCells(source, cell_id_N[~held_N]),
        held_out=OnlyCells(source, cell_id_N[held_N]),
        says=f"{n_held} of {len(cell_id_N)} cells held out, {held_out_share:.0%} of each of {len(types_T)} cell types",
    )


def _names_and_types(source: CellSource) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Name and type of every cell, sorted by name."""
    names: list[NDArray[np.int64]] = []
    types: list[NDArray[np.str_]] = []
    for batch in source.cells(batch_size=_BLOCK_CELLS, seed=0):
        names.append(batch.cell_id_B)
        types.append(_types(batch))
    if not names:
        raise InputError("the source has no cell to split")
    order_N = np.argsort(np.concatenate(names))
    return np.concatenate(names)[order_N], np.concatenate(types)[order_N]


def _types(cells: CellBatch) -> NDArray[np.str_]:
    none_B: NDArray[np.str_] = np.full(len(cells), "", dtype=np.str_)
    return cells.covariates.get("cell_type", none_B)


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
        raise InputError(f"n_genes is {n_genes}: a panel needs at least 2, one to tell and one to score")
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
    token_P = np.sort(by_variance[:n_genes])
    return Panel(
        genes=training.vocab.genes(token_P),
        says=f"the {n_genes} genes of largest variance among the {int(usable_G.sum())} of {n_all} that are measured in "
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
    """Squared errors of a predictor that is told the covariates of each pair; see :func:`labels_of`."""
    predicted_BG = predictor.predict(control_of(pairs), perturbation_of(pairs), labels_of(pairs, cells))
    return errors_of(predicted_BG, pairs)
