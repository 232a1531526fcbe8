"""Checks of a step's length and direction: learning rate, first step, moments, weight decay and descent.

The same step is taken twice from the same weights, once with every gradient's sign turned: half the sum of the two
moves is independent of the gradient (decay), half their difference is what follows it.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import flat
from diagnostics.checks.optimiser.one_step import habits_of, objective_of, one_step, reported_after, true_loss
from diagnostics.checks.optimiser.schedule import OVER, schedule_of
from diagnostics.results.check_result import CheckResult

_LEAST_LEFT = 0.1
"""Share of the rate that must be left after some dozens of steps: no run is that short."""

_SHORTEST = 150
"""Steps without which no model can be judged: a schedule that is over by then leaves nothing to learn by."""

_FEWEST_EPOCHS = 3
"""Epochs without which no model can be judged, where a schedule counts them."""

_NEARLY = 0.9
"""Share of its declared length that a schedule must last to be taken at its word."""

_FIRST_STEP = (0.5, 2.0)
_MOST_DECAY = 0.5
_NOT_TINY = 1e-2
"""Share of the largest derivative above which one is not tiny."""

_SAME_MOVE = 0.01
"""Relative difference above which two moves were made by other random numbers."""

_PARTS = ("model", "optimizer")
_WIRING = ("optimiser.gradients", "optimiser.moves_parameters", "optimiser.holds_parameters")


@check(
    "GP407",
    "optimiser.learning_rate",
    "Is the learning rate above 0, and does it stay so?",
    cause="optimiser", kind="exact", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def learning_rate(probe: Probe) -> CheckResult:
    """The rates in force over some steps, and those of a schedule that is found, played to its end without training.

    How long a run will be is not known, but none that can be judged is as short as :data:`_SHORTEST` steps. A schedule
    that says itself when it ends is taken at its word.
    """
    if probe.subject.make_optimizer is None:
        return CheckResult(outcome="not_applicable", message="the training step holds an optimiser of its own")
    found = schedule_of(probe)
    highest, first, last = found.highest_T, found.rate_ST[0], found.rate_ST[found.n_seen]
    message = f"the learning rate is {first.max():.3g} at first and {last.min():.3g} after {found.n_seen} steps"
    if not (highest > 0).all():
        message = f"the learning rate of {int((highest <= 0).sum())} parameter groups is 0 over {found.n_seen} steps"
    shortest, share = (_SHORTEST, OVER) if found.advanced else (found.n_seen, _LEAST_LEFT)
    n_before = found.n_seen if found.by_epoch and not found.advanced else 0
    if n_before:
        shortest, share = n_before + _FEWEST_EPOCHS, OVER
    over_at = found.over_at(share)
    early = found.over_at(_LEAST_LEFT)
    if early is not None and early <= found.n_seen:
        over_at, share = early, _LEAST_LEFT
    ended = over_at is not None and over_at <= shortest
    end = found.declared_end
    declared = end is not None and over_at is not None and over_at - n_before >= _NEARLY * end
    names = " and ".join(dict.fromkeys(found.names)) or "schedule"
    if over_at is not None and (highest > 0).all():
        unit = "epochs" if n_before and over_at > n_before else "steps"
        unit = unit if found.advanced or found.by_epoch or not found.names else "of its own steps, which may be epochs"
        message = f"{message}; of its {names} less than {share:.0%} of the highest, {highest.max():.3g}, is left for "
        n_left = over_at - n_before if unit == "epochs" else over_at
        message += f"good after {n_left} {'epoch' if n_left == 1 and unit == 'epochs' else unit}"
        message += ", as it is declared" if declared else ""
    good = bool((highest > 0).all()) and (not ended or declared)
    return CheckResult(
        outcome="pass" if good else "fail", message=message,
        next_step="train no longer than that" if good and over_at is not None
        else "" if good
        else "set a rate above 0, and a schedule as long as the run: its length counts steps where every step advances "
        "it, and epochs where every epoch does",
        statistic=float(over_at) if over_at is not None else float(len(found.rate_ST)), tolerance=float(shortest),
        n=len(found.rate_ST) - 1,
    )  # fmt: skip


def _parts(probe: Probe) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A first step's part without the gradient, its part that follows the gradient, and the gradient, each (E,)."""
    along, against = one_step(probe), one_step(probe, sign=-1.0)
    gradient_E = flat(along.gradient, list(probe.exact_model.parameters()))
    return (along.move_E + against.move_E) / 2, (along.move_E - against.move_E) / 2, gradient_E


