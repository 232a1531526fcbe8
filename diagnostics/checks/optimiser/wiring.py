"""Checks that the training step updates every parameter along the gradient of the loss.

A step is taken on a few pairs without dropout, and put back. Its gradients are read where autograd has just added
them up, whether the step clears them afterwards or not, so that any custom training step can be checked. What the step
lowers, and whether it draws at random, is settled first: see :mod:`diagnostics.checks.optimiser.one_step`.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.copies import Drawn
from diagnostics.checks.engine.identities import LARGEST, shown, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import flat, without_dropout
from diagnostics.checks.optimiser.gradients import (
    HALF_PRECISION,
    arriving,
    compared,
    differences,
    goes_against,
    in_turn,
)
from diagnostics.checks.optimiser.one_step import (
    MOST_ACCUMULATED,
    gap,
    habits_of,
    objective_of,
    one_step,
    other_answers,
    true_loss,
    until_updated,
    updates,
    watched,
)
from diagnostics.results.check_result import CheckResult

_SAME = 1e-4
"""Relative difference from which on two losses in single precision are not one number."""


@contextmanager
def _handed(model: nn.Module) -> Generator[dict[str, bool]]:
    """Parameters that any optimiser steps with a gradient other than 0, and whether rounding may swallow each step."""
    name_of = {id(one): name for name, one in model.named_parameters()}
    found: dict[str, bool] = {}

    def look(optimizer: torch.optim.Optimizer, *_: object) -> None:
        for group in optimizer.param_groups:
            for one in group["params"]:
                if id(one) in name_of and one.grad is not None and bool((one.grad != 0).any()):
                    name = name_of[id(one)]
                    found[name] = found.get(name, True) and _swallowed(one, group)

    handle = register_optimizer_step_pre_hook(look)
    try:
        yield found
    finally:
        handle.remove()


def _swallowed(parameter: Tensor, group: Mapping[str, Any]) -> bool:
    """Whether a step is below every weight's rounding: of Adam's kind as its first one, else the rate's share."""
    assert parameter.grad is not None
    size = parameter.grad.abs().double()
    if "betas" in group and "eps" in group:
        size = size / (size + float(group["eps"]))
    weight = parameter.detach().abs().double()
    return bool((float(group["lr"]) * size <= 4 * torch.finfo(parameter.dtype).eps * weight).all())


@check(
    "GP402",
    "optimiser.precision",
    "Are the parameters kept in at least single precision?",
    cause="optimiser", kind="exact", needs=("model",),
)  # fmt: skip
def precision(probe: Probe) -> CheckResult:
    """In half precision an update much smaller than its weight is rounded away."""
    model = probe.subject.model
    assert model is not None
    short = {
        name: torch.finfo(one.dtype).eps / 2
        for name, one in model.named_parameters()
        if one.is_floating_point() and torch.finfo(one.dtype).eps > torch.finfo(torch.float32).eps
    }
    n = len(list(model.parameters()))
    lost = max(short.values(), default=0.0)
    return verdict(
        good=not short,
        message=f"{len(short)} of {n} parameters are kept in half precision ({shown(list(short))}): an update below "
        f"{lost:.2g} of its weight is rounded away"
        if short
        else f"all {n} parameters are kept in single precision or better",
        next_step="keep the parameters in float32, compute in half precision under torch.autocast, and scale the loss "
        "(torch.amp.GradScaler): in float16 Adam's eps of 1e-8 is 0, and small gradients are too",
        statistic=lost, tolerance=torch.finfo(torch.float32).eps, n=n,
    )  # fmt: skip


def plain_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Tensors among the attributes of a model's parts that ask for a gradient, but are no parameters, by name."""
    modules = cast("Iterable[tuple[str, nn.Module]]", model.named_modules())
    return {
        f"{place}.{name}".lstrip("."): value
        for place, module in modules
        for name, value in cast("dict[str, object]", vars(module)).items()
        if isinstance(value, Tensor) and value.requires_grad and value.is_leaf and value.numel() > 1
    }


def _not_held(probe: Probe, model: nn.Module, optimizers: Iterable[torch.optim.Optimizer]) -> list[str]:
    """Parameters to train that none of some optimisers holds."""
    held = {id(one) for optimizer in optimizers for group in optimizer.param_groups for one in group["params"]}
    intent = probe.subject.intent
    return [
        name
        for name, one in model.named_parameters()
        if one.requires_grad and id(one) not in held and not (intent.is_frozen(name) or intent.is_unused(name))
    ]


