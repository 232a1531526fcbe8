"""What can be changed in a training from outside: the rate of its steps, its gradients, precision, dropout, mode.

Each holds within its block, whatever the training step does itself, and leaves nothing behind.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from diagnostics.checks.engine.weights import dropout_of, without_dropout

HALF = (torch.float16, torch.bfloat16)
_DROPS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


@contextmanager
def scaled_rate(factor: float) -> Generator[None]:
    """Every step of every optimiser is made at ``factor`` times the rate that is in force then."""
    usual: list[Any] = []

    def before(optimizer: torch.optim.Optimizer, *_: object) -> None:
        usual.append([group["lr"] for group in optimizer.param_groups])
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * factor

    def after(optimizer: torch.optim.Optimizer, *_: object) -> None:
        for group, rate in zip(optimizer.param_groups, usual.pop(), strict=True):
            group["lr"] = rate

    handles = [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def gradients_as_added_up(model: nn.Module, *, put_back: bool = True) -> Generator[list[float]]:
    """Steps are made with the gradients that autograd added up, whatever was done to them since, such as clipping.

    Gives the length of what the optimiser found, as a fraction of those, one number for each step.
    """
    raw: dict[int, Tensor] = {}
    left: list[float] = []

    def keep(one: Tensor) -> None:
        if one.grad is not None:
            raw[id(one)] = one.grad.detach().clone()

    def before(optimizer: torch.optim.Optimizer, *_: object) -> None:
        found, usual = 0.0, 0.0
        for one in (one for group in optimizer.param_groups for one in group["params"]):
            gradient = raw.pop(id(one), None)
            if one.grad is None or gradient is None:
                continue
            found += float(one.grad.double().square().sum())
            usual += float(gradient.double().square().sum())
            if put_back:
                one.grad.copy_(gradient)
        if usual > 0:
            left.append((found / usual) ** 0.5)

    trained = [one for one in model.parameters() if one.requires_grad]
    # torch's own stubs leave parts of this signature open.
    hooks: list[RemovableHandle] = [one.register_post_accumulate_grad_hook(keep) for one in trained]  # pyright: ignore
    hooks.append(register_optimizer_step_pre_hook(before))
    try:
        yield left
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def autocast(*, off: bool = True) -> Generator[list[str]]:
    """``torch.autocast`` changes nothing where ``off``; gives the precision of each that is entered and enabled."""
    usual = torch.autocast.__enter__
    entered: list[str] = []

    def enter(self: Any) -> Any:
        if self._enabled:
            entered.append(str(self.fast_dtype).removeprefix("torch."))
        self._enabled = self._enabled and not off
        return usual(self)

    torch.autocast.__enter__ = enter
    try:
        yield entered
    finally:
        torch.autocast.__enter__ = usual


@contextmanager
def single_precision(model: nn.Module) -> Generator[None]:
    """Parameters and buffers are float32, and nothing is cast on the way."""
    halves = [(one, one.dtype) for one in (*model.parameters(), *model.buffers()) if one.dtype in HALF]
    for one, _ in halves:
        one.data = one.data.float()
    try:
        with autocast():
            yield
    finally:
        for one, dtype in halves:
            one.grad = None
            one.data = one.data.to(dtype)


@contextmanager
def nothing_dropped(model: nn.Module) -> Generator[list[float]]:
    """Neither layers nor functions of dropout drop anything; gives the fractions that they would drop."""
    functions = {name: cast("Callable[..., Any]", getattr(nn.functional, name)) for name in _DROPS}
    attention = nn.functional.scaled_dot_product_attention
    dropped = dropout_of(model)

    def kept(value: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        del inplace
        if training and p > 0:
            dropped.append(p)
        return value

    def attended(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        *others: Any, **named: Any,
    ) -> Tensor:  # fmt: skip
        if dropout_p > 0:
            dropped.append(dropout_p)
        return attention(query, key, value, attn_mask, 0.0, *others, **named)

    try:
        for name in _DROPS:
            setattr(nn.functional, name, kept)
        nn.functional.scaled_dot_product_attention = attended
        with without_dropout(model):
            yield dropped
    finally:
        for name, usual in functions.items():
            setattr(nn.functional, name, usual)
        nn.functional.scaled_dot_product_attention = attention


@contextmanager
def always_training(model: nn.Module) -> Generator[None]:
    """The model stays in training mode, whatever mode it is set to."""
    kind = type(model)

    def train(mode: bool = True) -> nn.Module:
        del mode
        return kind.train(model, True)

    model.train(True)
    vars(model)["train"] = train
    try:
        yield
    finally:
        vars(model).pop("train", None)
