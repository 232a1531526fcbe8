"""A subject by name: its pairs, its model, its training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from diagnostics.checks.engine.fitted_subject import fitted_subject
from diagnostics.checks.engine.subject import Subject
from diagnostics.inputs.models import (
    Model,
    fit_config_of,
    load_weights,
    model_named,
    model_of_checkpoint,
    read_checkpoint,
    shown_model,
)
from diagnostics.inputs.own_parts import OwnParts
from diagnostics.inputs.own_subject import subject_of
from gpcp.core.errors import InputError
from gpcp.core.perturbations import perturbations_of
from gpcp.opening.pairs import OpenedPairs
from gpcp.training.config import FitConfig


def subject_named(
    opened: OpenedPairs | None,
    *,
    model: Model | None,
    n_genes: int | None = None,
    checkpoint: Path | None = None,
    learning_rate: float | None = None,
    otherwise_rate: float | None = None,
    seed: int = 0,
) -> Subject:
    """The subject of a model's name, its weights and its pairs.

    Parameters
    ----------
    opened : OpenedPairs or None
    model : str, callable or None
        As :func:`diagnostics.inputs.models.model_named` reads it.
    n_genes : int, optional
        Of the model, where there are no pairs.
    checkpoint : Path, optional
        Its weights; of :func:`gpcp.training.fit.fit`: the model too.
    learning_rate : float, optional
        Of AdamW. A module of one's own is trained, and its training judged, only where it is given.
    otherwise_rate : float, optional
        Of AdamW, where ``learning_rate`` is not given and the model brings no training of its own.
    seed : int

    Raises
    ------
    InputError
        A name is unknown, a file cannot be read, or parts do not fit together.
    """
    subject = _subject(opened, model, n_genes, checkpoint, learning_rate, otherwise_rate, seed)
    if opened is None or not opened.provenance:
        return subject
    return replace(subject, taken_as={"cells": opened.provenance, **subject.taken_as})


def _subject(
    opened: OpenedPairs | None,
    model: Model | None,
    n_genes: int | None,
    checkpoint: Path | None,
    learning_rate: float | None,
    otherwise_rate: float | None,
    seed: int,
) -> Subject:
    shown = shown_model(model)
    state = None if checkpoint is None else read_checkpoint(checkpoint)
    if model is None and checkpoint is None:
        if opened is None:
            raise InputError("there is nothing to diagnose: give --source, --model, or both")
        return Subject(pairs=opened.pairs, exact=opened.exact, name=opened.name)
    n_genes = n_genes if opened is None else len(opened.pairs.vocab)
    if model is None and state is not None and checkpoint is not None:
        made = model_of_checkpoint(state, checkpoint)
    else:
        perturbations = None if opened is None else perturbations_of(opened.pairs)
        made = model_named(shown if model is None else model, n_genes, seed=seed, perturbations=perturbations)
    if isinstance(made, OwnParts):
        made = _of_own_parts(made, opened, shown)
    if isinstance(made, Subject):
        if learning_rate is not None:
            raise InputError(f"{shown} gives a whole Subject with its own optimiser: leave --learning-rate out")
        return _of_users(made, opened, shown, state, checkpoint)
    if state is not None and checkpoint is not None:
        load_weights(made, state, checkpoint)
    if opened is None and n_genes is not None and not hasattr(getattr(made, "config", made), "n_genes"):
        made.n_genes = n_genes  # pyright: ignore[reportArgumentType]  (a module takes any attribute)
    _check_genes(made, opened)
    called = str(checkpoint) if model is None else shown
    learning_rate = otherwise_rate if learning_rate is None else learning_rate
    name = called if opened is None else f"{called} on {opened.name}"
    pairs, exact = (None, None) if opened is None else (opened.pairs, opened.exact)
    if model is not None and (callable(model) or ":" in model) and learning_rate is None:
        # A rate of ours would be judged as if it were theirs.
        return Subject(pairs=pairs, model=made, exact=exact, name=name)
    config = (None if state is None else fit_config_of(state)) or FitConfig(seed=seed)
    if learning_rate is not None:
        config = replace(config, learning_rate=learning_rate)
    return fitted_subject(made, pairs, config, learn_units=state is None, exact=exact, name=name)


def _of_own_parts(parts: OwnParts, opened: OpenedPairs | None, model: str) -> Subject | nn.Module:
    """The subject of a person's own loader; the bare module where --source replaces a loader that is not there."""
    if opened is None or parts.pairs is not None:
        if opened is not None:
            raise InputError(f"{model} gives pairs of its own: leave --source out")
        return replace(subject_of(parts), name=model)
    return subject_of(replace(parts, pairs=opened.pairs))


def _check_genes(model: nn.Module, opened: OpenedPairs | None) -> None:
    known = getattr(getattr(model, "config", model), "n_genes", None)
    if opened is not None and isinstance(known, int) and known != len(opened.pairs.vocab):
        raise InputError(f"the model has {known} genes, the source has {len(opened.pairs.vocab)}: they must agree")


def _of_users(
    subject: Subject, opened: OpenedPairs | None, model: str, state: dict[str, Any] | None, checkpoint: Path | None
) -> Subject:
    """A whole subject that a factory gave, with the parts that the request replaces."""
    if state is not None and checkpoint is not None:
        if subject.model is None:
            raise InputError(f"{model} gives a Subject without a model: leave --checkpoint out")
        load_weights(subject.model, state, checkpoint)
    if opened is None:
        return subject
    return replace(
        subject, pairs=opened.pairs, held_out=None, exact=opened.exact, name=f"{subject.name} on {opened.name}"
    )
