"""Modules that somebody's function holds on to, and those of other weights that answer in the trained model's place."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

from torch import nn
from torch.nn.utils import stateless
from torch.optim.swa_utils import AveragedModel


@contextmanager
def called_with_its_own(model: nn.Module) -> Generator[None]:
    """Within the block ``torch.func.functional_call`` calls the model with its own weights, whatever it is given."""
    usual = cast("Callable[..., Any]", vars(stateless)["_functional_call"])

    def called(module: nn.Module, given: Any, args: Any = None, kwargs: Any = None, **more: Any) -> Any:
        if module is not model:
            return usual(module, given, args, kwargs, **more)
        return module(*(() if args is None else args if isinstance(args, tuple) else (args,)), **(kwargs or {}))

    setattr(stateless, "_functional_call", called)  # noqa: B010  (a private name, which the public one looks up)
    try:
        yield
    finally:
        setattr(stateless, "_functional_call", usual)  # noqa: B010


def others_of_its_kind(predict: Callable[..., Any], model: nn.Module) -> list[nn.Module]:
    """Modules that a function of somebody's holds on to that are built as the model is, but not a part of it."""
    own = set(model.modules())
    return [one for one in modules_of(predict) if one not in own and _same_kind(one, model)]


def modules_of(function: Callable[..., Any]) -> list[nn.Module]:
    """Modules that a function of somebody's holds on to: in its closure, as its owner, or by a global name.

    Those too that such an object has among its values.
    """
    inner = getattr(function, "__func__", function)
    cells = [cell.cell_contents for cell in getattr(inner, "__closure__", None) or () if _is_filled(cell)]
    names = getattr(getattr(inner, "__code__", None), "co_names", ())
    known = getattr(inner, "__globals__", {})
    found = [*cells, getattr(function, "__self__", None), *(known.get(name) for name in names)]
    held = [one for value in found for one in (value, *_values(value))]
    return list(dict.fromkeys(one for one in held if isinstance(one, nn.Module)))


def _values(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(cast("Mapping[object, object]", value).values())
    if isinstance(value, (list, tuple)):
        return list(cast("Sequence[object]", value))
    # What a module holds is its own part, and its library's are no part of anybody's training.
    if isinstance(value, (nn.Module, type, ModuleType)) or not hasattr(value, "__dict__"):
        return []
    return list(cast("dict[str, object]", vars(value)).values())


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _same_kind(one: nn.Module, model: nn.Module) -> bool:
    inner = one.module if isinstance(one, AveragedModel) else one
    return type(inner) is type(model) and set(inner.state_dict()) == set(model.state_dict())


@contextmanager
def answering_as(averaged: nn.Module, model: nn.Module) -> Generator[None]:
    """Within the block a module of averaged weights answers as the model does."""
    inner = averaged.module if isinstance(averaged, AveragedModel) else averaged
    own = inner.__dict__
    object.__setattr__(inner, "__dict__", model.__dict__)
    try:
        yield
    finally:
        object.__setattr__(inner, "__dict__", own)


@contextmanager
def in_place_of(model: nn.Module, other: nn.Module) -> Generator[None]:
    """Within the block the one module has the other's parameters, parts and mode, for code that holds on to it."""
    if model is other:
        yield
        return
    mine, others = model.__dict__, other.__dict__
    object.__setattr__(model, "__dict__", others)
    object.__setattr__(other, "__dict__", mine)
    try:
        yield
    finally:
        object.__setattr__(model, "__dict__", mine)
        object.__setattr__(other, "__dict__", others)
