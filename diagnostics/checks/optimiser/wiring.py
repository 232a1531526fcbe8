"""Checks that the training step updates every parameter along the gradient of the loss.

A step is taken on a few pairs without dropout, and put back. Its gradients are read where autograd has just added
them up, whether the step clears them afterwards or not, so that any custom training step can be checked.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import LARGEST, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import entries, flat, without_dropout
from diagnostics.results.check_result import CheckResult

_HALF_PRECISION = 0.05
"""How far a gradient may stray from its exact value, in parts of its own length: steps may run in half precision."""

_NEGLIGIBLE = 1e-6
"""A gradient this much smaller than the largest parameter's is rounding in single precision."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one step did to the weights of a fresh trial.

    Parameters
    ----------
    gradient : tuple of Tensor or None
        Of each parameter, as autograd left it.
    move_E : float64, (E,)
        Weights after minus weights before.
    """

    gradient: tuple[Tensor | None, ...]
    move_E: NDArray[np.float64]


@contextmanager
def _watched(model: nn.Module, *, sign: float = 1.0) -> Generator[dict[str, Tensor]]:
    """Gradients by the name of their parameter as soon as they are added up; multiplied by ``sign`` before that."""
    seen: dict[str, Tensor] = {}

    def turned(gradient: Tensor) -> Tensor:
        return sign * gradient

    hooks: list[RemovableHandle] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue

        def keep(one: Tensor, name: str = name) -> None:
            if one.grad is not None:
                seen[name] = one.grad.detach().clone()

        # torch's own stubs leave parts of these signatures open.
        hooks.append(parameter.register_post_accumulate_grad_hook(keep))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        if sign != 1.0:
            hooks.append(parameter.register_hook(turned))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


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


def one_step(probe: Probe, *, sign: float = 1.0) -> Step:
    """The first step of a fresh optimiser."""
    with probe.trial("one step", dropout=False) as (model, optimizer), without_dropout(model):
        # One that exists may have a state: its first step is what is measured.
        optimizer.state.clear()
        parameters = list(model.parameters())
        before_E = flat(parameters, parameters)
        with _watched(model, sign=sign) as seen:
            probe.subject.step(model, optimizer, probe.few)
        return Step(
            gradient=tuple(seen.get(name) for name, _ in model.named_parameters()),
            move_E=flat(parameters, parameters) - before_E,
        )


def true_gradient(probe: Probe) -> tuple[Tensor | None, ...]:
    """Of the composed loss, by the parameters of the exact copy."""
    model = probe.exact_model
    batch, after_BL = probe.exact(probe.few)
    loss = probe.subject.lowered(model, batch, after_BL)
    if not loss.requires_grad:
        return tuple(None for _ in model.parameters())
    parameters = [one for one in model.parameters() if one.requires_grad]
    found = iter(torch.autograd.grad(loss, parameters, allow_unused=True))
    return tuple(next(found) if one.requires_grad else None for one in model.parameters())


def _named(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


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
        message=f"{len(short)} of {n} parameters are kept in half precision ({_named(list(short))}): an update below "
        f"{lost:.2g} of its weight is rounded away"
        if short
        else f"all {n} parameters are kept in single precision or better",
        next_step="keep the parameters in float32 and compute in half precision under torch.autocast",
        statistic=lost, tolerance=torch.finfo(torch.float32).eps, n=n,
    )  # fmt: skip


@check(
    "GP403",
    "optimiser.holds_parameters",
    "Does the optimiser hold every parameter of the model?",
    cause="optimiser", kind="exact", needs=("model", "optimizer"),
)  # fmt: skip
def holds_parameters(probe: Probe) -> CheckResult:
    """The very tensors, not equal ones."""
    if probe.subject.make_optimizer is None:
        return CheckResult(outcome="not_applicable", message="the training step holds an optimiser of its own")
    with probe.trial("holds parameters") as (model, optimizer):
        held = {id(one) for group in optimizer.param_groups for one in group["params"]}
        named = {name: id(one) for name, one in model.named_parameters() if one.requires_grad}
    missing = [name for name, number in named.items() if number not in held]
    n_strangers = len(held - set(named.values()))
    message = f"the optimiser holds all {len(named)} parameters of the model"
    if missing:
        message = (
            f"the optimiser does not hold {len(missing)} of {len(named)} parameters of the model: {_named(missing)}"
        )
    if n_strangers:
        message += f", and holds {n_strangers} that are not the model's"
    return verdict(
        good=not missing, message=message,
        next_step="build the optimiser from model.parameters() of the very model that is trained, after the last "
        "change of its layers",
        statistic=float(len(missing)), null=0.0, tolerance=0.0, n=len(named),
    )  # fmt: skip


@check(
    "GP404",
    "optimiser.gradients",
    "Does the training step follow the gradient of the loss?",
    cause="optimiser", kind="exact", needs=("model", "optimizer"),
    explained_by=("architecture.gradients", "loss.finite"),
)  # fmt: skip
def step_gradients(probe: Probe) -> CheckResult:
    """Parameter by parameter, up to one positive factor for all; a step may scale its loss."""
    names = [name for name, _ in probe.exact_model.named_parameters()]
    truth = true_gradient(probe)
    seen = one_step(probe).gradient
    parameters = list(probe.exact_model.parameters())
    pairs = [(entries(one, like), entries(got, like)) for one, got, like in zip(truth, seen, parameters, strict=True)]
    size = [float(np.linalg.norm(one)) for one, _ in pairs]
    largest = int(np.argmax(size)) if size else 0
    if not size or not size[largest]:
        return CheckResult(outcome="not_applicable", message="the loss of these pairs has no gradient to compare with")
    if any(one is not None and not bool(one.isfinite().all()) for one in seen):
        return verdict(
            good=False, message="the training step's gradients are not finite", statistic=LARGEST, tolerance=0.0,
            next_step="look for a loss scale that is too large, and for half precision",
        )  # fmt: skip
    factor = float(np.sum(pairs[largest][0] * pairs[largest][1])) / size[largest] ** 2
    if factor <= 0:
        return verdict(
            good=False, message=f"the training step goes {'against' if factor else 'without'} the gradient of the loss",
            next_step="look for detach(), no_grad() or a sign between the model, the loss and backward()",
            statistic=factor, null=1.0, tolerance=0.0, n=len(names),
        )  # fmt: skip
    floor = _NEGLIGIBLE * size[largest]
    strays = [float(np.linalg.norm(got / factor - true)) / (float(np.linalg.norm(true)) + floor) for true, got in pairs]
    astray = [name for name, stray in zip(names, strays, strict=True) if stray > _HALF_PRECISION]
    return verdict(
        good=not astray,
        message=f"the training step's gradients are not those of the loss for {len(astray)} of {len(names)} "
        f"parameters: "
        f"{_named(astray)}"
        if astray
        else f"the training step's gradients are those of the loss, times {factor:.3g}",
        next_step="look for detach() or no_grad() before part of the model, for gradients that are not cleared, and "
        "for a batch or mask that the step changes",
        statistic=max(strays), null=0.0, tolerance=_HALF_PRECISION, n=len(names),
    )  # fmt: skip


@check(
    "GP405",
    "optimiser.cleared",
    "Are gradients cleared between steps?",
    cause="optimiser", kind="exact", needs=("model", "optimizer"),
)  # fmt: skip
def cleared(probe: Probe) -> CheckResult:
    """Twice the same pairs at the same weights: the gradients are the same, not doubled."""
    with probe.trial("cleared", dropout=False) as (model, optimizer), without_dropout(model):
        parameters = list(model.parameters())
        kept = [one.detach().clone() for one in parameters]
        found_E: list[NDArray[np.float64]] = []
        for _ in range(2):
            with _watched(model) as seen:
                probe.subject.step(model, optimizer, probe.few)
            found_E.append(flat([seen.get(name) for name, _ in model.named_parameters()], parameters))
            with torch.no_grad():
                for one, value in zip(parameters, kept, strict=True):
                    one.copy_(value)
    size = float(np.linalg.norm(found_E[0]))
    if not size > 0:
        return CheckResult(outcome="not_applicable", message="the training step has no gradient to clear")
    growth = float(found_E[0] @ found_E[1]) / size**2
    left = abs(growth - 1)
    return verdict(
        good=left <= _HALF_PRECISION,
        message="the same pairs give the same gradient a second time"
        if left <= _HALF_PRECISION
        else f"the same pairs at the same weights give {growth:.3g} times the gradient a second time: what is left of "
        "one step enters the next",
        next_step="call optimizer.zero_grad() before every backward()",
        statistic=min(left, LARGEST), null=0.0, tolerance=_HALF_PRECISION, n=len(parameters),
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
        with _watched(model) as seen, _handed(model) as handed:
            for _ in range(3):
                probe.subject.step(model, optimizer, probe.few)
        pulled = [name for name, gradient in seen.items() if bool((gradient != 0).any())]
        still = [name for name, one in model.named_parameters() if name in pulled and torch.equal(one, before[name])]
    if not pulled:
        return verdict(
            good=False, message="the training step computes no gradient for any "
            "parameter", statistic=1.0, tolerance=0.0,
            next_step="call backward() on the loss of the very model that is trained",
        )  # fmt: skip
    lost = [name for name in still if not handed.get(name, False)]
    if still and not lost:
        return CheckResult(
            outcome="inconclusive", message=f"the optimiser steps with the gradient of {_named(still)}, too little to "
            "change it in this precision", next_step="see the checks of how far a step goes, and learning.rate",
            statistic=float(len(still)), null=0.0, n=len(pulled),
        )  # fmt: skip
    undone = [name for name in lost if name in handed]
    why = "no optimiser takes a step" if not handed else "no optimiser steps with their gradients"
    why = "what an optimiser does to them is undone" if undone else why
    return verdict(
        good=not still,
        message=f"three steps leave {len(lost)} of {len(pulled)} parameters with a gradient as they were: "
        f"{_named(lost)}; {why}"
        if still
        else f"three steps move all {len(pulled)} parameters that have a gradient",
        next_step="call optimizer.step() after backward() and before zero_grad(), on an optimiser that holds these "
        "parameters",
        statistic=float(len(lost)), null=0.0, tolerance=0.0, n=len(pulled),
    )  # fmt: skip
