"""What a training step keeps beside its model and optimiser: found, and put back after a trial.

A step holds its schedule, its scaler, its averaged weights and its counters in a closure, in an object whose method it
is, or in globals. All that can be reached from there is put back, so that a diagnosis takes no step of a training.
"""

import copy
import gc
import random
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, TypeAlias, cast, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from diagnostics.checks.engine.copies import GENERATORS, put_state, state_of

Rate: TypeAlias = Callable[[], float]

_DEPTH = 10
_MOST_HELD, _MOST_ENTRIES, _MOST_NUMBERS = 10_000, 10_000_000, 100_000
"""Items of a container, entries of a tensor and of an array, beyond which it is data and no state."""

_FURTHER = 1009
"""Numbers by which a generator is moved on."""

_LIBRARIES = ("torch", "numpy", "gpcp", "simulators", "diagnostics", "builtins", "functools", "collections")
_REGISTRIES = frozenset(vars(nn.Module()))
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
PutBack: TypeAlias = Callable[[], object]


@contextmanager
def kept(
    step: object, model: nn.Module, optimizer: torch.optim.Optimizer, *, redrawn: bool = False
) -> Generator[None]:  # fmt: skip
    """Whatever a training step can reach, beside the model and the optimiser themselves, is put back at the end.

    Its own generators of random numbers stand elsewhere within the block where ``redrawn``.
    """
    reachable = reached((step, *inner_optimizers(optimizer)), model, optimizer)
    put_back = [one for found in reachable for one in _ways_back(found)]
    try:
        for one in reachable if redrawn else ():
            _redraw(one)
        yield
    finally:
        for one in put_back:
            one()


def inner_optimizers(optimizer: torch.optim.Optimizer) -> list[torch.optim.Optimizer]:
    """Those that an optimiser of somebody's wraps, as lookahead and sharpness aware ones do."""
    held = cast("dict[str, object]", vars(optimizer)).values()
    return [one for one in held if isinstance(one, torch.optim.Optimizer)]


@contextmanager
def schedules_lent(found: Sequence[LRScheduler], *, held: bool) -> Generator[None]:
    """Schedules do not raise past their end within the block, nor step where ``held``."""
    states = [_state_of(one) for one in found]

    def still(*_: object, **__: object) -> None:
        return None

    def tolerant(usual: Callable[..., object], *arguments: Any, **named: Any) -> None:
        try:
            usual(*arguments, **named)
        except ValueError:
            # A one-cycle schedule raises beyond its declared end; a trial may be longer than that.
            return

    for one in found:
        vars(one)["step"] = still if held else partial(tolerant, one.step)
    try:
        yield
    finally:
        for one, put_back in zip(found, states, strict=True):
            vars(one).pop("step", None)
            put_back()


def schedulers(optimizer: torch.optim.Optimizer) -> list[LRScheduler]:
    """Every schedule of an optimiser that is no part of another, wherever it is kept."""
    # Each notes the rate that it begins at, so that without a note there is none to look for.
    if not any("initial_lr" in group for group in optimizer.param_groups):
        return []
    holders = gc.get_referrers(optimizer)
    # Where an object's attributes are a dict of their own, that is what refers to the optimiser. All of them at once:
    # each look goes through all that lives.
    holders += gc.get_referrers(*(one for one in holders if isinstance(one, dict)))
    found = {
        id(one): one for one in holders if isinstance(one, LRScheduler) and getattr(one, "optimizer", None) is optimizer
    }
    parts = {id(part) for one in found.values() for part in getattr(one, "_schedulers", ())}
    return [one for number, one in found.items() if number not in parts]


def reached(step: object, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[object]:
    """Everything of a user's own that a step can reach: cells, named values, containers and objects with a state."""
    own = {id(module) for module in model.modules()} | {id(one) for one in model.parameters()}
    own |= {id(optimizer)} | {id(one) for one in model.buffers()}
    seen, found = set[int](), list[object]()
    todo: deque[tuple[object, int]] = deque([(step, _DEPTH), (_Names.of_module(model), _DEPTH)])
    while todo:
        value, depth = todo.popleft()
        if id(value) in seen or isinstance(value, (*_SCALARS, type, ModuleType, BuiltinFunctionType)):
            continue
        seen.add(id(value))
        if id(value) in own:
            continue
        # What is found is kept, so that no other object takes its number meanwhile.
        found.append(value)
        if depth:
            todo += [(one, depth - 1) for one in _held(value)]
    return found


def _held(value: object) -> Iterator[object]:
    """What a function, a container or an object of a user's own holds."""
    if isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, FunctionType):
        yield from (*(value.__closure__ or ()), *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
        yield _Names.of_function(value)
    elif isinstance(value, _Names):
        yield from (value.values[name] for name in value.names)
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, _CELL):
        yield from _content(value)
    elif isinstance(value, dict):
        known = cast("dict[object, object]", value)
        yield from known.values() if len(known) <= _MOST_HELD else ()
    elif isinstance(value, (list, tuple, deque)):
        items = cast("list[object]", value)
        yield from items if len(items) <= _MOST_HELD else ()
    elif isinstance(value, nn.Module):
        yield _Names.of_module(value)
    elif not isinstance(value, (Tensor, np.ndarray, torch.optim.Optimizer, LRScheduler)) and _of_a_user(type(value)):
        if is_dataclass(value):
            yield from (getattr(value, one.name) for one in fields(value) if hasattr(value, one.name))
        yield from (vars(value),) if hasattr(value, "__dict__") else ()


