"""``diagnose``: why a model does not learn, from the model, its pairs and as much of its training as is given."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from diagnostics.checks.cascade import Ignore, OnCheck, chosen, run_checks
from diagnostics.checks.engine.intent import Intent
from diagnostics.checks.engine.probe import N_SAMPLE, Probe
from diagnostics.checks.engine.subject import Forward, Loss, Subject, TrainingStep, existing
from diagnostics.results.report import Report
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource

UsersStep = Callable[..., float | Tensor]
"""``(batch)``, ``(model, batch)`` or ``(model, optimizer, batch)``; a batch is a ``PairBatch``; gives the loss."""


def diagnose(
    model: nn.Module | Subject | None,
    pairs: PairSource | None = None,
    *,
    loss: Loss | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    training_step: UsersStep | None = None,
    forward: Forward | None = None,
    held_out: PairSource | None = None,
    only: Sequence[str] = (),
    ignore: Ignore = (),
    intent: Intent | None = None,
    seed: int = 0,
    n_sample: int = N_SAMPLE,
    stop_early: bool = False,
    on_check: OnCheck | None = None,
    probe: Probe | None = None,
) -> Report:
    """Find out why a model does not learn; what is not given is not judged.

    Parameters
    ----------
    model : nn.Module or Subject or None
        Called with one ``ModelBatch`` or with four dense tensors
        (:data:`diagnostics.checks.engine.subject.DENSE_NAMES`). It is trained on trial, and put back as it was. A
        subject holds all its parts already: none is given beside it.
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
        Codes, names, families or kinds of checks.
    ignore : mapping of str to str, or sequence of str
        Codes or names of checks that are not asked, with the reason, which the report keeps.
    intent : Intent, optional
        What is so on purpose: what the model is given, frozen and unused parameters, sets of cells, randomness.
    seed : int
        Decides every draw.
    n_sample : int
        Pairs that a statistic rests on.
    stop_early : bool
        Train nothing on trial once a check has failed: the diagnosis is the same, in a tenth of the time.
    on_check : callable, optional
        Called with each result as it is found, before the correction for their number.
    probe : Probe, optional
        Of the same subject; it keeps what the checks have made, for whoever draws it, and has a ``seed`` and an
        ``n_sample`` of its own.

    Returns
    -------
    Report
        ``report.diagnosis`` is the first cause, ``report.text()`` shows all. Ctrl-C ends it early: what has been
        found by then is reported, and ``interrupted`` is set.

    Raises
    ------
    InputError
        There is neither a model nor a source, a part is given beside a subject, the training step takes other
        arguments, or ``only`` names no check.
    """
    checks = chosen(only)
    parts = {
        "pairs": pairs,
        "loss": loss,
        "optimizer": optimizer,
        "training_step": training_step,
        "forward": forward,
        "held_out": held_out,
        "intent": intent,
    }
    if isinstance(model, Subject):
        given = [name for name, part in parts.items() if part is not None]
        if given:
            raise InputError(f"{given[0]} is given beside a Subject: make it a part of the subject")
        subject = model
    else:
        step = None if training_step is None else whole_step(training_step, has_optimizer=optimizer is not None)
        subject = Subject(
            pairs=pairs,
            held_out=held_out,
            model=model,
            forward=forward,
            loss=loss,
            make_optimizer=None if optimizer is None else existing(optimizer),
            training_step=step,
            intent=Intent() if intent is None else intent,
            name="the pairs" if model is None else type(model).__name__,
        )
    probe = Probe(subject, seed=seed, n_sample=n_sample) if probe is None else probe
    return run_checks(probe, checks, ignore=ignore, stop_early=stop_early, on_check=on_check)


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
        found = cast("Any", call(model, optimizer, batch))
        if not isinstance(found, (float, int, Tensor)):
            raise InputError(f"training_step gives {type(found).__name__}: it must give the loss of its batch")
        return found

    return whole
