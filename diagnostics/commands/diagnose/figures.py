"""The figures of the diagnosis: losses, the learning-rate range test, gradients by layer, and what masks let through.

Nothing is trained here: the figures show what the checks have made, and one pass of the model each.
"""

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from diagnostics.checks.data.linear_fit import LinearFit
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.learning_rate import RangeTest, given_rate
from diagnostics.checks.learning.short_training import ShortTraining
from diagnostics.commands.diagnose.svg import dots, levels_figure, range_test_figure
from diagnostics.results.report import Report
from gpcp.model.batch import ModelBatch

MOST_GROUPS = 24


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A figure of the page.

    Parameters
    ----------
    title, message : str
        What it is, and how it is read.
    svg : str
        The drawing; empty where there is nothing to draw, and ``message`` gives the reason.
    """

    title: str
    message: str
    svg: str = ""


def figures_of(probe: Probe, report: Report, *, compute: bool = True) -> tuple[Shown, ...]:
    """All figures; one that cannot be drawn says so and leaves the others alone.

    Parameters
    ----------
    probe : Probe
        After the checks have run.
    report : Report
    compute : bool
        False asks the model nothing more.
    """
    del report
    drawers: Mapping[str, Callable[[Probe], Shown]] = {
        "Loss, between the input-free baseline and the best answer": losses,
        "Learning rates": rates,
        **({"Gradients by layer": gradients, "What reaches the answer": reached} if compute else {}),
    }
    return tuple(_drawn(title, draw, probe) for title, draw in drawers.items())


def _drawn(title: str, draw: Callable[[Probe], Shown], probe: Probe) -> Shown:
    try:
        return replace(draw(probe), title=title)
    except Exception as error:
        # Whatever the subject's own code raises: the checks have reported it, and the page is still whole.
        return Shown(title=title, message=f"not drawn: {traceback.format_exception_only(error)[-1].strip()}")


def losses(probe: Probe) -> Shown:
    """The input-free baseline, a linear fit, the trained model and the exact answer on the same held-out pairs."""
    training: ShortTraining | None = probe.made("short training")
    fit: LinearFit | None = probe.made("linear fit")
    levels: dict[str, float] = {}
    if training is not None:
        levels[f"input-free baseline ({training.fit.baseline_name})"] = training.baseline.loss
        levels[training.fit.name] = training.linear.errors.loss
        if training.model is not None:
            levels[f"the model, {training.n_steps} steps"] = training.model.errors.loss
    elif fit is not None:
        levels[f"input-free baseline ({fit.baseline_name})"] = fit.baseline.loss
        levels[fit.name] = fit.errors.loss
    exact = probe.made("exact answer")
    if levels and exact is not None:
        pairs, answer = exact
        levels["the exact answer (expected)"] = answer.risk(pairs.scored_BG)
    if not levels:
        return Shown(title="", message="no loss was measured: no check that trains or fits has run")
    trained = "" if training is None or not training.diverged else " The training blew up, so the model has none."
    return Shown(
        title="",
        message="Mean squared error of the cells after, over scored genes of held-out pairs; lower is better. "
        f"The dashed line is the baseline, the solid one the best that can be had, where it is known.{trained}",
        svg=levels_figure(levels),
    )


def rates(probe: Probe) -> Shown:
    """The learning-rate range test, its usable interval and its suggestion."""
    range_test: RangeTest | None = probe.made("range_test")
    if range_test is None or range_test.start is None or not range_test.points:
        return Shown(title="", message="no learning-rate range test was made: no check that trains has run")
    given = given_rate(probe)
    low, high = range_test.usable
    point_of = {point.rate: (point.loss if math.isfinite(point.loss) else None) for point in range_test.points}
    rates_text = (
        f"usable {low:.1g} to {high:.1g}, suggestion {range_test.suggestion:.1g}"
        if range_test.learns
        else "no rate learns"
    )
    return Shown(
        title="",
        message=f"Loss after {range_test.n_steps} steps at each rate, all from the same weights; a cross at the "
        f"top is a "
        "training that blew up or ended well above its start; open circles are the best rate with other batches. "
        f"{rates_text[0].upper()}{rates_text[1:]}.",
        svg=range_test_figure(
            point_of,
            start=range_test.start.loss,
            repeats=(range_test.best.rate, range_test.repeats),
            usable=(low, high) if range_test.learns else None,
            given=given,
            suggestion=range_test.suggestion if range_test.learns else None,
        ),
    )


def gradients(probe: Probe) -> Shown:
    """Norm of the loss's gradient by group of parameters, on one batch, before any step."""
    if probe.subject.pairs is None or probe.subject.model is None:
        return Shown(title="", message="needs a model and pairs")
    with probe.trial("gradient figure") as (model, _):
        probe.subject.composed_loss(model, next(probe.batches("gradient figure"))).backward()  # pyright: ignore[reportUnknownMemberType]
        norms = {
            name: (
                0.0 if parameter.grad is None else float(parameter.grad.double().square().sum().sqrt()),
                parameter.numel(),
            )
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
    if not norms:
        return Shown(title="", message="the model has no parameter that is trained")
    return Shown(
        title="",
        message="Root mean square of the gradient's entries for each group of parameters, on one batch before any step "
        "(logarithmic). A group at 0 is not reached by the loss.",
        svg=dots(_grouped(norms), unit="root mean square gradient"),
    )


def _grouped(norms: Mapping[str, tuple[float, int]]) -> dict[str, float]:
    """By the longest names that leave few enough groups: all but the last word, or the first words only."""
    most = max(name.count(".") for name in norms)
    for depth in range(most, 0, -1):
        group_of = {name: ".".join(name.split(".")[:-1][:depth]) or name for name in norms}
        if len(set(group_of.values())) <= MOST_GROUPS or depth == 1:
            break
    else:
        group_of = {name: name for name in norms}
    squares: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for name, (norm, size) in norms.items():
        group = group_of[name]
        squares[group] = squares.get(group, 0.0) + norm**2
        sizes[group] = sizes.get(group, 0) + size
    return {group: math.sqrt(squares[group] / sizes[group]) for group in list(squares)[: 2 * MOST_GROUPS]}


def reached(probe: Probe) -> Shown:
    """The largest change of a scored answer when what may not count, and what must, is drawn anew."""
    if probe.subject.model is None:
        return Shown(title="", message="needs a model")
    batch, _ = probe.exact(probe.masked)
    if not bool((~batch.measured_BL).any()):
        return Shown(title="", message="every gene is measured in these pairs: there is no mask to look through")
    usual_BL = probe.answer(batch, probe.generic_model)
    torch_rng = torch.Generator().manual_seed(probe.seed_of("masks figure"))
    low, high = probe.value_range
    drawn_BL = low + (high - low) * torch.rand(batch.before_BL.shape, generator=torch_rng, dtype=torch.float64)
    drawn_BL = drawn_BL.to(batch.before_BL.device, batch.before_BL.dtype)
    altered: dict[str, ModelBatch] = {
        "unmeasured expression (must be 0)": _before(batch, ~batch.measured_BL, drawn_BL),
        "targets of unperturbed genes (must be 0)": _target(batch, ~batch.perturbed_BL, drawn_BL),
        "measured expression": _before(batch, batch.measured_BL, drawn_BL),
        "targets of perturbed genes": _target(batch, batch.perturbed_BL, drawn_BL),
    }
    changes = {name: _change(probe, batch, usual_BL, other) for name, other in altered.items()}
    return Shown(
        title="",
        message="Largest change of any scored answer when some inputs are drawn anew (logarithmic), with weights drawn "
        "at random, so that no layer hides behind one that begins at 0. The first two must be 0, the others not.",
        svg=dots(changes, unit="largest change of an answer", must_be_0=list(changes)[:2]),
    )


def _before(batch: ModelBatch, where_BL: Tensor, drawn_BL: Tensor) -> ModelBatch:
    return replace(batch, before_BL=torch.where(where_BL, drawn_BL, batch.before_BL))


def _target(batch: ModelBatch, where_BL: Tensor, drawn_BL: Tensor) -> ModelBatch:
    return replace(batch, target_BL=torch.where(where_BL, drawn_BL, batch.target_BL))


def _change(probe: Probe, batch: ModelBatch, usual_BL: Tensor, other: ModelBatch) -> float:
    answer_BL = probe.answer(other, probe.generic_model)
    change_BL = torch.where(batch.scored_BL, (answer_BL - usual_BL).abs(), 0.0)
    largest = float(change_BL.max())
    return largest if math.isfinite(largest) else math.inf