@check(
    "GP403",
    "optimiser.holds_parameters",
    "Does the optimiser hold every parameter of the model?",
    cause="optimiser", kind="exact", needs=("model", "optimizer"),
)  # fmt: skip
def holds_parameters(probe: Probe) -> CheckResult:
    """The very tensors, not equal ones; where a step updates by several optimisers, one of them."""
    if probe.subject.make_optimizer is None:
        return CheckResult(outcome="not_applicable", message="the training step holds an optimiser of its own")
    with probe.trial("holds parameters", dropout=False) as (model, optimizer), updates() as made:
        plain = plain_tensors(model)
        missing = _not_held(probe, model, [optimizer])
        # An adversary, say, may have an optimiser of its own, which makes an update in some steps only.
        for _ in range(0 if probe.subject.training_step is None else MOST_ACCUMULATED):
            probe.subject.step(model, optimizer, probe.few)
            missing = _not_held(probe, model, [optimizer, *made])
            if made and not missing:
                break
        named = [name for name, one in model.named_parameters() if one.requires_grad]
    held = {id(one) for each in (optimizer, *made) for group in each.param_groups for one in group["params"]}
    if left := sorted(name for name, one in plain.items() if id(one) not in held):
        return verdict(
            good=False, message=f"{shown(left)} asks for a gradient and is a plain tensor, no parameter of the model: "
            "no optimiser holds it, and no checkpoint",
            next_step="wrap it in nn.Parameter, or register a buffer if it is not to be trained",
            statistic=float(len(left)), null=0.0, tolerance=0.0, n=len(named),
        )  # fmt: skip
    own = {id(one) for group in optimizer.param_groups for one in group["params"]}
    # Frozen ones may be held: they get no gradient.
    n_strangers = len(own - {id(one) for one in model.parameters()})
    message = f"the optimiser holds all {len(named)} parameters of the model"
    if missing:
        message = (
            f"the optimiser does not hold {len(missing)} of {len(named)} parameters of the model: {shown(missing)}"
        )
    if n_strangers:
        message += f", and holds {n_strangers} that are not the model's"
    return verdict(
        good=not missing, message=message,
        next_step="build the optimiser from model.parameters() of the very model that is trained, after the last "
        "change of its layers; what is frozen on purpose is named by Intent(frozen=...)",
        statistic=float(len(missing)), null=0.0, tolerance=0.0, n=len(named),
    )  # fmt: skip


@check(
    "GP404",
    "optimiser.gradients",
    "Does the training step follow the gradient of the loss?",
    cause="bug", kind="exact", needs=("model", "optimizer"),
    explained_by=("architecture.gradients", "loss.finite"),
)  # fmt: skip
def step_gradients(probe: Probe) -> CheckResult:
    """Parameter by parameter, up to one positive factor for all; a step may scale its loss.

    Where the step lowers the loss and a term that no target enters, what two targets change in the gradients is held
    against what they change in those of the loss. Where it lowers another quantity, only a gradient that is missing
    is a fault.
    """
    objective, seen = objective_of(probe), in_turn(probe, one_step(probe).gradient)
    by_name = zip((name for name, _ in probe.exact_model.named_parameters()), seen, strict=True)
    if not_finite := [name for name, one in by_name if one is not None and not bool(one.isfinite().all())]:
        return verdict(
            good=False, statistic=LARGEST, tolerance=0.0,
            message=f"the training step's gradients are not finite: {shown(not_finite)}",
            next_step="look in the loss for a root, a norm or a logarithm at 0, a division by 0, targets that are NaN "
            "and masked only afterwards, and for a loss scale that is too large for half precision",
        )  # fmt: skip
    if probe.subject.intent.random or one_step(probe).elsewhere:
        # Another draw, or other weights, have another gradient: only one that is missing is a fault.
        return arriving(probe, seen)
    # Means of means, as of parts of a batch that are not of one size, are nearly the mean, and so are their gradients.
    nearly = objective.kind == "plus" or gap(objective.value, objective.reported) > _SAME
    found = compared(probe, true_loss(probe)[1], seen) if objective.kind == "same" else None
    if found is not None and found.outcome != "fail":
        return found
    if objective.kind in ("same", "plus") and habits_of(probe).repeatable:
        other = other_answers(probe)
        truth = differences(true_loss(probe)[1], true_loss(probe, other)[1])
        beside = compared(probe, truth, differences(seen, one_step(probe, pairs=other).gradient))
        if beside.outcome == "pass":
            return replace(beside, message=f"{beside.message}; beside it the step lowers a term that no target enters")
        if not (habits_of(probe).random or nearly) or goes_against(beside):
            return beside if found is None else found
    return arriving(probe, seen) if found is None or habits_of(probe).random or nearly else found


