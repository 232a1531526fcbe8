"""Weights of any model: drawn anew, without dropout, as one vector, and those that it does not register."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.checks.engine.copies import copied
from gpcp.model.transformer import GenePerturbationTransformer

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

HAS_MODES = (*DROPOUTS, *BATCH_NORMS)
"""Layers that differ between training and evaluation mode."""


def with_generic_weights(model: nn.Module, rng: np.random.Generator, *, positive: bool = False) -> nn.Module:
    """A copy whose parameters are all drawn: normal, as wide as keeps a sum over inputs near 1.

    What is 1 throughout, as a norm's scale is, is drawn around 1; where ``positive``, what is positive throughout, as a
    scale whose logarithm is taken, stays so. Buffers stay as they are, but for the units of our
    own transformer, by which genes of equal values would be distinguished though nothing else does.
    """
    drawn = copied(model)
    with torch.no_grad():
        if isinstance(drawn, GenePerturbationTransformer):
            drawn.centre_G.zero_()
            drawn.spread_G.fill_(1.0)
        for parameter in drawn.parameters():
            if not parameter.is_floating_point():
                continue
            normal = torch.as_tensor(rng.standard_normal(tuple(parameter.shape))).to(parameter)
            if positive and bool((parameter > 0).all()):
                parameter.mul_((0.5 * normal).exp())
            elif parameter.ndim >= 2:
                parameter.copy_(normal * (parameter.numel() / max(1, parameter.shape[0])) ** -0.5)
            elif bool((parameter == 1).all()):
                parameter.copy_(1 + 0.3 * normal)
            else:
                parameter.copy_(0.5 * normal)
    return drawn


def scaled(model: nn.Module, factor: float, rng: np.random.Generator) -> nn.Module:
    """A copy whose parameters are multiplied by ``factor``, each with a sign of its own."""
    other = copied(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(factor * float(rng.choice([-1.0, 1.0])))
    return other


@contextmanager
def modes_kept(model: nn.Module) -> Generator[None]:
    """Afterwards every part of the model is in the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _dropouts(model: nn.Module) -> Iterator[tuple[nn.Module, str, float]]:
    """Where a layer keeps the fraction that it drops: the layer, the name of its attribute, the fraction."""
    for module in model.modules():
        name = "p" if isinstance(module, DROPOUTS) else "dropout"
        share = getattr(module, name, None)
        if isinstance(share, float):
            yield module, name, share


def dropout_of(model: nn.Module) -> list[float]:
    """The fractions above 0 that torch's dropout layers, and the dropout of its attention, drop in training."""
    return [share for _, _, share in _dropouts(model) if share > 0]


@contextmanager
def mode_held(model: nn.Module) -> Generator[None]:
    """Within the block the model's own ``train()`` and ``eval()``, such as a ``predict`` begins with, do nothing.

    Those of its parts do: a frozen part may be put into evaluation mode at every pass.
    """

    def still(*_: object, **__: object) -> nn.Module:
        return model

    vars(model)["train"] = still
    try:
        yield
    finally:
        vars(model).pop("train", None)


@contextmanager
def weights_held(model: nn.Module) -> Generator[None]:
    """Within the block the model's own ``load_state_dict()``, with which a ``predict`` may begin, does nothing."""

    def still(*_: object, **__: object) -> None:
        return None

    vars(model)["load_state_dict"] = still
    try:
        yield
    finally:
        vars(model).pop("load_state_dict", None)


@contextmanager
def loads_noted(model: nn.Module) -> Generator[list[Mapping[str, Any]]]:
    """The states that somebody's code loads into the model within the block."""
    found: list[Mapping[str, Any]] = []
    usual = model.load_state_dict

    def noted(state: Mapping[str, Any], *arguments: Any, **named: Any) -> object:
        found.append(dict(state))
        return usual(state, *arguments, **named)

    vars(model)["load_state_dict"] = noted
    try:
        yield found
    finally:
        vars(model).pop("load_state_dict", None)


@contextmanager
def without_dropout(model: nn.Module) -> Generator[None]:
    """Within the block torch's dropout layers, and the dropout of its attention, drop nothing, whatever the mode."""
    kept = list(_dropouts(model))
    for module, name, _ in kept:
        setattr(module, name, 0.0)
    try:
        yield
    finally:
        for module, name, share in kept:
            setattr(module, name, share)


def entries(value: Tensor | None, like: Tensor) -> NDArray[np.float64]:
    """Every entry of a tensor in one vector, float64 (N,); 0 where there is no tensor."""
    if value is None:
        return np.zeros(like.numel())
    # A copy: the tensor may change in place afterwards.
    return np.array(value.detach().to("cpu", torch.float64).numpy().ravel())


def flat(values: Iterable[Tensor | None], like: Iterable[Tensor]) -> NDArray[np.float64]:
    """Every entry of some tensors in one vector, float64 (N,)."""
    parts = [entries(value, shape) for value, shape in zip(values, like, strict=True)]
    return np.concatenate(parts) if parts else np.zeros(0)


def unregistered(model: nn.Module) -> list[str]:
    """Attributes that hold parameters or layers of which ``parameters()`` and ``state_dict()`` know nothing.

    A list or a dict of layers is the usual way: ``nn.ModuleList`` and ``nn.ModuleDict`` register them.
    """
    known = {id(parameter) for parameter in model.parameters()} | {id(module) for module in model.modules()}
    named = cast("Iterable[tuple[str, nn.Module]]", model.named_modules())
    return [
        f"{name}.{attribute}" if name else attribute
        for name, module in named
        for attribute, value in cast("dict[str, object]", vars(module)).items()
        if attribute not in ("_parameters", "_buffers", "_modules")
        and any(id(one) not in known and _learns(one) for one in _within(value, depth=3))
    ]


def _learns(value: object) -> bool:
    if isinstance(value, nn.Module):
        return any(True for _ in value.parameters())
    return isinstance(value, nn.Parameter)


def _within(value: object, *, depth: int) -> Iterator[object]:
    yield value
    if depth and isinstance(value, (list, tuple, dict)):
        held = cast("dict[Any, Any]", value).values() if isinstance(value, dict) else cast("list[Any]", value)
        for one in held:
            yield from _within(one, depth=depth - 1)
