"""Checks of the loss without a model: what it counts, where it is least, and what must not change it.

It is evaluated on invented predictions for real pairs, in float64. Only the last check uses a model.
"""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.copies import Drawn, copied
from diagnostics.checks.engine.identities import LARGEST, NO_OWN_STEP, as_risk, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import without_dropout
from diagnostics.checks.optimiser.one_step import (
    HALF_PRECISION,
    Objective,
    gap,
    habits_of,
    objective_of,
    one_step,
    with_answer,
)
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch, concatenate

_JUNK = 1e6
_SLACK = 1e-9
_REPAIR = "score torch.where(scored, prediction - after, 0): choose before any arithmetic"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """Answers for some pairs, and the arguments of a loss beside them.

    Parameters
    ----------
    prediction_BL, after_BL : float64, (B, L)
    scored_BL : bool, (B, L)
    """

    prediction_BL: Tensor
    after_BL: Tensor
    scored_BL: Tensor

    def loss_and_gradient(self, probe: Probe) -> tuple[float, Tensor]:
        """The loss and its gradient by the prediction, (B, L); a gradient of 0 where there is none."""
        prediction_BL = self.prediction_BL.detach().clone().requires_grad_()
        value = probe.subject.scalar_loss(prediction_BL, self.after_BL, self.scored_BL)
        gradient_BL = None
        if value.requires_grad:
            (gradient_BL,) = torch.autograd.grad(value, prediction_BL, allow_unused=True)
        return float(value.detach()), torch.zeros_like(prediction_BL) if gradient_BL is None else gradient_BL


def _pairs_of(probe: Probe) -> PairBatch:
    masked = probe.masked
    if probe.subject.pairs is None or len(masked) < 2:
        return masked
    fewest = int(probe.sample.scored_BG.sum(axis=1).argmin())
    return concatenate([masked.rows(slice(0, len(masked) - 1)), probe.sample.rows(slice(fewest, fewest + 1))])


def case_of(probe: Probe, purpose: str, *, distance: float = 0.3) -> Case:
    """Pairs with partial masks, and predictions that miss everywhere on either side.

    The last pair is that of the sample which scores the fewest genes, or none where there is such a pair.

    They miss by 1 to 2 times ``distance``, in units of the values' range.
    """
    batch, after_BL = probe.subject.collate(_pairs_of(probe))
    device = torch.device("cpu") if probe.subject.model is None else probe.device
    after_BL = after_BL.to(device, torch.float64)
    rng = probe.rng("loss", purpose)
    lo, hi = probe.value_range
    shape = tuple(after_BL.shape)
    miss_BL = rng.choice([-1.0, 1.0], shape) * rng.uniform(1, 2, shape) * distance * (hi - lo)
    scored_BL = probe.subject.counted(batch).to(device).clone()
    return Case(
        prediction_BL=after_BL + torch.as_tensor(miss_BL, device=device), after_BL=after_BL, scored_BL=scored_BL
    )


@check(
    "GP201",
    "loss.finite",
    "Are the loss and its gradient finite numbers?",
    cause="bug", kind="exact", needs=("loss",),
)  # fmt: skip
def finite(probe: Probe) -> CheckResult:
    """On real pairs with partial masks, one of which scores nothing; and there must be a gradient at all."""
    case = case_of(probe, "finite")
    value, gradient_BL = case.loss_and_gradient(probe)
    n_wrong = int((~gradient_BL[case.scored_BL].isfinite()).sum()) + (not np.isfinite(value))
    silent = not bool(gradient_BL.any())
    message = f"the loss is {value:.4g} and all its derivatives are finite"
    if n_wrong:
        message = f"the loss is {value:.4g}, and {n_wrong} of its value and derivatives are NaN or infinite"
    elif silent:
        message = (
            f"the loss is {value:.4g} and its gradient is 0 throughout: it is detached from the prediction, or flat"
        )
    return verdict(
        good=not n_wrong and not silent, message=message,
        next_step="look for detach(), item(), no_grad() or a sign in the loss" if silent and not n_wrong
        else "look for a division by a number of scored genes that may be 0, or a logarithm or root",
        statistic=float(n_wrong + silent), null=0.0, tolerance=0.0, n=int(case.scored_BL.sum()),
    )  # fmt: skip


@check(
    "GP202",
    "loss.scored_only",
    "Does the loss count scored genes only?",
    cause="bug", kind="exact", needs=("loss",),
)  # fmt: skip
def scored_only(probe: Probe) -> CheckResult:
    """Other predictions and other values after where nothing is scored: the loss and its gradient stay."""
    return _unscored(probe, _JUNK, "large numbers", "pass scored_BL to the loss as it is: True where a gene counts")


@check(
    "GP203",
    "loss.nan_unscored",
    "Does a NaN at a position that is not scored stay there?",
    cause="bug", kind="exact", needs=("loss",),
)  # fmt: skip
def nan_unscored(probe: Probe) -> CheckResult:
    """NaN times a mask's 0 is NaN; a risk alone unless a batch of these pairs stores NaN."""
    found = _unscored(probe, float("nan"), "NaN", _REPAIR)
    return found if probe.stores_nan else as_risk(found, "were NaN stored there; no batch of these pairs stores any")


