"""The rungs whose pairs are matched cells: of the twin's world, through its assay, and the real ones."""

from dataclasses import replace
from typing import Any

import numpy as np

from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.cells import LadderCells, grouped
from diagnostics.commands.ladder.rungs.learner import OnStep, SubjectPredictor, subject_of_model, train
from diagnostics.graphs.partial_correlations import partial_within
from diagnostics.graphs.scores import auprc_of
from diagnostics.inputs.models import Model
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.levels import Levels, levels_of
from diagnostics.scoring.matched_linear import PairLinearPredictor, TypeMeanPredictor
from diagnostics.scoring.real_cells import labelled_losses
from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.random import seed_of
from gpcp.core.skill import skill
from simulators.graphs.gene_graph import GeneGraph
from simulators.twins.twin import world_of_strength

N_HELD_OUT, N_SAMPLE = 1_000, 4_000
N_CEILING = 10_000
"""Twin cells on which the ceiling is fitted."""

N_WORLDS = 8
"""Graphs over which the classical recovery is averaged."""

_DENSEST = 0.9


def matched_rung(
    name: str, cells: LadderCells, model: Model, budget: Budget, *, seed: int, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Train on matched pairs of one kind of cells; loss between baseline and the best linear predictor.

    On the twin's cells the best linear predictor is that of :data:`N_CEILING` cells, and what as many cells as there
    are allow stands beside it; on real cells there are no more than there are.
    """
    if name == "real":
        training, held_out, keys = cells.training, cells.held_out, cells.match_on
        known = training
    else:
        draw = cells.twin.latent if name == "pairing" else cells.twin.cells
        keys = cells.twin_keys
        training = draw(len(cells.training), seed=seed_of(seed, "training"))
        held_out = draw(max(len(cells.held_out), 500), seed=seed_of(seed, "held out"))
        known = draw(N_CEILING, seed=seed_of(seed, "ceiling"))
    side, judged = cells.side(training, keys), cells.side(held_out, keys)
    sample = side.drawn(seed, "sample", N_SAMPLE)
    pairs = judged.drawn(seed, "held out", N_HELD_OUT)
    levels = _levels(sample, pairs, grouped(training, keys), grouped(held_out, keys))
    linear = losses_of(PairLinearPredictor.fit(grouped(training, keys)), pairs)
    best = losses_of(PairLinearPredictor.fit(grouped(known, keys)), pairs)
    subject = subject_of_model(model, side.paired, budget, seed=seed)
    train(subject, budget, seed=seed, on_step=on_step)
    predictor = SubjectPredictor(subject=subject, vocab=cells.vocab)
    errors = losses_of(predictor, pairs)
    return {
        "loss": errors.loss,
        "baseline": levels.baseline,
        "ceiling": best.loss,
        "skill": skill(errors.loss, baseline=levels.baseline, best=best.loss),
        "facts": {
            "n_cells": len(training),
            "linear_loss": linear.loss,
            "linear_skill": skill(linear.loss, baseline=levels.baseline, best=best.loss),
            "linear_gain": (levels.baseline - linear.loss) / levels.baseline,
            "training_loss": losses_of(predictor, sample).loss,
            "baseline_name": levels.baseline_name,
        },
    }


def _levels(sample: Any, pairs: Any, training: CellBatch, held_out: CellBatch) -> Levels:
    order_B = np.argsort(held_out.cell_id_B)
    levels = levels_of(sample, pairs, ridge_on=None)
    try:
        by_type = labelled_losses(TypeMeanPredictor.fit(training), pairs, held_out.rows(order_B))
    except InputError:
        # A type of the held-out cells that no training cell has.
        return levels
    return replace(levels, type_mean=by_type)


def recoveries(cells: LadderCells, *, measured: bool, seed: int) -> dict[str, float]:
    """Recovery of graphs of the twin's strength by partial correlations, from as many cells as there are.

    On the scale of average precision with chance at 0 and a perfect ranking at 1, averaged over :data:`N_WORLDS`
    graphs: by the pairing that matches types, by the pairing that was asked for, and, through the assay, with parts of
    it taken away.
    """
    twin, found = cells.twin, dict[str, list[float]]()
    by_type = ("cell_type",) if twin.assay.has_types else ()
    n = len(cells.training)
    for number in range(N_WORLDS):
        made = world_of_strength(cells.vocab, twin.latent_strength, seed=seed_of(seed, "graphs", number) % 2**20)
        graph = made.graph
        other = replace(twin, world=made)
        if measured:
            ways = {
                "assay": other.assay,
                "without counting noise": other.assay.without(counting=True),
                "without depth": other.assay.without(depth=True),
            }
            for name, assay in ways.items():
                drawn = replace(other, assay=assay).cells(n, seed=number)
                found.setdefault(name, []).append(recovery(drawn, by_type, graph))
            many = other.cells(N_CEILING, seed=number + 1000)
            found.setdefault("unlimited", []).append(recovery(many, by_type, graph))
        else:
            drawn = other.latent(n, seed=number)
            found.setdefault("matched", []).append(recovery(drawn, by_type, graph))
            found.setdefault("as paired", []).append(recovery(drawn, cells.twin_keys, graph))
    return {name: float(np.mean(values)) for name, values in found.items()}


def recovery(cells: CellBatch, keys: tuple[str, ...], graph: GeneGraph) -> float:
    """How well partial correlations within what cells share rank the moral graph: chance 0, perfect 1."""
    true_GG = graph.moral_GG()
    base = float(true_GG.sum() / (true_GG.size - len(true_GG)))
    if base > _DENSEST:
        return 1.0
    try:
        partial_GG = partial_within(grouped(cells, keys))
    except InputError:
        return 0.0
    return (auprc_of(partial_GG, true_GG) - base) / (1 - base)
