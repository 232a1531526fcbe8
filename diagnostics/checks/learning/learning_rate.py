"""Learning-rate range test: a few dozen steps at each of some decades, then between the best and its neighbours.

Rates are absolute: a range about the given rate would not find that it is off by four decades. Every rate begins at
the same weights and sees the same batches, and is judged by the squared error on the same pairs, whatever loss the
model is trained by. A rate's *gain* is how far that error falls.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import erfc, sqrt
from typing import final

from diagnostics.checks.engine.answers import both_errors
from diagnostics.checks.engine.budget import answer_size, batch_size, steps_within
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.optimiser.schedule import schedule_of
from diagnostics.results.check_result import CheckResult
from diagnostics.scoring.errors import Errors
from gpcp.core.pairs import PairBatch

DECADES = (-4, -3, -2, -1)
"""Powers of ten that are always tried; the best of them is never the last: more follow, up to :data:`OUTERMOST`."""

OUTERMOST = (-8, 1)
N_STEPS = 50
"""Steps at a rate, fewer of a model that is slow."""

SECONDS = 40.0
"""What all rates together may cost, about."""

_N_RATES = 10
N_JUDGED = 256
"""Pairs on which a rate is evaluated."""

USABLE = 0.5
"""A rate is usable where it reaches at least this share of the best one's loss reduction."""

HOPELESS = 0.1
"""A rate that reaches less than this share of the best one's reduction is a cause by itself."""

LONGER_STEPS, LONGER_SECONDS = 1_000, 12.0
"""What a rate below the best is given before it is called a cause."""

LOWEST = 1e-3
"""Share of the best rate below which no run is long enough."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RatePoint:
    """Where a few steps at one rate ended.

    Parameters
    ----------
    rate : float
    errors : Errors or None
        On the judged pairs; None where the predictions were no longer finite.
    centred : Errors or None
        The same after each gene's mean error is taken away, which a bias alone would win.
    """

    rate: float
    errors: Errors | None
    centred: Errors | None = None

    @property
    def loss(self) -> float:
        """Mean squared error; infinite where the training diverged."""
        return math.inf if self.errors is None else self.errors.loss


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RangeTest:
    """All points of the range test, by rate.

    Parameters
    ----------
    start : Errors or None
        Before any step; None where the untrained model's predictions are not finite.
    n_steps : int
        At every rate.
    points : tuple of RatePoint
        In the order of their rates.
    repeats : tuple of float
        Losses of the best rate with other batches: the spread between seeds.
    centred_start : Errors or None
        As ``start``, after each gene's mean error is taken away.
    """

    start: Errors | None
    n_steps: int
    points: tuple[RatePoint, ...]
    repeats: tuple[float, ...]
    centred_start: Errors | None = None

    @property
    def by_input(self) -> "RangeTest":
        """The same without what a constant for each gene wins, where some rate wins more than that.

        The offset of log1p(TPM) takes most of a short training, and the highest rates are the fastest at it: they say
        little of the rate at which the model learns.
        """
        points = tuple(replace(one, errors=one.centred) for one in self.points)
        centred = replace(self, start=self.centred_start, points=points, repeats=())
        return centred if centred.learns else self

    @property
    def best(self) -> RatePoint:
        """The point of the lowest loss."""
        return min(self.points, key=lambda point: point.loss)

    def nearest(self, rate: float) -> RatePoint:
        """The point whose rate is nearest, by ratio."""
        return min(self.points, key=lambda one: abs(math.log10(one.rate / rate)))

    def gain(self, point: RatePoint) -> float:
        """How far the loss fell; minus infinity where it diverged."""
        return -math.inf if self.start is None else self.start.loss - point.loss

    @property
    def learns(self) -> bool:
        """Whether the best rate's gain is beyond chance: four standard errors, for the best of some ten rates."""
        if self.start is None or not self.points or self.best.errors is None:
            return False
        return self.best.errors.below(self.start) > 4

    @property
    def usable(self) -> tuple[float, float]:
        """The lowest and the highest rate, about the best, that reach at least :data:`USABLE` of its gain."""
        position = self.points.index(self.best)
        floor = USABLE * self.gain(self.best)
        lo = hi = position
        while lo > 0 and self.gain(self.points[lo - 1]) >= floor:
            lo -= 1
        while hi + 1 < len(self.points) and self.gain(self.points[hi + 1]) >= floor:
            hi += 1
        return self.points[lo].rate, self.points[hi].rate

    @property
    def suggestion(self) -> float:
        """The best rate, or a third of it where the next higher rate already diverges: longer training meets more."""
        position = self.points.index(self.best)
        edge = position + 1 < len(self.points) and self.gain(self.points[position + 1]) < 0
        return self.best.rate / 3 if edge else self.best.rate


