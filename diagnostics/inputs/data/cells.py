"""The data of an experiment on cells of which nothing was done: split by cell, matched two by two."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import final

from diagnostics.inputs.data.worlds import N_SAMPLE
from diagnostics.runs.experiment import Experiment
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.levels import Levels, levels_of
from diagnostics.scoring.matched_linear import PairLinearPredictor, TypeMeanPredictor
from diagnostics.scoring.real_cells import all_cells, choose_panel, labelled_losses
from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.random import seed_of
from gpcp.opening.cells import open_cells
from gpcp.opening.pairs import HELD_OUT_SHARE, MAX_CELLS
from gpcp.pairing.paired import Paired
from gpcp.panels.panel_file import read_genes
from gpcp.sources.in_memory import InMemoryCells, sample_cells
from gpcp.sources.sparse import indexed
from gpcp.sources.subsets import OnlyCells, split_cells

N_GENES = 20
"""Of cells, where no number of genes is given."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellSide:
    """Cells of one side of a split, and their pairs.

    Parameters
    ----------
    cells : CellBatch
        All of them, sorted by name.
    paired : Paired
        They are paired anew in every pass.
    """

    cells: CellBatch
    paired: Paired

    def drawn(self, seed: int, purpose: str, n_pairs: int) -> PairBatch:
        """Pairs of as many passes as it takes; fewer are the first of more.

        Passes meet the same cells in other pairs, with other perturbed genes.

        Raises
        ------
        InputError
            The cells make no pair.
        """
        parts: list[PairBatch] = []
        n_found = 0
        while n_found < n_pairs:
            one_pass = list(self.paired.pairs(batch_size=n_pairs, seed=seed_of(seed, purpose, n_found)))
            if not one_pass:
                raise InputError(f"the {len(self.cells)} {purpose} cells make no pair: no type has two of them")
            parts += one_pass
            n_found += sum(len(part) for part in one_pass)
        return concatenate(parts).rows(slice(0, n_pairs))


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellsData:
    """Matched pairs of real cells: no cell is on two sides.

    Parameters
    ----------
    training, held_out_cells : CellSide
    validation : CellSide or None
        Cells that choose weights, where they were asked for.
    sample, held_out : PairBatch
        Pairs of training cells for the baselines, pairs of held-out cells for every loss.
    summary : tuple of str
        What was decided on the way from the source to the pairs.
    """

    training_cells: CellSide
    held_out_cells: CellSide
    validation_cells: CellSide | None
    sample: PairBatch
    held_out: PairBatch
    summary: tuple[str, ...]

    @property
    def vocab(self) -> GeneVocab:
        """The genes of the panel."""
        return self.sample.vocab

    def training(self, n_pairs: int) -> Paired:
        """The training cells, paired anew in every pass, however many pairs are asked for."""
        del n_pairs
        return self.training_cells.paired

    def levels(self, pairs: PairBatch, side: CellSide, *, ridge_on: PairBatch | None) -> Levels:
        """What losses on pairs of one side are read against: no exact answer is known."""
        known = self.training_cells.cells
        return replace(
            levels_of(self.sample, pairs, ridge_on=ridge_on),
            type_mean=labelled_losses(TypeMeanPredictor.fit(known), pairs, side.cells),
            linear=losses_of(PairLinearPredictor.fit(known), pairs),
        )

    def held_out_levels(self, *, ridge_on: PairBatch | None = None) -> Levels:
        """The levels of the held-out pairs, ridge fitted on :attr:`sample` by default."""
        return self.levels(self.held_out, self.held_out_cells, ridge_on=self.sample if ridge_on is None else ridge_on)


def cells_data_of(run: Experiment, *, validation_share: float | None = None) -> CellsData:
    """Open the source, split it by cell, choose the genes, pair the cells.

    Parameters
    ----------
    run : Experiment
    validation_share : float, optional
        Share of the training cells that is kept to choose weights.

    Raises
    ------
    InputError
        The source, an option of it or a number is no good, or there are too few cells; the message names the remedy.
    """
    return _cells_data(run.data, validation_share)


# One for each seed of a usual command: reading a source is slow beside a short training.
@lru_cache(maxsize=8)
def _cells_data(data: Experiment, validation_share: float | None) -> CellsData:
    opened = open_cells(data.source, **dict(data.options))
    # A source without cheap rows would be read again in every pass.
    source = opened if indexed(opened) is not None else _sample(opened, data.seed)
    split = split_cells(source, HELD_OUT_SHARE, data.seed)
    genes, chosen_by = panel_of(split.training, data)
    chosen = _with_genes(source, genes, data)
    training, validation, summary = split.training, None, [split.summary]
    if validation_share is not None:
        spared = split_cells(split.training, validation_share, data.seed)
        training, validation = spared.training, spared.held_out
        summary.append(f"{validation.n_cells} of the other cells choose weights")
    known, judged = (_side(chosen, side, data) for side in (training, split.held_out))
    return CellsData(
        training_cells=known,
        held_out_cells=judged,
        validation_cells=None if validation is None else _side(chosen, validation, data),
        sample=known.drawn(data.seed, "sample", N_SAMPLE),
        held_out=judged.drawn(data.seed, "held out", data.n_held_out),
        summary=(getattr(opened, "provenance", data.source), *summary, chosen_by),
    )


def _sample(opened: CellSource, seed: int) -> InMemoryCells:
    return sample_cells(opened, opened.vocab.feature_id, max_cells=MAX_CELLS, seed=seed)


def panel_of(training: CellSource, data: Experiment) -> tuple[tuple[str, ...], str]:
    """The genes of the file that was named, or those of largest variance over the training cells; and what they are."""
    if data.genes is None:
        panel = choose_panel(training, N_GENES if data.n_genes is None else data.n_genes)
        return panel.feature_id, f"{panel.chosen_by} ({', '.join(rule.summary for rule in panel.rules)})"
    genes = tuple(read_genes(data.genes))
    return genes, f"the {len(genes)} genes of {Path(data.genes).name}"


def _with_genes(source: CellSource, genes: tuple[str, ...], data: Experiment) -> CellSource:
    """The cells with the genes of the panel alone, so that a pass is cheap."""
    if isinstance(source, InMemoryCells):
        return source.genes(genes)
    return open_cells(data.source, genes=genes, **dict(data.options))


def _side(chosen: CellSource, side: OnlyCells, data: Experiment) -> CellSide:
    cells = OnlyCells(chosen, side.cell_id_N)
    return CellSide(cells=all_cells(cells), paired=Paired(cells, n_perturbed=data.n_perturbed))
