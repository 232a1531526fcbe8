"""``diagnose``: why a model does not learn, from the model, its pairs and as much of its training as is given."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from diagnostics.checks.cascade import Ignore, OnCheck, chosen, run_checks
from diagnostics.checks.engine.intent import Given, Intent
from diagnostics.checks.engine.probe import N_SAMPLE, Probe
from diagnostics.checks.engine.subject import AfterEpoch, Forward, OfWidth, Subject
from diagnostics.inputs.frameworks.recorder import Recording
from diagnostics.inputs.loaders.batch_fields import BatchFields, Entry
from diagnostics.inputs.own_parts import Data, OwnParts, UsersStep
from diagnostics.inputs.own_subject import subject_of
from diagnostics.results.report import Report
from gpcp.core.errors import InputError

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


def diagnose(
    model: "nn.Module | Subject | Recording | Trainer | None",
    pairs: Data | nn.Module | None = None,
    datamodule: Any = None,
    *,
    fields: Mapping[str, Entry] | BatchFields | None = None,
    predict: Callable[..., Any] | None = None,
    loss: Callable[..., Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    training_step: UsersStep | None = None,
    objective: UsersStep | None = None,
    on_epoch: AfterEpoch | None = None,
    of_width: OfWidth | None = None,
    n_epochs: int | None = None,
    forward: Forward | None = None,
    held_out: Data | None = None,
    given: Given | None = None,
    genes: Sequence[str] | None = None,
    targets: Sequence[int] | None = None,
    only: Sequence[str] = (),
    ignore: Ignore = (),
    intent: Intent | None = None,
    seed: int = 0,
    n_sample: int = N_SAMPLE,
    stop_early: bool = False,
    cures: bool = False,
    on_check: OnCheck | None = None,
    probe: Probe | None = None,
) -> Report:
    """Find out why a model does not learn; what is not given is not judged.

    Parameters
    ----------
    model : nn.Module or Subject or Recording or None
        Any module. It is trained on trial, and put back as it was. A subject holds all its parts already: none is
        given beside it. Nor beside a recording of :func:`diagnostics.record`, whose steps are judged as they were made.
        A Lightning ``Trainer``: ``diagnose(trainer, module, datamodule)`` judges the module's own
        ``training_step``, with its optimiser and schedules, as ``trainer.fit`` would train it.
    pairs : DataLoader or any iterable of batches, mapping of arrays, PairSource, or None
        What it is trained on: a loader of batches of any kind, plain arrays ``{"before": ..., "perturbation": ...,
        "after": ...}``, or a source of this library, whose batches a model takes as one ``ModelBatch`` or as four dense
        tensors (:data:`diagnostics.checks.engine.subject.DENSE_NAMES`).
    datamodule : LightningDataModule or DataLoader, optional
        With a ``Trainer`` alone.
    fields : mapping, optional
        Of a loader: which entry of a batch (a key, a position, an attribute or a path of these) is ``before``,
        ``after``, ``perturbation``, ``dose`` and ``measured``, as
        :class:`diagnostics.inputs.loaders.batch_fields.BatchFields` says. Not needed where entries bear these names.
    predict : callable, optional
        Of a loader: ``(batch)`` or ``(model, batch) -> (pairs, genes)``, the expected expression after, where
        ``model(batch)`` by the names or positions of its arguments does not give it.
    loss : callable, optional
        ``(prediction, after)`` or ``(prediction, after, mask) -> scalar``.
    optimizer : torch.optim.Optimizer, optional
        The one that the training uses; its state is put back.
    training_step : callable, optional
        One whole update, which gives the loss: a function of ``(batch)``, of ``(model, batch)`` or of ``(model,
        optimizer, batch)``, a batch being one of the loader's. One that closes over its model or its optimiser works
        as well: give those very objects.
    objective : callable, optional
        In place of a training step: ``(batch)`` or ``(model, batch) -> scalar``, what the optimiser lowers where it is
        not ``loss`` of the prediction, such as a likelihood, a VAE's bound, an energy distance, MMD or a Sinkhorn loss.
    on_epoch : callable, optional
        ``() -> None``: what the loop runs after each epoch, such as a schedule's step or a validation.
        It is called some dozen times on trial: leave out of it what writes files.
    of_width : callable, optional
        ``width -> model`` or ``width -> (model, optimizer)``, drawn anew at each call, for the optional check GP415.
    n_epochs : int, optional
        How many epochs the loop makes: the whole run is played then, if it takes less than half a minute.
    forward : callable, optional
        Of a source: ``(model, ModelBatch) -> prediction``, where the model is called in another way.
    held_out : as ``pairs``, optional
        What is measured on; other passes over ``pairs`` by default.
    given : {"identity", "identity and dose", "value"}, optional
        What the model is given of a perturbation; by the form of a loader's entries by default.
    genes, targets : sequence of str, sequence of int, optional
        Of a loader: the genes' names; the gene's column of each perturbation where these are no genes' numbers, -1 for
        a control.
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
    cures : bool
        After a failure, try what can be changed from outside (rate, loss, clipping, dropout, ...) in short paired
        trainings, and show by how much each lowers the held-out loss; a minute or so.
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
        There is neither a model nor a source, a part is given beside a subject, ``only`` names no check, or a part
        cannot be called as it stands: everything is called once before anything is judged.
    """
    checks = chosen(only)
    whole = model if isinstance(model, (Subject, Recording)) else None
    own = OwnParts()
    if _is_trainer(model):
        from diagnostics.inputs.frameworks.lightning import training_of

        own = training_of(cast("Any", model), cast("Any", pairs), datamodule)
        model, pairs = own.model, own.pairs
    elif datamodule is not None:
        raise InputError("datamodule= is for a Lightning Trainer: diagnose(trainer, module, datamodule)")
    elif isinstance(pairs, nn.Module):
        raise InputError("pairs is a module: give a model and its data, or diagnose(trainer, module, datamodule)")
    parts = OwnParts(
        model=None if whole is not None else cast("nn.Module | None", model), pairs=pairs, fields=fields,
        predict=predict, loss=loss, optimizer=own.optimizer if optimizer is None else optimizer,
        training_step=own.training_step if training_step is None else training_step,
        objective=objective, on_epoch=own.on_epoch if on_epoch is None else on_epoch, n_epochs=n_epochs,
        of_width=of_width, forward=forward, held_out=own.held_out if held_out is None else held_out, intent=intent,
        given=given, genes=genes, targets=targets,
    )  # fmt: skip
    if whole is not None:
        name = parts.first_given(OwnParts.__slots__)
        if name is not None:
            raise InputError(f"{name} is given beside a {type(whole).__name__}, which holds all that is judged")
        if isinstance(whole, Recording):
            return whole.report()
        subject = whole
    else:
        subject = subject_of(parts)
    probe = Probe(subject, seed=seed, n_sample=n_sample) if probe is None else probe
    return run_checks(probe, checks, ignore=ignore, stop_early=stop_early, cures=cures, on_check=on_check)


def _is_trainer(model: object) -> bool:
    """Whether it is a Lightning Trainer; Lightning is imported where it is one alone."""
    kinds = {(kind.__module__.split(".")[0], kind.__name__) for kind in type(model).__mro__}
    return bool(kinds & {("lightning", "Trainer"), ("pytorch_lightning", "Trainer")})