def _of_a_user(kind: type | FunctionType) -> bool:
    return (kind.__module__ or "").split(".")[0] not in _LIBRARIES


_CELL = type((lambda one: lambda: one)(0).__closure__[0])  # pyright: ignore


def _content(cell: Any) -> Iterator[object]:
    try:
        yield cell.cell_contents
    except ValueError:
        # A name that is not bound yet.
        return


@final
@dataclass(frozen=True, slots=True)
class _Names:
    """Some values of a dictionary by their names: the globals that a function names, or a module's plain attributes."""

    values: dict[str, Any]
    names: tuple[str, ...]

    @classmethod
    def of_function(cls, function: FunctionType) -> "_Names":
        """Of a function that no library defines."""
        named = _names(function.__code__) if _of_a_user(function) else set[str]()
        return cls(function.__globals__, tuple(name for name in named if name in function.__globals__))

    @classmethod
    def of_module(cls, module: nn.Module) -> "_Names":
        """Its attributes without its registries."""
        return cls(vars(module), tuple(name for name in vars(module) if name not in _REGISTRIES))


def _names(code: CodeType) -> set[str]:
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _ways_back(value: object) -> list[PutBack]:
    """How to put back a value's own content; nothing where it has none."""
    if isinstance(value, Tensor):
        return _tensor_back(value)
    if isinstance(value, np.ndarray):
        return _array_back(cast("np.ndarray[Any, Any]", value))
    if isinstance(value, GENERATORS):
        return [partial(put_state, value, state_of(value))]
    if isinstance(value, _CELL):
        return [partial(setattr, value, "cell_contents", one) for one in _content(value) if isinstance(one, _SCALARS)]
    if isinstance(value, _Names):
        scalars = {name: value.values[name] for name in value.names if isinstance(value.values[name], _SCALARS)}
        return [partial(value.values.update, scalars)]
    if isinstance(value, dict):
        known = cast("dict[object, object]", value)
        return [partial(_dict_back, known, dict(known))] if len(known) <= _MOST_HELD else []
    if isinstance(value, (list, deque)):
        items = cast("list[object]", value)
        return [partial(_list_back, items, list(items))] if len(items) <= _MOST_HELD else []
    if callable(getattr(value, "state_dict", None)) and callable(getattr(value, "load_state_dict", None)):
        return [_state_of(value)]
    return []


def _tensor_back(value: Tensor) -> list[PutBack]:
    if not value.is_leaf or value.numel() > _MOST_ENTRIES:
        return []
    usual = value.detach().clone()
    gradient = value.grad

    def back() -> None:
        with torch.no_grad():
            value.copy_(usual)
        value.grad = gradient

    return [back]


def _array_back(value: "np.ndarray[Any, Any]") -> list[PutBack]:
    if not value.flags.writeable or value.size > _MOST_NUMBERS:
        return []
    usual = value.copy()
    return [lambda: np.copyto(value, usual)]


def _redraw(value: object) -> None:
    if isinstance(value, torch.Generator):
        value.manual_seed(value.initial_seed() ^ 0x5DEECE66D)
    elif isinstance(value, (np.random.Generator, np.random.RandomState)):
        value.random(_FURTHER)
    elif isinstance(value, random.Random):
        for _ in range(_FURTHER):
            value.random()


def _dict_back(value: dict[object, object], usual: dict[object, object]) -> None:
    for name in [name for name in value if name not in usual]:
        del value[name]
    value.update(usual)


def _list_back(value: Any, usual: list[object]) -> None:
    if len(value) != len(usual) or any(one is not other for one, other in zip(value, usual, strict=True)):
        value.clear()
        value.extend(usual)


def _state_of(value: Any) -> PutBack:
    """The way back to a state that a ``state_dict`` describes."""
    try:
        usual = copy.deepcopy(value.state_dict())
    except Exception:
        return lambda: None
    gradients = [(one, one.grad) for one in value.parameters()] if isinstance(value, nn.Module) else []

    def back() -> None:
        value.load_state_dict(usual)
        for one, gradient in gradients:
            one.grad = gradient

    return back


@contextmanager
def at_rate(optimizer: torch.optim.Optimizer, learning_rate: float | Rate | None) -> Generator[None]:
    """Within the block every step is made at this rate, whatever the training step sets it to."""
    if learning_rate is None:
        yield
        return

    def set_rate(*_: object) -> None:
        rate = learning_rate() if callable(learning_rate) else learning_rate
        for group in optimizer.param_groups:
            group["lr"] = rate

    set_rate()
    handle = optimizer.register_step_pre_hook(set_rate)
    try:
        yield
    finally:
        handle.remove()
