"""One short training for several checks: at the range test's rate, by the subject's own step, on unseen pairs.

The rate rises over a tenth of the steps and falls along a half cosine afterwards, whatever was given: what a constant
rate leaves is its own noise. Where one source serves for training and judging, pairs are kept that hold cells of one
side only (:class:`diagnostics.checks.engine.cell_ids.Sides`).
"""

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from diagnostics.checks.data.linear_fit import LinearFit, judged_pairs, linear_fit, rise
from diagnostics.checks.data.signal import of_another_pair, of_other_genes
from diagnostics.checks.engine.answers import answers, errors_if_finite, perturbed_otherwise
from diagnostics.checks.engine.budget import batch_size, steps_within
from diagnostics.checks.engine.cell_ids import names_of, sides_of
from diagnostics.checks.engine.gains import Cells, Gain, gain_of
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.learning_rate import best_rate, given_rate, range_test_of
from diagnostics.checks.learning.memorised import memorised
from diagnostics.checks.learning.units import Units
from diagnostics.scoring.errors import Errors, errors_of, losses_of
from gpcp.core.pairs import PairBatch, concatenate, rebatched
from gpcp.core.predictors import control_of, perturbation_of

N_STEPS = 300
SECONDS = 20.0
"""What a training may cost, about: more than twice that of the default model and 20 genes."""

LONGER = 3
"""How much longer a training goes on the last try, where others have not shown that the model learns."""

BEGUN = 0.25
"""Share of a linear fit's gain, and of its loss given another perturbation, that shows that a model learns."""

AS_GOOD = 0.9
"""Share of a linear fit's gain from which on a model is as good."""

ENOUGH_STEPS = 150
"""Steps without which a model that has learnt nothing is not blamed for it."""

N_SEEN = 512
"""The last training pairs, on which memorisation is measured."""

WARM_UP = 0.1


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """One predictor's errors on the judged pairs, and their increase if a part of the perturbation is taken away.

    Parameters
    ----------
    errors : Errors
    other_pair, other_genes : Gain or None
        How much the loss rises given another pair's perturbation; if the perturbed genes' labels are shuffled within
        each pair. Of the entries perturbed in neither, as fractions of the baseline's loss; None without any.
    response_BG : float64, (B, G)
        How the prediction changes given another pair's perturbation; NaN where either is not scored.
    """

    errors: Errors
    other_pair: Gain | None
    other_genes: Gain | None
    response_BG: NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShortTraining:
    """The outcome of a short training.

    Parameters
    ----------
    n_steps, batch_size : int
    rate : float or None
        The highest; None where the step holds its own optimiser.
    diverged : bool
        A loss or a prediction was not finite: nothing else is meant then.
    judged, pairs : PairBatch
        Held-out pairs, of all genes, and of the genes evaluated.
    cells : Codes, Codes
        Theirs.
    baseline : Errors
        Of the input-free baseline, see :class:`diagnostics.checks.data.linear_fit.LinearFit`.
    fit : LinearFit
    model, linear : Judged or None
        The model after training, and the linear fit; the first is None where it diverged.
    seen, seen_baseline : Errors or None
        Of the last training pairs, by the trained model and by the input-free baseline.
    waited_s, worked_s : float
        Seconds spent on waiting for batches and in steps, without the first.
    n_timed : int
        Steps that these are of.
    in_units : bool
        Whether it takes each gene centred and in units of its spread for the model to learn, which it did here.
    """

    n_steps: int
    batch_size: int
    rate: float | None
    diverged: bool
    judged: PairBatch
    pairs: PairBatch
    cells: Cells
    baseline: Errors
    fit: LinearFit
    model: Judged | None
    linear: Judged
    seen: Errors | None
    seen_baseline: Errors | None
    waited_s: float
    worked_s: float
    n_timed: int
    in_units: bool = False

    def gain(self, worse: Errors, better: Errors) -> Gain:
        """A difference of losses on the evaluated pairs as a fraction of the baseline's loss."""
        return gain_of(worse, better, self.baseline.loss, self.cells)


def short_training(probe: Probe) -> ShortTraining | None:
    """The training that the checks share: the longer one where the first did not show that the model learns.

    None where nothing is scored.
    """
    return probe.once("short training", _trained_long_enough)


