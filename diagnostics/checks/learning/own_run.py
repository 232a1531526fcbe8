"""The training as it is written: own rate, schedule, batches and epochs, beside the same model trained plainly.

What a step does wrong over time (a rate that is gone after an epoch, weights that are put back, moments that are lost,
a clipping that leaves nothing) shows in no single update. It shows in what the whole run reaches, held against what the
short training at a good rate makes of the same model, step and pairs.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from diagnostics.checks.data.linear_fit import LinearFit, judged_pairs
from diagnostics.checks.engine.budget import batch_size, step_seconds
from diagnostics.checks.engine.cell_ids import sides_of
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.gains import SMALLEST, gain_of, ratio_of
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.short_training import N_SEEN, ShortTraining, errors_beside, short_training
from diagnostics.checks.optimiser.schedule import schedule_of
from diagnostics.results.check_result import CheckResult
from diagnostics.scoring.errors import Errors
from gpcp.core.pairs import PairBatch, concatenate

SECONDS = 30.0
"""What a whole run may cost, about, to be played."""

SHARE = 0.5
"""Of the gain of the short training, what a whole run of one's own must reach."""

SMALL_SHARE = 0.05
"""Of the linear fit's gain: a model that learns gets more, in some hundred steps or in its whole run. Healthy models of
every head, norm and embedding, in worlds of every mechanism and regime, got from .29 to 1.3 of it in a short training
(and .15 to 1.5 of the loss if a part of the perturbation is taken away); without a path from the perturbation to the
prediction it is 0."""

WORTH = 0.02
"""Gain of the short training, as a share of the baseline's loss, that is worth comparing with."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What a run of one's own ended with.

    Parameters
    ----------
    n_steps : int
    unseen, seen : Errors or None
        On the judged pairs and on its last training pairs; None where a prediction was not finite.
    seen_baseline : Errors or None
        Of the input-free baseline on the latter.
    """

    n_steps: int
    unseen: Errors | None
    seen: Errors | None
    seen_baseline: Errors | None


@check(
    "GP510",
    "learning.own_run",
    "Does the training, as it is written, get where this model can get?",
    cause="optimiser", kind="statistical", needs=("pairs", "model", "optimizer"), explained_by=("learning.rate",),
)  # fmt: skip
def own_run(probe: Probe) -> CheckResult:
    """Every epoch of it, with what runs after an epoch, on unseen pairs and on training pairs."""
    n_epochs = probe.subject.n_epochs
    if n_epochs is None:
        return CheckResult(outcome="not_applicable", message="how long the training is is not given: n_epochs=")
    training = short_training(probe)
    if training is None or training.model is None or training.in_units:
        return CheckResult(outcome="not_applicable", message="there is no training to compare the whole run with")
    reached = training.gain(training.baseline, training.model.errors)
    if not reached.clear or reached.value < WORTH:
        return CheckResult(
            outcome="not_applicable", message="the short training learns next to nothing to compare with"
        )
    if (long := too_long(probe, n_epochs)) is not None:
        return long
    run = played(probe, training.fit, n_epochs)
    share, p = _compared(training, run)
    plainly = f"{training.n_steps} steps of {training.batch_size}"
    plainly += "" if training.rate is None else f" at up to {training.rate:.2g}"
    seen = (
        f"your own {n_epochs} epochs ({run.n_steps} steps) end at a held-out loss of {_loss(run)}, the same model "
        f"after {plainly} at {training.model.errors.loss:.4g}; the mean change has {training.baseline.loss:.4g}"
    )
    failed = p < ALPHA and not _fits_as_well(training, run)
    n_seen, n_beside = run.n_steps * own_size(probe), training.n_steps * training.batch_size
    if failed and run.unseen is not None and 2 * n_seen < n_beside and run.n_steps < training.n_steps:
        return CheckResult(
            outcome="inconclusive", message=f"{seen}: it is trained on {n_seen} pairs, and that one on {n_beside}",
            next_step="train longer, and see whether it gets there", statistic=max(share, -1.0), null=SHARE, p=p,
            n=len(training.pairs),
        )  # fmt: skip
    where, next_step = _restored(probe, training, n_epochs) if failed else ("", "")
    return CheckResult(
        outcome="fail" if failed else "pass", message=seen + where, next_step=next_step, statistic=max(share, -1.0),
        null=SHARE, p=p, n=len(training.pairs),
    )  # fmt: skip


def learns_later(probe: Probe) -> str:
    """In words, that the run as it is written learns, where a short training is no better than the baseline.

    A step that does something else in its first epochs (pretraining, a loss whose weight grows) is judged by its end.
    Empty where the run is not given, costs too much, or gets no further than a short training should (GP503).
    """
    return probe.once("learns later", _learns_later)


def _learns_later(probe: Probe) -> str:
    n_epochs, training = probe.subject.n_epochs, short_training(probe)
    if n_epochs is None or probe.subject.on_epoch is None or training is None or training.model is None:
        return ""
    base = training.baseline
    if training.gain(base, training.model.errors).value > WORTH or too_long(probe, n_epochs) is not None:
        return ""
    run = played(probe, training.fit, n_epochs)
    if run.unseen is None:
        return ""
    reached, linear = training.gain(base, run.unseen), training.gain(base, training.linear.errors)
    if not reached.clear or reached.value < max(SMALLEST, SMALL_SHARE * linear.value):
        return ""
    return (
        f"{training.n_steps} steps end in the first epochs, where the step does not learn this yet; all {n_epochs} "
        f"epochs end at a held-out loss of {run.unseen.loss:.4g}, the mean change at {base.loss:.4g}"
    )


