"""The contents of a checkpoint, checked before any of it is taken: no field missing, none of another type or shape."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast, get_args

import torch
from torch import Tensor

from gpcp.core.errors import InputError
from gpcp.training.config import HistoryRow, StopReason

FIELDS = (
    *("made_with", "model", "optimizer", "place", "random_state"),
    *("history", "since_row", "stopped", "best_loss", "best_weights"),
)
_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
"""What AdamW keeps of each parameter."""


def check_checkpoint(state: object, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Refuse what a training of this model with this optimiser cannot go on from.

    Parameters
    ----------
    state : object
        What was read; ``made_with`` has been compared.
    model, optimizer
        Neither is changed.

    Raises
    ------
    InputError
        The message names the field.
    """
    held = cast("dict[str, Any]", state)
    for name in FIELDS:
        _require(name in held, f"it has no {name}")
    weights: Mapping[str, Tensor] = model.state_dict()
    _require(_like(held["model"], weights), "it holds other weights than this version of the model has")
    _require(held["best_weights"] == {} or _like(held["best_weights"], weights), "its best_weights are others")
    _require(_whole_numbers(held["place"]) and len(held["place"]) == 3, "its place is no step, epoch and batch")
    _require(_is_random_state(held["random_state"]), "its random_state is none")
    rows = held["history"]
    _require(isinstance(rows, list) and all(map(_is_row, cast("list[object]", rows))), "its history has odd rows")
    losses = held["since_row"]
    _require(isinstance(losses, list) and all(map(_is_number, cast("list[object]", losses))), "its since_row is odd")
    stopped: object = held["stopped"]
    _require(stopped is None or stopped in get_args(StopReason), f"its stopped is {stopped!r}")
    _require(_is_number(held["best_loss"]), f"its best_loss is {held['best_loss']!r}")
    _check_optimizer(held["optimizer"], optimizer, begun=held["place"][0] > 0)


def _require(good: bool, what: str) -> None:
    if not good:
        raise InputError(what)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole_numbers(value: object) -> bool:
    """Whether it is a list of whole numbers, none negative."""
    if not isinstance(value, (list, tuple)):
        return False
    return all(type(one) is int and one >= 0 for one in cast("Sequence[object]", value))


def _is_random_state(value: object) -> bool:
    known = torch.get_rng_state()
    return isinstance(value, Tensor) and value.dtype == known.dtype and value.shape == known.shape


def _is_row(row: object) -> bool:
    """Whether it holds the fields of a row of the history, each a number; a held-out loss may be none."""
    if not isinstance(row, dict):
        return False
    known = cast("dict[object, object]", row)
    if set(known) != {one.name for one in fields(HistoryRow)}:
        return False
    numbers = [value for name, value in known.items() if not (name == "held_out_loss" and value is None)]
    return all(map(_is_number, numbers)) and type(known["step"]) is int


def _like(held: object, weights: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of the same names, shapes and kinds."""
    if not isinstance(held, dict):
        return False
    known = cast("dict[object, object]", held)
    return known.keys() == weights.keys() and all(
        isinstance(value, Tensor)
        and value.shape == weights[str(name)].shape
        and value.is_floating_point() == weights[str(name)].is_floating_point()
        for name, value in known.items()
    )


def _check_optimizer(held: object, optimizer: torch.optim.Optimizer, *, begun: bool) -> None:
    """The same groups of parameters with the same settings but for the rate, and the moments of their shapes."""
    own: dict[str, Any] = optimizer.state_dict()
    known = cast("dict[str, Any]", held) if isinstance(held, dict) else {}
    groups, moments = known.get("param_groups"), known.get("state")
    _require(isinstance(groups, list) and isinstance(moments, dict), "its optimizer has no groups or no state")
    groups = cast("list[object]", groups)
    _require(len(groups) == len(own["param_groups"]), "its optimizer is of other groups of parameters")
    for group, wanted in zip(groups, own["param_groups"], strict=True):
        _require(isinstance(group, dict), "its optimizer has an odd group")
        settings = cast("dict[str, Any]", group)
        for name in wanted:
            # True equals 1, but no kernel takes one for the other.
            same = name in settings and repr(settings[name]) == repr(wanted[name])
            same = same or (name == "lr" and "lr" in settings)
            _require(same, f"its optimizer has another {name}")
        _require(_is_number(settings["lr"]) and math.isfinite(settings["lr"]), "its optimizer has an odd rate")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = cast("dict[object, object]", moments)
    _require(bool(moments) == begun, "its optimizer has no moments, or some of a training that has not begun")
    for number, of_one in moments.items():
        _require(type(number) is int and 0 <= number < len(parameters), f"its optimizer knows a parameter {number!r}")
        shape = parameters[cast("int", number)].shape
        _require(_are_moments(of_one, shape), f"its optimizer has odd moments of parameter {number}")


def _are_moments(held: object, shape: torch.Size) -> bool:
    if not isinstance(held, dict):
        return False
    known = cast("dict[object, object]", held)
    return known.keys() == _MOMENTS and all(
        isinstance(value, Tensor) and value.is_floating_point() and value.shape == (() if name == "step" else shape)
        for name, value in known.items()
    )
