"""The subject named by the command's arguments: its pairs, its model, its training."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from diagnostics.checks.engine.fitted_subject import fitted_subject
from diagnostics.checks.engine.subject import Subject
from diagnostics.inputs.models import fit_config_of, load_weights, model_named, model_of_checkpoint, read_checkpoint
from gpcp.core.errors import InputError
from gpcp.opening.cells import source_options
from gpcp.opening.pairs import OpenedPairs, open_pairs, pair_options_of
from gpcp.training.config import FitConfig


def subject_named(arguments: argparse.Namespace) -> Subject:
    """The subject of a command's arguments.

    Raises
    ------
    InputError
        A name is unknown, a file cannot be read, or parts do not fit together.
    """
    named = None if arguments.source is None else pairs_of(arguments)
    checkpoint: Path | None = arguments.checkpoint
    state = None if checkpoint is None else read_checkpoint(checkpoint)
    if arguments.model is None and checkpoint is None:
        if named is None:
            raise InputError("there is nothing to diagnose: give --source, --model, or both")
        return Subject(pairs=named.pairs, exact=named.exact, name=named.name)
    n_genes: int | None = arguments.n_genes if named is None else len(named.pairs.vocab)
    if arguments.model is None and state is not None and checkpoint is not None:
        model = model_of_checkpoint(state, checkpoint)
    else:
        model = model_named(str(arguments.model), n_genes, seed=arguments.seed)
    if isinstance(model, Subject):
        return _of_users(model, named, arguments, state)
    if state is not None and checkpoint is not None:
        load_weights(model, state, checkpoint)
    if named is None and n_genes is not None and not hasattr(getattr(model, "config", model), "n_genes"):
        model.n_genes = n_genes  # pyright: ignore[reportArgumentType]  (a module takes any attribute)
    _check_genes(model, named)
    called = arguments.model or str(checkpoint)
    return _with_training(model, named, arguments, state, called if named is None else f"{called} on {named.name}")


def _check_genes(model: nn.Module, named: OpenedPairs | None) -> None:
    known = getattr(getattr(model, "config", model), "n_genes", None)
    if named is not None and isinstance(known, int) and known != len(named.pairs.vocab):
        raise InputError(f"the model has {known} genes, the source has {len(named.pairs.vocab)}: they must agree")


def _with_training(
    model: nn.Module,
    named: OpenedPairs | None,
    arguments: argparse.Namespace,
    state: dict[str, Any] | None,
    name: str,
) -> Subject:
    """Presets are trained as ``fit`` does; a module of the user's only where a rate is given."""
    pairs, exact = (None, None) if named is None else (named.pairs, named.exact)
    rate: float | None = arguments.learning_rate
    of_preset = arguments.model is None or ":" not in arguments.model
    if not of_preset and rate is None:
        # A rate of ours would be judged as if it were theirs.
        return Subject(pairs=pairs, model=model, exact=exact, name=name)
    config = (None if state is None else fit_config_of(state)) or FitConfig(seed=arguments.seed)
    if rate is not None:
        config = replace(config, learning_rate=rate)
    return fitted_subject(model, pairs, config, learn_units=state is None, exact=exact, name=name)


def _of_users(
    subject: Subject, named: OpenedPairs | None, arguments: argparse.Namespace, state: dict[str, Any] | None
) -> Subject:
    """A whole subject that a factory gave, with the parts that the command line replaces."""
    if arguments.learning_rate is not None:
        raise InputError(f"{arguments.model} gives a whole Subject with its own optimiser: leave --learning-rate out")
    if state is not None:
        if subject.model is None:
            raise InputError(f"{arguments.model} gives a Subject without a model: leave --checkpoint out")
        load_weights(subject.model, state, arguments.checkpoint)
    if named is None:
        return subject
    return replace(subject, pairs=named.pairs, held_out=None, exact=named.exact, name=f"{subject.name} on {named.name}")


def pairs_of(arguments: argparse.Namespace) -> OpenedPairs:
    """The pairs of ``--source``: of a world by its regime, or of cells matched two by two.

    Raises
    ------
    InputError
        As the source itself; or an option is given that has no meaning for it.
    """
    options = source_options(arguments)
    return open_pairs(
        arguments.source, pair_options_of(arguments), genes=arguments.genes, seed=arguments.seed, **options
    )