def too_long(probe: Probe, n_epochs: int) -> CheckResult | None:
    """That a whole run costs too much to be played; None where it does not."""
    cost_s = _n_steps(probe, n_epochs) * step_seconds(probe)
    if cost_s <= SECONDS:
        return None
    return CheckResult(
        outcome="inconclusive", message=f"the whole run of {n_epochs} epochs takes about {cost_s:.0f} s: it was not "
        "played", next_step="give fewer epochs or a part of the data to see it played",
    )  # fmt: skip


def played(
    probe: Probe, fit: LinearFit, n_epochs: int, *, rate: float | None = None, after_epochs: bool = True
) -> Run:  # fmt: skip
    """The whole run from the weights that are given; at one rate throughout, or without what runs after an epoch."""
    seen: deque[PairBatch] = deque(maxlen=-(-N_SEEN // own_size(probe)))
    n_steps = 0
    with probe.trial("own run", learning_rate=rate) as (model, optimizer):
        for epoch in range(n_epochs):
            for pairs in one_pass(probe, epoch):
                n_steps += 1
                if not math.isfinite(probe.subject.step(model, optimizer, pairs)):
                    return Run(n_steps=n_steps, unseen=None, seen=None, seen_baseline=None)
                seen.append(pairs)
            if after_epochs:
                probe.subject.end_epoch()
        (unseen, _), (last, baseline) = (
            errors_beside(probe, model, pairs, fit) or (None, None)
            for pairs in (judged_pairs(probe), concatenate(seen))
        )
    return Run(n_steps=n_steps, unseen=unseen, seen=last, seen_baseline=baseline)


def own_size(probe: Probe) -> int:
    """Pairs of a batch of the loader that is given; those of a trial where the source has no size of its own."""
    own = getattr(probe.subject.pairs, "batch_size", None)
    return probe.whole_sets(own if isinstance(own, int) else batch_size(probe))


def one_pass(probe: Probe, epoch: int) -> Iterator[PairBatch]:
    """The training pairs of one epoch in batches of the loader's own size, in whole sets."""
    source, sides = probe.subject.pairs, sides_of(probe)
    if source is None:
        return
    for batch in source.pairs(batch_size=own_size(probe), seed=probe.seed_of("own run", epoch)):
        pairs = sides.training(batch) if sides.apart else batch
        whole = len(pairs) // probe.subject.intent.set_size * probe.subject.intent.set_size
        if whole:
            yield pairs if whole == len(pairs) else pairs.rows(slice(0, whole))


def _n_steps(probe: Probe, n_epochs: int) -> int:
    """Steps of the whole run; of a source without a length, those of one pass that is counted."""
    n_pairs = getattr(probe.subject.pairs, "n_pairs", None)
    each = sum(1 for _ in one_pass(probe, 0)) if n_pairs is None else -(-n_pairs // own_size(probe))
    return n_epochs * max(1, each)


def _compared(training: ShortTraining, run: Run) -> tuple[float, float]:
    """The share of the short training's gain that a run reaches, and the probability of so little by chance."""
    assert training.model is not None
    if run.unseen is None:
        return -1.0, 0.0
    base, short = training.baseline, training.model.errors
    share = gain_of(base, run.unseen, base.loss).value / gain_of(base, short, base.loss).value
    # Above 0 where the run gains less than its share of what the short training gains.
    lacking_B = run.unseen.sum_B - SHARE * short.sum_B - (1 - SHARE) * base.sum_B
    return share, ratio_of(lacking_B, base.n_B * base.loss, training.cells).p_above(0.0)


def _fits_as_well(training: ShortTraining, run: Run) -> bool:
    """Whether its training pairs are fitted as well as they should be: what is lacking then is more pairs."""
    parts = (run.seen, run.seen_baseline, training.seen, training.seen_baseline)
    if any(one is None for one in parts):
        return False
    seen, baseline, short, short_baseline = (one for one in parts if one is not None)
    own = gain_of(baseline, seen, baseline.loss).value
    return own >= SHARE * gain_of(short_baseline, short, short_baseline.loss).value


def _restored(probe: Probe, training: ShortTraining, n_epochs: int) -> tuple[str, str]:
    """Which change alone makes the run as good as it should be, and where to look."""
    tried: list[str] = []
    if probe.subject.on_epoch is not None:
        run = played(probe, training.fit, n_epochs, after_epochs=False)
        tried.append(f"without what runs after an epoch {_loss(run)}")
        if _compared(training, run)[0] >= SHARE:
            return f"; {tried[-1]}", "look at what on_epoch does: to the rate, to the weights, to the optimiser's state"
    if training.rate is not None:
        run = played(probe, training.fit, n_epochs, rate=training.rate)
        tried.append(f"at a rate of {training.rate:.2g} throughout {_loss(run)}")
        if _compared(training, run)[0] >= SHARE:
            return "; " + ", ".join(tried), (
                f"look at the schedule{_schedules(probe)} (its length in steps or in epochs, its warm-up), and at what "
                "makes the steps short: a loss that is divided twice, clipping of gradients that are still scaled; "
                f"else use a rate of about {training.rate:.2g}"
            )
    return "".join(f"; {one}" for one in tried), (
        "look at what the training step does to the optimiser and the gradients (a new optimiser at every call, "
        "clipping, a loss scale, weights put back), and whether the run is long enough"
    )


def _schedules(probe: Probe) -> str:
    names = schedule_of(probe).names
    return f" ({', '.join(names)})" if names else ""


def _loss(run: Run) -> str:
    return "something that is not finite" if run.unseen is None else f"{run.unseen.loss:.4g}"
