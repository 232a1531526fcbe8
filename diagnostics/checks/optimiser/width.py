"""Do activations, and what the first updates change of them, keep their size as the width grows? An optional check.

Where they do not, a learning rate that is found at one width is wrong at another. This is the coordinate check of Yang
et al. 2021, *Tensor Programs V*.
"""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import cast, final

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.copies import Drawn
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import OfWidth
from diagnostics.results.check_result import CheckResult
from gpcp.core.intervals import Interval, mean_interval
from gpcp.core.pairs import PairBatch
from gpcp.model.transformer import GenePerturbationTransformer

WIDTHS = (32, 64, 128, 256)
N_SEEDS, N_STEPS, N_PAIRS = 5, 4, 32
KEEPS = 0.3
"""Exponent of the width within which a size counts as kept: 0 in the limit of a stable parametrisation, and 1/2 or 1
where it is not."""

PREDICTION = "the prediction"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """How a size goes with the width.

    Parameters
    ----------
    layer : str
    what : str
        ``"activations"`` before any step, or ``"changes"`` of them by the first steps.
    exponent : Interval
        Of the width, over draws of first weights.
    """

    layer: str
    what: str
    exponent: Interval

    @property
    def excess(self) -> float:
        """By how much the whole interval lies beyond what counts as kept; activations may shrink at the start."""
        above = self.exponent.low - KEEPS
        return above if self.what == "activations" else max(above, -KEEPS - self.exponent.high)


@check(
    "GP415",
    "optimiser.width",
    "Do activations and first updates keep their size as the width grows?",
    cause="optimiser", kind="exact", needs=("pairs", "model"), optional=True,
)  # fmt: skip
def width(probe: Probe) -> CheckResult:
    """Layer by layer, over widths and draws of first weights, after a few plain steps on one batch."""
    of_width = _factory(probe)
    if of_width is None:
        return CheckResult(
            outcome="not_applicable",
            message="needs of_width=, a function of the width that gives a model, or a model and its optimiser",
        )
    found = growths(probe, of_width)
    if not found:
        return CheckResult(
            outcome="not_applicable",
            message="the predictions do not depend on the model that of_width gives: write predict= as (model, batch)",
        )
    worst = max(found, key=lambda one: one.excess)
    n_beyond = sum(one.excess > 0 for one in found)
    shown = f"the size of {worst.layer}'s {worst.what} goes as width^{worst.exponent.value:.2f} (95 % "
    shown += f"{worst.exponent.low:.2f} .. {worst.exponent.high:.2f}) from {WIDTHS[0]} to {WIDTHS[-1]}"
    good = worst.excess <= 0
    return CheckResult(
        outcome="pass" if good else "fail",
        message=f"{shown}: {'the farthest from 0 of' if good else f'{n_beyond} of'} {len(found)} sizes"
        + (", within what counts as kept" if good else f" go beyond width^{KEEPS:g}"),
        next_step="" if good else "a rate found at one width is wrong at another: tune it at every width, or use a "
        "parametrisation such as muP (rate of matrices between layers, and the output, scaled by 1 / width)",
        statistic=worst.excess + KEEPS, null=0.0, tolerance=KEEPS, n=len(WIDTHS) * N_SEEDS,
    )  # fmt: skip


def _factory(probe: Probe) -> OfWidth | None:
    """That of the subject; of the library's own model, its configuration at another width."""
    model = probe.subject.model
    if probe.subject.of_width is None and isinstance(model, GenePerturbationTransformer):
        config = model.config
        return lambda width: GenePerturbationTransformer(
            replace(config, width=width), seed=int(torch.randint(2**31, ()).item())
        )
    return probe.subject.of_width


def growths(probe: Probe, of_width: OfWidth) -> list[Growth]:
    """Of every layer that is there at every width; nothing where the model does not decide the predictions."""
    pairs = probe.drawn(probe.whole_sets(N_PAIRS), "widths")
    sizes = [[_sizes(probe, of_width, width, pairs, seed) for width in WIDTHS] for seed in range(N_SEEDS)]
    keys = [key for key in sizes[0][0] if all(one.get(key, 0.0) > 0 for row in sizes for one in row)]
    x = np.log2(WIDTHS)
    return [
        Growth(
            layer=layer, what=what,
            exponent=mean_interval(
                [float(np.polyfit(x, np.log2([one[layer, what] for one in row]), 1)[0]) for row in sizes]
            ),
        )
        for layer, what in keys
    ]  # fmt: skip


def _sizes(probe: Probe, of_width: OfWidth, width: int, pairs: PairBatch, seed: int) -> Mapping[tuple[str, str], float]:
    """Root mean squares by layer and what they are of."""
    with Drawn(probe.seed_of("widths", seed)):
        made = of_width(width)
        model, optimizer = made if isinstance(made, tuple) else (made, _optimizer(probe, made))
        before = _outputs(probe, model, pairs)
        model.train()
        for _ in range(N_STEPS):
            optimizer.zero_grad()
            loss = probe.subject.composed_loss(model, pairs)
            if not loss.requires_grad:
                return {}
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            if all(one.grad is None for one in model.parameters()):
                return {}
            optimizer.step()
        after = _outputs(probe, model, pairs)
    sizes = {(name, "activations"): _rms(one) for name, one in before.items() if name != PREDICTION}
    changed = {
        (name, "changes"): _rms(after[name] - one)
        for name, one in before.items()
        if name in after and after[name].shape == one.shape
    }
    return sizes | changed


def _rms(value: Tensor) -> float:
    return float(value.double().square().mean().sqrt())


def _named(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Layers with parameters of their own, by name."""
    # torch's own stubs leave parts of this signature open.
    named = cast("Iterable[tuple[str, nn.Module]]", model.named_modules())  # pyright: ignore[reportUnknownMemberType]
    return [(name, one) for name, one in named if name and any(True for _ in one.parameters(recurse=False))]


def _outputs(probe: Probe, model: nn.Module, pairs: PairBatch) -> dict[str, Tensor]:
    """What each layer with parameters gives in evaluation mode, and the prediction at measured genes."""
    found: dict[str, Tensor] = {}

    def keep(name: str, value: object) -> None:
        if isinstance(value, Tensor):
            found.setdefault(name, value.detach())

    with ExitStack() as stack, torch.no_grad():
        for name, module in _named(model):

            def hook(_: nn.Module, __: object, value: object, name: str = name) -> None:
                keep(name, value)

            stack.callback(module.register_forward_hook(hook).remove)
        model.eval()
        batch, _ = probe.subject.collate(pairs)
        first = next(model.parameters())
        batch = batch.to(first.device, first.dtype)
        answer_BL = probe.subject.predict(model, batch)
    found[PREDICTION] = answer_BL[batch.measured_BL]
    return found


def _optimizer(probe: Probe, model: nn.Module) -> torch.optim.Optimizer:
    """One of the kind and with the settings of the subject's first group, for another model."""
    if probe.subject.make_optimizer is None or probe.subject.model is None:
        return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    own = probe.subject.make_optimizer(probe.subject.model)
    known = inspect.signature(type(own)).parameters
    settings = {name: value for name, value in own.param_groups[0].items() if name in known and name != "params"}
    return type(own)(model.parameters(), **settings)
