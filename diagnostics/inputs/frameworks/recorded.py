"""What a recorded loop shows: each question under the code of the check that asks the same of a trial."""

from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
from torch import nn

from diagnostics.checks.engine.identities import shown, verdict
from diagnostics.checks.engine.weights import HAS_MODES
from diagnostics.inputs.frameworks.recorder import Recording
from diagnostics.inputs.frameworks.replayed import replays, step_again
from diagnostics.results.check_result import Cause, CheckResult
from diagnostics.results.report import Report

_FEWEST = 20
"""Steps below which a course over time is not judged."""

_BLOWN_UP = 10.0
"""Times its first size, from which a loss that is positive has blown up: a penalty that is warmed up raises it less."""

_OVER = 0.01
"""Share of its highest below which a rate is as good as 0."""


def report_of(recording: Recording) -> Report:
    """Every question, in the order of the cascade."""
    asked: tuple[tuple[str, str, Cause, Callable[[Recording], CheckResult]], ...] = (
        ("", "recorded.replays", "bug", replays),
        ("", "recorded.step", "bug", step_again),
        ("GP403", "optimiser.holds_parameters", "bug", held),
        ("GP404", "optimiser.gradients", "bug", gradients),
        ("GP405", "optimiser.cleared", "bug", cleared),
        ("GP406", "optimiser.moves_parameters", "bug", moved),
        ("GP407", "optimiser.learning_rate", "optimiser", rates),
        ("", "recorded.update_ratio", "optimiser", ratios),
        ("", "recorded.clipping", "optimiser", clipping),
        ("", "recorded.mode", "bug", mode),
        ("", "recorded.loss", "optimiser", loss),
    )
    results: list[CheckResult] = []
    for code, name, cause, ask in asked:
        nothing = CheckResult(outcome="not_applicable", message="no step of the optimiser was recorded")
        found = ask(recording) if recording.steps else nothing
        found = found.of(name, code=code, cause=cause, seconds=0.0)
        results.append(found)
    return Report(results=tuple(results), world=f"{len(recording.steps)} recorded steps", seed=(0,))


def _trained(recording: Recording) -> list[str]:
    """Parameters that are meant to be trained."""
    frozen = recording.intent.is_frozen
    return [name for name, one in recording.model.named_parameters() if one.requires_grad and not frozen(name)]


def held(recording: Recording) -> CheckResult:
    """Every parameter to train is in a group of an optimiser."""
    own = {id(one) for each in recording.optimizers for group in each.param_groups for one in group["params"]}
    parameters, names = dict(recording.model.named_parameters()), _trained(recording)
    missing = [name for name in names if id(parameters[name]) not in own and not recording.intent.is_unused(name)]
    return verdict(
        good=not missing,
        message=f"the optimiser does not hold {len(missing)} of {len(names)} parameters: {shown(missing)}"
        if missing else f"the optimiser holds all {len(names)} parameters",
        next_step="build it from model.parameters() of the very model that is trained; what is frozen on purpose is "
        "named by Intent(frozen=...)",
        statistic=float(len(missing)), null=0.0, tolerance=0.0, n=len(names),
    )  # fmt: skip


def gradients(recording: Recording) -> CheckResult:
    """Finite at every step, and not absent or 0 at all of them."""
    wild = {name for step in recording.steps for name, one in step.gradient.items() if not np.isfinite(one)}
    first = next((n for n, step in enumerate(recording.steps) if not np.isfinite([*step.gradient.values()]).all()), 0)
    names = [name for name in _trained(recording) if not recording.intent.is_unused(name)]
    silent = [name for name in names if not any(step.added.get(name, 0.0) != 0 for step in recording.steps)]
    if silent and len(silent) < len(names) and not wild:
        return CheckResult(
            outcome="inconclusive", statistic=float(len(silent)), null=0.0, n=len(names),
            message=f"{len(silent)} of {len(names)} parameters get no gradient in any of {len(recording.steps)} steps: "
            f"{shown(silent)}",
            next_step="look for detach(), no_grad() and layers that are never called; what is so on purpose is named "
            "by Intent(frozen=..., unused=...)",
        )  # fmt: skip
    lost = sorted(wild) or silent
    message = f"gradients of all {len(names)} parameters are finite and differ from 0"
    if wild:
        message = f"gradients of {len(wild)} parameters are not finite, first at step {first + 1}: {shown(lost)}"
    elif silent:
        message = f"no parameter gets a gradient in any of {len(recording.steps)} steps"
    return verdict(
        good=not lost, message=message, statistic=float(len(lost)), null=0.0, tolerance=0.0, n=len(names),
        next_step="look for a rate or a loss scale that is too large, a division by 0 or a logarithm of it"
        if wild else "call backward() on a loss of the very model that is recorded",
    )  # fmt: skip


