"""The first step of a recorded loop, played again: its pass, the gradients that its loss asked for, and its update."""

import copy
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.weights import modes_kept
from diagnostics.inputs.frameworks.recorder import RecordedPass, Recording, tensors_of
from diagnostics.results.check_result import CheckResult

_ALIKE = 1e-4
"""Of the largest value: two passes, or two steps, from one state are as near as this."""

_SAME_WAY = 1e-2
"""Share of a gradient's length by which that of a second pass may differ, whatever scale the loop gave it."""


@contextmanager
def _as_then(model: nn.Module, kept: RecordedPass) -> Generator[None]:
    """Within the block the model has the weights, the mode and the draws of a recorded pass."""
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    gradients = [(one, one.grad) for one in model.parameters()]
    with modes_kept(model), torch.random.fork_rng():  # pyright: ignore[reportUnknownMemberType]
        try:
            model.load_state_dict(kept.state)
            model.train(kept.training)
            torch.set_rng_state(kept.draws)
            yield
        finally:
            model.load_state_dict(state)
            for one, gradient in gradients:
                one.grad = gradient


def replays(recording: Recording) -> CheckResult:
    """The first pass, from its weights, inputs, mode and draws, answers as it did."""
    kept, model = next(iter(recording.passes), None), recording.model
    if kept is None or not kept.answer:
        return CheckResult(outcome="not_applicable", message="no pass with gradients was recorded")
    with _as_then(model, kept), torch.no_grad():
        again = tensors_of(model(*kept.arguments, **kept.named))
    gaps = [float((one - other).abs().max()) for one, other in zip(kept.answer, again, strict=True) if one.numel()]
    sizes = [float(one.abs().max()) for one in kept.answer if one.numel()]
    gap, size = max(gaps, default=0.0), max(sizes, default=0.0)
    if not gap <= 1e-4 * max(size, 1e-30):
        return CheckResult(
            outcome="inconclusive", statistic=min(gap, 1e300), null=0.0,
            message=f"the first pass, played again from its weights, inputs and draws, answers otherwise, by {gap:.2g}",
            next_step="look for a draw from another generator than torch's, for layers that are in another mode than "
            "the model, and for state that is kept outside of state_dict()",
        )  # fmt: skip
    return verdict(
        good=True, message="the first pass, played again from its weights, inputs and draws, answers the same",
        next_step="", statistic=gap, null=0.0, tolerance=1e-4 * size, n=len(gaps),
    )  # fmt: skip


def step_again(recording: Recording) -> CheckResult:
    """From the gradient that the loss gave the answer: the gradients of the weights, then the optimiser's step."""
    kept, update = next(iter(recording.passes), None), next(iter(recording.updates), None)
    if kept is None or update is None or update.n_passes != 1 or any(len(pulled) > 1 for pulled in kept.pulls):
        return CheckResult(outcome="not_applicable", message="the first step is not one pass and one backward")
    if not any(kept.pulls):
        return CheckResult(outcome="not_applicable", message="no backward pass reached the answer of the first pass")
    parameters = {name: one for name, one in recording.model.named_parameters() if name in update.gradient}
    with _as_then(recording.model, kept):
        gradients = _gradients(recording.model, kept, parameters)
        off = _off(gradients, update.gradient)
        if off > _SAME_WAY:
            return CheckResult(
                outcome="inconclusive", statistic=off, null=0.0, n=len(parameters),
                message="the gradients of the first step are not those that its loss asks of the answer: beyond one "
                f"scale {off:.0%} of their length is something else",
                next_step="where nothing else is meant to be in them (a penalty on weights, a clipping one by one): "
                "call optimizer.zero_grad() before backward(), and look for a second loss",
            )  # fmt: skip
        weight = _stepped(recording, update.state, update.gradient, parameters)
    gap = max((float((weight[name] - update.weight[name]).abs().max()) for name in weight), default=0.0)
    size = max((float(update.weight[name].abs().max()) for name in weight), default=0.0)
    if not gap <= _ALIKE * size:
        return CheckResult(
            outcome="inconclusive", statistic=min(gap, 1e300), null=0.0, n=len(weight),
            message=f"the first step, played again from the gradients that it met, leaves other weights, by {gap:.2g}",
            next_step="look at what else changes weights between the pass and the end of optimizer.step(): a clamp, an "
            "average, a second optimiser",
        )  # fmt: skip
    return verdict(
        good=True, message=f"the first step, played again, moves {len(weight)} parameters as it did", next_step="",
        statistic=gap, null=0.0, tolerance=_ALIKE * size, n=len(weight),
    )  # fmt: skip


def _gradients(model: nn.Module, kept: RecordedPass, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    for one in model.parameters():
        one.grad = None
    answer = tensors_of(model(*kept.arguments, **kept.named))
    asked = [(one, pulled[0]) for one, pulled in zip(answer, kept.pulls, strict=True) if pulled]
    torch.autograd.backward([one for one, _ in asked], [pull for _, pull in asked])
    return {name: torch.zeros_like(one) if one.grad is None else one.grad for name, one in parameters.items()}


def _off(found: dict[str, Tensor], met: dict[str, Tensor]) -> float:
    """Share of the gradients' common length that no one scale for all of them explains."""
    square = sum(float(one.double().square().sum()) for one in found.values())
    both = sum(float((found[name].double() * met[name].double()).sum()) for name in found)
    scale = both / max(square, 1e-300)
    left = sum(float((met[name].double() - scale * found[name].double()).square().sum()) for name in found)
    total = sum(float(one.double().square().sum()) for one in met.values())
    return (left / max(total, 1e-300)) ** 0.5


def _stepped(
    recording: Recording, state: dict[str, object], met: dict[str, Tensor], parameters: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The weights after the optimiser's own step from its state then; it is put back."""
    (optimizer,) = recording.optimizers
    usual = copy.deepcopy(optimizer.state_dict())
    try:
        optimizer.load_state_dict(copy.deepcopy(state))
        for name, one in parameters.items():
            one.grad = met[name].clone()
        optimizer.step()
        return {name: one.detach().clone() for name, one in parameters.items()}
    finally:
        optimizer.load_state_dict(usual)
