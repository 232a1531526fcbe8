"""``ScreenCells``: the cells of a screen in memory, real or of its twin, and what is read of a screen for its twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.perturbations import AppliedPerturbations
from gpcp.sources.in_memory import InMemoryCells, sample_cells
from gpcp.sources.sparse import IndexedCells
from simulators.twins.observed import MOST_CELLS, Context, context_of
from simulators.twins.screens.effects import Effects, against_controls, effects_of

FEWEST_CONTROLS = 20
"""Of a context, to stand for themselves; the controls of smaller ones are taken together."""


@runtime_checkable
class ScreenSource(Protocol):
    """What a twin reads of a screen; :class:`gpcp.screens.h5ad_screen.H5adScreen` has it."""

    match_on: tuple[str, ...]
    applied: AppliedPerturbations
    rows: IndexedCells
    guide_N: NDArray[np.str_] | None


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenSample:
    """Some cells of a screen.

    Parameters
    ----------
    held : InMemoryCells
        Sorted by ``cell_id``.
    applied : AppliedPerturbations
        What was done to each.
    context_B : (B,) array of str
        What a control shares with the cells that it is paired with.
    guide_B : (B,) array of str, or None
        The guide of each, where the screen names it.
    """

    held: InMemoryCells
    applied: AppliedPerturbations
    context_B: NDArray[np.str_]
    guide_B: NDArray[np.str_] | None


def sample_screen(screen: ScreenSource, *, max_cells: int, seed: int = 0) -> ScreenSample:
    """Up to ``max_cells`` labelled cells, drawn at random."""
    rows = screen.rows
    held = sample_cells(rows, rows.vocab.feature_id, max_cells=max_cells, seed=seed)
    id_N = rows.index.cell_id_B
    order_N = np.argsort(id_N)
    row_B = order_N[np.searchsorted(id_N, held.index.cell_id_B, sorter=order_N)]
    context_B = np.full(len(held), "", dtype=np.str_)
    for name in screen.match_on:
        part_B = held.index.labels(name).text_B
        context_B = np.char.add(np.char.add(context_B, ", "), part_B) if context_B[0] else part_B
    return ScreenSample(
        held=held,
        applied=screen.applied.rows(row_B),
        context_B=context_B,
        guide_B=None if screen.guide_N is None else screen.guide_N[row_B],
    )


def groups_of(context_B: NDArray[np.str_], is_control_B: NDArray[np.bool_]) -> NDArray[np.str_]:
    """The group of each cell whose controls stand for it, (B,): its context, or all contexts with few controls."""
    names, n_of = np.unique(context_B[is_control_B], return_counts=True)
    own = names[n_of >= FEWEST_CONTROLS]
    return np.where(np.isin(context_B, own), context_B, "few controls") if len(own) < len(names) else context_B


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenCells:
    """Cells of a screen, real or of its twin, in memory.

    Parameters
    ----------
    cells : CellBatch
    applied : AppliedPerturbations
        What was done to each.
    group_B : (B,) array of str
        Cells of one group meet: the context, as :func:`simulators.twins.screens.cells.groups_of` has it.
    guide_B : (B,) array of str, or None
    """

    cells: CellBatch
    applied: AppliedPerturbations
    group_B: NDArray[np.str_]
    guide_B: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def standard_BG(self) -> NDArray[np.float64]:
        """Values against those of the controls of the group, in their standard deviations."""
        return against_controls(self.cells, self.applied.is_control_B, self.group_B)

    def effects(self) -> Effects:
        """The effects that these cells show."""
        return effects_of(self.standard_BG(), self.cells.measured_BG, self.applied, self.group_B)

    def rows(self, which: NDArray[np.int64]) -> "ScreenCells":
        """Some of them."""
        return ScreenCells(
            cells=self.cells.rows(which),
            applied=self.applied.rows(which),
            group_B=self.group_B[which],
            guide_B=None if self.guide_B is None else self.guide_B[which],
        )


def screen_cells_of(screen: ScreenSource, *, seed: int = 0, max_cells: int = MOST_CELLS) -> tuple[ScreenCells, Context]:
    """Up to ``max_cells`` cells of a screen, drawn at random, and what is known beside their genes."""
    sample = sample_screen(screen, max_cells=max_cells, seed=seed)
    return sample_cells_of(sample, sample.held.vocab.feature_id)


def sample_cells_of(sample: ScreenSample, genes: Sequence[str]) -> tuple[ScreenCells, Context]:
    """Some genes of the cells of a sample in memory, and what is known beside them."""
    held = sample.held.genes(genes)
    cells = next(iter(held.cells(batch_size=len(held), seed=0)))
    applied = sample.applied.only_genes(sample.held.vocab.tokens(genes))
    made = ScreenCells(
        cells=cells.rows(np.argsort(cells.cell_id_B)),
        applied=applied,
        group_B=groups_of(sample.context_B, applied.is_control_B),
        guide_B=sample.guide_B,
    )
    return made, context_of(sample.held, genes)
