"""One training step, watched: its mode, its gradients, its move, what it reports, and whether it draws at random.

Two passes are compared at one draw of random numbers only, and in the mode in which the step calls the model. What the
step lowers is held against the loss that is given; where it is another quantity nothing is judged by that loss.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from diagnostics.checks.data.collation import with_other_answers
from diagnostics.checks.engine.copies import copied
from diagnostics.checks.engine.identities import LARGEST
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.restored import inner_optimizers
from diagnostics.checks.engine.weights import flat, mode_held, without_dropout
from gpcp.core.pairs import PairBatch

HALF_PRECISION = 1e-2
"""Two roundings to 8 bits: a training step may work in half precision."""

MOST_ACCUMULATED = 16
"""Training steps within which an optimiser must have made one: gradients may be accumulated on purpose."""

_ROUNDING = 1e-5
"""Relative difference of two sums in single precision."""

_N_DRAWS = 4
"""Draws of random numbers by which it is seen whether a step takes any."""

_SAME_DRAW = 1e-3
"""Part of its own length by which a gradient may differ at one draw: sums on a GPU have no fixed order."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one update did to the weights of a fresh trial.

    Parameters
    ----------
    gradient : tuple of Tensor or None
        Of each parameter, as autograd left it.
    move_E : float64, (E,)
        Weights after minus weights before.
    reported : float
        The loss that the step gave.
    training : bool
        The mode in which it called the model.
    elsewhere : bool
        Whether the gradients are those at other weights than the first.
    """

    gradient: tuple[Tensor | None, ...]
    move_E: NDArray[np.float64]
    reported: float
    training: bool
    elsewhere: bool = False

    def differs(self, other: "Step") -> bool:
        """Whether another step reports another loss or has other gradients."""
        if gap(self.reported, other.reported) > _SAME_DRAW:
            return True
        like = [one for one in self.gradient if one is not None]
        if [one is None for one in self.gradient] != [one is None for one in other.gradient]:
            return True
        one_E, other_E = flat(like, like), flat([one for one in other.gradient if one is not None], like)
        return bool(np.linalg.norm(one_E - other_E) > _SAME_DRAW * np.linalg.norm(one_E))


def gap(one: float, other: float) -> float:
    """Relative difference of two losses."""
    if not (np.isfinite(one) and np.isfinite(other)):
        return LARGEST
    return abs(one - other) / max(abs(one), abs(other), 1e-300)


@final
class Seen(dict[str, Tensor]):
    """Gradients by the name of their parameter; ``elsewhere`` if one was taken at other weights than the first."""

    elsewhere: bool = False


@contextmanager
def watched(model: nn.Module, *, sign: float = 1.0) -> Generator[Seen]:
    """Gradients by the name of their parameter as soon as they are added up; multiplied by ``sign`` before that.

    Those at the first weights: an optimiser that looks at the loss elsewhere before it decides, as LBFGS and sharpness
    aware ones do, takes further gradients there. Where there are no others, these.
    """
    seen = Seen()
    weights = {name: one.detach().clone() for name, one in model.named_parameters()}

    def turned(gradient: Tensor) -> Tensor:
        return sign * gradient

    hooks: list[RemovableHandle] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue

        def keep(one: Tensor, name: str = name) -> None:
            if one.grad is None:
                return
            at_first = torch.equal(one.detach(), weights[name])
            if at_first or name not in seen:
                seen[name] = one.grad.detach().clone()
                seen.elsewhere |= not at_first

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
def updates() -> Generator[list[torch.optim.Optimizer]]:
    """The optimisers that make an update within the block, once for each."""
    made: list[torch.optim.Optimizer] = []

    def note(optimizer: torch.optim.Optimizer, *_: object) -> None:
        made.append(optimizer)

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield made
    finally:
        handle.remove()


def until_updated(probe: Probe, model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> list[float]:
    """Training steps until an optimiser has made an update, on the same pairs; what each reported."""
    reported: list[float] = []
    with updates() as made:
        while not made and len(reported) < MOST_ACCUMULATED:
            reported.append(probe.subject.step(model, optimizer, pairs))
    return reported


@contextmanager
def mode_of(model: nn.Module) -> Generator[list[bool]]:
    """The mode of the model whenever it, or a layer of it, is called within the block."""
    modes: list[bool] = []
    own = {id(module) for module in model.modules()}

    def note(module: nn.Module, _: object) -> None:
        if id(module) in own:
            modes.append(model.training)

    handle = register_module_forward_pre_hook(note)
    try:
        yield modes
    finally:
        handle.remove()


def one_step(probe: Probe, *, sign: float = 1.0, draw: int = 0, pairs: PairBatch | None = None) -> Step:
    """The first update of an optimiser without a history, on a few pairs, with every dropout layer at 0."""
    trial = probe.trial(f"one step {draw}", dropout=False, redrawn=draw > 0)
    with trial as (model, optimizer), without_dropout(model):
        # One that exists may have a state: its first step is what is measured.
        for one in (optimizer, *inner_optimizers(optimizer)):
            one.state.clear()
        parameters = list(model.parameters())
        before_E = flat(parameters, parameters)
        with watched(model, sign=sign) as seen, mode_of(model) as modes:
            reported = until_updated(probe, model, optimizer, probe.few if pairs is None else pairs)
        return Step(
            gradient=tuple(seen.get(name) for name, _ in model.named_parameters()),
            move_E=flat(parameters, parameters) - before_E,
            reported=reported[0],
            training=modes[0] if modes else False,
            elsewhere=seen.elsewhere,
        )


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """How a training step behaves whatever the pairs are.

    Parameters
    ----------
    training : bool
        Whether it calls the model in training mode though it is given in evaluation mode.
    repeatable : bool
        Two steps at the same draw of random numbers agree.
    random : bool
        Two steps at other draws do not, though nothing is dropped.
    """

    training: bool
    repeatable: bool
    random: bool


def habits_of(probe: Probe) -> Habits:
    """Settled once, before anything is compared between two steps."""

    def settled(probe: Probe) -> Habits:
        first, again = one_step(probe), one_step(probe)
        repeatable = not first.differs(again)
        # What is rarely dropped, such as whole layers, may be kept in two draws by chance.
        random = not repeatable or any(first.differs(one_step(probe, draw=draw)) for draw in range(1, 1 + _N_DRAWS))
        return Habits(training=first.training, repeatable=repeatable, random=random)

    return probe.once("habits of the step", settled)


@contextmanager
def _as_in_the_step(probe: Probe) -> Generator[nn.Module]:
    """A model in the step's mode without dropout: the exact copy, or where the step draws, the model at its draw."""
    habits = habits_of(probe)
    if habits.random:
        with (
            probe.trial("one step 0", dropout=habits.training) as (model, _), without_dropout(model), mode_held(model)
        ):  # fmt: skip
            yield model
        return
    model = copied(probe.exact_model).train(habits.training)
    with without_dropout(model), mode_held(model):
        yield model


