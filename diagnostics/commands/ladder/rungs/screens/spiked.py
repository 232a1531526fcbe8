"""The rung whose pairs are the screen's own controls, some of them with the effects of a known graph planted in."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.learner import OnStep, SubjectPredictor, subject_of_model, train
from diagnostics.commands.ladder.rungs.screens.cells import LadderScreen
from diagnostics.commands.ladder.rungs.screens.matched import (
    N_HELD_OUT,
    N_SAMPLE,
    baseline_of,
    codes_of_twos,
    variance_within,
)
from diagnostics.commands.ladder.rungs.screens.recovery import agreement
from diagnostics.inputs.models import Model
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.levels import levels_of
from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab
from gpcp.core.random import seed_of, stream
from gpcp.core.skill import skill
from gpcp.screens.splits import hold_out
from simulators.spike_ins.planted_graph import planted_graph, total_effects
from simulators.spike_ins.values import Rule, changed, rule_of
from simulators.twins.screens.cells import ScreenCells

DOSE = -1.0
"""Natural logarithm of the fold change of a target: a knockdown to 37 %."""

MOST_TARGETS, CONTROLS = 10, 0.5
"""Targets that are planted, and the share of the controls that stay controls."""


def spiked_screen_rung(
    cells: LadderScreen, model: Model, budget: Budget, *, seed: int, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Train on controls with planted effects; loss between baseline and the mean of each planted perturbation."""
    planted, effect_PG, target_PG, rule = planted_screen(cells, seed)
    side = cells.side(planted)
    label_N = np.array(planted.applied.labels(), dtype=np.str_)
    held_N = hold_out(label_N, {}, planted.group_B, by="cells", seed=seed).held_N
    rows_N = np.arange(len(planted), dtype=np.int64)
    sample = side.drawn(rows_N[~held_N], N_SAMPLE, seed, "sample")
    pairs = side.drawn(rows_N[held_N], N_HELD_OUT, seed, "held out")
    ceiling = variance_within(pairs, codes_of_twos(side.label_of(pairs), side.label_of(pairs, context=False)))
    baseline = baseline_of(side, sample, pairs, levels_of(sample, pairs, ridge_on=None)).loss
    subject = subject_of_model(model, side.pairs(rows_N[~held_N]), budget, seed=seed)
    train(subject, budget, seed=seed, on_step=on_step)
    loss = losses_of(SubjectPredictor(subject=subject, vocab=cells.vocab), pairs).loss
    found = planted.effects()
    order = [list(found.labels).index(name) for name in planted.applied.vocab.target]
    return {
        "loss": loss,
        "baseline": baseline,
        "ceiling": ceiling,
        "skill": skill(loss, baseline=baseline, best=ceiling),
        "recovery": agreement(found.effect_PG[order], effect_PG, target_PG),
        "recovery_ceiling": 1.0,
        "recovery_baseline": 0.0,
        "facts": {"n_cells": len(planted), "rule": rule, "dose": [abs(DOSE), abs(DOSE)], "n_targets": len(order)},
    }


def planted_screen(cells: LadderScreen, seed: int) -> tuple[ScreenCells, NDArray[np.float64], NDArray[np.bool_], Rule]:
    """The controls as a screen of their own: half of them perturbed, with their true effects and targets, (P, G)."""
    rows = np.flatnonzero(cells.real.applied.is_control_B)
    controls = cells.real.rows(rows)
    n_targets = max(1, min(MOST_TARGETS, len(cells.vocab) // 2))
    graph = planted_graph(cells.vocab, seed=seed_of(seed, "planted") % 2**20)
    acting = np.argsort(-graph.n_children(), kind="stable")[:n_targets]
    targets = cells.vocab.genes(np.sort(acting))
    effect_PG = DOSE * total_effects(graph, targets)
    rng = stream(seed, "planted screen")
    token_B = rng.integers(n_targets, size=len(rows))
    token_B[rng.random(len(rows)) < CONTROLS] = -1
    rule = rule_of(controls.cells.expression_BG)
    effect_BG = np.concatenate([effect_PG, np.zeros((1, effect_PG.shape[1]))])[token_B]
    value_BG = controls.cells.expression_BG
    moved_BG = changed(value_BG, effect_BG, rule).astype(np.float32)
    moved_BG = np.where(controls.cells.measured_BG & (effect_BG != 0), moved_BG, value_BG)
    vocab = PerturbationVocab(
        target=targets, kind=("knocked down",) * n_targets, gene=tuple(int(one) for one in np.sort(acting))
    )
    applied = AppliedPerturbations.of(vocab, [[int(token)] if token >= 0 else [] for token in token_B])

    planted = replace(controls, cells=replace(controls.cells, expression_BG=moved_BG), applied=applied, guide_B=None)
    return planted, effect_PG, applied_targets(vocab, len(cells.vocab)), rule


def applied_targets(vocab: PerturbationVocab, n_genes: int) -> NDArray[np.bool_]:
    """The gene that each perturbation targets, (P, G)."""
    return AppliedPerturbations.of(vocab, [[token] for token in range(len(vocab))]).targets_BG(n_genes)