def _trained_long_enough(probe: Probe) -> ShortTraining | None:
    """At the range test's rate; at others, which a few dozen steps on a plateau do not distinguish; then for longer."""
    fit = linear_fit(probe)
    if fit is None:
        return None
    n_steps, rate = steps_within(probe, N_STEPS, SECONDS), best_rate(probe)
    found = _trained(probe, fit, n_steps, rate)
    if found.diverged and rate is not None:
        found = _trained(probe, fit, n_steps, rate / 3)
    learnt = memorised(probe)
    # More time is for models of which it is open whether they learn: not for those that cannot memorise sixteen pairs.
    if n_steps < N_STEPS or not fit.gain.clear or learns(found):
        return found
    if probe.subject.intent.set_size == 1 and (learnt is None or not learnt.enough):
        return found
    for other in _other_rates(probe, found.rate):
        found = min(found, _trained(probe, fit, n_steps, other), key=_loss)
        if learns(found):
            return found
    longer = _trained(probe, fit, steps_within(probe, LONGER * N_STEPS, LONGER * SECONDS), found.rate)
    found = min(found, longer, key=_loss)
    units = Units.of(probe.sample)
    if learns(found) or not units.far:
        return found
    # Values that lie far from 0 make most of a gradient one direction: what is slow then is neither model nor step.
    in_units = [_trained(probe, fit, n_steps, one, units) for one in (rate, 1e-3) if rate is not None or one is None]
    return min((one for one in in_units if learns(one)), key=_loss, default=found)


def _loss(found: ShortTraining) -> float:
    return math.inf if found.model is None else found.model.errors.loss


def _other_rates(probe: Probe, rate: float | None) -> list[float]:
    """The rate that is given, half a decade to either side and a decade above, unless the nearest tried diverged."""
    if rate is None:
        return []
    range_test = range_test_of(probe)
    given = given_rate(probe)
    wanted = [*([] if given is None else [given]), *(rate * 10**power for power in (0.5, -0.5, 1.0))]
    return [one for one in wanted if range_test.gain(range_test.nearest(one)) > 0]


def learns(found: ShortTraining) -> bool:
    """Whether the model has clearly begun to learn, and from the perturbation."""
    if found.model is None:
        return False
    beats = found.gain(found.baseline, found.model.errors)
    linear = found.gain(found.baseline, found.linear.errors)
    perturbed, linear_perturbed = found.model.other_pair, found.linear.other_pair
    return _begun(beats, linear) and (
        perturbed is None or linear_perturbed is None or _begun(perturbed, linear_perturbed)
    )


def as_good_as_linear(probe: Probe) -> bool:
    """Whether the trained model gains about as much as a linear fit that reads everything, and that gains something."""
    found = short_training(probe) if probe.subject.model is not None else None
    if found is None or found.model is None or found.in_units:
        return False
    linear, own = (found.gain(found.baseline, one.errors) for one in (found.linear, found.model))
    return linear.clear and own.value > AS_GOOD * linear.value


def _begun(own: Gain, linear: Gain) -> bool:
    return own.value > BEGUN * linear.value and (own.clear or not linear.clear)


