"""The check that a prediction which is no number is seen in the loss: one that is left out is never mended."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.loss.loss import Case, case_of
from diagnostics.checks.optimiser.one_step import gap, habits_of, one_step
from diagnostics.results.check_result import CheckResult

_N_TRIED = 8
"""Scored predictions, each in its turn."""

_SHIFT = 10.0
"""By how many ranges of the values a prediction is moved, to see whether the loss depends on how far off it is."""

_MATTERS = 1e-6
"""Relative difference of two reported losses above which it does."""


@check(
    "GP215",
    "loss.hides_nan",
    "Is a prediction that is no number seen in the loss?",
    cause="bug", kind="exact", needs=(),
)  # fmt: skip
def hides_nan(probe: Probe) -> CheckResult:
    """NaN in one scored prediction, of the loss that is given or of the model within the training step."""
    subject = probe.subject
    if subject.loss is None and subject.training_step is None:
        return CheckResult(outcome="not_applicable", message="neither a loss nor a training step of your own is given")
    n_hidden, n_asked, where = 0, 0, ""
    if subject.loss is not None:
        n_asked, n_hidden = _in_the_loss(probe)
        where = "the loss"
    if not n_hidden and subject.model is not None and subject.training_step is not None:
        found = _in_the_step(probe)
        if found is not None:
            n_asked, n_hidden, where = n_asked + 1, int(found), "the loss that the training step reports"
    if not n_asked:
        return CheckResult(outcome="not_applicable", message="no prediction was found on which the loss depends")
    return verdict(
        good=not n_hidden,
        message=f"{where} stays a number though a scored prediction is NaN: what diverges is left out, without a word"
        if n_hidden
        else f"a scored prediction that is NaN makes {where} NaN",
        next_step="look for nanmean, nansum, nan_to_num or a mask by isfinite of the prediction; targets that are "
        "missing are left out by a mask of the targets alone",
        statistic=n_hidden / n_asked, null=0.0, tolerance=0.0, n=n_asked,
    )  # fmt: skip


def _in_the_loss(probe: Probe) -> tuple[int, int]:
    """How many scored predictions were made NaN, and how many of them the loss did not show.

    One that is left out however far off it is, as a trimmed loss leaves out the largest errors, is left out on purpose.
    """
    case = case_of(probe, "hides nan")
    low, high = probe.value_range
    position_E2: NDArray[np.int64] = case.scored_BL.nonzero().cpu().numpy()
    chosen_E2 = position_E2[probe.rng("hides nan").permutation(len(position_E2))[:_N_TRIED]]
    n_asked, n_hidden = 0, 0
    for row, column in zip(chosen_E2[:, 0].tolist(), chosen_E2[:, 1].tolist(), strict=True):
        _, far_BL = _with(case, row, column, _SHIFT * (high - low)).loss_and_gradient(probe)
        value, _ = _with(case, row, column, float("nan")).loss_and_gradient(probe)
        counts = bool(far_BL[row, column] != 0)
        n_asked += counts or not np.isfinite(value)
        n_hidden += counts and bool(np.isfinite(value))
    return n_asked, n_hidden


def _with(case: Case, row: int, column: int, added: float) -> Case:
    prediction_BL = case.prediction_BL.clone()
    prediction_BL[row, column] += added
    return replace(case, prediction_BL=prediction_BL)


def _in_the_step(probe: Probe) -> bool | None:
    """Whether a step reports a finite loss though the model's answer to one pair is NaN; None where it cannot be known.

    It is asked only where what the step reports depends on how far off the same answer is.
    """
    if not habits_of(probe).repeatable:
        return None
    low, high = probe.value_range
    moved = [found for times in (1, 2) if (found := _reported(probe, times * _SHIFT * (high - low))) is not None]
    if len(moved) < 2 or gap(*moved) <= _MATTERS or not np.isfinite(moved).all():
        return None
    poisoned = _reported(probe, float("nan"))
    return poisoned is not None and bool(np.isfinite(poisoned))


def _reported(probe: Probe, added: float) -> float | None:
    """What a step reports where a number is added to the model's answers to the first pair; None where it refuses."""
    model = probe.subject.model
    assert model is not None, "asked of subjects with a model"
    try:
        with _added(model, added, n_pairs=len(probe.few)):
            return one_step(probe).reported
    # Whatever is raised is a word about it.
    except Exception:
        return None


@contextmanager
def _added(model: nn.Module, value: float, *, n_pairs: int) -> Generator[None]:
    """Answers of the model with a row for each pair have a number added to their first row, as long as this lasts.

    By its ``forward``, not by a hook: steps of modules that train themselves call ``self.forward``.
    """
    own: Callable[..., object] = model.forward
    there = "forward" in vars(model)

    def forward(*asked: object, **named: object) -> object:
        return _with_first_row(own(*asked, **named), value, n_pairs)

    model.forward = forward
    try:
        yield
    finally:
        if there:
            model.forward = own
        else:
            del model.forward


def _with_first_row(answer: object, value: float, n_pairs: int) -> object:
    """The first row is a pair, or a set of pairs where the answer has an axis of sets and one of cells."""
    if isinstance(answer, Tensor):
        size = list(answer.shape)
        fits = len(size) >= 2 and (size[0] == n_pairs or (len(size) == 3 and size[0] * size[1] == n_pairs))
        if not fits or not answer.is_floating_point() or not answer.requires_grad:
            return answer
        first_B = torch.arange(size[0], device=answer.device) == 0
        return answer + torch.where(first_B, value, 0.0).to(answer).reshape(-1, *([1] * (answer.ndim - 1)))
    if type(answer) is tuple:
        return tuple(_with_first_row(one, value, n_pairs) for one in cast("tuple[object, ...]", answer))
    if isinstance(answer, dict):
        named = cast("dict[object, object]", answer)
        return {name: _with_first_row(one, value, n_pairs) for name, one in named.items()}
    return answer
