"""The data of an experiment on a screen: controls before, perturbed cells after, and the exact answer if it is known.

It is that of a screen whose file holds the world that it came from (``gpcp make-screen``).
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, final

from diagnostics.inputs.data.cells import N_GENES, panel_of
from diagnostics.inputs.data.screen_law import NamedLaw, law_of, uns_of
from diagnostics.inputs.data.worlds import N_SAMPLE
from diagnostics.runs.experiment import Experiment
from diagnostics.scoring.levels import Levels, levels_of
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.perturbations import PerturbationVocab
from gpcp.core.random import seed_of
from gpcp.opening.screens import open_screen
from gpcp.screens.h5ad_screen import H5adScreen
from gpcp.screens.pairs import ScreenPairs
from simulators.exact.bayes import BayesAnswer
from simulators.graphs.gene_graph import GeneGraph
from simulators.screens.files import screen_of
from simulators.spike_ins.files import planted_graph_of

_BLOCK_PAIRS = 512


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenRunData:
    """The pairs of a screen: no cell, control or perturbed, is on two sides.

    Parameters
    ----------
    training_pairs, held_out_pairs : ScreenPairs
    validation_pairs : ScreenPairs or None
        Of cells that choose weights, where they were asked for.
    sample, held_out : PairBatch
        Pairs of the training for the baselines, and those on which every loss is measured, each perturbed cell once.
    graphs : tuple of GeneGraph
        Those that the file holds, one for each context; none of a real screen.
    law : NamedLaw or None
        The exact mean of each perturbation of that world.
    summary : tuple of str
        What was decided on the way from the file to the pairs.
    """

    training_pairs: ScreenPairs
    held_out_pairs: ScreenPairs
    validation_pairs: ScreenPairs | None
    sample: PairBatch
    held_out: PairBatch
    graphs: tuple[GeneGraph, ...]
    law: NamedLaw | None
    summary: tuple[str, ...]

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every pair."""
        return self.sample.vocab

    @property
    def perturbations(self) -> PerturbationVocab:
        """All perturbations of the screen, by which models read them."""
        return self.training_pairs.perturbations

    def training(self, n_pairs: int) -> ScreenPairs:
        """The training pairs, with other controls in every pass, however many are asked for."""
        del n_pairs
        return self.training_pairs

    def exact(self) -> BayesAnswer | None:
        """The exact answer for names alone to the held-out pairs; None where no world is known."""
        return self.exact_of(self.held_out)

    def exact_of(self, pairs: PairBatch) -> BayesAnswer | None:
        """The exact answer for names alone to some pairs; None where no world is known."""
        return None if self.law is None else self.law.answer(pairs)

    def levels(self, pairs: PairBatch, *, ridge_on: PairBatch | None) -> Levels:
        """What losses on some pairs are read against."""
        return levels_of(self.sample, pairs, exact=self.exact_of(pairs), ridge_on=ridge_on)

    def held_out_levels(self) -> Levels:
        """The levels of the held-out pairs, ridge fitted on :attr:`sample`."""
        return self.levels(self.held_out, ridge_on=self.sample)


def drawn(pairs: ScreenPairs, seed: int, purpose: str, n_pairs: int) -> PairBatch:
    """Pairs of as many passes as it takes; fewer are the first of more. Passes meet the same cells with others."""
    parts: list[PairBatch] = []
    n_found = 0
    while n_found < n_pairs:
        one_pass = pairs.pairs(batch_size=_BLOCK_PAIRS, seed=seed_of(seed, purpose, n_found))
        for part in one_pass:
            parts.append(part)
            n_found += len(part)
            if n_found >= n_pairs:
                break
    return concatenate(parts).rows(slice(0, n_pairs))


def screen_data_of(run: Experiment, *, validation_share: float | None = None) -> ScreenRunData:
    """Open the screen, split it, choose the genes, and make its world again where the file holds one.

    Parameters
    ----------
    run : Experiment
    validation_share : float, optional
        Share of the training cells that is kept to choose weights.

    Raises
    ------
    InputError
        The file or an option of it is no good, there are too few cells, or something is asked that has no meaning for
        a screen.
    """
    return _screen_data(run.data, validation_share)


@lru_cache(maxsize=8)
def _screen_data(data: Experiment, validation_share: float | None) -> ScreenRunData:
    if data.n_perturbed is not None:
        raise InputError("--n-perturbed has no meaning for a screen, whose file says what was done to each cell")
    options = dict(data.options)
    screen = open_screen(data.place, **options)
    by, names = options.get("hold_out_by") or "cells", tuple(options.get("hold_out") or ())
    split = screen.split(by=by, names=names, seed=data.seed)
    genes, chosen_by = _panel(split.training, data)
    training, held_out = split.training.with_genes(genes), split.held_out.with_genes(genes)
    validation, summary = None, [split.summary, chosen_by]
    if validation_share is not None:
        training, validation = training.apart(share=validation_share, seed=data.seed)
        summary.append(f"{validation.n_pairs} of the other perturbed cells choose weights")
    graphs, law = _truth(data, options, genes, screen)
    summary += [] if law is None else [law.summary]
    one_pass = held_out.pairs(batch_size=_BLOCK_PAIRS, seed=seed_of(data.seed, "held out"))
    scored = concatenate(islice(one_pass, -(-data.n_held_out // _BLOCK_PAIRS)))
    return ScreenRunData(
        training_pairs=training,
        held_out_pairs=held_out,
        validation_pairs=validation,
        sample=drawn(training, data.seed, "sample", min(N_SAMPLE, 4 * training.n_pairs)),
        held_out=scored.rows(slice(0, data.n_held_out)),
        graphs=graphs,
        law=law,
        summary=(screen.provenance, *summary),
    )


def _panel(training: ScreenPairs, data: Experiment) -> tuple[tuple[str, ...], str]:
    """All genes where they are few and none are asked for; else as of cells."""
    every = training.vocab.feature_id
    if data.genes is None and data.n_genes is None and len(every) <= N_GENES:
        return every, f"all {len(every)} genes"
    return panel_of(training.cells, data)


def _truth(
    data: Experiment, options: dict[str, Any], genes: tuple[str, ...], screen: H5adScreen
) -> tuple[tuple[GeneGraph, ...], NamedLaw | None]:
    """The graphs that the file holds, and the law where it holds a whole world."""
    uns = uns_of(data.place)
    world, planted = screen_of(uns), planted_graph_of(uns)
    if world is not None:
        return tuple(world.graphs.values()), law_of(world, uns, options, genes, screen)
    return (() if planted is None else (planted,)), None
