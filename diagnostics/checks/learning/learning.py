"""Checks of a short training: whether the model learns, from which inputs, how much, and what limits it.

Everything is evaluated on unseen pairs, paired with an input-free baseline and a linear fit on the same ones. A model
may sit on a plateau for hundreds of steps and be healthy: where a first training shows nothing a longer one is made,
and what is still short of the linear fit then is put down to the model only if it is next to nothing.
"""

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.data.linear_fit import MEAN, LinearFit
from diagnostics.checks.data.relations import exact_errors
from diagnostics.checks.engine.answers import answers_with_other_weights, beside_main
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.gains import SMALLEST, Gain, decided, ratio_of
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.own_run import SMALL_SHARE, learns_later
from diagnostics.checks.learning.plain import put_down_to_the_step
from diagnostics.checks.learning.short_training import ENOUGH_STEPS, Judged, ShortTraining, short_training
from diagnostics.results.check_result import CheckResult
from diagnostics.scoring.errors import Errors

GOOD_SHARE = 0.5

WORTH = 0.02
"""Gain of the linear fit, as a fraction of the baseline's loss, below which a failure to learn is no evidence."""

ONE_DIRECTION = 0.1
"""A bottleneck leaves less than this share of the linear fit's predictions beside their main direction; healthy
models leave .3 and more."""

NOT_HELD_UP = 0.9
"""Share of the linear gain from which on a model is not held up, however few directions it takes."""

KEPT = 0.5
"""Share of the gain on training pairs that unseen pairs must keep: what is memorised is worth nothing."""

FORGIVEN = 0.05
"""Of the baseline's loss: a gap between seen and unseen pairs that is too small to matter."""

STARVED = 0.5
WAIT_S = 0.01
"""Share of the time spent on waiting for batches, and seconds a batch, from which on the loader limits training."""

_IN_UNITS = "it learns so only with each gene centred and in units of its spread, and hardly at all in the raw values"
_STANDARDISE = "centre and scale each gene before the model sees it, or begin with a norm that knows the genes' means"

_STEPS = (
    "train longer, at about the rate that the range test suggests: transformers stay on a plateau for hundreds of steps"
)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Case:
    """A training that can be judged: the model's predictions are finite and a linear fit has something to show."""

    training: ShortTraining
    model: Judged
    fit: LinearFit

    @property
    def after(self) -> str:
        rate = self.training.rate
        return f"after {self.training.n_steps} steps of {self.training.batch_size}" + (
            "" if rate is None else f" at {rate:.2g}"
        )

    @property
    def share(self) -> Gain:
        """The model's gain as a share of the linear fit's."""
        training = self.training
        own_B = training.baseline.sum_B - self.model.errors.sum_B
        linear_B = training.baseline.sum_B - training.linear.errors.sum_B
        return ratio_of(own_B, linear_B, training.cells)

    def short(self, found: CheckResult) -> CheckResult:
        """A failure after too few steps is no failure; a model that learns in other units is noted."""
        if found.outcome == "pass" and self.training.in_units:
            return replace(found, message=f"{found.message}; {_IN_UNITS}", next_step=_STANDARDISE)
        if found.outcome != "fail" or self.training.n_steps >= ENOUGH_STEPS:
            return found
        return CheckResult(
            outcome="inconclusive", message=f"{found.message}; no more steps could be afforded", next_step=_STEPS,
            statistic=found.statistic, null=found.null, n=found.n,
        )  # fmt: skip


def _case(probe: Probe) -> _Case | CheckResult:
    training = short_training(probe)
    if training is None:
        return CheckResult(outcome="not_applicable", message="no gene is scored in more than a handful of pairs")
    if training.model is None:
        return CheckResult(outcome="not_applicable", message="training diverged: see learning.beats_baseline")
    gain = training.gain(training.baseline, training.linear.errors)
    if not (gain.clear and gain.value > WORTH):
        return CheckResult(
            outcome="not_applicable",
            message=f"a linear fit gains {gain} on these pairs: too little to expect of a model in some hundred steps",
        )
    if later := learns_later(probe):
        return CheckResult(outcome="not_applicable", message=later)
    return _Case(training=training, model=training.model, fit=training.fit)