@check(
    "GP408",
    "optimiser.first_step",
    "Is Adam's first step about as long as the learning rate?",
    cause="optimiser", kind="exact", needs=_PARTS,
    explained_by=(*_WIRING, "optimiser.decay"),
)  # fmt: skip
def first_step(probe: Probe) -> CheckResult:
    """Where the derivative is not tiny Adam's first update is the rate itself, whatever the derivative's size.

    Kingma and Ba 2015: the update is ``lr * g / (|g| + eps)``.
    """
    if probe.subject.make_optimizer is None:
        return CheckResult(outcome="not_applicable", message="the training step holds an optimiser of its own")
    with probe.trial("first step") as (model, optimizer):
        rate_of = {id(one): float(group["lr"]) for group in optimizer.param_groups for one in group["params"]}
        parameters = list(model.parameters())
        rate_E = flat([torch.full_like(one, rate_of.get(id(one), 0.0)) for one in parameters], parameters)
        known = isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW))
    if not known:
        return CheckResult(outcome="not_applicable", message="the optimiser is none of Adam's kind")
    _, moved_E, gradient_E = _parts(probe)
    pulled_E = (np.abs(gradient_E) > _NOT_TINY * np.abs(gradient_E).max()) & (rate_E > 0)
    if not bool(pulled_E.any()):
        return CheckResult(
            outcome="not_applicable", message="no parameter has both a gradient and a learning rate above 0"
        )
    ratio = float(np.median(np.abs(moved_E[pulled_E]) / rate_E[pulled_E]))
    good = _FIRST_STEP[0] <= ratio <= _FIRST_STEP[1]
    return verdict(
        good=good, message=f"the first step is {ratio:.3g} times as long as the learning rate implies",
        next_step="set eps back to 1e-8 (a large one makes Adam's steps as small as the gradient), and look whether "
        "the rate that is set is the rate that is used",
        statistic=ratio, null=1.0, tolerance=_FIRST_STEP[0], n=int(pulled_E.sum()),
    )  # fmt: skip


@check(
    "GP409",
    "optimiser.moments",
    "Are the optimiser's averages such that its steps converge?",
    cause="optimiser", kind="exact", needs=("model", "optimizer"),
)  # fmt: skip
def moments(probe: Probe) -> CheckResult:
    """Of Adam's kind ``beta1^2 < sqrt(beta2)`` (Kingma and Ba 2015, theorem 4.1); of descent a momentum below 1.

    With the two betas swapped the size of a step follows the last gradients and its direction those long past.
    """
    if probe.subject.make_optimizer is None:
        return CheckResult(outcome="not_applicable", message="the training step holds an optimiser of its own")
    with probe.trial("moments") as (_, optimizer):
        groups = [dict(group) for group in optimizer.param_groups]
    betas = [tuple(map(float, group["betas"])) for group in groups if len(group.get("betas", ())) == 2]
    momenta = [float(group["momentum"]) for group in groups if "momentum" in group]
    if not betas and not momenta:
        return CheckResult(outcome="not_applicable", message="the optimiser keeps no averages that are known")
    worst = max([*(b1**2 / max(b2, 1e-30) ** 0.5 for b1, b2 in betas), *momenta])
    settings = " and ".join(
        [
            *dict.fromkeys(f"betas {b1:g}, {b2:g}" for b1, b2 in betas),
            *dict.fromkeys(f"momentum {m:g}" for m in momenta),
        ]
    )
    return verdict(
        good=worst < 1,
        message=f"{settings}: " + ("within" if worst < 1 else "outside") + " the range in which steps converge",
        next_step="set betas to (0.9, 0.999), in this order, and a momentum below 1",
        statistic=worst, tolerance=1.0, n=len(groups),
    )  # fmt: skip


