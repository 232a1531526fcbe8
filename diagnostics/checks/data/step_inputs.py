"""Checks of a custom training step's inputs to the model: the pairs that it is given, and nothing of the target.

The arguments of the first call of the model in the step's second batch are captured by a forward hook.
"""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.checks.data.collation import with_other_answers
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import NO_OWN_STEP, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import DENSE_NAMES
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import TENSORS, ModelBatch

Shown = dict[str, Tensor]
"""Tensors of a call by their names, those of :class:`gpcp.model.batch.ModelBatch` or :data:`DENSE_NAMES`."""

_ANSWER = "the answer"
_HALF = 2.0**-7
"""A training step may pass its model half precision."""


@check(
    "GP107",
    "data.step_inputs",
    "Does the training step pass the model the pairs that it is given?",
    cause="bug",
    kind="exact",
    needs=("pairs", "model", "optimizer"),
)
def step_inputs(probe: Probe) -> CheckResult:
    """What the model is called with inside one step, against what ``collate`` makes of the same pairs."""
    if probe.subject.training_step is None:
        return NO_OWN_STEP
    twin = with_other_answers(probe.masked, probe.rng("step inputs"))
    usual, other, again = (
        shown_in_step(probe, pairs, draw) for pairs, draw in ((probe.masked, 0), (twin, 0), (probe.masked, 1))
    )
    right = _passed_by_subject(probe, probe.masked)
    if usual is None or right is None or set(usual) - {_ANSWER} != set(right):
        return CheckResult(
            outcome="not_applicable",
            message="the step calls the model in another way than forward does: its inputs cannot be compared",
        )
    if any(usual[name].shape != right[name].shape for name in right):
        return CheckResult(outcome="not_applicable", message="the step passes the model parts of its pairs at a time")
    wrong = _wrong(usual, right)
    if wrong and again is not None and _wrong(again, usual):
        return CheckResult(
            outcome="inconclusive",
            message=f"the step draws at random what it passes to the model: {' and '.join(wrong)} differ from what "
            "makes, and from one draw to the next",
            n=len(probe.masked),
        )
    leaking = [] if other is None else _leaking(usual, other)
    message = "the step passes the model what collate makes of its pairs"
    if wrong:
        shown = ", ".join(f"{name} at {share:.0%} of the positions" for name, share in wrong.items())
        message = f"the step passes the model something else than collate makes of its pairs: {shown}"
    if leaking:
        message = f"in the step {' and '.join(leaking)} changes when only the targets do: the model's input holds them"
    return verdict(
        good=not wrong and not leaking,
        message=message,
        next_step="look at what the training step does to its batch between collate and the model",
        statistic=max([*wrong.values(), float(len(leaking))], default=0.0),
        null=0.0,
        tolerance=0.0,
        n=len(probe.masked),
    )


def shown_in_step(probe: Probe, pairs: PairBatch, draw: int = 0) -> Shown | None:
    """The arguments of the model's first call in one training step; None where it is not called as expected.

    ``draw`` names the random numbers that the step may take from torch.
    """
    caught: list[Shown | None] = []
    answers: list[object] = []
    with probe.trial(f"shown in step {draw}", redrawn=draw > 0) as (model, optimizer):
        # A step that keeps its first batch shows at the second.
        probe.subject.step(model, optimizer, pairs.rows(np.roll(np.arange(len(pairs)), 1)))
        handles = [
            model.register_forward_pre_hook(
                lambda _, arguments, named: caught.append(_named(arguments, named)), with_kwargs=True
            ),
            model.register_forward_hook(lambda _, arguments, answer: answers.append(answer)),
        ]
        try:
            probe.subject.step(model, optimizer, pairs)
        finally:
            for handle in handles:
                handle.remove()
    if not caught or caught[0] is None:
        return None
    answer = answers[0] if answers else None
    like = next(iter(caught[0].values()))
    # A model that gives its loss beside its answer is not compared by that.
    if isinstance(answer, Tensor) and len(answer) == len(pairs) and answer.shape[-1] == like.shape[-1]:
        return {**caught[0], _ANSWER: answer.detach().cpu().clone()}
    return caught[0]


