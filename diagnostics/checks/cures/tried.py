"""Every cure tried: the same first weights, batches and draws with and without it, and its gain in held-out loss.

Each of some runs has an order of batches, draws and held-out pairs of its own, so that the gains of the runs are
independent, given the first weights, and Student's interval of their mean holds for other orders and other pairs.
"""

import math
from collections.abc import Sequence
from itertools import islice

from diagnostics.checks.cures.cure import Cure, cures_for
from diagnostics.checks.data.linear_fit import judged_pairs
from diagnostics.checks.engine.answers import answers, errors_if_finite
from diagnostics.checks.engine.budget import batch_size, steps_within
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.short_training import training_batches
from diagnostics.results.check_result import CheckResult
from diagnostics.results.cure_result import CureResult
from gpcp.core.intervals import mean_interval
from gpcp.core.pairs import PairBatch

N_RUNS = 5
N_STEPS, FEWEST_STEPS = 160, 20
SECONDS = 60.0
"""Steps of a training, and what all trainings together may cost, about."""


def cures_tried(probe: Probe, results: Sequence[CheckResult]) -> tuple[CureResult, ...]:
    """What each cure does, those that help most first; nothing where no check fails."""
    failed = [one.name for one in results if one.outcome == "fail"]
    if not failed:
        return ()
    subject = probe.subject
    if subject.pairs is None or subject.model is None:
        return (_not_tried("any cure", "needs a model and pairs: not given"),)
    if subject.make_optimizer is None and subject.training_step is None:
        return (_not_tried("any cure", "needs an optimiser or a training step: not given"),)
    try:
        cures = cures_for(probe)
        return _tried(probe, cures, failed)
    except Exception as error:
        # The subject's own code raises in an ordinary step, which the checks have reported.
        return (_not_tried("any cure", f"the training itself fails: {_reason(error)}"),)


def _tried(probe: Probe, cures: Sequence[Cure], failed: Sequence[str]) -> tuple[CureResult, ...]:
    able = [cure for cure in cures if not cure.not_tried]
    n_steps = steps_within(probe, N_STEPS, SECONDS / (N_RUNS * (1 + len(able))), least=FEWEST_STEPS)
    start_R, usual_R = list[float](), list[float]()
    cured_R: dict[str, list[float]] = {cure.name: [] for cure in able}
    given_up: dict[str, str] = {}
    for run, judged in enumerate(_blocks(probe)):
        batches = list(islice(training_batches(probe, batch_size(probe), f"cures {run}"), n_steps))
        start_R.append(_held_out(probe, Cure(name=""), (), judged, run))
        usual_R.append(_held_out(probe, Cure(name=""), batches, judged, run))
        for cure in (one for one in able if one.name not in given_up):
            try:
                cured_R[cure.name].append(_held_out(probe, cure, batches, judged, run))
            except Exception as error:
                given_up[cure.name] = _reason(error)
    if not all(map(math.isfinite, start_R)):
        return (_not_tried("any cure", "the untrained model's predictions are not finite"),)
    found = [
        _not_tried(cure.name, given_up[cure.name], cure.of(failed))
        if cure.name in given_up
        else _result(cure, start_R, usual_R, cured_R[cure.name], n_steps, cure.of(failed))
        for cure in able
    ]
    found += [_not_tried(cure.name, cure.not_tried, cure.of(failed)) for cure in cures if cure.not_tried]
    return tuple(sorted(found, key=lambda one: -math.inf if one.gain is None else one.gain, reverse=True))


def _not_tried(name: str, why: str, checks: tuple[str, ...] = ()) -> CureResult:
    return CureResult(name=name, outcome="not_tried", message=f"not tried: {why}", checks=checks)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _blocks(probe: Probe) -> list[PairBatch]:
    """Held-out pairs of each run: parts of those that a model is judged on, in whole sets."""
    judged = judged_pairs(probe)
    size = max(probe.whole_sets(1), len(judged) // N_RUNS // probe.whole_sets(1) * probe.whole_sets(1))
    blocks = [judged.rows(slice(run * size, (run + 1) * size)) for run in range(N_RUNS)]
    return [one for one in blocks if len(one) and one.scored_BG.any()]


def _held_out(probe: Probe, cure: Cure, batches: Sequence[PairBatch], judged: PairBatch, run: int) -> float:
    """Mean squared error of held-out pairs after a training; infinite where it ends in no finite number."""
    other = probe if cure.subject is None else Probe(cure.subject, seed=probe.seed, n_sample=probe.n_sample)
    units = cure.units
    with other.trial(f"cures {run}", learning_rate=cure.rate) as (model, optimizer), cure.within(model):
        for pairs in batches:
            loss = other.subject.step(model, optimizer, pairs if units is None else units.applied(pairs))
            if not math.isfinite(loss):
                return math.inf
        if units is None:
            answer_BG = answers(other, model, judged)
        else:
            # Before any step a model answers in the units of the pairs, whatever it is trained in.
            answer_BG = units.undone(answers(other, model, units.applied(judged)))
    errors = errors_if_finite(answer_BG, judged)
    return math.inf if errors is None else errors.loss


def _result(
    cure: Cure, start_R: Sequence[float], usual_R: Sequence[float], cured_R: Sequence[float], n_steps: int,
    checks: tuple[str, ...],
) -> CureResult:  # fmt: skip
    """The gain, run by run; a training that ends above the untrained model, or nowhere, counts as that model."""
    gain = mean_interval(
        [min(usual, start) - min(cured, start) for start, usual, cured in zip(start_R, usual_R, cured_R, strict=True)]
    )
    without, with_it = (_mean(one) for one in (usual_R, cured_R))
    capped = any(one > start for one_R in (usual_R, cured_R) for one, start in zip(one_R, start_R, strict=True))
    note = f"; counted as the untrained {_mean(start_R):.3g} where a training ends above it" if capped else ""
    return CureResult(
        name=cure.name,
        outcome="helps" if gain.low > 0 else "harms" if gain.high < 0 else "inconclusive",
        message=f"held-out loss {_shown(without)} -> {_shown(with_it)} (gain {gain.value:.2g}, 95 % {gain.low:.2g} .. "
        f"{gain.high:.2g}{note})",
        checks=checks, loss_without=without, loss_with=with_it, gain=gain.value, low=gain.low, high=gain.high,
        n_runs=gain.n, n_steps=n_steps,
    )  # fmt: skip


def _mean(loss_R: Sequence[float]) -> float | None:
    mean = sum(loss_R) / len(loss_R)
    return mean if math.isfinite(mean) else None


def _shown(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.3g}"