@check(
    "GP410",
    "optimiser.decay",
    "Does the gradient move the weights more than decay does?",
    cause="optimiser", kind="exact", needs=_PARTS, explained_by=_WIRING,
)  # fmt: skip
def decay(probe: Probe) -> CheckResult:
    """The length, over all weights, of a step's part without the gradient against its part that follows it."""
    with probe.trial("decay") as (_, optimizer):
        searches = isinstance(optimizer, torch.optim.LBFGS)
    if searches:
        return CheckResult(
            outcome="not_applicable", message="a step searches along a line, and has no part to take out"
        )
    one_E, other_E = (one_step(probe, draw=draw).move_E for draw in (0, 1))
    # Gradients that agree, and moves that do not: noise is added between them, which no sign turns.
    if not habits_of(probe).random and np.linalg.norm(one_E - other_E) > _SAME_MOVE * np.linalg.norm(one_E):
        return CheckResult(
            outcome="not_applicable", message="the step draws at random: what it does without a gradient is no decay"
        )
    decayed_E, moved_E, _ = _parts(probe)
    gone, moved = float(np.linalg.norm(decayed_E)), float(np.linalg.norm(moved_E))
    if moved == 0 and gone == 0:
        return CheckResult(outcome="not_applicable", message="a step moves nothing")
    share = gone / (gone + moved)
    most = _MOST_DECAY / (1 + _MOST_DECAY)
    return verdict(
        good=share <= most,
        message=f"{share:.1%} of a step's length is decay, whatever the gradient",
        next_step="lower weight_decay: weights are pulled to 0 faster than they can learn",
        statistic=share, null=0.0, tolerance=most, n=len(moved_E),
    )  # fmt: skip


@check(
    "GP411",
    "optimiser.descends",
    "Does a small enough step lower the loss of its own batch?",
    cause="optimiser", kind="exact", needs=_PARTS, explained_by=_WIRING,
)  # fmt: skip
def descends(probe: Probe) -> CheckResult:
    """The derivative of the exact loss along the step, so that a rate that is too large is no matter of sign.

    Where the step lowers another quantity than the loss that is given, what it reports itself of the same pairs at the
    same draw, after ever smaller parts of its own move.
    """
    _, moved_E, _ = _parts(probe)
    if objective_of(probe).kind in ("other", "random"):
        return _by_report(probe, moved_E)
    parameters = list(probe.exact_model.parameters())
    slope_E = flat(true_loss(probe)[1], parameters)
    length = float(np.linalg.norm(moved_E) * np.linalg.norm(slope_E))
    if length == 0:
        return CheckResult(outcome="not_applicable", message="a step moves nothing, or the loss has no gradient")
    cosine = float(moved_E @ slope_E) / length
    return verdict(
        good=cosine < 0,
        message=f"a step goes {'down' if cosine < 0 else 'up'} the loss of its own batch (cosine {cosine:.2g} with its "
        "gradient)",
        next_step="look at the sign of the loss and at the optimiser's maximize",
        statistic=cosine, null=-1.0, tolerance=0.0, n=len(moved_E),
    )  # fmt: skip


_PARTS_OF_A_MOVE = (1.0, 0.3, 0.1, 0.03, 0.01)


def _by_report(probe: Probe, moved_E: NDArray[np.float64]) -> CheckResult:
    if not habits_of(probe).repeatable:
        return CheckResult(outcome="not_applicable", message="two steps at one draw of random numbers differ")
    start = one_step(probe).reported
    if not moved_E.any() or not np.isfinite(start):
        return CheckResult(outcome="not_applicable", message="a step moves nothing, or reports no number")
    falls = [start - reported_after(probe, share) for share in _PARTS_OF_A_MOVE]
    best = max(falls)
    return verdict(
        good=best > 0,
        message=f"at the same draw a part of the step lowers what it reports by {best:.3g}, from {start:.4g}"
        if best > 0
        else f"no part of its own step lowers what it reports of the same pairs, {start:.4g}",
        next_step="look at the sign of the loss and at the optimiser's maximize",
        statistic=best, null=0.0, tolerance=0.0, n=len(moved_E),
    )  # fmt: skip