def _unscored(probe: Probe, junk: float, what: str, next_step: str) -> CheckResult:
    case = case_of(probe, "unscored")
    value, gradient_BL = case.loss_and_gradient(probe)
    if bool(case.scored_BL.all()):
        return CheckResult(outcome="not_applicable", message="every position of these pairs is scored")
    worst, outside = 0.0, 0.0
    for name in ("prediction_BL", "after_BL"):
        altered = replace(case, **{name: torch.where(case.scored_BL, getattr(case, name), junk)})
        now, now_BL = altered.loss_and_gradient(probe)
        scale = float(gradient_BL.abs().max()) + 1e-300
        moved = float(torch.nan_to_num((now_BL - gradient_BL)[case.scored_BL], nan=LARGEST).abs().max()) / scale
        worst = max(worst, gap(value, now), moved)
        outside = max(outside, float(torch.nan_to_num(now_BL[~case.scored_BL], nan=LARGEST).abs().max()) / scale)
    n = int((~case.scored_BL).sum())
    good = worst <= _SLACK and outside == 0
    message = f"{what} at {n} positions that are not scored change neither the loss nor its gradient"
    if not good:
        message = f"{what} at {n} positions that are not scored change the loss or its gradient"
    return verdict(
        good=good, message=message, next_step=next_step,
        statistic=min(max(worst, outside), LARGEST), null=0.0, tolerance=_SLACK, n=n,
    )  # fmt: skip


@check(
    "GP204",
    "loss.every_scored",
    "Does the loss count every scored gene?",
    cause="bug", kind="exact", needs=("loss",),
)  # fmt: skip
def every_scored(probe: Probe) -> CheckResult:
    """The derivative by every scored prediction that misses is not 0, in one of three draws.

    A loss that leaves out the largest errors, say, leaves out others in each.
    """
    silent_BL: Tensor | None = None
    for draw in ("", " again", " once more"):
        case = case_of(probe, f"every scored{draw}")
        _, gradient_BL = case.loss_and_gradient(probe)
        silent_BL = gradient_BL == 0 if silent_BL is None else silent_BL & (gradient_BL == 0)
        if not bool(silent_BL[case.scored_BL].any()):
            break
    assert silent_BL is not None
    n = int(case.scored_BL.sum())
    n_left_out = int(silent_BL[case.scored_BL].sum())
    return verdict(
        good=not n_left_out,
        message=f"{n_left_out} of {n} scored predictions do not enter the loss"
        if n_left_out
        else f"each of {n} scored predictions enters the loss",
        next_step="look for a mask that is inverted or of the wrong axis, and for a slice or index that drops genes",
        statistic=n_left_out / max(n, 1), null=0.0, tolerance=0.0, n=n,
    )  # fmt: skip


@check(
    "GP205",
    "loss.least_at_target",
    "Is the loss least where the prediction is the target?",
    cause="bug", kind="exact", needs=("loss",),
)  # fmt: skip
def least_at_target(probe: Probe) -> CheckResult:
    """From misses of several sizes on either side, every derivative points away from the target.

    A loss that mixes its entries, such as a correlation, need not do that entry by entry; where a derivative has the
    other sign, a miss at that position alone decides.
    """
    n_wrong, n = 0, 0
    for distance in (1e-4, 1e-2, 1.0):
        case = case_of(probe, f"least {distance}", distance=distance)
        _, gradient_BL = case.loss_and_gradient(probe)
        miss_BL = case.prediction_BL - case.after_BL
        wrong_BL = case.scored_BL & ((gradient_BL * miss_BL) < 0)
        n += int(case.scored_BL.sum())
        positions = wrong_BL.nonzero()
        n_examined = min(len(positions), 8)
        n_alone = sum(_leads_away_alone(probe, case, position) for position in positions[:n_examined])
        n_wrong += len(positions) if n_alone else 0
    return verdict(
        good=not n_wrong,
        message=f"at {n_wrong} of {n} scored predictions a step down the loss leads away from the target"
        if n_wrong
        else f"at all {n} scored predictions a step down the loss leads towards the target",
        next_step="look at the sign of the loss, and at what it compares the prediction with: after, in the "
        "same order and units",
        statistic=n_wrong / max(n, 1), null=0.0, tolerance=0.0, n=n,
    )  # fmt: skip


def _leads_away_alone(probe: Probe, case: Case, position: Tensor) -> bool:
    """Whether descent leads away from the target where all other predictions are right."""
    row, column = (int(i) for i in position)
    prediction_BL = case.after_BL.clone()
    prediction_BL[row, column] = case.prediction_BL[row, column]
    _, gradient_BL = replace(case, prediction_BL=prediction_BL).loss_and_gradient(probe)
    return bool(gradient_BL[row, column] * (prediction_BL - case.after_BL)[row, column] < 0)