def true_loss(probe: Probe, pairs: PairBatch | None = None) -> tuple[float, tuple[Tensor | None, ...]]:
    """What training should lower, of a few pairs, and its gradient by each parameter."""
    with _as_in_the_step(probe) as model:
        loss = probe.subject.composed_loss(model, probe.few if pairs is None else pairs)
        return float(loss.detach()), _gradients(loss, model)


def _gradients(value: Tensor, model: nn.Module) -> tuple[Tensor | None, ...]:
    wanted = [one for one in model.parameters() if one.requires_grad]
    if not value.requires_grad or not wanted:
        return tuple(None for _ in model.parameters())
    found = iter(cast("tuple[Tensor | None, ...]", torch.autograd.grad(value, wanted, allow_unused=True)))
    return tuple(next(found) if one.requires_grad else None for one in model.parameters())


Kind: TypeAlias = Literal["same", "plus", "other", "random"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What the step reports, held against the loss that is given, or the library's where none is.

    Parameters
    ----------
    kind : {"same", "plus", "other", "random"}
        The same; a sum of it and of what no target enters, such as a divergence or a penalty; another quantity; or
        not to be compared, since the step draws at random what it computes it of.
    reported, value : float
        Of the same few pairs.
    """

    kind: Kind
    reported: float
    value: float


def objective_of(probe: Probe) -> Objective:
    """Settled once. A term that no target enters cancels in the difference of two targets' losses."""

    def settled(probe: Probe) -> Objective:
        habits = habits_of(probe)
        (value, _), reported = true_loss(probe), one_step(probe).reported
        kind: Kind = "random" if habits.random else "other"
        # What is drawn beside the model moves a loss little: at one draw the two must agree but for rounding.
        if gap(value, reported) <= (_ROUNDING if habits.random else HALF_PRECISION):
            kind = "same"
        elif habits.repeatable:
            other = other_answers(probe)
            rise, true_rise = one_step(probe, pairs=other).reported - reported, true_loss(probe, other)[0] - value
            kind = "plus" if true_rise and gap(rise, true_rise) <= HALF_PRECISION else kind
        return Objective(kind=kind, reported=reported, value=value)

    return probe.once("objective of the step", settled)


def other_answers(probe: Probe) -> PairBatch:
    """The few pairs with other values to predict."""
    return with_other_answers(probe.few, probe.rng("other answers"))


def reported_after(probe: Probe, share: float) -> float:
    """What the step reports of the same pairs at the same draw after a share of its own first move."""
    move_E = one_step(probe).move_E
    with probe.trial("one step 0", dropout=False) as (model, optimizer), without_dropout(model), torch.no_grad():
        start = 0
        for one in model.parameters():
            part = torch.as_tensor(move_E[start : start + one.numel()]).reshape(one.shape)
            one.add_(share * part.to(one))
            start += one.numel()
        with torch.enable_grad():
            return probe.subject.step(model, optimizer, probe.few)


def with_answer(pairs: PairBatch, row: int, gene: int, value: float) -> PairBatch:
    """The pairs with another value to predict at one place."""
    after_BG = pairs.after_BG.copy()
    after_BG[row, gene] = value
    return replace(pairs, after_BG=after_BG)
