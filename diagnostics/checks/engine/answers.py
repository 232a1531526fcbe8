"""Predictions of a model in training, in evaluation mode and batch by batch, and their squared errors.

How much of some pairs' deviations is more than one number a pair, spread over the genes.
"""

from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from diagnostics.checks.engine.budget import answer_size
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Forward
from diagnostics.checks.engine.weights import loads_noted, modes_kept
from diagnostics.scoring.errors import Errors, errors_of
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Perturbation

_N_STEPS = 3
"""Steps after which weights that follow the trained ones differ from them."""

_LARGEST = 1e15
"""Beyond float32's range squared there is nothing left to compare."""


OWN_CELL = 0.02
"""Share of the variance within sets, above chance, that the cell before explains where pairs are of one cell."""


def answers(
    probe: Probe, model: nn.Module, pairs: PairBatch, *, forward: Forward | None = None
) -> NDArray[np.float64]:  # fmt: skip
    """The answer of a model as it is now, (B, G), by another call of it if one is given; NaN where a gene has no place.

    Modes are put back.
    """
    asked = probe if forward is None else Probe(replace(probe.subject, forward=forward), seed=probe.seed)
    first = next(iter(model.parameters()), None)
    dtype = torch.float32 if first is None else first.dtype
    size = answer_size(probe)
    parts: list[NDArray[np.float64]] = []
    with modes_kept(model):
        model.eval()
        for start in range(0, len(pairs), size):
            batch, _ = probe.subject.collate(pairs.rows(slice(start, start + size)))
            answer_BL = asked.answer(batch.to(probe.device, dtype), model)
            parts.append(probe.unpacked(answer_BL.float(), batch))
    return _expected(probe, np.concatenate(parts))


def _expected(probe: Probe, answer_BG: NDArray[np.float64]) -> NDArray[np.float64]:
    """The expected expression by some answers: the mean of a set where its cells after are not those before.

    A model that is trained to give a set's distribution answers with cells that differ as cells do. Which of them
    stands beside which real cell means nothing then, and would be counted as its error.
    """
    size = probe.subject.intent.set_size
    if size == 1 or len(answer_BG) % size or not probe.once("sets unpaired", _unpaired):
        return answer_BG
    return np.repeat(answer_BG.reshape(-1, size, answer_BG.shape[1]).mean(axis=1), size, axis=0)


def _unpaired(probe: Probe) -> bool:
    """Whether, within sets, a cell's deviation before says nothing of that of the cell after beside it."""
    size, pairs = probe.subject.intent.set_size, probe.sample
    before_SCG, after_SCG = (_deviations(value_BG, size) for value_BG in (pairs.before_BG, pairs.after_BG))
    if not before_SCG.size:
        return False
    squares_G = (before_SCG**2).sum(axis=(0, 1)) * (after_SCG**2).sum(axis=(0, 1))
    explained_G = (before_SCG * after_SCG).sum(axis=(0, 1)) ** 2 / np.maximum(squares_G, 1e-30)
    by_chance = 1 / (before_SCG.shape[0] * (size - 1))
    return float(explained_G[squares_G > 0].mean()) < OWN_CELL + 3 * by_chance


def _deviations(value_BG: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """What cells differ by from the mean of their set, (sets, cells, genes)."""
    whole_BG = value_BG[: len(value_BG) // size * size].astype(np.float64)
    of_set = whole_BG.reshape(-1, size, value_BG.shape[1])
    return of_set - of_set.mean(axis=1, keepdims=True)


def errors_if_finite(answer_BG: NDArray[np.float64], pairs: PairBatch) -> Errors | None:
    """Squared errors of some answers; None where one that is scored is not finite."""
    scored_BG = pairs.scored_BG
    scored = answer_BG[scored_BG]
    if not np.isfinite(scored).all() or np.abs(scored).max(initial=0) > _LARGEST:
        return None
    return errors_of(np.where(scored_BG, answer_BG, 0.0), pairs)


def answers_with_other_weights(probe: Probe) -> bool:
    """Whether predict, as it stands, answers with other weights than the trained model's: averaged or earlier ones.

    All checks ask the model with the weights that it has, but for the one of the whole run.
    """
    return probe.once("other weights", _differs_as_used)


def _differs_as_used(probe: Probe) -> bool:
    used, subject = probe.subject.as_used, probe.subject
    if used is None or subject.model is None or subject.pairs is None or probe.subject.intent.random:
        return False
    with probe.trial("other weights") as (model, optimizer):
        for pairs in islice(probe.batches("other weights", batch_size=probe.n_exact), _N_STEPS):
            subject.step(model, optimizer, pairs)
        own = answers(probe, model, probe.few)
        with loads_noted(model) as loaded:
            other = answers(probe, model, probe.few, forward=used)
    # What is loaded may be the model's own weights, by mistake.
    return bool(loaded) or not bool(np.allclose(own, other, rtol=1e-4, atol=1e-6, equal_nan=True))


def judged_errors(probe: Probe, model: nn.Module, pairs: PairBatch) -> Errors | None:
    """Squared errors of the model in evaluation mode on some pairs; None where an answer is not finite."""
    return errors_if_finite(answers(probe, model, pairs), pairs)


def both_errors(probe: Probe, model: nn.Module, pairs: PairBatch) -> tuple[Errors | None, Errors | None]:
    """Squared errors of the model in evaluation mode, as they are and with each gene's mean error taken away."""
    answer_BG = answers(probe, model, pairs)
    errors = errors_if_finite(answer_BG, pairs)
    if errors is None:
        return None, None
    scored_BG = pairs.scored_BG
    miss_BG = np.where(scored_BG, answer_BG - pairs.after_BG, 0.0)
    mean_G = miss_BG.sum(axis=0) / np.maximum(scored_BG.sum(axis=0), 1)
    return errors, errors_if_finite(answer_BG - mean_G, pairs)


def perturbed_otherwise(pairs: PairBatch, perturbed: Perturbation) -> PairBatch:
    """The pairs with another perturbation: only their cells before and the perturbation are to be read."""
    if perturbed.applied is not None:
        return pairs.perturbed_by(perturbed.applied)
    perturbed_BG = perturbed.perturbed_BG & pairs.measured_BG
    after_BG = np.where(perturbed_BG, perturbed.target_BG, pairs.after_BG).astype(np.float32)
    return replace(pairs, after_BG=after_BG, perturbed_BG=perturbed_BG)


def beside_main(value_BG: NDArray[np.float64], *, fewest: int = 3, n_rounds: int = 20) -> float | None:
    """Share of the squares that no product ``u_b v_g`` takes, over the entries that are numbers; None without any.

    Alternating least squares from the first singular vector. Pairs with fewer than ``fewest`` numbers are left out: one
    factor fits them anyhow.
    """
    known_BG = ~np.isnan(value_BG)
    enough_B = known_BG.sum(axis=1) >= fewest
    known_BG, value_BG = known_BG[enough_B], np.where(known_BG, value_BG, 0.0)[enough_B]
    total = float((value_BG**2).sum())
    if not total > 0:
        return None
    v_G: NDArray[np.float64] = np.linalg.svd(value_BG, full_matrices=False)[2][0]
    u_B = np.zeros(len(value_BG))
    for _ in range(n_rounds):
        u_B = (value_BG @ v_G) / np.maximum(known_BG @ v_G**2, 1e-30)
        v_G = (value_BG.T @ u_B) / np.maximum(known_BG.T @ u_B**2, 1e-30)
    left_BG = np.where(known_BG, value_BG - np.outer(u_B, v_G), 0.0)
    return float((left_BG**2).sum()) / total