@check(
    "GP206",
    "loss.batch_size",
    "Is the loss of a batch that holds every pair twice the same?",
    cause="bug", kind="exact", needs=("loss",),
)  # fmt: skip
def batch_size(probe: Probe) -> CheckResult:
    """A sum over pairs would make the learning rate a matter of the batch size."""
    case = case_of(probe, "twice")
    twice = Case(**{name: torch.cat([getattr(case, name)] * 2) for name in Case.__dataclass_fields__})
    return _same_value(
        probe, case, twice, "holding every pair twice",
        "take a mean over scored entries or over pairs, not a sum: the rate that works would depend on the batch size",
    )  # fmt: skip


@check(
    "GP207",
    "loss.padding",
    "Do more padding positions leave the loss as it is?",
    cause="bug", kind="exact", needs=("loss",),
)  # fmt: skip
def padding(probe: Probe) -> CheckResult:
    """A mean over all positions, scored or not, would be diluted by them."""
    if not probe.subject.intent.masked:
        return CheckResult(outcome="not_applicable", message="the loss is given no mask: there is no padding")
    case = case_of(probe, "padding")
    wide = Case(
        **{
            name: torch.cat([value := getattr(case, name), torch.zeros_like(value)], dim=1)
            for name in Case.__dataclass_fields__
        }
    )
    return _same_value(
        probe, case, wide, "twice as many positions, none of the new ones scored,",
        "divide by the number of scored entries, not by the number of positions",
    )  # fmt: skip


def _same_value(probe: Probe, case: Case, other: Case, what: str, next_step: str) -> CheckResult:
    (value, _), (now, _) = case.loss_and_gradient(probe), other.loss_and_gradient(probe)
    apart = gap(value, now)
    return verdict(
        good=apart <= _SLACK,
        message=f"{what} leaves the loss at {value:.4g}" if apart <= _SLACK else f"{what} takes the loss from "
        f"{value:.4g} "
        f"to {now:.4g}", next_step=next_step,
        statistic=apart, null=0.0, tolerance=_SLACK, n=int(case.scored_BL.sum()),
    )  # fmt: skip


@check(
    "GP208",
    "loss.reported",
    "Is the loss that the training step reports that of its own batch?",
    cause="bug", kind="exact", needs=("model", "loss", "optimizer"),
)  # fmt: skip
def reported(probe: Probe) -> CheckResult:
    """One step on a few pairs, with dropout at 0 and in the step's own mode, against the model and the loss given.

    A sum of the loss and of a term that no target enters is what is meant, such as a divergence or a penalty. So is
    another quantity, such as a likelihood, that every target pulls towards itself.
    """
    if probe.subject.training_step is None:
        return NO_OWN_STEP
    found = objective_of(probe)
    what = f"the training step reports {found.reported:.4g}, and the loss of its batch is {found.value:.4g}"
    if found.kind == "random" and np.isfinite(found.reported):
        return CheckResult(
            outcome="not_applicable",
            message=f"the step draws at random, and what it reports cannot be compared with the loss: {what}",
        )
    apart, note = gap(found.value, found.reported), ""
    if found.kind == "plus":
        note = "they differ by what no target enters, such as a divergence or a penalty"
    elif found.kind == "other" and _pulled_by_every_target(probe, found):
        note = "another quantity, which every target pulls towards itself, as a likelihood does"
    return CheckResult(
        outcome="pass" if found.kind == "same" or note else "fail", message=f"{what}: {note}" if note else what,
        next_step="" if found.kind == "same" or note else "look at what the step averages over, which mask it passes, "
        "and whether it passes the model the batch that it scores",
        statistic=apart, null=0.0, tolerance=HALF_PRECISION, n=len(probe.few),
    )  # fmt: skip


_N_PULLED = 12


def _pulled_by_every_target(probe: Probe, found: Objective) -> bool:
    """Whether the step reports less when the prediction itself is to be predicted, at one scored gene at a time.

    Not so where it counts another mask: then it is the loss that is given, of genes that should not count.
    """
    subject, pairs = probe.subject, probe.few
    model = copied(probe.exact_model).train(habits_of(probe).training)
    batch, after_BL = probe.exact(pairs)
    with torch.no_grad(), without_dropout(model), Drawn(0):
        answer_BL = subject.predict(model, batch)
    masks = (batch.measured_BL, torch.ones_like(batch.measured_BL))
    of_masks = [float(subject.scalar_loss(answer_BL, after_BL, mask_BL)) for mask_BL in masks]
    if any(gap(one, found.reported) <= HALF_PRECISION for one in of_masks):
        return False
    answer_BG = probe.unpacked(answer_BL, batch)
    positions = np.argwhere(pairs.scored_BG & np.isfinite(answer_BG))
    chosen = probe.rng("pulled").permutation(len(positions))[:_N_PULLED]
    return all(
        one_step(probe, pairs=with_answer(pairs, row, gene, float(answer_BG[row, gene]))).reported < found.reported
        for row, gene in positions[chosen].tolist()
    )