def _trained(
    probe: Probe, fit: LinearFit, n_steps: int, rate: float | None, units: Units | None = None
) -> ShortTraining:  # fmt: skip
    size = batch_size(probe)
    judged = judged_pairs(probe)
    part = fit.part.of(judged)
    seen: deque[PairBatch] = deque(maxlen=-(-N_SEEN // size))
    waited_s, worked_s, n_timed, diverged = 0.0, 0.0, 0, False
    step = 0

    def paced() -> float:
        return rate * pace(step, n_steps) if rate is not None else 0.0

    with probe.trial("short training", learning_rate=None if rate is None else paced) as (model, optimizer):
        batches = training_batches(probe, size)
        for step in range(n_steps):
            start_s = time.perf_counter()
            pairs = next(batches)
            ready_s = time.perf_counter()
            loss = probe.subject.step(model, optimizer, pairs if units is None else units.applied(pairs))
            if not math.isfinite(loss):
                diverged = True
                break
            seen.append(pairs)
            # The first batch pays for opening the source.
            if step:
                waited_s, worked_s = waited_s + ready_s - start_s, worked_s + time.perf_counter() - ready_s
                n_timed += 1
        found = None if diverged else _judged_model(probe, model, judged, fit, units)
        last = None if found is None else errors_beside(probe, model, concatenate(seen), fit, units)
    baseline = fit.baseline.first(len(part))
    return ShortTraining(
        n_steps=n_steps, batch_size=size, rate=rate, diverged=found is None, judged=judged, pairs=part,
        cells=names_of(probe).codes(judged), baseline=baseline, fit=fit, model=found,
        linear=_judged_linear(probe, judged, fit), seen=None if last is None else last[0],
        seen_baseline=None if last is None else last[1], waited_s=waited_s, worked_s=worked_s, n_timed=n_timed,
        in_units=units is not None,
    )  # fmt: skip


def pace(step: int, n_steps: int) -> float:
    """Share of the rate at a step: a linear rise, then a half cosine."""
    return min(1.0, (step + 1) / (WARM_UP * n_steps + 1)) * 0.5 * (1 + math.cos(math.pi * step / n_steps))


def training_batches(probe: Probe, size: int, purpose: str = "short training") -> Iterator[PairBatch]:
    """Batches for ever, of cells that may be trained on, in an order of this purpose."""
    batches = probe.batches(purpose, batch_size=size)
    sides = sides_of(probe)
    return rebatched(map(sides.training, batches), batch_size=size) if sides.apart else batches


def _asked_otherwise(probe: Probe, judged: PairBatch) -> list[PairBatch]:
    """The judged pairs with another pair's perturbations, and with other genes; the same for every predictor."""
    size, among = probe.subject.intent.set_size, probe.subject.intent.perturbable
    other_pair = of_another_pair(judged, probe.rng("short training", "other pair"), size=size)
    other_genes = of_other_genes(judged, probe.rng("short training", "other genes"), size=size, among=among)
    return [perturbed_otherwise(judged, one) for one in (other_pair, other_genes)]


def _answers(probe: Probe, model: nn.Module, pairs: PairBatch, units: Units | None) -> NDArray[np.float64]:
    """In the pairs' own values, whatever the model is trained in."""
    return answers(probe, model, pairs) if units is None else units.undone(answers(probe, model, units.applied(pairs)))


def _judged_model(
    probe: Probe, model: nn.Module, judged: PairBatch, fit: LinearFit, units: Units | None
) -> Judged | None:  # fmt: skip
    """None where a prediction is not finite."""
    otherwise = _asked_otherwise(probe, judged)
    answer_BG, *others = (_answers(probe, model, pairs, units)[:, fit.part.token_G] for pairs in (judged, *otherwise))
    part, *perturbed = (fit.part.of(pairs) for pairs in (judged, *otherwise))
    if any(
        errors_if_finite(one_BG, pairs) is None
        for one_BG, pairs in zip((answer_BG, *others), (part, *perturbed), strict=True)
    ):
        return None
    return _judged(probe, fit, part, answer_BG, perturbed, others)


def _judged_linear(probe: Probe, judged: PairBatch, fit: LinearFit) -> Judged:
    part, *perturbed = (fit.part.of(pairs) for pairs in (judged, *_asked_otherwise(probe, judged)))
    answer_BG, *others = (
        fit.predictor.predict(control_of(pairs), perturbation_of(pairs)).astype(np.float64)
        for pairs in (part, *perturbed)
    )
    return _judged(probe, fit, part, answer_BG, perturbed, others)


def _judged(
    probe: Probe, fit: LinearFit, part: PairBatch, answer_BG: NDArray[np.float64],
    perturbed: list[PairBatch], others: list[NDArray[np.float64]],
) -> Judged:  # fmt: skip
    cells = names_of(probe).codes(part)
    rises = [
        rise(part, [perturbation_of(pairs)], answer_BG, [other_BG], fit.baseline.loss, cells)
        for pairs, other_BG in zip(perturbed, others, strict=True)
    ]
    both_BG = part.scored_BG & ~perturbed[0].perturbed_BG
    return Judged(
        errors=errors_of(np.where(part.scored_BG, answer_BG, 0.0), part), other_pair=rises[0], other_genes=rises[1],
        response_BG=np.where(both_BG, answer_BG - others[0], np.nan),
    )  # fmt: skip


def errors_beside(
    probe: Probe, model: nn.Module, pairs: PairBatch, fit: LinearFit, units: Units | None = None
) -> tuple[Errors, Errors] | None:  # fmt: skip
    """Errors of the model and of the input-free baseline on some pairs; None where nothing is scored, or finite."""
    part = fit.part.of(pairs)
    if not part.scored_BG.any():
        return None
    own = errors_if_finite(_answers(probe, model, pairs, units)[:, fit.part.token_G], part)
    return None if own is None else (own, losses_of(fit.nothing, part))
