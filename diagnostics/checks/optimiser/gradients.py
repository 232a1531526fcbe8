"""Gradients of a training step held against those of the loss, parameter by parameter, and missing ones."""

from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from diagnostics.checks.engine.copies import Drawn, copied
from diagnostics.checks.engine.identities import shown, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import entries, without_dropout
from diagnostics.checks.optimiser.one_step import habits_of, until_updated, watched
from diagnostics.results.check_result import CheckResult

HALF_PRECISION = 0.05
"""How far a gradient may stray from its exact value, in parts of its own length: steps may run in half precision."""

_NEGLIGIBLE = 1e-4
"""A gradient this much smaller than the largest parameter's is rounding in single precision."""

N_IN_TURN = 3
"""Steps in which each part of a model has had its turn."""

Gradients: TypeAlias = tuple[Tensor | None, ...]


def goes_against(found: CheckResult) -> bool:
    """Whether a step goes against the gradient, which no draw explains, rather than beside it."""
    return found.outcome == "fail" and found.statistic is not None and found.statistic <= 0


def differences(some: Gradients, others: Gradients) -> Gradients:
    """Parameter by parameter; what is missing counts as 0."""
    return tuple(
        one if other is None else -other if one is None else one - other
        for one, other in zip(some, others, strict=True)
    )


def in_turn(probe: Probe, seen: Gradients) -> Gradients:
    """The gradients of a step, and where parts are trained in turn those of the following steps at the same weights."""
    if all(one is not None for one in seen) or probe.subject.training_step is None:
        return seen
    with probe.trial("one step 0", dropout=False) as (model, optimizer), without_dropout(model):
        first = [one.detach().clone() for one in model.parameters()]
        with watched(model) as later:
            for _ in range(N_IN_TURN):
                until_updated(probe, model, optimizer, probe.few)
                with torch.no_grad():
                    for one, value in zip(model.parameters(), first, strict=True):
                        one.copy_(value)
        names = [name for name, _ in model.named_parameters()]
    return tuple(later.get(name) if one is None else one for name, one in zip(names, seen, strict=True))


def arriving(probe: Probe, seen: Gradients) -> CheckResult:
    """Whether every parameter on which predictions depend gets a gradient, whatever the step lowers."""
    model = copied(probe.exact_model).train(habits_of(probe).training)
    names = [name for name, one in model.named_parameters() if one.requires_grad]
    batch, _ = probe.exact(probe.few)
    with without_dropout(model), Drawn(probe.seed_of("arriving")):
        answer = probe.subject.predict(model, batch)[batch.measured_BL]
    weight = torch.as_tensor(probe.rng("arriving").standard_normal(answer.numel())).to(answer)
    wanted = [one for one in model.parameters() if one.requires_grad]
    if not answer.requires_grad:
        return CheckResult(outcome="not_applicable", message="the predictions have no gradient to compare with")
    truth = cast("Gradients", torch.autograd.grad((answer * weight).sum(), wanted, allow_unused=True))
    got = [one for one, like in zip(seen, model.parameters(), strict=True) if like.requires_grad]
    lost = [
        name
        for name, true, one in zip(names, truth, got, strict=True)
        if true is not None and bool((true != 0).any()) and (one is None or not bool((one != 0).any()))
    ]
    intent = probe.subject.intent
    lost = [name for name in lost if not (intent.is_frozen(name) or intent.is_unused(name))]
    what = "the training step draws at random" if habits_of(probe).random else "the step lowers another quantity"
    return verdict(
        good=not lost,
        message=f"in the training step {len(lost)} of {len(names)} parameters get no gradient, though predictions "
        f"depend on them: {shown(lost)}" if lost else f"{what}: its gradients are not compared with those of a "
        "squared error, and reach every parameter that predictions depend on",
        next_step="look for detach() or no_grad() before part of the model; what is frozen on purpose is named by "
        "Intent(frozen=...)",
        statistic=float(len(lost)), null=0.0, tolerance=0.0, n=len(names),
    )  # fmt: skip


def compared(probe: Probe, truth: Gradients, seen: Gradients) -> CheckResult:
    """Whether the gradients that were seen are the true ones, times one positive factor."""
    names = [name for name, _ in probe.exact_model.named_parameters()]
    parameters = list(probe.exact_model.parameters())
    pairs = [(entries(one, like), entries(got, like)) for one, got, like in zip(truth, seen, parameters, strict=True)]
    size = [float(np.linalg.norm(one)) for one, _ in pairs]
    largest = int(np.argmax(size)) if size else 0
    if not size or not size[largest]:
        return CheckResult(outcome="not_applicable", message="the loss of these pairs has no gradient to compare with")
    factor = float(np.sum(pairs[largest][0] * pairs[largest][1])) / size[largest] ** 2
    if factor <= 0:
        return verdict(
            good=False, message=f"the training step goes {'against' if factor else 'without'} the gradient of the loss",
            next_step="look for detach(), no_grad() or a sign between the model, the loss and backward()",
            statistic=factor, null=1.0, tolerance=0.0, n=len(names),
        )  # fmt: skip
    floor = _NEGLIGIBLE * size[largest]
    strays = [float(np.linalg.norm(got / factor - true)) / (float(np.linalg.norm(true)) + floor) for true, got in pairs]
    intent = probe.subject.intent
    astray = [
        name for name, stray in zip(names, strays, strict=True) if stray > HALF_PRECISION and not intent.is_frozen(name)
    ]
    return verdict(
        good=not astray,
        message=f"the training step's gradients are not those of the loss for {len(astray)} of {len(names)} "
        f"parameters: "
        f"{shown(astray)}"
        if astray
        else f"the training step's gradients are those of the loss, times {factor:.3g}",
        next_step="look for detach() or no_grad() before part of the model, for gradients that are not cleared, and "
        "for a batch or mask that the step changes",
        statistic=max(strays), null=0.0, tolerance=HALF_PRECISION, n=len(names),
    )  # fmt: skip