def cleared(recording: Recording) -> CheckResult:
    """The gradient of a step is gone when the first one of the next is added."""
    later = recording.steps[1:]
    if not later:
        return CheckResult(outcome="not_applicable", message="one step alone was recorded")
    n_left = sum(bool(step.left_over) for step in later)
    names = sorted({name for step in later for name in step.left_over})
    return verdict(
        good=n_left < len(later) or not n_left,
        message=f"in {n_left} of {len(later)} steps the gradient of the step before is still there when the next is "
        f"added: {shown(names)}" if n_left else "every step begins with cleared gradients",
        next_step="call optimizer.zero_grad() before every backward()",
        statistic=float(n_left), null=0.0, tolerance=float(len(later) - 1), n=len(later),
    )  # fmt: skip


def moved(recording: Recording) -> CheckResult:
    """What an optimiser steps with a gradient and a rate changes at some step."""
    steps = [step for step in recording.steps if any(rate > 0 for rate in step.rates)]
    pulled = {name for step in steps for name, one in step.gradient.items() if one > 0}
    still = sorted(name for name in pulled if not any(step.moved.get(name, 0.0) > 0 for step in steps))
    if not pulled:
        return CheckResult(outcome="not_applicable", message="no parameter was stepped with a gradient and a rate")
    return verdict(
        good=not still,
        message=f"{len(still)} of {len(pulled)} parameters with a gradient stay as they were: {shown(still)}"
        if still else f"all {len(pulled)} parameters with a gradient were updated",
        next_step="see whether their group has a rate of 0, and whether what they are kept in can hold so small a step",
        statistic=float(len(still)), null=0.0, tolerance=0.0, n=len(pulled),
    )  # fmt: skip