@check(
    "GP503",
    "learning.beats_baseline",
    "Does a short training get below an input-free baseline?",
    cause="architecture", kind="statistical", needs=("pairs", "model", "optimizer"),
    explained_by=("learning.rate",),
)  # fmt: skip
def beats_baseline(probe: Probe) -> CheckResult:
    """The trained model against the better of the mean change and the mean, on unseen pairs."""
    training = short_training(probe)
    if training is not None and training.diverged:
        return _diverged(training)
    case = _case(probe)
    if isinstance(case, CheckResult):
        return case
    gain = case.training.gain(case.training.baseline, case.model.errors)
    linear = case.training.gain(case.training.baseline, case.training.linear.errors)
    free, nothing = case.fit.free, case.fit.baseline_name
    if nothing == MEAN and free > 0:
        nothing += f", which explains {free:.0%} of the change for free"
    message = f"{case.after} the loss is {gain} below that of {nothing}; {case.fit.name} gets {linear}"
    plateau = f"the plateau at R2 = {free:.2f}" if free > 0 else "the mean change"
    bound = max(SMALLEST, SMALL_SHARE * linear.value)
    found = decided(
        gain.p_below(bound), healthy=message, faulty=f"{message}: the model is no better than {plateau}",
        next_step="the data hold more and the rate is right: look at what reaches the prediction (checks of the "
        "architecture): a view or reshape where a transpose was meant, an index that is off by one; a plateau that "
        "ends later is seen by training on",
        statistic=gain.value, null=bound, n=len(case.training.pairs),
    )  # fmt: skip
    return put_down_to_the_step(probe, case.short(found))


def _diverged(training: ShortTraining) -> CheckResult:
    rate = "its own rate" if training.rate is None else f"{training.rate:.2g}"
    return CheckResult(
        outcome="fail", message=f"training at {rate} ends in a loss or a prediction that is not finite",
        next_step="clip gradients, warm up, or look for a logarithm, a root or a division in the model that training "
        "drives out of range",
        statistic=float(training.n_steps), tolerance=0.0, n=training.n_steps, cause="optimiser",
    )  # fmt: skip


@check(
    "GP504",
    "learning.uses_perturbation",
    "Does the trained model use the perturbation?",
    cause="architecture", kind="statistical", needs=("pairs", "model", "optimizer"),
    explained_by=("learning.rate",),
)  # fmt: skip
def uses_perturbation(probe: Probe) -> CheckResult:
    """Given another pair's perturbation, and other genes, its loss must rise, as the linear fit's does."""
    case = _case(probe)
    if isinstance(case, CheckResult):
        return case
    own, linear = case.model, case.training.linear
    parts = [
        (what, model, ridge)
        for what, model, ridge in (
            ("another pair's perturbation", own.other_pair, linear.other_pair),
            ("the same doses of other genes", own.other_genes, linear.other_genes),
        )
        if model is not None and ridge is not None and ridge.clear and ridge.value > WORTH
    ]
    if not parts:
        return CheckResult(outcome="not_applicable", message="a linear fit loses nothing with another perturbation")
    message = "; ".join(
        f"given {what} the loss rises by {model} of the baseline's, {case.fit.name}'s by {ridge.value:.0%}"
        for what, model, ridge in parts
    )
    worst = min(parts, key=lambda part: part[1].value / part[2].value)
    # Two questions in one: Bonferroni.
    p = min(1.0, len(parts) * min(model.p_below(SMALL_SHARE * ridge.value) for _, model, ridge in parts))
    found = decided(
        p, healthy=f"{case.after}: {message}", faulty=f"{case.after} the model hardly uses the perturbation: "
        f"{message}",
        next_step="follow the perturbation from the batch to the prediction: genes, size and sign; see that "
        "the training step passes it on",
        statistic=worst[1].value / worst[2].value, null=SMALL_SHARE, n=len(case.training.pairs),
    )  # fmt: skip
    return put_down_to_the_step(probe, case.short(found))


