"""What flows through a model's parts in one call of somebody's code, and answers that are put in their place."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from diagnostics.checks.engine.weights import HAS_MODES


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Called:
    """One call of one module.

    Parameters
    ----------
    module : nn.Module
    inputs : tuple of Tensor
        Copies of the tensors among its arguments, those in dicts and lists too.
    from_data : bool
        Whether none of them depends on a parameter.
    output : Tensor or None
        What it answered, as it was; None where that is no single tensor.
    before_modes : bool
        Whether it began before any layer that differs between training and evaluation mode.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    from_data: bool
    output: Tensor | None
    before_modes: bool


Began = tuple[nn.Module, tuple[Tensor, ...], bool, bool]


@final
class Calls:
    """Every call of a model's parts, in the order in which they ended."""

    def __init__(self) -> None:
        self.ended: list[Called] = []
        self._open: list[Began] = []
        self._met_modes = False

    def begin(self, module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Note the tensors that a module is called with, before it can change them."""
        self._met_modes |= isinstance(module, HAS_MODES)
        inputs = _tensors((arguments, named))
        from_data = not any(one.requires_grad for one in inputs)
        copies = tuple(one.detach().clone() for one in inputs)
        self._open.append((module, copies, from_data, not self._met_modes))

    def end(self, module: nn.Module, arguments: tuple[Any, ...], answer: object) -> None:
        """Note what it answered. A call that raised never ends: it is dropped with what stands above it."""
        del arguments
        while self._open and self._open[-1][0] is not module:
            self._open.pop()
        if self._open:
            _, inputs, from_data, before_modes = self._open.pop()
            output = answer if isinstance(answer, Tensor) else None
            self.ended.append(
                Called(module=module, inputs=inputs, from_data=from_data, output=output, before_modes=before_modes)
            )

    def once(self) -> dict[nn.Module, Called]:
        """The modules that were called exactly once, in the order in which they ended."""
        found: dict[nn.Module, list[Called]] = {}
        for one in self.ended:
            found.setdefault(one.module, []).append(one)
        return {module: calls[0] for module, calls in found.items() if len(calls) == 1}


def _tensors(value: object, depth: int = 3) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if depth and isinstance(value, dict):
        return [one for part in cast("dict[object, object]", value).values() for one in _tensors(part, depth - 1)]
    if depth and isinstance(value, (tuple, list)):
        return [one for part in cast("tuple[object, ...]", value) for one in _tensors(part, depth - 1)]
    return []


@contextmanager
def calls_of(model: nn.Module) -> Generator[Calls]:
    """Within the block every call of the model and of its parts is noted."""
    calls = Calls()
    handles: list[Any] = []
    for module in model.modules():
        handles += (
            module.register_forward_pre_hook(calls.begin, with_kwargs=True),
            module.register_forward_hook(calls.end),
        )
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def answering(module: nn.Module, replaced: Callable[[Tensor], Tensor]) -> Generator[None]:
    """Within the block a module answers with what ``replaced`` makes of its answer."""

    def hook(module: nn.Module, arguments: tuple[Any, ...], answer: Any, how: Callable[[Tensor], Tensor]) -> Tensor:
        del module, arguments
        return how(answer)

    handle = module.register_forward_hook(partial(hook, how=replaced))
    try:
        yield
    finally:
        handle.remove()


def common_site(in_step: Calls, in_predict: Calls, n_pairs: int) -> nn.Module | None:
    """The outermost part that both call once and that answers with several numbers a pair; None without one."""
    step, asked = in_step.once(), in_predict.once()
    for module in reversed(step):
        one, other = step[module].output, asked[module].output if module in asked else None
        if one is not None and other is not None and one.shape == other.shape and one.numel() > n_pairs:
            return module
    return None


def unlike(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one shape differ by more than half precision leaves."""
    if not one.is_floating_point():
        return not torch.equal(one, other)
    one, other = one.double(), other.double()
    tolerance = 2.0**-7 * float(other.nan_to_num().abs().max()) if other.numel() else 0.0
    return not torch.allclose(one, other, rtol=0.0, atol=tolerance, equal_nan=True)
