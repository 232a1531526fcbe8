"""How far a model can memorise (overfit) a few pairs: the trials of the check on one batch."""

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.engine.answers import beside_main, judged_errors
from diagnostics.checks.engine.budget import BATCH_ENTRIES, steps_within
from diagnostics.checks.engine.cell_ids import row_codes
from diagnostics.checks.engine.identities import LARGEST
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import without_dropout
from diagnostics.checks.learning.learning_rate import best_rate, range_test_of
from gpcp.core.pairs import PairBatch

N_PAIRS = 16
N_STEPS = 240
SECONDS = 10.0
LONGER = 3
"""Steps, what they may cost, and how much longer the better rate is given where neither was enough."""

LOOK_EVERY = 20

MOST_LEFT, LEAST_ASKED = 0.5, 0.3
"""Shares of the constants' error that may be left: a half at most, and less where one number a pair, spread over its
genes, leaves less than that; but no model need learn more than seven tenths in so few steps. Healthy ones leave a tenth
after a hundred steps or so."""

BEYOND_ONE = 0.8
"""Of what one number a pair leaves: a model must leave less."""

FLAT = 0.95
"""Share that is left of which more steps will not make less."""

LEAST_LEFT = 0.05
"""Share of the constants' error that pairs must not have in common with others that look the same to the model."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Learnt:
    """How far some pairs were memorised.

    Parameters
    ----------
    left : float
        Share of the error of the best constant for each gene that is left, the least seen; less what pairs that look
        the same to the model leave in any case.
    rate : float or None
        At which that was.
    n_steps, n_afforded : int
        After how many steps, of how many that could be made.
    n_pairs : int
    tolerance : float
        What may be left of these pairs.
    """

    left: float
    rate: float | None
    n_steps: int
    n_afforded: int
    n_pairs: int
    tolerance: float

    @property
    def enough(self) -> bool:
        """Whether the model can distinguish them."""
        return self.left <= self.tolerance


def memorised(probe: Probe) -> Learnt | None:
    """How far a few pairs can be learnt; None where they look the same to the model, or end the same."""
    return probe.once("memorised", _tried)


def _tried(probe: Probe) -> Learnt | None:
    pairs = probe.drawn(max(4, min(N_PAIRS, BATCH_ENTRIES // len(probe.vocab))), "one batch")
    constant = float(group_errors(pairs, np.zeros(len(pairs), dtype=np.uint64)).sum())
    floor = float(group_errors(pairs, looks(pairs)).sum())
    if not constant > 0 or constant - floor < LEAST_LEFT * constant:
        return None
    n_steps = steps_within(probe, N_STEPS, SECONDS)
    found = Learnt(
        left=LARGEST, rate=None, n_steps=0, n_afforded=n_steps, n_pairs=len(pairs), tolerance=tolerance_of(pairs)
    )
    for rate in _rates(probe):
        found = min(found, _learnt(probe, pairs, replace(found, rate=rate, left=LARGEST), constant, floor), key=_left)
        if found.enough:
            return found
    if found.left > FLAT:
        return found
    # Large or badly scaled models begin late.
    longer = steps_within(probe, LONGER * N_STEPS, LONGER * SECONDS)
    return min(
        found, _learnt(probe, pairs, replace(found, left=LARGEST, n_afforded=longer), constant, floor), key=_left
    )


def tolerance_of(pairs: PairBatch) -> float:
    """Share of the constants' error that may be left of some pairs."""
    scored_BG, after_BG = pairs.scored_BG, pairs.after_BG.astype(np.float64)
    mean_G = np.where(scored_BG, after_BG, 0).sum(axis=0) / np.maximum(scored_BG.sum(axis=0), 1)
    one_number = beside_main(np.where(scored_BG, after_BG - mean_G, np.nan), fewest=1)
    return MOST_LEFT if one_number is None else float(np.clip(BEYOND_ONE * one_number, LEAST_ASKED, MOST_LEFT))


def _left(found: Learnt) -> float:
    return found.left


def _rates(probe: Probe) -> list[float | None]:
    """In the order in which they are tried."""
    rate = best_rate(probe)
    if rate is None:
        return [None]
    return list(dict.fromkeys([rate, rate / 3] if range_test_of(probe).learns else [rate, 1e-2, 1e-3]))


def _learnt(probe: Probe, pairs: PairBatch, attempt: Learnt, constant: float, floor: float) -> Learnt:
    """The least that is left at one rate, looked at every few steps."""
    best = attempt
    with (
        probe.trial("one batch", learning_rate=attempt.rate, dropout=False) as (model, optimizer),
        without_dropout(model),
    ):
        for step in range(1, attempt.n_afforded + 1):
            if not math.isfinite(probe.subject.step(model, optimizer, pairs)):
                break
            if step % LOOK_EVERY and step != attempt.n_afforded:
                continue
            errors = judged_errors(probe, model, pairs)
            if errors is None:
                break
            left = (float(errors.sum_B.sum()) - floor) / (constant - floor)
            best = min(best, replace(attempt, left=left, n_steps=step), key=_left)
            if best.left < attempt.tolerance / 2:
                break
    return best


def looks(pairs: PairBatch) -> NDArray[np.uint64]:
    """A hash of the model's inputs for each pair, uint64 (B,)."""
    perturbed_BG = np.where(pairs.perturbed_BG, pairs.after_BG, np.float32(0))
    masks_BG = pairs.measured_BG.astype(np.float32) + 2 * pairs.perturbed_BG
    return row_codes(np.hstack((pairs.before_BG, perturbed_BG, masks_BG.astype(np.float32))))


def group_errors(pairs: PairBatch, group_B: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Squared errors of each gene's best constant within each group of pairs, summed over scored genes, (B,)."""
    error_B = np.zeros(len(pairs))
    for group in np.unique(group_B):
        rows = np.flatnonzero(group_B == group)
        scored_BG, after_BG = pairs.scored_BG[rows], pairs.after_BG[rows].astype(np.float64)
        mean_G = np.where(scored_BG, after_BG, 0).sum(axis=0) / np.maximum(scored_BG.sum(axis=0), 1)
        error_B[rows] = np.where(scored_BG, (after_BG - mean_G) ** 2, 0).sum(axis=1)
    return error_B
