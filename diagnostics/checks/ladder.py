"""The learning-rate ladder: a few dozen steps at every decade, then between the best and its neighbours.

Dimension key: ``B`` pairs, ``R`` rates.

Rates are absolute: a ladder around the given rate would not find that it is off by four decades. Every rung begins at
the same weights and sees the same batches, and is judged by the squared error on the same pairs, whatever loss the
model is trained by. What a rung *wins* is how far that error falls.
"""

import math
from dataclasses import dataclass
from math import erfc, sqrt
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from diagnostics.checks.check import ALPHA, Finding, check
from diagnostics.checks.probe import Probe
from diagnostics.losses import Errors, errors_of
from gpcp.pairs import PairBatch

DECADES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
N_STEPS = 50
N_JUDGED = 256
"""Pairs by which a rung is judged."""

USABLE = 0.5
"""A rate is usable where it wins at least this share of what the best one wins."""

HOPELESS = 0.1
"""A rate that wins less than this share of the best one's gain is a cause by itself."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rung:
    """Where a few steps at one rate ended.

    Parameters
    ----------
    rate : float
    errors : Errors or None
        On the judged pairs; None where the answers were no longer finite.
    """

    rate: float
    errors: Errors | None

    @property
    def loss(self) -> float:
        """Mean squared error; infinite where the training blew up."""
        return math.inf if self.errors is None else self.errors.loss


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ladder:
    """All rungs, by rate.

    Parameters
    ----------
    start : Errors
        Before any step.
    rungs : tuple of Rung
        In the order of their rates.
    repeats : tuple of float
        Losses of the best rate with other batches: the spread between seeds.
    """

    start: Errors
    rungs: tuple[Rung, ...]
    repeats: tuple[float, ...]

    @property
    def best(self) -> Rung:
        """The rung of the lowest loss."""
        return min(self.rungs, key=lambda rung: rung.loss)

    def gain(self, rung: Rung) -> float:
        """How far the loss fell; minus infinity where it blew up."""
        return self.start.loss - rung.loss

    @property
    def learns(self) -> bool:
        """Whether the best rung wins anything beyond chance: four standard errors, for the best of some ten rungs."""
        best = self.best
        return best.errors is not None and best.errors.below(self.start) > 4

    @property
    def usable(self) -> tuple[float, float]:
        """The lowest and the highest rate, about the best, that win at least :data:`USABLE` of its gain."""
        place = self.rungs.index(self.best)
        floor = USABLE * self.gain(self.best)
        lo = hi = place
        while lo > 0 and self.gain(self.rungs[lo - 1]) >= floor:
            lo -= 1
        while hi + 1 < len(self.rungs) and self.gain(self.rungs[hi + 1]) >= floor:
            hi += 1
        return self.rungs[lo].rate, self.rungs[hi].rate

    @property
    def suggestion(self) -> float:
        """The best rate, or a third of it where the next rung up already blows up: longer training meets more."""
        place = self.rungs.index(self.best)
        edge = place + 1 < len(self.rungs) and self.gain(self.rungs[place + 1]) < 0
        return self.best.rate / 3 if edge else self.best.rate


def judged_errors(probe: Probe, model: nn.Module, pairs: PairBatch) -> Errors | None:
    """Squared errors of the model in evaluation mode on some pairs; None where an answer is not finite."""
    was_training = model.training
    model.eval()
    try:
        answer_BG = trained_answer(probe, model, pairs)
    finally:
        model.train(was_training)
    scored_BG = pairs.scored_BG
    # Beyond float32's range squared there is nothing left to compare.
    if not np.isfinite(answer_BG[scored_BG]).all() or np.abs(answer_BG[scored_BG]).max(initial=0) > 1e15:
        return None
    return errors_of(np.where(scored_BG, answer_BG, 0.0), pairs)


def trained_answer(probe: Probe, model: nn.Module, pairs: PairBatch) -> NDArray[np.float64]:
    """The answer of a model as it is now, (B, G); NaN where a gene has no place."""
    batch, _ = probe.subject.collate(pairs)
    with torch.no_grad():
        answer_BL = probe.subject.predict(model, batch.to(probe.device))
    return probe.unpacked(answer_BL.float(), batch)


def climbed(probe: Probe) -> Ladder:
    """Try every decade, half decades about the best, and the best with two other streams of batches."""
    judged = probe.drawn(N_JUDGED, "ladder judged")
    with probe.trial("ladder start") as (model, _):
        start = judged_errors(probe, model, judged)
    if start is None:
        raise ValueError("the untrained model's answers are not finite: see the check architecture.finite")
    rungs = {rate: _rung(probe, rate, judged, start, "ladder") for rate in DECADES}
    best = min(rungs.values(), key=lambda rung: rung.loss).rate
    for factor in (10**-0.5, 10**0.5):
        rungs[best * factor] = _rung(probe, best * factor, judged, start, "ladder")
    given = given_rate(probe)
    if given is not None and all(abs(math.log10(given / rate)) > 0.05 for rate in rungs):
        rungs[given] = _rung(probe, given, judged, start, "ladder")
    best = min(rungs.values(), key=lambda rung: rung.loss).rate
    repeats = tuple(_rung(probe, best, judged, start, f"ladder again {turn}").loss for turn in range(2))
    return Ladder(start=start, rungs=tuple(rungs[rate] for rate in sorted(rungs)), repeats=repeats)


def given_rate(probe: Probe) -> float | None:
    """The rate that the subject's optimiser is set to; None where there is none, or it is 0."""
    if probe.subject.make_optimizer is None:
        return None
    with probe.trial("given rate") as (_, optimizer):
        rate = float(optimizer.param_groups[0]["lr"])
    return rate if rate > 0 and math.isfinite(rate) else None


