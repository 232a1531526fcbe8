"""``record``: a plain training loop, watched while it runs, without a change of its code.

Hooks note what each step of an optimiser was made of: the loss that ``backward()`` was called on, gradients, rates, how
far weights moved, and the mode of the model. The first step is kept whole, so that it can be played again.
"""

import copy
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from diagnostics.checks.engine.intent import NO_INTENT, Intent
from diagnostics.results.report import Report


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedStep:
    """One step of an optimiser.

    Parameters
    ----------
    losses : list of float
        Scalars on which ``backward()`` was called since the step before.
    rates : list of float
        Of each group of parameters.
    training : set of bool
        Modes in which the model was called since the step before.
    gradient : dict of str to float
        Length of each parameter's gradient as the optimiser meets it; none where there is no gradient.
    added : dict of str to float
        Length as backward had added it up; longer where it was clipped.
    moved : dict of str to float
        Length of each parameter's move, as a share of the parameter's own.
    left_over : set of str
        Parameters whose gradient of the step before was still there when a new one was added.
    """

    losses: list[float] = field(default_factory=list[float])
    rates: list[float] = field(default_factory=list[float])
    training: set[bool] = field(default_factory=set[bool])
    gradient: dict[str, float] = field(default_factory=dict[str, float])
    added: dict[str, float] = field(default_factory=dict[str, float])
    moved: dict[str, float] = field(default_factory=dict[str, float])
    left_over: set[str] = field(default_factory=set[str])


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedPass:
    """The first forward pass: what it was called with, from which weights and draws, and what it answered."""

    arguments: tuple[Any, ...]
    named: dict[str, Any]
    state: dict[str, Any]
    training: bool
    draws: Tensor
    answer: list[Tensor]
    pulls: list[list[Tensor]] = field(default_factory=list[list[Tensor]])
    """What backward passes gave each tensor of the answer as its gradient."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedUpdate:
    """What the optimiser made of the first pass: its state before, gradients as it met them, and weights afterwards."""

    state: dict[str, Any]
    gradient: dict[str, Tensor]
    weight: dict[str, Tensor]
    n_passes: int


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recording:
    """What a loop did.

    Parameters
    ----------
    model : nn.Module
    optimizers : tuple of torch.optim.Optimizer
    intent : Intent
        Which parameters are frozen or unused on purpose.
    steps : list of RecordedStep
    passes : list of RecordedPass
        The first one alone.
    updates : list of RecordedUpdate
        That of the first step, where there is one optimiser.
    """

    model: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]
    intent: Intent = NO_INTENT
    steps: list[RecordedStep] = field(default_factory=list[RecordedStep])
    passes: list[RecordedPass] = field(default_factory=list[RecordedPass])
    updates: list[RecordedUpdate] = field(default_factory=list[RecordedUpdate])

    def report(self) -> Report:
        """What can be judged from it."""
        from diagnostics.inputs.frameworks.recorded import report_of

        return report_of(self)


@contextmanager
def record(model: nn.Module, *optimizers: torch.optim.Optimizer, intent: Intent = NO_INTENT) -> Generator[Recording]:
    """Watch the steps that are made within the block.

    Parameters
    ----------
    model : nn.Module
    *optimizers : torch.optim.Optimizer
        All that train it.
    intent : Intent
    """
    recording = Recording(model=model, optimizers=optimizers, intent=intent)
    watch = _Watch(recording)
    with ExitStack() as stack:
        for one in optimizers:
            stack.callback(one.register_step_pre_hook(watch.before_step).remove)
            stack.callback(one.register_step_post_hook(watch.after_step).remove)
        stack.callback(model.register_forward_pre_hook(watch.before_pass, with_kwargs=True).remove)
        stack.callback(model.register_forward_hook(watch.after_pass).remove)
        for name, one in model.named_parameters():
            if one.requires_grad:
                for handle in watch.of_parameter(name, one):
                    stack.callback(handle.remove)
        stack.enter_context(_backward_seen(watch))
        yield recording


@contextmanager
def _backward_seen(watch: "_Watch") -> Generator[None]:
    """Within the block the value of each scalar is noted on which ``backward()`` is called."""
    usual = cast("Any", Tensor).backward

    def noted(self: Tensor, *arguments: Any, **named: Any) -> Any:
        if self.numel() == 1:
            watch.step.losses.append(float(self.detach()))
        return usual(self, *arguments, **named)

    cast("Any", Tensor).backward = noted
    try:
        yield
    finally:
        cast("Any", Tensor).backward = usual


@final
class _Watch:
    """The hooks of one recording."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.step = RecordedStep()
        self._name_of = {id(one): name for name, one in recording.model.named_parameters()}
        self._before: dict[str, Tensor] = {}
        self._asked: tuple[Any, ...] | None = None
        self._met: dict[str, Tensor] = {}
        self._state: dict[str, Any] = {}
        self._n_passes = 0

    def of_parameter(self, name: str, parameter: nn.Parameter) -> tuple[Any, Any]:
        """Before a gradient is added, whether that of the last step is still there; after it, how long it is."""

        def before(gradient: Tensor) -> None:
            del gradient
            # The first time since the last step: later ones accumulate on purpose.
            old = parameter.grad
            if self.recording.steps and name not in self.step.added and old is not None and bool((old != 0).any()):
                self.step.left_over.add(name)

        def after(one: Tensor) -> None:
            assert one.grad is not None
            self.step.added[name] = _length(one.grad)

        hooks = cast("Any", parameter)
        return hooks.register_hook(before), hooks.register_post_accumulate_grad_hook(after)

    def before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Note rates, gradients and weights."""
        self.step.rates[:] = [float(group["lr"]) for group in optimizer.param_groups]
        self._before = {}
        first = not self.recording.steps and len(self.recording.optimizers) == 1
        self._state = copy.deepcopy(optimizer.state_dict()) if first else {}
        for group in optimizer.param_groups:
            for one in group["params"]:
                name = self._name_of.get(id(one))
                if name is not None:
                    self._before[name] = one.detach().clone()
                    if one.grad is not None:
                        self.step.gradient[name] = _length(one.grad)
                        if first:
                            self._met[name] = one.grad.detach().clone()

    def after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Note how far weights went, and begin the next step."""
        now = dict(self.recording.model.named_parameters())
        for name, before in self._before.items():
            size = max(_length(before), 1e-12)
            self.step.moved[name] = _length(now[name].detach() - before) / size
        if self._state:
            weight = {name: now[name].detach().clone() for name in self._before}
            update = RecordedUpdate(state=self._state, gradient=self._met, weight=weight, n_passes=self._n_passes)
            self.recording.updates.append(update)
        self.recording.steps.append(self.step)
        self.step = RecordedStep()

    def before_pass(self, model: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Note the mode; of the first pass everything that it begins with."""
        if torch.is_grad_enabled():
            self.step.training.add(model.training)
            self._n_passes += 1
        if not self.recording.passes and self._asked is None and torch.is_grad_enabled():
            kept = copy.deepcopy((arguments, named))
            self._asked = (*kept, copy.deepcopy(model.state_dict()), model.training, torch.get_rng_state())

    def after_pass(self, model: nn.Module, arguments: tuple[Any, ...], answer: Any) -> None:
        """Note what the first pass answered."""
        if self._asked is None or self.recording.passes:
            return
        given, named, state, training, draws = self._asked
        found = tensors_of(answer)
        pulls = [list[Tensor]() for _ in found]
        for one, pulled in zip(found, pulls, strict=True):
            if one.requires_grad:
                cast("Any", one).register_hook(partial(_keep, pulled))
        self.recording.passes.append(
            RecordedPass(
                arguments=given, named=named, state=state, training=training, draws=draws,
                answer=[one.detach().clone() for one in found], pulls=pulls,
            )
        )  # fmt: skip


def _keep(kept: list[Tensor], pull: Tensor) -> None:
    kept.append(pull.detach().clone())


def _length(value: Tensor) -> float:
    return float(value.detach().float().square().sum().sqrt())


def tensors_of(answer: Any) -> list[Tensor]:
    """The tensors of an answer: itself, or those of its parts."""
    if isinstance(answer, Tensor):
        return [answer]
    parts = list(cast("dict[str, Any]", answer).values()) if isinstance(answer, dict) else answer
    return [one for one in cast("list[Any]", parts) if isinstance(one, Tensor)] if hasattr(parts, "__iter__") else []