@check(
    "GP505",
    "learning.reaches_linear",
    "How much of what a linear fit gains does a short training reach?",
    cause="architecture", kind="statistical", needs=("pairs", "model", "optimizer"),
    explained_by=("learning.rate",),
)  # fmt: skip
def reaches_linear(probe: Probe) -> CheckResult:
    """A share of ridge's gain; below half of it more steps are called for, below a twentieth another model."""
    case = _case(probe)
    if isinstance(case, CheckResult):
        return case
    share, n = case.share, len(case.training.pairs)
    message = f"{case.after} the model has {share.value:.0%} +- {share.error:.0%} of what {case.fit.name} gains"
    p = share.p_below(SMALL_SHARE)
    slow = share.value < GOOD_SHARE
    found = decided(
        p, healthy=message, faulty=f"{message}: hardly anything of what a linear model sees in these "
        f"pairs", next_step=_STEPS
        + "; if the loss has long been flat, look at what reaches the prediction", statistic=share.value,
        null=SMALL_SHARE, n=n,
    )  # fmt: skip
    if found.outcome == "pass" and slow:
        return CheckResult(
            outcome="inconclusive", message=f"{message}: it needs more steps", next_step=_STEPS, statistic=share.value,
            null=SMALL_SHARE, p=p, n=n, smallest_effect=3 * share.error,
        )  # fmt: skip
    return case.short(found)


@check(
    "GP506",
    "learning.rank",
    "Do the trained model's predictions differ in more than one direction?",
    cause="architecture", kind="statistical", needs=("pairs", "model", "optimizer"),
    explained_by=("learning.rate", "learning.uses_perturbation"),
)  # fmt: skip
def rank(probe: Probe) -> CheckResult:
    """How predictions change with the perturbation: what their main direction leaves, against the linear fit's."""
    case = _case(probe)
    if isinstance(case, CheckResult):
        return case
    own, linear = (beside_main(one.response_BG) for one in (case.model, case.training.linear))
    if own is None or linear is None or linear < 2 * ONE_DIRECTION:
        return CheckResult(
            outcome="not_applicable", message="predictions do not change, or one direction is all there is"
        )
    ratio, share = own / linear, case.share.value
    narrow = ratio < ONE_DIRECTION and share < NOT_HELD_UP
    message = (
        f"{own:.1%} of the predictions' change lies beside their main direction ({case.fit.name}: {linear:.0%}), "
        f"and the model has {share:.0%} of the linear gain"
    )
    found = verdict(
        good=not narrow, message=message + (": all genes depend on one number" if narrow else ""),
        next_step="look for pooling over genes that leaves one number, a head that spreads one, weights that begin at "
        "one constant (their hidden units stay alike), and a dropout that drops nearly all",
        statistic=ratio, tolerance=ONE_DIRECTION, n=len(case.training.pairs),
    )  # fmt: skip
    return case.short(found)


