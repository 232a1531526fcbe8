"""The check that torch's own losses, and its softmax, get what their documentation says that they take.

Every call of them in one training step is looked at, at the weights as they are and at larger ones: what holds at both
comes from a function before the call, such as a sigmoid, and from no chance.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast, final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult

_LARGER = 3.0
"""Factor of all weights at the second look."""

_SHUT = -100.0
"""A score above this, filled in under a mask, leaves what is masked in a softmax."""

_ROUNDING = 1e-4

Look = Callable[[Tensor, dict[str, Any]], str | None]


def _are_shares(value: Tensor) -> bool:
    """Whether rows are probabilities: none below 0, and a sum of 1."""
    if value.ndim < 2 or (value.shape[-1] < 2 and value.shape[1] < 2):
        return False
    sums = [value.sum(dim=axis) for axis in {1, value.ndim - 1}]
    return bool((value >= 0).all()) and any(bool(((one - 1).abs() < _ROUNDING).all()) for one in sums)


def _with_logits(value: Tensor, named: dict[str, Any]) -> str | None:
    if value.numel() > 1 and bool(((value >= 0) & (value <= 1)).all()):
        return "binary_cross_entropy_with_logits gets probabilities, and takes a sigmoid of them itself: give it logits"
    return None


def _cross_entropy(value: Tensor, named: dict[str, Any]) -> str | None:
    if _are_shares(value):
        return "cross_entropy gets probabilities, and takes a softmax of them itself: give it logits"
    return None


def _logarithms(name: str) -> Look:
    def look(value: Tensor, named: dict[str, Any]) -> str | None:
        if _are_shares(value):
            return f"{name} gets probabilities where it takes their logarithms: use log_softmax"
        return None

    return look


def _poisson(value: Tensor, named: dict[str, Any]) -> str | None:
    if not named.get("log_input", True) and bool((value < 0).any()):
        return (
            "poisson_nll_loss with log_input=False gets rates below 0: end in a softplus, or give logarithms of rates"
        )
    return None


_LOSSES: dict[Any, Look] = {
    functional.binary_cross_entropy_with_logits: _with_logits,
    functional.cross_entropy: _cross_entropy,
    functional.nll_loss: _logarithms("nll_loss"),
    functional.kl_div: _logarithms("kl_div"),
    functional.poisson_nll_loss: _poisson,
}
_SOFTMAXES = (functional.softmax, torch.softmax, Tensor.softmax, functional.log_softmax)
_FILLS = (Tensor.masked_fill, Tensor.masked_fill_, torch.masked_fill)


@final
class _Watched(TorchFunctionMode):
    """Notes what is wrong with any call."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.n_calls = 0
        self._filled: list[tuple[Tensor, float]] = []

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        answer = func(*args, **named)
        value = args[0] if args else named.get("input")
        if func in _LOSSES and isinstance(value, Tensor):
            self._note(_LOSSES[func](value.detach(), named))
        elif func in _SOFTMAXES and isinstance(value, Tensor):
            fill = next((fill for one, fill in self._filled if one is value), None)
            self.n_calls += 1
            if fill is not None and fill > _SHUT:
                self._note(
                    f"a softmax gets scores that a mask has set to {fill:g}: what is masked stays in, fill in -inf"
                )
        elif func in _FILLS and isinstance(args[2] if len(args) > 2 else named.get("value"), (int, float)):
            fill = float(cast("float", args[2] if len(args) > 2 else named["value"]))
            if isinstance(answer, Tensor):
                self._filled.append((answer, fill))
        return answer

    def _note(self, wrong: str | None) -> None:
        self.n_calls += 1
        if wrong is not None:
            self.found.add(wrong)


@check(
    "GP214",
    "loss.torch_functions",
    "Do torch's own losses and softmax get what they are made for?",
    cause="bug", kind="exact", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def torch_functions(probe: Probe) -> CheckResult:
    """Probabilities in place of logits or logarithms, rates below 0, masks that a softmax does not see."""
    looks = [_watched(probe, factor) for factor in (1.0, _LARGER)]
    wrong = sorted(looks[0].found & looks[1].found)
    n_calls = looks[0].n_calls
    if not n_calls:
        return CheckResult(
            outcome="not_applicable", message="the step calls none of torch's losses that are known here"
        )
    return verdict(
        good=not wrong, message=f"{n_calls} calls get what they are made for" if not wrong else "; ".join(wrong),
        next_step="look at the last layer of the model and at the loss: only one of the two may take the sigmoid, the "
        "softmax or the logarithm; a mask is filled in with -inf before a softmax",
        statistic=float(len(wrong)), null=0.0, tolerance=0.0, n=n_calls,
    )  # fmt: skip


def _watched(probe: Probe, factor: float) -> _Watched:
    watched = _Watched()
    with probe.trial("torch functions") as (model, optimizer):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.is_floating_point():
                    parameter.mul_(factor)
        with watched:
            probe.subject.step(model, optimizer, probe.few)
    return watched
