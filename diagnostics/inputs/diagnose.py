"""``diagnose``: why a model does not learn, from the model, its pairs and as much of its training as is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from diagnostics.checks.cascade import Ignore, OnCheck, chosen, run_checks
from diagnostics.checks.engine.intent import Given, Intent
from diagnostics.checks.engine.probe import N_SAMPLE, Probe
from diagnostics.checks.engine.subject import Forward, Subject, TrainingStep, existing
from diagnostics.inputs.batch_fields import BatchFields, Entry
from diagnostics.inputs.calls import scalar_of
from diagnostics.inputs.loader_pairs import Loader
from diagnostics.inputs.own_subject import OwnParts, UsersStep, own_subject, step_call
from diagnostics.inputs.tried_once import tried_once
from diagnostics.results.report import Report
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource

BATCH_SIZE = 64
"""Pairs of a batch that is made of plain arrays."""

N_TRIED = 8
"""Pairs with which everything is called once."""

Data = PairSource | Loader | Mapping[str, Any]


def diagnose(
    model: nn.Module | Subject | None,
    pairs: Data | None = None,
    *,
    fields: Mapping[str, Entry] | BatchFields | None = None,
    predict: Callable[..., Any] | None = None,
    loss: Callable[..., Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    training_step: UsersStep | None = None,
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
    on_check: OnCheck | None = None,
    probe: Probe | None = None,
) -> Report:
    """Find out why a model does not learn; what is not given is not judged.

    Parameters
    ----------
    model : nn.Module or Subject or None
        Any module. It is trained on trial, and put back as it was. A subject holds all its parts already: none is
        given beside it.
    pairs : DataLoader or any iterable of batches, mapping of arrays, PairSource, or None
        What it is trained on: a loader of batches of any kind, plain arrays ``{"before": ..., "perturbation": ...,
        "after": ...}``, or a source of this library, whose batches a model takes as one ``ModelBatch`` or as four dense
        tensors (:data:`diagnostics.checks.engine.subject.DENSE_NAMES`).
    fields : mapping, optional
        Of a loader: which entry of a batch (a key, a position, an attribute or a path of these) is ``before``,
        ``after``, ``perturbation``, ``dose`` and ``measured`` (:class:`diagnostics.inputs.batch_fields.BatchFields`).
        Not needed where entries bear these names.
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
    if isinstance(model, Subject):
        beside = {
            "pairs": pairs, "fields": fields, "predict": predict, "loss": loss, "optimizer": optimizer,
            "training_step": training_step, "forward": forward, "held_out": held_out, "given": given, "genes": genes,
            "targets": targets, "intent": intent,
        }  # fmt: skip
        for name, part in beside.items():
            if part is not None:
                raise InputError(f"{name} is given beside a Subject: make it a part of the subject")
        subject = model
    elif pairs is None or isinstance(pairs, PairSource):
        of_loader = {"fields": fields, "predict": predict, "genes": genes, "targets": targets}
        for name, part in of_loader.items():
            if part is not None:
                raise InputError(f"{name} is given, and the pairs are no loader of yours: leave it out")
        if held_out is not None and not isinstance(held_out, PairSource):
            raise InputError("held_out is a loader and pairs is a source of pairs: give two of one kind")
        step = None if training_step is None else _of_pairs(training_step, has_optimizer=optimizer is not None)
        intent = Intent() if intent is None else intent
        subject = Subject(
            pairs=pairs,
            held_out=held_out,
            model=model,
            forward=forward,
            loss=loss,
            make_optimizer=None if optimizer is None else existing(optimizer),
            training_step=step,
            intent=intent if given is None else replace(intent, given=given),
            name="the pairs" if model is None else type(model).__name__,
        )
        if model is not None:
            few = next(pairs.pairs(batch_size=N_TRIED, seed=0), None) if pairs is not None else Probe(subject).few
            if few is not None:
                tried_once(subject, few, held=f"a ModelBatch of {len(few)} pairs")
    else:
        if forward is not None:
            raise InputError("forward= is for pairs of this library: with a loader of yours give predict=")
        subject = own_subject(
            OwnParts(
                model=model, loader=_loader(pairs), fields=fields, predict=predict, loss=loss, optimizer=optimizer,
                training_step=training_step, held_out=None if held_out is None else _loader(held_out), intent=intent,
                given=given, genes=genes, targets=targets,
            )
        )  # fmt: skip
    probe = Probe(subject, seed=seed, n_sample=n_sample) if probe is None else probe
    return run_checks(probe, checks, ignore=ignore, stop_early=stop_early, on_check=on_check)


def _of_pairs(step: UsersStep, *, has_optimizer: bool) -> TrainingStep:
    call = step_call(step, has_optimizer=has_optimizer)

    def whole(model: nn.Module, optimizer: torch.optim.Optimizer, batch: PairBatch) -> float | Tensor:
        return scalar_of(call(model, optimizer, batch), "training_step")

    return whole


def _loader(data: Data) -> Loader:
    """A loader as it is; arrays as one that gives them shuffled, in dicts of tensors."""
    if isinstance(data, PairSource):
        raise InputError("held_out is a source of pairs and pairs is a loader: give two of one kind")
    if not isinstance(data, Mapping):
        return data
    given = cast("Mapping[str, Any]", data)
    arrays = {name: torch.as_tensor(np.asarray(value)) for name, value in given.items()}
    lengths = {name: len(value) for name, value in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"the arrays have different numbers of pairs: {lengths}")

    def collated(rows: Sequence[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        return {name: torch.stack(parts) for name, parts in zip(arrays, zip(*rows, strict=True), strict=True)}

    return DataLoader(TensorDataset(*arrays.values()), batch_size=BATCH_SIZE, shuffle=True, collate_fn=collated)