def range_test_of(probe: Probe) -> RangeTest:
    """The range test of a subject, run once."""
    return probe.once("range_test", run_range_test)


def run_range_test(probe: Probe) -> RangeTest:
    """Try decades until the best has neighbours, half decades about it, and the best with other streams of batches."""
    judged = _judged(probe)
    n_steps = steps_within(probe, N_STEPS, SECONDS / _N_RATES)
    with probe.trial("ladder start") as (model, _):
        start, centred_start = both_errors(probe, model, judged)
    if start is None:
        return RangeTest(start=None, n_steps=n_steps, points=(), repeats=())
    points: dict[float, RatePoint] = {}

    def tried(rate: float) -> RatePoint:
        if rate not in points:
            points[rate] = _rate_point(probe, rate, judged, n_steps, "ladder")
        return points[rate]

    def best_of(rates: Iterable[float]) -> float:
        return min(rates, key=lambda rate: tried(rate).loss)

    lo, hi = DECADES[0], DECADES[-1]
    while True:
        best = best_of(10.0**power for power in range(lo, hi + 1))
        if best == 10.0**lo and lo > OUTERMOST[0]:
            lo -= 1
        elif best == 10.0**hi and hi < OUTERMOST[1]:
            hi += 1
        else:
            break
    best = best_of((best, best * 10**-0.5, best * 10**0.5))
    given = given_rate(probe)
    if given is not None and all(abs(math.log10(given / rate)) > 0.05 for rate in points):
        tried(given)
    best = best_of(tuple(points))
    repeats = tuple(_rate_point(probe, best, judged, n_steps, f"ladder again {turn}").loss for turn in range(2))
    return RangeTest(
        start=start,
        n_steps=n_steps,
        points=tuple(points[rate] for rate in sorted(points)),
        repeats=repeats,
        centred_start=centred_start,
    )


def _judged(probe: Probe) -> PairBatch:
    return probe.drawn(min(N_JUDGED, 4 * answer_size(probe)), "ladder judged")


def best_rate(probe: Probe) -> float | None:
    """The rate that the range test suggests; None where the training step holds its own optimiser."""
    own = given_rate(probe)
    if own is None:
        return None
    range_test = range_test_of(probe)
    # Even where no rate learns, the best one does not diverge, which the given rate may.
    return range_test.suggestion if range_test.points and range_test.best.errors is not None else own


def given_rate(probe: Probe) -> float | None:
    """The highest rate that the subject's optimiser is set to by its schedule; None where there is none, or it is 0."""
    if probe.subject.make_optimizer is None:
        return None
    rate = float(schedule_of(probe).highest_T[0])
    return rate if rate > 0 and math.isfinite(rate) else None


def _rate_point(probe: Probe, rate: float, judged: PairBatch, n_steps: int, batches: str) -> RatePoint:
    with probe.trial("ladder", learning_rate=rate) as (model, optimizer):
        stream = probe.batches(batches, batch_size=batch_size(probe))
        for _ in range(n_steps):
            loss = probe.subject.step(model, optimizer, next(stream))
            if not math.isfinite(loss):
                return RatePoint(rate=rate, errors=None)
        errors, centred = both_errors(probe, model, judged)
        return RatePoint(rate=rate, errors=errors, centred=centred)


