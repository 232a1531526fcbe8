"""The rungs whose pairs are a control and a perturbed cell: of the twin's world, through its assay, and real ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.learner import OnStep, SubjectPredictor, subject_of_model, train
from diagnostics.commands.ladder.rungs.screens.cells import LadderScreen, ScreenSide
from diagnostics.inputs.models import Model
from diagnostics.scoring.errors import Errors, errors_of, losses_of
from diagnostics.scoring.levels import Levels, levels_of
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor
from gpcp.core.random import seed_of
from gpcp.core.skill import skill
from gpcp.screens.splits import hold_out
from simulators.twins.screens.cells import ScreenCells

N_HELD_OUT, N_SAMPLE = 4_000, 8_000


def screen_rung(
    name: str, cells: LadderScreen, model: Model, budget: Budget, *, seed: int, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Train on the pairs of one kind of cells; losses on held-out cells, and on held-out perturbations of real ones.

    The ceiling is what is left for someone who knows the mean of each perturbation in each context: the variance of
    the held-out cells about it.
    """
    if name == "real":
        screen, unseen = cells.real, cells.split.unseen
    else:
        draw = cells.twin.latent if name == "pairing" else cells.twin.cells
        screen, unseen = draw(len(cells.real), seed=seed_of(seed, name) % 2**20), np.zeros(0, dtype=np.int64)
    side = cells.side(screen)
    # A twin's cells have the perturbations of the real ones in another order: rows are split by the same shares.
    training, seen = _rows(cells, screen, is_real=name == "real", seed=seed)
    sample = side.drawn(training, N_SAMPLE, seed, "sample")
    subject = subject_of_model(model, side.pairs(training), budget, seed=seed)
    train(subject, budget, seed=seed, on_step=on_step)
    predictor = SubjectPredictor(subject=subject, vocab=cells.vocab)
    of_seen = _judged(side, seen, sample, predictor, seed)
    judged = of_seen if not len(unseen) else _judged(side, unseen, sample, predictor, seed, ridge=False)
    return {
        **{key: judged[key] for key in ("loss", "baseline", "ceiling", "skill")},
        "facts": {
            "n_cells": len(training),
            "n_perturbations": len(cells.perturbations),
            "n_contexts": len(cells.twin.twin.assay.type_names),
            "signal_z": cells.twin.z,
            "seen": of_seen,
            "unseen": judged if len(unseen) else None,
            "held_out": list(cells.names) if len(unseen) else [],
            "by": cells.by,
        },
    }


def _rows(
    cells: LadderScreen, screen: ScreenCells, *, is_real: bool, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and held-out cells of the same perturbations, controls among both."""
    if is_real:
        return cells.split.training, cells.split.seen
    label_N = np.array(screen.applied.labels(), dtype=np.str_)
    held_N = hold_out(label_N, {}, screen.group_B, by="cells", seed=seed).held_N
    rows_N = np.arange(len(screen), dtype=np.int64)
    return rows_N[~held_N], rows_N[held_N]


def _judged(
    side: ScreenSide,
    row_N: NDArray[np.int64],
    sample: PairBatch,
    predictor: Predictor,
    seed: int,
    *,
    ridge: bool = True,
) -> dict[str, Any]:
    """Losses on some held-out pairs, and by how many standard errors they lie below the baseline."""
    pairs = side.drawn(row_N, N_HELD_OUT, seed, "held out")
    code_B = codes_of_twos(side.label_of(pairs), side.label_of(pairs, context=False))
    # The variance about a mean takes two cells.
    kept = np.flatnonzero(np.bincount(code_B)[code_B] > 1)
    pairs, code_B = pairs.rows(kept), code_B[kept]
    levels = levels_of(sample, pairs, ridge_on=sample if ridge else None)
    errors, ceiling = losses_of(predictor, pairs), variance_within(pairs, code_B)
    baseline = baseline_of(side, sample, pairs, levels)
    return {
        "loss": errors.loss,
        "baseline": baseline.loss,
        "ceiling": ceiling,
        "skill": skill(errors.loss, baseline=baseline.loss, best=ceiling),
        "z": errors.below(baseline),
        "linear_loss": None if levels.ridge is None else levels.ridge.loss,
        "linear_z": None if levels.ridge is None else levels.ridge.below(baseline),
        "n_pairs": len(pairs),
    }


def codes_of_twos(*label_B: NDArray[np.str_]) -> NDArray[np.int64]:
    """The code of each cell by the first labels of which some has two cells; one for all cells where none has."""
    for labels in label_B:
        _, code_B, n_of = np.unique(labels, return_inverse=True, return_counts=True)
        if (n_of > 1).any():
            return code_B.reshape(-1).astype(np.int64)
    return np.zeros(len(label_B[0]), dtype=np.int64)


def baseline_of(side: ScreenSide, sample: PairBatch, pairs: PairBatch, levels: Levels) -> Errors:
    """The best answer that ignores the perturbation: a mean, or the mean of the cell's context."""
    group_B, known_B = side.group_of(pairs), side.group_of(sample)
    mean_BG = np.zeros(pairs.after_BG.shape)
    for group in np.unique(group_B):
        rows = np.flatnonzero(known_B == group)
        # Of a context that is new, the mean of all.
        some = sample.rows(rows) if len(rows) else sample
        n_G = np.maximum(some.scored_BG.sum(axis=0), 1)
        mean_BG[group_B == group] = np.where(some.scored_BG, some.after_BG, 0.0).sum(axis=0) / n_G
    return min((levels.mean_delta, levels.mean, errors_of(mean_BG, pairs)), key=lambda one: one.loss)


def variance_within(pairs: PairBatch, code_B: NDArray[np.int64]) -> float:
    """Variance of the cells after about the mean of their code, over scored entries, unbiased."""
    total, n_entries = 0.0, 0
    for code in np.unique(code_B):
        rows = np.flatnonzero(code_B == code)
        scored_BG, after_BG = pairs.scored_BG[rows], pairs.after_BG[rows].astype(np.float64)
        n_G = scored_BG.sum(axis=0)
        mean_G = np.where(scored_BG, after_BG, 0.0).sum(axis=0) / np.maximum(n_G, 1)
        square_G = (np.where(scored_BG, after_BG - mean_G, 0.0) ** 2).sum(axis=0)
        known_G = n_G > 1
        total += float((square_G * n_G / np.maximum(n_G - 1, 1))[known_G].sum())
        n_entries += int(n_G[known_G].sum())
    return total / max(1, n_entries)