@check(
    "GP405",
    "optimiser.cleared",
    "Are gradients cleared between steps?",
    cause="optimiser", kind="exact", needs=("model", "optimizer"),
)  # fmt: skip
def cleared(probe: Probe) -> CheckResult:
    """Twice the same pairs at the same weights and draw: the gradients are the same, not doubled.

    Where gradients are accumulated over several steps on purpose, those of each first one after an update.
    """
    if not habits_of(probe).repeatable:
        return CheckResult(outcome="not_applicable", message="two steps at one draw of random numbers differ")
    with probe.trial("cleared", dropout=False) as (model, optimizer), without_dropout(model):
        parameters = list(model.parameters())
        kept = [one.detach().clone() for one in parameters]
        found_E: list[NDArray[np.float64]] = []
        for _ in range(2):
            with updates() as made, watched(model) as seen, Drawn(probe.seed_of("cleared")):
                probe.subject.step(model, optimizer, probe.few)
                found_E.append(flat([seen.get(name) for name, _ in model.named_parameters()], parameters))
                for _ in range(MOST_ACCUMULATED - 1):
                    if made or found_E[1:]:
                        break
                    probe.subject.step(model, optimizer, probe.few)
            with torch.no_grad():
                for one, value in zip(parameters, kept, strict=True):
                    one.copy_(value)
    size = float(np.linalg.norm(found_E[0]))
    if not size > 0:
        return CheckResult(outcome="not_applicable", message="the training step has no gradient to clear")
    growth = float(found_E[0] @ found_E[1]) / size**2
    if growth < 1 - HALF_PRECISION:
        return CheckResult(
            outcome="not_applicable", message="a second step has less gradient than the first: nothing is left"
        )
    left = abs(growth - 1)
    return verdict(
        good=left <= HALF_PRECISION,
        message="the same pairs give the same gradient a second time"
        if left <= HALF_PRECISION
        else f"the same pairs at the same weights give {growth:.3g} times the gradient a second time: what is left of "
        "one step enters the next",
        next_step="call optimizer.zero_grad() before every backward()",
        statistic=min(left, LARGEST), null=0.0, tolerance=HALF_PRECISION, n=len(parameters),
    )  # fmt: skip


@check(
    "GP406",
    "optimiser.moves_parameters",
    "Does a training step change every parameter that has a gradient?",
    cause="optimiser", kind="exact", needs=("model", "optimizer"),
    explained_by=("optimiser.learning_rate",),
)  # fmt: skip
def moves_parameters(probe: Probe) -> CheckResult:
    """Three steps, since a rate may begin at 0.

    A parameter that an optimiser steps with its gradient in hand, and that stays where it is, is a matter of how far
    steps go: rounding swallows the smallest ones.
    """
    with probe.trial("moves parameters", dropout=False) as (model, optimizer), without_dropout(model):
        before = {name: one.detach().clone() for name, one in model.named_parameters()}
        with watched(model) as seen, _handed(model) as handed:
            frozen_each: list[set[str]] = []
            for _ in range(3):
                until_updated(probe, model, optimizer, probe.few)
                frozen_each.append({name for name, one in model.named_parameters() if not one.requires_grad})
        pulled = [name for name, gradient in seen.items() if bool((gradient != 0).any())]
        still = [name for name, one in model.named_parameters() if name in pulled and torch.equal(one, before[name])]
        # Parts that are trained in turn are frozen in turn.
        always = set[str].intersection(*frozen_each[:1], *frozen_each)
        frozen = [name for name, _ in model.named_parameters() if name in pulled and name in always]
    if frozen:
        return verdict(
            good=False, statistic=float(len(frozen)), null=0.0, tolerance=0.0, n=len(pulled),
            message=f"after a training step {len(frozen)} of {len(pulled)} parameters are frozen that it has moved: "
            f"{shown(frozen)}", next_step="look for what sets requires_grad to False within the step",
        )  # fmt: skip
    if not pulled:
        return verdict(
            good=False, message="the training step computes no gradient for any "
            "parameter", statistic=1.0, tolerance=0.0,
            next_step="call backward() on the loss of the very model that is trained",
        )  # fmt: skip
    lost = [name for name in still if not handed.get(name, False)]
    if still and not lost:
        return CheckResult(
            outcome="inconclusive", message=f"the optimiser steps with the gradient of {shown(still)}, too little to "
            "change it in this precision", next_step="see the checks of how far a step goes, and learning.rate",
            statistic=float(len(still)), null=0.0, n=len(pulled),
        )  # fmt: skip
    undone = [name for name in lost if name in handed]
    why = "no optimiser takes a step" if not handed else "no optimiser steps with their gradients"
    why = "what an optimiser does to them is undone" if undone else why
    return verdict(
        good=not still,
        message=f"three steps leave {len(lost)} of {len(pulled)} parameters with a gradient as they were: "
        f"{shown(lost)}; {why}"
        if still
        else f"three steps move all {len(pulled)} parameters that have a gradient",
        next_step="call optimizer.step() after backward() and before zero_grad(), on an optimiser that holds these "
        "parameters",
        statistic=float(len(lost)), null=0.0, tolerance=0.0, n=len(pulled),
    )  # fmt: skip
