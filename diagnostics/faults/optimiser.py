"""Faults planted in the optimiser and in the training step."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from diagnostics.checks.engine.subject import Subject
from diagnostics.faults.decorators import optimizer_fault, step_fault
from diagnostics.faults.fault import copied, fault
from diagnostics.faults.is_planted import steps_differ
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch

RATE = 1e-2
"""At which the healthy subjects learn."""


def backward(loss: Tensor) -> None:
    """``loss.backward()``, whose own stubs leave a part of its signature open."""
    loss.backward()  # pyright: ignore[reportUnknownMemberType]


@optimizer_fault("optimiser_of_the_head", "the optimiser holds the output head alone", "optimiser.holds_parameters")
def _head(model: nn.Module) -> Optimizer:
    *_, (_, last) = ((name, part) for name, part in model.named_children() if any(True for _ in part.parameters()))
    return torch.optim.AdamW(last.parameters(), lr=RATE, weight_decay=0.0)


@optimizer_fault("optimiser_of_a_copy", "the optimiser is built on a copy of the model", "optimiser.holds_parameters")
def _copy(model: nn.Module) -> Optimizer:
    return torch.optim.AdamW(copy.deepcopy(model).parameters(), lr=RATE, weight_decay=0.0)


@optimizer_fault(
    "adam_eps", "Adam's eps is 1 instead of 1e-8, so that small gradients hardly move", "optimiser.first_step"
)
def _eps(model: nn.Module) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=RATE, eps=1.0, weight_decay=0.0)


@optimizer_fault("rate_too_small", "the learning rate is 1e-7", "learning.rate")
def _too_small(model: nn.Module) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-7, weight_decay=0.0)


@optimizer_fault("rate_too_large", "the learning rate is 10", "learning.rate")
def _too_large(model: nn.Module) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=10.0, weight_decay=0.0)


@optimizer_fault("rate_zero", "the learning rate is 0", "optimiser.learning_rate")
def _zero(model: nn.Module) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)


@optimizer_fault("rate_of_descent_without_momentum", "plain gradient descent at 1e-7, a rate meant for nothing",
            "learning.rate")  # fmt: skip
def _sgd(model: nn.Module) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1e-7)


@optimizer_fault("rate_of_a_group_zero", "one group of parameters, all but the head, has the learning rate 0",
            "optimiser.learning_rate", "optimiser.moves_parameters")  # fmt: skip
def _group(model: nn.Module) -> Optimizer:
    parameters = list(model.parameters())
    groups = [{"params": parameters[:-3], "lr": 0.0}, {"params": parameters[-3:], "lr": RATE}]
    return torch.optim.AdamW(groups, weight_decay=0.0)


@optimizer_fault(
    "weight_decay", "decay of 100 at a rate of 0.01 pulls every weight to 0 at each step", "optimiser.decay"
)
def _decay(model: nn.Module) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=100.0)


@optimizer_fault("maximise", "the optimiser increases the loss: maximize is True", "optimiser.descends")
def _maximise(model: nn.Module) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0, maximize=True)


@optimizer_fault("betas_swapped", "Adam's betas are in the wrong order: 0.999, 0.9", "optimiser.moments")
def _betas(model: nn.Module) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.999, 0.9), weight_decay=0.0)


@fault(
    "parameters_in_bf16",
    "parameters are kept in bfloat16, in which small updates are rounded away",
    part="optimiser", expected=("optimiser.precision",), cause="optimiser", shows=steps_differ,
)  # fmt: skip
def _bf16(subject: Subject) -> Subject:
    model, faulty = copied(subject)
    model.bfloat16()
    return faulty


@step_fault("gradients_not_cleared", "gradients are never cleared: each step adds to those before", "optimiser.cleared")
def _not_cleared(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    optimizer.step()
    return loss


@step_fault("cleared_too_late", "gradients are cleared between backward and step", "optimiser.moves_parameters")
def _too_late(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    optimizer.zero_grad()
    optimizer.step()
    return loss


@step_fault("no_step", "the optimiser's step is never called", "optimiser.moves_parameters")
def _no_step(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    return loss


@step_fault("weights_put_back", "after every step the best weights are restored, which are those of the start",
       "optimiser.moves_parameters")  # fmt: skip
def _put_back(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    kept = copy.deepcopy(model.state_dict())
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    optimizer.step()
    model.load_state_dict(kept)
    return loss


@step_fault("step_on_a_copy", "the training step computes its gradients on a copy of the model",
       "optimiser.gradients", "optimiser.moves_parameters", cause="bug")  # fmt: skip
def _on_a_copy(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    loss = subject.composed_loss(copy.deepcopy(model), pairs)
    backward(loss)
    optimizer.step()
    return loss


@step_fault("step_uphill", "the training step goes backward from the negated loss, and reports the right one",
       "optimiser.gradients", "optimiser.descends", cause="bug")  # fmt: skip
def _uphill(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(-loss)
    optimizer.step()
    return loss


@step_fault("step_without_gradient", "the training step takes the loss as a number, and goes backward from that",
       "optimiser.gradients", "optimiser.moves_parameters", cause="bug")  # fmt: skip
def _without_gradient(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    loss = torch.tensor(subject.composed_loss(model, pairs).item(), requires_grad=True)
    backward(loss)
    optimizer.step()
    return loss


@step_fault("step_on_other_targets", "the training step scores its predictions by the targets of the next pair",
       "loss.reported", "optimiser.gradients", cause="bug")  # fmt: skip
def _other_targets(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    batch, after_BL = subject.collate(pairs)
    loss = subject.scalar_loss(subject.predict(model, batch), after_BL.roll(1, dims=0), batch.scored_BL)
    backward(loss)
    optimizer.step()
    return loss


@step_fault("gradients_clipped_away", "gradients are clipped to a norm of 1e-12, far below Adam's eps",
       "optimiser.first_step")  # fmt: skip
def _clipped_away(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-12)
    optimizer.step()
    return loss


@step_fault("rate_falls_at_once", "a schedule that is meant for epochs halves the rate at every step",
       "optimiser.learning_rate")  # fmt: skip
def _falls(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    optimizer.step()
    for group in optimizer.param_groups:
        group["lr"] /= 2
    return loss


@step_fault("rate_set_by_the_step", "the training step sets a rate of 1e-9 of its own", "optimiser.first_step")
def _set_by_step(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    kept = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 1e-9
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs)
    backward(loss)
    optimizer.step()
    for group, rate in zip(optimizer.param_groups, kept, strict=True):
        group["lr"] = rate
    return loss


@step_fault("half_of_the_batch", "the training step learns from the first pair of each batch alone",
       "loss.reported", "optimiser.gradients", cause="bug")  # fmt: skip
def _half(subject: Subject, model: nn.Module, optimizer: Optimizer, pairs: PairBatch) -> Tensor:
    optimizer.zero_grad()
    loss = subject.composed_loss(model, pairs.rows(slice(0, 1)))
    backward(loss)
    optimizer.step()
    return loss


def _drawn_again(model: nn.Module, spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one in model.parameters():
            one.copy_(spread * torch.randn(one.shape, generator=generator))


@fault(
    "initial_weights_too_large",
    "every weight begins at 30 times a standard normal number",
    part="optimiser", expected=("optimiser.start",), cause="optimiser", shows=steps_differ,
)  # fmt: skip
def _bad_init(subject: Subject) -> Subject:
    if subject.model is None:
        raise InputError("this fault is planted in a model: the subject has none")
    model = copy.deepcopy(subject.model)
    _drawn_again(model, 30.0)
    return replace(subject, model=model)
