"""``diagnose``: a module, its pairs and as much of its training as is given in, a report out.

Dimension key: ``B`` pairs, ``L`` state tokens.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from diagnostics.checks import cascade
from diagnostics.checks.engine.subject import Forward, Loss, Subject, TrainingStep, existing
from diagnostics.results.report import Report
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource

UsersStep = Callable[..., float | Tensor]
"""``(batch)``, ``(model, batch)`` or ``(model, optimizer, batch)``; a batch is a ``PairBatch``; gives the loss."""


def diagnose(
    model: nn.Module | None,
    pairs: PairSource | None,
    *,
    loss: Loss | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    training_step: UsersStep | None = None,
    forward: Forward | None = None,
    held_out: PairSource | None = None,
    only: Sequence[str] = (),
    seed: int = 0,
    stop_early: bool = False,
) -> Report:
    """Say why a model does not learn; what is not given is not judged.

    Parameters
    ----------
    model : nn.Module or None
        Called with one ``ModelBatch`` or with four dense tensors
        (:data:`diagnostics.checks.engine.subject.DENSE_NAMES`). It
        is trained on trial, and put back as it was.
    pairs : PairSource or None
        What it is trained on.
    loss : callable, optional
        ``(prediction, after, scored) -> scalar``, each (B, L).
    optimizer : torch.optim.Optimizer, optional
        The one that the training uses; its state is put back.
    training_step : callable, optional
        One whole update, which gives the loss: a function of ``(batch)``, of ``(model, batch)`` or of ``(model,
        optimizer, batch)``. One that closes over its model or its optimiser works as well: give those very objects.
    forward : callable, optional
        ``(model, ModelBatch) -> prediction``, where the model is called in another way.
    held_out : PairSource, optional
        What is measured on; other passes over ``pairs`` by default.
    only : sequence of str
        Names, families or kinds of checks.
    seed : int
    stop_early : bool
        Train nothing on trial once a check has failed.

    Returns
    -------
    Report
        ``report.diagnosis`` is the first cause, ``report.text()`` shows all.

    Raises
    ------
    InputError
        There is neither a model nor a source, the training step takes other arguments, or ``only`` names no check.
    """
    subject = Subject(
        pairs=pairs,
        held_out=held_out,
        model=model,
        forward=forward,
        loss=loss,
        make_optimizer=None if optimizer is None else existing(optimizer),
        training_step=None if training_step is None else whole_step(training_step, has_optimizer=optimizer is not None),
        name="the pairs" if model is None else type(model).__name__,
    )
    return cascade.diagnose(subject, only=only, seed=seed, stop_early=stop_early)


def whole_step(step: UsersStep, *, has_optimizer: bool) -> TrainingStep:
    """A training step of one, two or three arguments, as one of three.

    Parameters
    ----------
    step : callable
    has_optimizer : bool
        Whether there is an optimiser to hand on.

    Raises
    ------
    InputError
        It takes another number of arguments, or needs an optimiser that is not given.
    """
    parameters = [
        one
        for one in inspect.signature(step).parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]
    calls: dict[int, TrainingStep] = {
        1: lambda model, optimizer, batch: step(batch),
        2: lambda model, optimizer, batch: step(model, batch),
        3: lambda model, optimizer, batch: step(model, optimizer, batch),
    }
    if len(parameters) not in calls:
        raise InputError(
            f"training_step needs {len(parameters)} arguments: write it as a function of (batch), (model, batch) or "
            "(model, optimizer, batch)"
        )
    if len(parameters) == 3 and not has_optimizer:
        raise InputError("training_step takes an optimiser, and none is given: give optimizer= too")
    call = calls[len(parameters)]

    def whole(model: nn.Module, optimizer: torch.optim.Optimizer, batch: PairBatch) -> float | Tensor:
        said = cast("Any", call(model, optimizer, batch))
        if not isinstance(said, (float, int, Tensor)):
            raise InputError(f"training_step gives {type(said).__name__}: it must give the loss of its batch")
        return said

    return whole