def rates(recording: Recording) -> CheckResult:
    """Above 0, not over in the first half, and not still in a warm-up at the end."""
    rate_S = np.array([max(step.rates, default=0.0) for step in recording.steps])
    highest, n = float(rate_S.max()), len(rate_S)
    alive = np.flatnonzero(rate_S > _OVER * highest) if highest > 0 else np.zeros(0, dtype=np.int64)
    last = int(alive[-1]) + 1 if len(alive) else 0
    over = last < n / 2
    message = f"the learning rate is {rate_S[0]:.3g} at first, {highest:.3g} at most and {rate_S[-1]:.3g} at the end"
    if not over and n >= _FEWEST and rate_S[-1] == highest and bool((np.diff(rate_S[-n // 10 :]) > 0).all()):
        return CheckResult(
            outcome="inconclusive", message=f"{message} of {n} steps: it still rises", statistic=highest, n=n,
            next_step="see whether the warm-up is as long as it is meant to be: it may count steps where epochs are "
            "meant",
        )  # fmt: skip
    return verdict(
        good=not over, message=f"{message}; less than {_OVER:.0%} of it is left after step {last} of {n}"
        if over else message,
        next_step="set a rate above 0, and a schedule as long as the run",
        statistic=float(last), tolerance=n / 2, n=n,
    )  # fmt: skip


def ratios(recording: Recording) -> CheckResult:
    """How far a step goes, as a share of the weights: about a thousandth is usual."""
    each = [float(np.median([*step.moved.values()])) for step in recording.steps if step.moved]
    typical = [one for one in each if np.isfinite(one)]
    if not typical:
        return CheckResult(outcome="not_applicable", message="the optimisers hold no parameter of the model")
    middle = float(np.median(typical))
    usual = 1e-6 < middle < 0.3
    return CheckResult(
        outcome="pass" if usual else "inconclusive", statistic=middle, tolerance=0.3, n=len(typical),
        message=f"a step moves a parameter by {middle:.2g} of its length, in the median",
        next_step="" if usual else "about 1e-3 is usual: see the learning rate",
    )  # fmt: skip


def clipping(recording: Recording) -> CheckResult:
    """At how many steps gradients are shorter when the optimiser meets them than backward left them."""
    shares = [
        np.sqrt(sum(step.gradient[name] ** 2 for name in both) / total)
        for step in recording.steps
        if (both := step.gradient.keys() & step.added.keys())
        and np.isfinite(total := sum(step.added[name] ** 2 for name in both))
        and total > 0
    ]
    if not shares:
        return CheckResult(outcome="not_applicable", message="no step had gradients")
    n_clipped = sum(share < 0.999 for share in shares)
    left = float(np.median(shares))
    small = n_clipped == len(shares) and left < _OVER
    return CheckResult(
        outcome="inconclusive" if small else "pass", statistic=left, tolerance=_OVER, n=len(shares),
        message=f"gradients are shortened in {n_clipped} of {len(shares)} steps, to {left:.2g} of their length in the "
        "median" if n_clipped else "gradients are not clipped",
        next_step="clip at a few times the usual length of a gradient, or unscale before clipping" if small else "",
    )  # fmt: skip


def mode(recording: Recording) -> CheckResult:
    """Whether steps call the model in training mode."""
    modules = cast("Iterable[tuple[str, nn.Module]]", recording.model.named_modules())
    layers = [name for name, one in modules if isinstance(one, HAS_MODES)]
    called = [step.training for step in recording.steps if step.training]
    if not layers or not called:
        return CheckResult(outcome="not_applicable", message="the model does the same in both modes")
    n_eval = sum(one == {False} for one in called)
    switched = 0 < n_eval < len(called) and called[0] != {False} and called[-1] == {False}
    if n_eval == len(called):
        return CheckResult(
            outcome="inconclusive", message=f"all {n_eval} steps call the model in evaluation mode: {shown(layers)} "
            "do not do what they do in training", next_step="call model.train() before the loop, unless it is meant so",
            statistic=float(n_eval), null=0.0, n=len(called),
        )  # fmt: skip
    return verdict(
        good=not switched,
        message=f"the last of {n_eval} steps in evaluation mode are not followed by model.train(): {shown(layers)} no "
        "longer do what they do in training" if switched else "steps call the model in training mode",
        next_step="call model.train() at the beginning of every epoch",
        statistic=float(n_eval), null=0.0, tolerance=float(len(called) - 1), n=len(called),
    )  # fmt: skip


def loss(recording: Recording) -> CheckResult:
    """Its course from the first fifth of the steps to the last."""
    seen = np.array([np.mean(step.losses) for step in recording.steps if step.losses])
    if not np.isfinite(seen).all():
        return verdict(
            good=False, message=f"the loss is not finite from step {int(np.flatnonzero(~np.isfinite(seen))[0]) + 1} on",
            next_step="lower the learning rate; see the gradients of the steps before", statistic=1.0, tolerance=0.0,
        )  # fmt: skip
    if len(seen) < _FEWEST:
        return CheckResult(outcome="not_applicable", message=f"its course needs {_FEWEST} steps with a loss")
    fifth = len(seen) // 5
    first, last = seen[:fifth], seen[-fifth:]
    error = np.sqrt((first.var(ddof=1) + last.var(ddof=1)) / fifth) if fifth > 1 else 0.0
    fall = float(first.mean() - last.mean())
    message = f"the loss goes from {first.mean():.4g} to {last.mean():.4g} over {len(seen)} steps"
    blown = first.mean() > 0 and last.mean() > _BLOWN_UP * first.mean()
    if not blown and fall <= 3 * error:
        return CheckResult(
            outcome="inconclusive", message=f"{message}: no fall beyond chance", statistic=fall, null=0.0, n=len(seen),
            next_step="give diagnose() the model, the loader and the step: it looks for the cause",
        )  # fmt: skip
    return verdict(
        good=not blown, message=message, next_step="lower the learning rate, or clip the gradients",
        statistic=float(last.mean()), tolerance=float(max(_BLOWN_UP * first.mean(), last.mean() if not blown else 0)),
        n=len(seen),
    )  # fmt: skip