def _rung(probe: Probe, rate: float, judged: PairBatch, start: Errors, batches: str) -> Rung:
    with probe.trial("ladder", learning_rate=rate) as (model, optimizer):
        stream = probe.batches(batches)
        for _ in range(N_STEPS):
            loss = probe.subject.step(model, optimizer, next(stream))
            if not math.isfinite(loss):
                return Rung(rate=rate, errors=None)
        return Rung(rate=rate, errors=judged_errors(probe, model, judged))


@check(
    "learning.rate",
    "Is the learning rate one at which this model learns?",
    cause="optimiser",
    kind="statistical",
    needs=("pairs", "model", "optimizer"),
)
def rate(probe: Probe) -> Finding:
    """The rung at the given rate against the best one, paired over the judged pairs."""
    given = given_rate(probe)
    if given is None:
        return Finding(
            outcome="not_applicable", says="the training step holds its own optimiser: give it too, to try other rates"
        )
    ladder = probe.once("ladder", climbed)
    if not ladder.learns:
        return Finding(
            outcome="inconclusive",
            says=f"no rate from {DECADES[0]:g} to {DECADES[-1]:g} lowers the error within {N_STEPS} steps: whatever "
            "the cause, it is not the rate",
            next_step="see the checks of the architecture and of the training step",
            n=N_JUDGED,
        )
    rung = min(ladder.rungs, key=lambda one: abs(math.log10(one.rate / given)))
    low, high = ladder.usable
    share = ladder.gain(rung) / ladder.gain(ladder.best)
    advice = f"use about {ladder.suggestion:.1g}; usable: {low:.1g} to {high:.1g}"
    spread = max((ladder.best.loss, *ladder.repeats)) - min((ladder.best.loss, *ladder.repeats))
    seen = (
        f"{N_STEPS} steps at {given:.2g} win {max(share, -1.0):.1%} of what the best rate, {ladder.best.rate:.2g}, "
        f"wins ({ladder.start.loss:.4g} -> {ladder.best.loss:.4g}, seeds {spread:.2g} apart)"
    )
    p = _p_hopeless(ladder, rung)
    hopeless = p < ALPHA and not low <= given <= high
    return Finding(
        outcome="fail" if hopeless else "pass" if low / 10 <= given <= high else "inconclusive",
        says=seen if share >= 0 else f"{seen}: the loss rises",
        next_step="" if low <= given <= high and not hopeless else advice,
        statistic=max(share, -1.0),
        null=HOPELESS,
        p=p,
        n=N_JUDGED,
    )


def _p_hopeless(ladder: Ladder, rung: Rung) -> float:
    """Probability of so small a gain if it were :data:`HOPELESS` of the best one's; 0 where the training blew up."""
    best = ladder.best.errors
    if rung.errors is None or best is None:
        return 0.0
    # Per pair: gain at the rate, less a tenth of the gain at the best rate; healthy where its mean is above 0.
    excess_B = (ladder.start.sum_B - rung.errors.sum_B) - HOPELESS * (ladder.start.sum_B - best.sum_B)
    error = float(excess_B.std(ddof=1)) / sqrt(len(excess_B))
    z = float(excess_B.mean()) / error if error > 0 else math.inf
    return 0.5 * erfc(-z / sqrt(2))
