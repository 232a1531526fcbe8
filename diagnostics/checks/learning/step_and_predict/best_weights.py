"""The check that a predict() which answers with other weights than the trained ones has weights that are as good.

Averages, and the best weights of the training, are such. The whole run is played; after some of its epochs unseen pairs
are predicted with the trained weights of the moment, and at the end by predict() as it stands. Best weights that are
the last ones again were kept by reference, or chosen by pairs that were trained on.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.checks.data.linear_fit import judged_pairs, linear_fit
from diagnostics.checks.engine.answers import answers, answers_with_other_weights, errors_if_finite
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.gains import ratio_of
from diagnostics.checks.engine.identities import LARGEST
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Forward
from diagnostics.checks.engine.weights import loads_noted
from diagnostics.checks.learning.own_run import one_pass, too_long
from diagnostics.checks.learning.step_and_predict.trained_again import WORSE
from diagnostics.results.check_result import CheckResult
from diagnostics.scoring.errors import Errors

_N_LOOKS = 24
"""Epochs after which the weights of the moment are judged, at most."""

_MOST = 0.9
"""Share of the rows measured on after an epoch that are said to be all."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Run:
    """What was seen while a run was played.

    Parameters
    ----------
    looks : dict of int to Errors
        On unseen pairs, with the weights after some epochs.
    loaded : Errors or None
        With those that predict loads at the end; None where a prediction is not finite.
    by_reference, on_training : bool
        Whether these are the model's own tensors; whether all that is measured after an epoch was trained on.
    """

    looks: dict[int, Errors]
    loaded: Errors | None
    by_reference: bool
    on_training: bool


@check(
    "GP513",
    "learning.best_weights",
    "Are the weights that predict answers with as good as the best of the training?",
    cause="bug", kind="statistical", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def best_weights(probe: Probe) -> CheckResult:
    """The loss of predict as it stands after the whole run, beside that of the trained weights of the best epoch."""
    n_epochs = probe.subject.n_epochs
    if n_epochs is None or not answers_with_other_weights(probe):
        return CheckResult(
            outcome="not_applicable",
            message="predict() answers with the weights that are trained, or how long the training is is not given",
        )
    if (long := too_long(probe, n_epochs)) is not None:
        return long
    run = _played(probe, n_epochs)
    if run is None or len(run.looks) < 2:
        return CheckResult(outcome="not_applicable", message="a prediction of the run is not finite, or none is scored")
    if run.loaded is None:
        return _not_finite(n_epochs, run)
    # The best epoch is chosen by one half of the pairs and judged by the other.
    chosen, judged = slice(0, None, 2), slice(1, None, 2)
    best = min(run.looks, key=lambda epoch: float(run.looks[epoch].sum_B[chosen].sum()))
    best_B, loaded_B = (one.sum_B[judged] for one in (run.looks[best], run.loaded))
    ratio = float(loaded_B.sum() / max(best_B.sum(), 1e-30))
    p = ratio_of(loaded_B - WORSE * best_B, best_B).p_above(0.0) if ratio > WORSE else 1.0
    why = ""
    next_step = (
        "look at how predict's weights come about: of an average the factor, the sign and the buffers, of the best "
        "weights when they are kept, which way they are compared and on which pairs"
    )
    if run.by_reference:
        why = "; they are the model's own tensors: state_dict() was kept without a copy, and changes with the model"
        next_step = "keep copy.deepcopy(model.state_dict()), or save it to a file"
    elif run.on_training:
        why = "; what runs after an epoch measures on pairs that are trained on"
        next_step = "choose the weights by pairs that are not trained on: look at the indices of the validation set"
    last = run.looks[max(run.looks)]
    return CheckResult(
        outcome="fail" if p < ALPHA else "pass",
        message=f"after {n_epochs} epochs the held-out loss is {run.loaded.loss:.4g} with the weights that predict "
        f"answers with and {last.loss:.4g} with the last ones; epoch {best + 1} had {run.looks[best].loss:.4g}{why}",
        next_step=next_step, statistic=ratio, null=WORSE, p=p, n=len(best_B),
    )  # fmt: skip


def _not_finite(n_epochs: int, run: _Run) -> CheckResult:
    last = run.looks[max(run.looks)]
    return CheckResult(
        outcome="fail",
        message=f"after {n_epochs} epochs predictions are not finite with the weights that predict answers with; the "
        f"held-out loss is {last.loss:.4g} with those that are trained",
        next_step="look at how these weights follow the trained ones: a sign, a factor above 1", statistic=LARGEST,
        null=WORSE, p=0.0, n=len(last.n_B),
    )  # fmt: skip


def _played(probe: Probe, n_epochs: int) -> _Run | None:
    fit = linear_fit(probe)
    if fit is None:
        return None
    pairs = judged_pairs(probe)
    looks = {int(one) for one in np.linspace(0, n_epochs - 1, min(n_epochs, _N_LOOKS))}
    found: dict[int, Errors] = {}
    on_training = False

    def errors(model: nn.Module, forward: Forward | None = None) -> Errors | None:
        answer_BG = answers(probe, model, pairs, forward=forward)[:, fit.part.token_G]
        return errors_if_finite(answer_BG, fit.part.of(pairs))

    with probe.trial("own run") as (model, optimizer):
        for epoch in range(n_epochs):
            if epoch == 0:
                on_training = _watched_epoch(probe, model, optimizer)
            else:
                _one_epoch(probe, model, optimizer, epoch)
                probe.subject.end_epoch()
            if epoch in looks and (now := errors(model)) is not None:
                found[epoch] = now
        with loads_noted(model) as states:
            loaded = errors(model, probe.subject.as_used)
        is_shared = _is_shared(model, states)
    return _Run(looks=found, loaded=loaded, by_reference=is_shared, on_training=on_training)


def _one_epoch(probe: Probe, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    for pairs in one_pass(probe, epoch):
        probe.subject.step(model, optimizer, pairs)


def _watched_epoch(probe: Probe, model: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
    """Whether all that the model is called with after the first epoch was trained on in it."""
    with _rows_of(model) as trained_on:
        _one_epoch(probe, model, optimizer, 0)
    with _rows_of(model) as after:
        probe.subject.end_epoch()
    # Without gradients inner parts take what comes from outer ones: it is no data.
    parts = {part for part, _ in trained_on}
    measured_on = {one for one in after if one[0] in parts}
    return len(measured_on & trained_on) > _MOST * len(measured_on)


@contextmanager
def _rows_of(model: nn.Module) -> Generator[set[tuple[int, int]]]:
    """Every row of numbers of the data with which a part of the model is called, by a hash, and that part."""
    seen: set[tuple[int, int]] = set()

    def look(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        for one in arguments:
            if isinstance(one, Tensor) and one.is_floating_point() and one.ndim > 1 and not one.requires_grad:
                # Half precision: values that went through another form on their way differ in their last bits.
                rows = one.detach().half().flatten(1).cpu().numpy()
                seen.update((id(module), hash(row.tobytes())) for row in rows)

    handles = [module.register_forward_pre_hook(look) for module in model.modules()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _is_shared(model: nn.Module, states: Sequence[Mapping[str, Any]]) -> bool:
    """Whether weights were loaded from the memory in which they are already."""
    own = {name: one.data_ptr() for name, one in model.state_dict().items()}
    return any(
        isinstance(one, Tensor) and own.get(name) == one.data_ptr() for state in states for name, one in state.items()
    )