def _leaking(usual: Shown, other: Shown) -> list[str]:
    """Tensors that differ where only the targets do, if the model's answer differs with them: it reads them."""
    answer, altered = usual.get(_ANSWER), other.get(_ANSWER)
    if answer is not None and altered is not None and torch.equal(answer, altered):
        return []
    anywhere = [name for name in usual if name in other and name != _ANSWER and _differ(usual[name], other[name])]
    return list(_wrong(other, usual)) or (anywhere if answer is not None else [])


def _differ(one: Tensor, other: Tensor) -> bool:
    # NaN is equal to NaN here, and to nothing else: a dose that is not given is the same in both.
    return one.shape != other.shape or not bool(((one == other) | (one.isnan() & other.isnan())).all())


def _passed_by_subject(probe: Probe, pairs: PairBatch) -> Shown | None:
    """The arguments of the model's call where the subject itself predicts some pairs."""
    caught: list[Shown | None] = []
    with probe.trial("asked") as (model, _):
        handle = model.register_forward_pre_hook(
            lambda _, arguments, named: caught.append(_named(arguments, named)), with_kwargs=True
        )
        try:
            batch, _ = probe.subject.collate(pairs)
            with torch.no_grad():
                probe.subject.predict(model, batch.to(probe.device, _dtype_of(model)))
        finally:
            handle.remove()
    return caught[0] if caught else None


def _named(arguments: tuple[Any, ...], named: dict[str, Any]) -> Shown | None:
    values = [*arguments, *named.values()]
    if values and isinstance(values[0], ModelBatch):
        batch = values[0]
        return {name: cast("Tensor", getattr(batch, name)).detach().cpu().clone() for name in TENSORS}
    shapes = {tuple(value.shape) for value in values if isinstance(value, Tensor)}
    if len(values) == len(DENSE_NAMES) and all(isinstance(value, Tensor) for value in values) and len(shapes) == 1:
        ordered = [named.get(name, value) for name, value in zip(DENSE_NAMES, values, strict=True)]
        return {name: value.detach().cpu().clone() for name, value in zip(DENSE_NAMES, ordered, strict=True)}
    return None


def _dtype_of(model: nn.Module) -> torch.dtype:
    first = next(iter(model.parameters()), None)
    return torch.float32 if first is None else first.dtype


def _wrong(found: Shown, right: Shown) -> dict[str, float]:
    """The tensors in which two calls differ, each with its share of the positions."""
    return {
        name: share
        for name in right
        if name != _ANSWER and name in found and (share := _wrong_share(name, found, right))
    }


def _wrong_share(name: str, found: Shown, right: Shown) -> float:
    """Share of the positions that are read at which two calls differ."""
    one, other = found[name], right[name]
    if one.shape != other.shape:
        return 1.0
    read = _read(name, right, other)
    if not bool(read.any()):
        return 0.0
    if one.dtype == torch.bool or not one.is_floating_point():
        return float((one != other)[read].double().mean())
    one, other = one.double(), other.double()
    tolerance = _HALF * float(other[read].abs().max())
    return float((~((one - other)[read].abs() <= tolerance)).double().mean())


def _read(name: str, shown: Shown, like: Tensor) -> Tensor:
    """The positions of a tensor that a model may read."""
    measured = shown.get("measured_BL", shown.get("measured_BG"))
    perturbed = shown.get("perturbed_BL", shown.get("perturbed_BG"))
    if name.startswith("before") and measured is not None:
        return measured.bool()
    if name.startswith("target") and perturbed is not None:
        return perturbed.bool()
    if name.startswith("dose"):
        # NaN is no dose, and no number differs from it.
        return torch.isfinite(like) | torch.isfinite(shown[name])
    if name.startswith("token") and measured is not None and like.shape == measured.shape:
        return measured.bool()
    return torch.ones_like(like, dtype=torch.bool)