@check(
    "GP507",
    "learning.generalises",
    "Does what is learnt generalise to unseen pairs?",
    cause="data", kind="statistical", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def generalises(probe: Probe) -> CheckResult:
    """The last training pairs against unseen ones, each against the input-free baseline on the same pairs."""
    training = short_training(probe)
    if training is None or training.model is None or training.seen is None or training.seen_baseline is None:
        return CheckResult(outcome="not_applicable", message="there is no finite training to judge")
    if answers_with_other_weights(probe):
        return CheckResult(outcome="not_applicable", message="predict() has other weights: see learning.best_weights")
    won = ratio_of(training.seen_baseline.sum_B - training.seen.sum_B, _spread(training.seen_baseline))
    kept = training.gain(training.baseline, training.model.errors)
    if won.value <= 0:
        return CheckResult(outcome="not_applicable", message=f"training pairs gain {won}: unseen ones can lose nothing")
    # A fault where unseen pairs keep less than KEPT of the training pairs' gain, by more than is negligible.
    lost = Gain(
        value=KEPT * won.value - kept.value - FORGIVEN,
        error=math.hypot(KEPT * won.error, kept.error),
    )
    message = f"training pairs gain {won} over the input-free baseline, unseen ones {kept}"
    return decided(
        lost.p_above(0.0), healthy=message, faulty=f"{message}: the training pairs were memorised (overfit)",
        next_step="more pairs, or new ones every epoch (gpcp.pairing.paired pairs cells anew); dropout and a smaller "
        "model help less", statistic=kept.value, null=KEPT * won.value, n=len(training.pairs),
    )  # fmt: skip


def _spread(errors: Errors) -> NDArray[np.float64]:
    """The loss by each pair's number of scored entries: what a gain is a share of."""
    return (errors.n_B * errors.loss).astype(np.float64)


@check(
    "GP508",
    "learning.too_good",
    "Is the trained model no better than the exact answer?",
    cause="data", kind="statistical", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def too_good(probe: Probe) -> CheckResult:
    """Where the world is known: a held-out loss below the Bayes risk, beyond chance, proves a leak."""
    training, known = short_training(probe), exact_errors(probe)
    if known is None:
        return CheckResult(outcome="not_applicable", message="the world that made the pairs is not known: give exact=")
    if training is None or training.model is None:
        return CheckResult(outcome="not_applicable", message="there is no finite training to judge")
    pairs, answer = known
    part, token_G = training.fit.part.of(pairs), training.fit.part.token_G
    miss_BG = np.where(part.scored_BG, (answer.mean_BG[:, token_G] - part.after_BG) ** 2, 0)
    # A simulated exact answer has an error of its own, which the true one does not have.
    own_BG = np.where(part.scored_BG, answer.standard_error_BG[:, token_G] ** 2, 0)
    exact = Errors(sum_B=(miss_BG - own_BG).sum(axis=1), n_B=training.model.errors.n_B)
    below = training.gain(exact, training.model.errors)
    message = (
        f"the model's held-out loss is {training.model.errors.loss:.4g}, that of the exact answer {exact.loss:.4g}"
    )
    return decided(
        below.p_above(0.0), healthy=message, faulty=f"{message}: no predictor can be this good without access to "
        f"the target",
        next_step="look for the cell after among the inputs, for held-out pairs that are trained on, and for a loss "
        "that is computed on something else",
        statistic=training.model.errors.loss, null=exact.loss, n=len(part),
    )  # fmt: skip


@check(
    "GP509",
    "learning.input",
    "Does the source give batches as fast as the model takes them?",
    cause="data", kind="statistical", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def batches_in_time(probe: Probe) -> CheckResult:
    """Share of the time of the short training that was spent on waiting for batches."""
    training = short_training(probe)
    if training is None or not training.n_timed:
        return CheckResult(outcome="not_applicable", message="no training step was timed")
    share = training.waited_s / max(training.waited_s + training.worked_s, 1e-9)
    # A trial's batch may be made of many small ones of the loader's own.
    own = getattr(probe.subject.pairs, "batch_size", None) or training.batch_size
    each_s = training.waited_s / training.n_timed * min(1.0, own / training.batch_size)
    starved = share > STARVED and each_s > WAIT_S
    return verdict(
        good=not starved, message=f"{share:.0%} of the time of {training.n_timed} steps was spent on waiting "
        f"for batches, "
        f"{1000 * each_s:.2g} ms each" + (": the model waits for the loader" if starved else ""),
        next_step="read ahead (gpcp.loading.prefetch.Prefetched), keep a panel cache "
        "(gpcp.sources.cache.cells), or use more workers",
        statistic=share, tolerance=STARVED, n=training.n_timed,
    )  # fmt: skip
