"""How somebody's model, loss and training step are called with a batch of their own loader.

A call that is not given is inferred from the names and the number of the arguments of ``forward``; what was inferred
is kept in words, for the report.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, final

import torch
from torch import Tensor, nn

from diagnostics.checks.engine.subject import Loss
from diagnostics.checks.engine.weights import modes_kept, weights_held
from diagnostics.inputs.held_modules import answering_as, called_with_its_own, in_place_of, others_of_its_kind
from diagnostics.inputs.loaders.batch_fields import BatchFields, Entry, Step, read, steps_of
from gpcp.core.errors import InputError

Ask: TypeAlias = Callable[[nn.Module, Any], Any]
"""A model and a batch of its own loader: what the model answers."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """How a model is asked.

    Parameters
    ----------
    ask : callable
    summary : str
        In words, as it would be written.
    as_used : callable, optional
        As the trained model is used, where that may be with other weights than its own.
    """

    ask: Ask
    summary: str
    as_used: Ask | None = None


def asking_of(model: nn.Module, predict: Callable[..., Any] | None, fields: BatchFields, batch: object) -> Asking:
    """By ``predict`` where it is given, else as the arguments of ``forward`` and the entries of a batch go together.

    Parameters
    ----------
    model : nn.Module
    predict : callable, optional
        ``(batch)`` or ``(model, batch) -> prediction``.
    fields : BatchFields
    batch : object
        One of the loader's.

    Raises
    ------
    InputError
        How they go together is not clear: the message shows what to write.
    """
    if predict is not None:
        return _given(model, predict)
    arguments = _arguments(model.forward)
    needed = [one.name for one in arguments if one.default is one.empty]
    for ways in (_by_name, _whole, _by_position):
        found = ways(fields, batch, needed, [one.name for one in arguments])
        if found is not None:
            return found
    names = ", ".join(needed)
    raise InputError(
        f"{type(model).__name__}.forward takes ({names}), and a batch holds {_held(batch)}: which goes where is not "
        f"clear. Write it down:\n    predict=lambda batch: model({_example(fields, len(needed))})"
    )


def _given(model: nn.Module, predict: Callable[..., Any]) -> Asking:
    if len([one for one in _arguments(predict) if one.default is one.empty]) >= 2:

        def of_two(asked: nn.Module, batch: object) -> object:
            with weights_held(asked), called_with_its_own(asked):
                return predict(asked, batch)

        return Asking(ask=of_two, as_used=predict, summary="predict(model, batch)")

    def ask(asked: nn.Module, batch: object) -> object:
        # Averaged weights, and the best so far, follow those that are trained: what these can say is what is asked.
        with ExitStack() as stack:
            stack.enter_context(in_place_of(model, asked))
            for other in others_of_its_kind(predict, model):
                stack.enter_context(answering_as(other, model))
            stack.enter_context(weights_held(model))
            stack.enter_context(called_with_its_own(model))
            return predict(batch)

    def as_used(asked: nn.Module, batch: object) -> object:
        with in_place_of(model, asked):
            return predict(batch)

    return Asking(ask=ask, as_used=as_used, summary="predict(batch)")


def _by_name(fields: BatchFields, batch: object, needed: list[str], known: list[str]) -> Asking | None:
    entries = set(steps_of(batch))
    if not needed or not set(needed) <= entries:
        return None
    hidden = {fields.after} - set(needed)
    names = [name for name in known if name in entries - hidden]
    # An argument that bears the name of a covariate alone, such as "batch", is not asked of any cell by it.
    if not {_first(entry) for name, entry in fields.present.items() if name != "after"} & set(names):
        return None

    def ask(model: nn.Module, asked: object) -> object:
        return model(**{name: read(asked, name) for name in names})

    return Asking(ask=ask, summary=f"model({', '.join(f'{name}=batch[{name!r}]' for name in names)})")


def _first(entry: Entry) -> Step:
    return entry[0] if isinstance(entry, tuple) else entry


def _whole(fields: BatchFields, batch: object, needed: list[str], known: list[str]) -> Asking | None:
    if len(needed) > 1 or not known:
        return None
    if fields.perturbation is None and needed and needed[0] != "batch":
        entry = fields.before
        return Asking(ask=lambda model, asked: model(read(asked, entry)), summary=f"model(batch[{entry!r}])")
    if len(known) > 1 and needed != ["batch"]:
        return None
    return Asking(ask=lambda model, asked: model(asked), summary="model(batch)")


def _by_position(fields: BatchFields, batch: object, needed: list[str], known: list[str]) -> Asking | None:
    order = [entry for name, entry in fields.present.items() if name != "after"]
    if not isinstance(batch, Mapping):
        rest = [step for step in steps_of(batch) if step != fields.after]
        order = rest if len(needed) <= len(rest) <= len(known) else order
    if not len(needed) <= len(order) <= len(known):
        return None

    def ask(model: nn.Module, asked: object) -> object:
        return model(*(read(asked, entry) for entry in order))

    return Asking(ask=ask, summary=f"model({', '.join(f'batch[{entry!r}]' for entry in order)})")


def tensor_of(answer: object, shape: tuple[int, int], how: str) -> Tensor:
    """An answer as one expression a pair and gene, float (B, G).

    Raises
    ------
    InputError
        It is something else; the message shows how to take the prediction out of it.
    """
    if isinstance(answer, Tensor):
        if tuple(answer.shape) == shape:
            return answer
        if tuple(answer.shape) == (*shape, 1):
            return answer.squeeze(-1)
        advice = "predict= must give one expected expression for each pair and gene"
        if answer.ndim == 3 and tuple(answer.shape[:2]) == shape:
            advice = f"its last axis has {answer.shape[2]} numbers for each: take the expected expression out of them"
        raise InputError(
            f"{how} answers with a tensor of shape {tuple(answer.shape)}, expected {shape} (pairs, genes): {advice}:\n"
            "    predict=lambda batch: ...  # (pairs, genes)"
        )
    found = type(answer).__name__
    part = "..."
    if isinstance(answer, Mapping):
        keys = [str(key) for key in cast("Mapping[object, object]", answer)]
        found, part = f"a dict with {', '.join(map(repr, keys))}", f"[{keys[0]!r}]" if keys else "..."
    elif isinstance(answer, (tuple, list)):
        parts = cast("Sequence[object]", answer)
        shapes = [str(tuple(one.shape)) if isinstance(one, Tensor) else type(one).__name__ for one in parts]
        found, part = f"{len(shapes)} parts ({', '.join(shapes)})", "[0]"
    raise InputError(
        f"{how} answers with {found}: say which part is the expected expression of each pair and gene, {shape}:\n"
        f"    predict=lambda batch: {how}{part}"
    )


def loss_of(loss: Callable[..., Any], *, masked: bool) -> Loss:
    """A loss of two or three arguments as one of ``(prediction, after, counted)``.

    Two: it is handed the counted entries alone where genes may be unmeasured, else both matrices as they are.
    """
    n_needed = len([one for one in _arguments(loss) if one.default is one.empty])
    if n_needed >= 3:
        return cast("Loss", loss)

    def whole(prediction_BL: Tensor, after_BL: Tensor, counted_BL: Tensor) -> Tensor:
        if not masked:
            return loss(prediction_BL, after_BL)
        return loss(prediction_BL[counted_BL], after_BL[counted_BL])

    return whole


def scalar_of(value: object, what: str) -> Tensor | float:
    """The loss that a training step gives: a number, a scalar tensor, or one of these under ``"loss"``.

    Raises
    ------
    InputError
        It is nothing of the kind.
    """
    found: Any = value
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value).get("loss", value)
    if isinstance(found, Tensor):
        if found.numel() == 1:
            return found.reshape(())
        raise InputError(f"{what} gives a tensor of shape {tuple(found.shape)}: it must give the loss, one number")
    number: Any = found.item() if hasattr(found, "item") else found
    if isinstance(number, (int, float)):
        return float(number)
    raise InputError(
        f"{what} gives {'nothing' if value is None else type(found).__name__}: it must give the loss of its batch; end "
        "it with\n    return loss.item()"
    )


def _arguments(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if isinstance(function, nn.Module):
        function = function.forward
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return []
    return [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]


def _held(batch: object) -> str:
    shown: list[str] = []
    for step in steps_of(batch)[:8]:
        value = read(batch, step)
        shape = f" {tuple(value.shape)}" if hasattr(value, "shape") else f" ({type(value).__name__})"
        shown.append(f"{step!r}{shape}")
    return ", ".join(shown) or type(batch).__name__


def _example(fields: BatchFields, n: int) -> str:
    entries = [entry for name, entry in fields.present.items() if name != "after"][: max(n, 1)]
    return ", ".join(f"batch[{entry!r}]" for entry in entries)


def without_gradient(asking: Asking, model: nn.Module, batch: object) -> object:
    """What a model answers in evaluation mode; its mode is put back."""
    with modes_kept(model), torch.no_grad():
        return asking.ask(model.eval(), batch)
