"""A source of cells split in two by cell, so that no cell that is scored was trained on.

Dimension key: ``B`` cells of a batch, ``N`` all cells of a source, ``T`` cell types.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.cells import CellBatch, CellSource
from gpcp.errors import InputError
from gpcp.randomness import stream
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
