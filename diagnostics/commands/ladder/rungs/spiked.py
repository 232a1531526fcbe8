"""The rung whose pairs are real cells with a known graph planted into them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.cells import LadderCells, grouped
from diagnostics.commands.ladder.rungs.learner import OnStep, SubjectPredictor, subject_of_model, train
from diagnostics.graphs.scores import auprc_of
from diagnostics.inputs.data import CellSide
from diagnostics.inputs.models import Model
from diagnostics.scoring.errors import errors_of, losses_of
from diagnostics.scoring.levels import levels_of
from diagnostics.scoring.real_cells import labels_of
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.random import seed_of, stream
from gpcp.core.skill import skill
from simulators.graphs.gene_graph import GeneGraph
from simulators.spike_ins.pairs import SpikedPairs, planted_effects
from simulators.spike_ins.planted_graph import planted_graph
from simulators.spike_ins.values import Rule, changed

N_HELD_OUT, N_SAMPLE = 1_000, 4_000
_N_PARTNERS = 64
DOSE = (1.0, 2.0)
"""Sizes of the planted changes: 2.7 to 7.4 times the level, under the rule ``fold``."""


def spiked_rung(
    cells: LadderCells, model: Model, budget: Budget, *, seed: int, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Train on real pairs with a planted graph; loss between the baseline and the answer that knows the effect."""
    rule: Rule = "shift" if (cells.training.expression_BG < 0).any() else "fold"
    graph = planted_graph(cells.vocab, seed=seed_of(seed, "planted") % 2**20)
    side, judged = cells.side(cells.training), cells.side(cells.held_out)
    most = max(1, len(cells.vocab) // 4)

    def spiked(of: CellSide) -> SpikedPairs:
        return SpikedPairs(real=of.paired, graph=graph, n_perturbed=(1, most), dose=DOSE, rule=rule)

    sample = _drawn(spiked(side), N_SAMPLE, seed_of(seed, "sample"))
    held_out = _drawn(spiked(judged), N_HELD_OUT, seed_of(seed, "held out"))
    levels = levels_of(sample, held_out, ridge_on=None)
    ceiling = errors_of(effect_known(cells, held_out, graph, rule, seed), held_out).loss
    subject = subject_of_model(model, spiked(side), budget, seed=seed)
    train(subject, budget, seed=seed, on_step=on_step)
    loss = losses_of(SubjectPredictor(subject=subject, vocab=cells.vocab), held_out).loss
    return {
        "loss": loss,
        "baseline": levels.baseline,
        "ceiling": ceiling,
        "skill": skill(loss, baseline=levels.baseline, best=ceiling),
        "recovery": effects_found(sample, graph),
        "recovery_ceiling": 1.0,
        "recovery_baseline": 0.0,
        "facts": {"n_cells": len(cells.training), "rule": rule, "dose": list(DOSE), "n_edges": graph.n_edges},
    }


def effect_known(
    cells: LadderCells, held_out: PairBatch, graph: GeneGraph, rule: Rule, seed: int
) -> NDArray[np.float64]:
    """The mean of training cells that could have been paired, with the planted effect on each of them, (B, G).

    The answer of who knows graph and weights, and reads nothing else off the cell before but what it is paired by; a
    model that does read more can pass it.
    """
    known, judged = grouped(cells.training, cells.match_on), grouped(cells.held_out, cells.match_on)
    order_B = np.argsort(judged.cell_id_B)
    label_B = labels_of(held_out, judged.rows(order_B))["cell_type"]
    effect_BG, rng = planted_effects(graph, held_out), stream(seed, "cells that could have been paired")
    answer_BG = np.zeros(effect_BG.shape)
    for label in np.unique(label_B):
        rows_B = np.flatnonzero(label_B == label)
        found = np.flatnonzero(known.covariates["cell_type"] == label)
        found = found if len(found) else np.arange(len(known))
        # The mean of all of them is exact; only what the effect adds to it is a mean over some.
        answer_BG[rows_B] = known.expression_BG[found].mean(axis=0, dtype=np.float64)
        for _ in range(_N_PARTNERS):
            drawn_BG = known.expression_BG[rng.choice(found, size=len(rows_B))]
            answer_BG[rows_B] += (changed(drawn_BG, effect_BG[rows_B], rule) - drawn_BG) / _N_PARTNERS
    return answer_BG


def effects_found(pairs: PairBatch, graph: GeneGraph) -> float:
    """How well a regression of the second cell on the changes ranks the genes that each gene acts on, 0 chance, 1 all.

    Total effects: who acts on whom, directly or not.
    """
    dose_BG = np.where(pairs.perturbed_BG, pairs.delta_BG, 0.0).astype(np.float64)
    n_genes = dose_BG.shape[1]
    effect_GG: NDArray[np.float64] = np.zeros((n_genes, n_genes))
    for gene in range(n_genes):
        rows_B = pairs.scored_BG[:, gene]
        if rows_B.sum() <= n_genes:
            continue
        after_B = pairs.after_BG[rows_B, gene].astype(np.float64)
        gram_GG = dose_BG[rows_B].T @ dose_BG[rows_B] + np.eye(n_genes)
        effect_GG[:, gene] = np.linalg.solve(gram_GG, dose_BG[rows_B].T @ (after_B - after_B.mean()))
        effect_GG[gene, gene] = 0.0
    true_GG = graph.ancestors_GG()
    base = float(true_GG.sum() / (true_GG.size - len(true_GG)))
    return (auprc_of(effect_GG, true_GG) - base) / (1 - base) if 0 < base < 1 else 1.0


def _drawn(pairs: SpikedPairs, n_pairs: int, seed: int) -> PairBatch:
    """So many pairs, of as many passes as it takes."""

    def passes() -> Iterator[PairBatch]:
        n_found, number = 0, 0
        while n_found < n_pairs:
            for batch in pairs.pairs(batch_size=512, seed=seed_of(seed, number)):
                n_found += len(batch)
                yield batch
            number += 1

    found = concatenate(passes())
    return found.rows(slice(0, n_pairs))
