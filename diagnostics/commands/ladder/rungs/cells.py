"""The cells of a source made ready for every rung: a panel, a split by cell, the twin, and pairs by one rule."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

# Registers the kind `synthetic`.
import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
from diagnostics.commands.ladder.rungs.states import with_states
from diagnostics.inputs.data import CellSide
from diagnostics.scoring.real_cells import all_cells, choose_panel
from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.opening.cells import open_cells
from gpcp.opening.pairs import HELD_OUT_SHARE, MAX_CELLS
from gpcp.pairing.paired import Paired
from gpcp.panels.panel_file import read_genes
from gpcp.sources.in_memory import sample_cells
from gpcp.sources.subsets import split_cells
from simulators.twins.observed import context_of
from simulators.twins.twin import Twin, twin_of

_ON_TWIN = ("cell_type", "dataset")
"""Covariates that a twin's cells have."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LadderCells:
    """Real cells of a panel, split by cell, and their twin.

    Parameters
    ----------
    training, held_out : CellBatch
    twin : Twin
        Of both sides together.
    match_on : tuple of str
        What two cells of a pair share.
    n_perturbed : (int, int) or None
    states_found : bool
        Whether the cell types are clusters that were found, since the source names none.
    summary : tuple of str
        What was decided on the way.
    """

    training: CellBatch
    held_out: CellBatch
    twin: Twin
    match_on: tuple[str, ...]
    n_perturbed: tuple[int, int] | None
    states_found: bool
    summary: tuple[str, ...]

    @property
    def vocab(self) -> GeneVocab:
        """The genes of the panel."""
        return self.training.vocab

    @property
    def all_cells(self) -> CellBatch:
        """Both sides."""
        from gpcp.core.cells import concatenate_cells

        return concatenate_cells([self.training, self.held_out])

    def side(self, cells: CellBatch, match_on: Sequence[str] | None = None) -> CellSide:
        """Pairs of some cells by the rule of the real ones, or by another."""
        keys = self.match_on if match_on is None else tuple(match_on)
        held = sample_cells(HeldCells(cells), cells.vocab.feature_id, max_cells=len(cells), seed=0)
        return CellSide(cells=cells, paired=Paired(held, n_perturbed=self.n_perturbed, match_on=keys))

    @property
    def twin_keys(self) -> tuple[str, ...]:
        """What two cells of a twin's pair share: of the rule, what a twin has."""
        return tuple(name for name in self.match_on if name in _ON_TWIN)


@final
@dataclass(frozen=True, slots=True, eq=False)
class HeldCells:
    """Some cells in memory as a source; meets :class:`gpcp.core.cells.CellSource`."""

    batch: CellBatch

    @property
    def vocab(self) -> GeneVocab:
        """Of the cells."""
        return self.batch.vocab

    def cells(self, *, batch_size: int, seed: int) -> Any:
        """Every cell once, in an order that ``seed`` decides."""
        from gpcp.core.random import stream

        order_B = stream(seed, "cells in memory").permutation(len(self.batch))
        for start in range(0, len(order_B), batch_size):
            yield self.batch.rows(order_B[start : start + batch_size])


def grouped(cells: CellBatch, keys: Sequence[str]) -> CellBatch:
    """The same cells, with what they are paired by as their only covariate, under the name ``cell_type``."""
    label_B = np.full(len(cells), "all", dtype=np.str_)
    for name in keys:
        if name in cells.covariates:
            label_B = np.char.add(np.char.add(label_B, "|"), cells.covariates[name])
    return replace(cells, covariates={"cell_type": label_B})


def ladder_cells(
    source: CellSource | str,
    *,
    genes: Sequence[str] | str | None = None,
    n_genes: int,
    match_on: tuple[str, ...] | None = None,
    n_perturbed: tuple[int, int] | None = None,
    seed: int = 0,
    **options: Any,
) -> LadderCells:
    """Read a source once, split it by cell, choose the panel on the training side, build the twin.

    Raises
    ------
    InputError
        The source or an option is no good, or there are too few cells.
    """
    opened = open_cells(source, **options) if isinstance(source, str) else source
    whole = sample_cells(opened, opened.vocab.feature_id, max_cells=MAX_CELLS, seed=seed)
    split = split_cells(whole, HELD_OUT_SHARE, seed)
    if genes is None:
        panel = choose_panel(split.training, min(n_genes, len(opened.vocab)))
        chosen, chosen_by = panel.feature_id, f"{len(panel.feature_id)} genes of largest variance"
    else:
        chosen = tuple(read_genes(genes)) if isinstance(genes, str) else tuple(genes)
        chosen_by = f"the {len(chosen)} genes that were named"
    few = whole.genes(chosen)
    by_name = all_cells(few)
    by_name, states_found = with_states(by_name, seed=seed)
    is_training_B = np.isin(by_name.cell_id_B, split.training.cell_id_N)
    keys = match_on
    if keys is None:
        keys = ("cell_type",) if "cell_type" in by_name.covariates and not states_found else ()
    return LadderCells(
        training=_varying(by_name.rows(is_training_B)),
        held_out=by_name.rows(~is_training_B),
        twin=twin_of(by_name, context=context_of(whole, chosen), seed=seed, world_seed=seed),
        match_on=keys,
        n_perturbed=n_perturbed,
        states_found=states_found,
        summary=(str(getattr(opened, "provenance", "")), split.summary, chosen_by, _paired_by(keys)),
    )


def _varying(cells: CellBatch) -> CellBatch:
    constant_G = cells.expression_BG.std(axis=0) < 1e-6
    if constant_G.any():
        gene = cells.vocab.feature_id[int(constant_G.argmax())]
        raise InputError(f"gene {gene} does not vary over the training cells: leave it out of the panel")
    return cells


def _paired_by(keys: Sequence[str]) -> str:
    return f"cells of one {' and '.join(keys)} are paired" if keys else "any two cells are paired"