@check(
    "GP501",
    "learning.rate",
    "Is the learning rate one at which this model learns?",
    cause="optimiser",
    kind="statistical",
    needs=("pairs", "model", "optimizer"),
)
def rate(probe: Probe) -> CheckResult:
    """The given rate against the best one, paired over the evaluated pairs."""
    given = given_rate(probe)
    if given is None:
        return CheckResult(
            outcome="not_applicable",
            message="the training step holds its own optimiser: give it too, to try other rates",
        )
    everything = range_test_of(probe)
    range_test = everything.by_input
    if range_test.start is None or not range_test.learns:
        return _nothing_to_compare(range_test)
    point = range_test.nearest(given)
    low, high = range_test.usable
    share = range_test.gain(point) / range_test.gain(range_test.best)
    advice = f"use about {range_test.suggestion:.1g}; usable: {low:.1g} to {high:.1g}"
    if given < low:
        advice += "; if that is not the rate that you set, look at what holds it down: a warm-up, a schedule"
    elif probe.subject.training_step is not None or probe.subject.loss is not None:
        advice += "; a loss that is summed over cells and genes takes a rate that is as much lower than one that is "
        advice += "averaged, and clipping bounds steps only before optimizer.step()"
    again = (everything.best.loss, *everything.repeats)
    spread = max(again) - min(again)
    seen = (
        f"{range_test.n_steps} steps at {given:.2g} reach {max(share, -1.0):.1%} of the best rate's reduction, "
        f"{range_test.best.rate:.2g} ({range_test.start.loss:.4g} -> {range_test.best.loss:.4g}, seeds "
        f"{spread:.2g} apart)"
    )
    p = _p_hopeless(range_test, point)
    hopeless = p < ALPHA and not low <= given <= high
    if hopeless and LOWEST * range_test.best.rate < given < range_test.best.rate:
        # A lower rate is slower, and no less able: it is given as many steps as can be afforded.
        n_steps = steps_within(probe, LONGER_STEPS, LONGER_SECONDS)
        longer = _rate_point(probe, given, _judged(probe), n_steps, "ladder")
        longer = longer if range_test is everything else replace(longer, errors=longer.centred)
        p = _p_hopeless(range_test, longer)
        hopeless = p < ALPHA
        seen += f"; {n_steps} steps reach {max(range_test.gain(longer) / range_test.gain(range_test.best), -1.0):.1%}"
    return CheckResult(
        outcome="fail" if hopeless else "pass" if low <= given <= high else "inconclusive",
        message=seen if share >= 0 else f"{seen}: the loss rises",
        next_step="" if low <= given <= high and not hopeless else advice,
        statistic=max(share, -1.0),
        null=HOPELESS,
        p=p,
        n=N_JUDGED,
    )


def _nothing_to_compare(range_test: RangeTest) -> CheckResult:
    if range_test.start is None:
        return CheckResult(
            outcome="inconclusive",
            message="the untrained model's predictions are not finite: there is nothing to compare a rate by",
            next_step="see the check architecture.finite",
        )
    return CheckResult(
        outcome="inconclusive",
        message=f"no rate from {range_test.points[0].rate:.0e} to {range_test.points[-1].rate:.0e} lowers the error "
        f"within {range_test.n_steps} steps: whatever the cause, it is not the rate",
        next_step="see the checks of the architecture and of the training step",
        n=N_JUDGED,
    )


def _p_hopeless(range_test: RangeTest, point: RatePoint) -> float:
    """Probability of so small a gain if it were :data:`HOPELESS` of the best one's; 0 where the training diverged."""
    start, best = range_test.start, range_test.best.errors
    if point.errors is None or best is None or start is None:
        return 0.0
    # Per pair: gain at the rate, less a tenth of the gain at the best rate; healthy where its mean is above 0.
    excess_B = (start.sum_B - point.errors.sum_B) - HOPELESS * (start.sum_B - best.sum_B)
    error = float(excess_B.std(ddof=1)) / sqrt(len(excess_B))
    z = float(excess_B.mean()) / error if error > 0 else math.inf
    return 0.5 * erfc(-z / sqrt(2))
