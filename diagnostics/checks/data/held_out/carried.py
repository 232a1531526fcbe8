"""A ridge learnt from a part of the training pairs, carried over to other pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from diagnostics.checks.data.linear_fit import RidgeOfPart, part_of
from diagnostics.checks.data.passes import different
from diagnostics.checks.engine.cell_ids import CellNames, Sides
from diagnostics.checks.engine.gains import Gain, gain_of, sum_error
from diagnostics.checks.engine.probe import Probe
from diagnostics.scoring.baselines import MeanDeltaPredictor, MeanPredictor
from diagnostics.scoring.errors import Errors, losses_of
from gpcp.core.pairs import PairBatch

FEWEST_PAIRS = 100
"""Pairs that the fit, and each of the two evaluations, rest on."""

_LEAST = 0.01
"""Share of the baseline's loss that no ratio of errors resolves: pairs without noise are predicted exactly."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Carried:
    """A ridge from a part of the training pairs, on the rest of them and on held-out pairs.

    Parameters
    ----------
    missed : callable
        Its errors, and the better input-free baseline's, on some pairs of all genes.
    learnt : callable
        The same of a ridge from other pairs, ``(fitted, unseen)``.
    unseen : PairBatch
        Training pairs that it has not seen.
    names : CellNames
        How cells are recognised.
    own, own_baseline : Errors
        On those.
    """

    missed: Callable[[PairBatch], tuple[Errors, Errors]]
    learnt: Callable[[PairBatch, PairBatch], tuple[Errors, Errors]]
    unseen: PairBatch
    names: CellNames
    own: Errors
    own_baseline: Errors

    def gain(self, errors: Errors, baseline: Errors, pairs: PairBatch) -> Gain:
        """Reduction of the baseline's loss."""
        return gain_of(baseline, errors, baseline.loss, self.names.codes(pairs))

    def ratio(self, errors: Errors, pairs: PairBatch) -> Gain:
        """Of a loss to that on unseen training pairs, with the error of both."""
        one = _relative_error(errors, self.names, pairs)
        other = _relative_error(self.own, self.names, self.unseen)
        value = self.times(errors)
        return Gain(value=value, error=value * float(np.hypot(one, other)))

    def times(self, errors: Errors) -> float:
        """A loss in losses on unseen training pairs, each with a hundredth of the input-free baseline's added."""
        least = max(_LEAST * self.own_baseline.loss, 1e-12)
        return (errors.loss + least) / (self.own.loss + least)


def _relative_error(errors: Errors, names: CellNames, pairs: PairBatch) -> float:
    spread = sum_error(errors.sum_B - errors.loss * errors.n_B, names.codes(pairs))
    return spread / max(float(errors.sum_B.sum()), 1e-300)


def carried_over(probe: Probe) -> Carried | None:
    """The ridge and its error on unseen training pairs; None where there are too few of them."""
    return probe.once("carried over", _carried_over)


def _carried_over(probe: Probe) -> Carried | None:
    sample = different(probe.sample)
    names = CellNames.of(sample)
    codes = np.concatenate(names.codes(sample))
    sides = Sides(names=names, apart=len(np.unique(codes)) < len(codes))
    n_fitted = 3 * len(sample) // 4
    fitted, unseen = sample.rows(slice(0, n_fitted)), sample.rows(slice(n_fitted, None))
    if sides.apart:
        fitted, unseen = sides.training(sample), sides.held_out(sample)
    if min(len(fitted), len(unseen)) < FEWEST_PAIRS:
        return None
    part = part_of(probe, fitted, unseen)
    if part is None:
        return None

    def learning(pairs: PairBatch) -> Callable[[PairBatch], tuple[Errors, Errors]]:
        inner = part.of(pairs)
        ridge, baselines = RidgeOfPart.fitted(inner), (MeanPredictor.fit(inner), MeanDeltaPredictor.fit(inner))

        def missed(pairs: PairBatch) -> tuple[Errors, Errors]:
            own = part.of(pairs)
            return losses_of(ridge, own), min((losses_of(one, own) for one in baselines), key=lambda one: one.loss)

        return missed

    def learnt(pairs: PairBatch, others: PairBatch) -> tuple[Errors, Errors]:
        return learning(pairs)(others)

    missed = learning(fitted)
    own, own_baseline = missed(unseen)
    return Carried(
        missed=missed,
        learnt=learnt,
        unseen=unseen,
        names=names,
        own=own,
        own_baseline=own_baseline,
    )
