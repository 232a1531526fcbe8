"""What the arguments of ``python -m diagnostics`` name, as a subject: its pairs, its model, its training.

No dimension key: nothing here is an array.
"""

import argparse
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

from torch import nn

from diagnostics.audit_sample import sample_cells
from diagnostics.checks.subject import ExactAnswer, Subject
from diagnostics.fitted_subject import fitted_subject
from diagnostics.named_model import fit_config_of, load_weights, model_named, model_of_checkpoint, read_checkpoint
from diagnostics.source_names import N_CELLS
from gpcp.cells import CellSource
from gpcp.errors import InputError
from gpcp.fit_config import FitConfig
from gpcp.pairing import Paired
from gpcp.pairs import PairSource
from gpcp.source_names import cells_named, source_options
from simulators.bayes import bayes, is_exact
from simulators.regimes import regime_of
from simulators.sources import SimulatedPairs
from simulators.worlds import world

_SYNTHETIC = "synthetic:"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NamedPairs:
    """The pairs of a source, what is known of them exactly, and what they are called.

    Parameters
    ----------
    pairs : PairSource
    exact : callable or None
    name : str
    """

    pairs: PairSource
    exact: ExactAnswer | None
    name: str


def subject_named(arguments: argparse.Namespace) -> Subject:
    """The subject of a command's arguments.

    Raises
    ------
    InputError
        A name is unknown, a file cannot be read, or parts do not fit together.
    """
    named = None if arguments.source is None else pairs_named(arguments)
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


def _check_genes(model: nn.Module, named: NamedPairs | None) -> None:
    known = getattr(getattr(model, "config", model), "n_genes", None)
    if named is not None and isinstance(known, int) and known != len(named.pairs.vocab):
        raise InputError(f"the model knows {known} genes, the source has {len(named.pairs.vocab)}: they must agree")


def _with_training(
    model: nn.Module,
    named: NamedPairs | None,
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
    subject: Subject, named: NamedPairs | None, arguments: argparse.Namespace, state: dict[str, Any] | None
) -> Subject:
    """A whole subject that a factory gave, with what the command line puts in its place."""
    if arguments.learning_rate is not None:
        raise InputError(f"{arguments.model} gives a whole Subject with its own optimiser: leave --learning-rate out")
    if state is not None:
        if subject.model is None:
            raise InputError(f"{arguments.model} gives a Subject without a model: leave --checkpoint out")
        load_weights(subject.model, state, arguments.checkpoint)
    if named is None:
        return subject
    return replace(subject, pairs=named.pairs, held_out=None, exact=named.exact, name=f"{subject.name} on {named.name}")


def pairs_named(arguments: argparse.Namespace) -> NamedPairs:
    """The pairs of ``--source``: of a world by its regime, or of cells matched two by two.

    Raises
    ------
    InputError
        As the source itself; or an option is given that has no meaning for it.
    """
    source: str = arguments.source
    options = source_options(arguments)
    if source.startswith(_SYNTHETIC) and "library_size" not in options:
        return of_world(source, arguments, options)
    if arguments.regime is not None:
        raise InputError(
            "--regime is for a simulated world in its own units: leave it out; cells are matched two by two"
        )
    whole = cells_named(source, genes=arguments.genes, **options)
    # Read once and kept: a training goes through them many times.
    cells = sample_cells(whole, whole.vocab.feature_id, max_cells=arguments.max_cells, seed=arguments.seed)
    match_on = tuple(name for name in ("cell_type",) if name in cells.index.covariates)
    if arguments.match_on is not None:
        match_on = tuple(arguments.match_on)
    source_of_cells: CellSource = cells
    pairs = Paired(
        source_of_cells,
        match_on=match_on,
        differ_on=tuple(arguments.differ_on),
        told=None if arguments.told is None else tuple(arguments.told),
    )
    shared = f"pairs of the same {', '.join(match_on)}" if match_on else "pairs of any two cells"
    return NamedPairs(pairs=pairs, exact=None, name=f"{source} ({len(cells):,} cells, {shared})")


def of_world(source: str, arguments: argparse.Namespace, options: dict[str, Any]) -> NamedPairs:
    """The pairs of a world in its own units, by the regime that is asked for.

    Raises
    ------
    InputError
        The world is unknown, or an option is given that has no meaning for it.
    """
    for given, flag in ((arguments.match_on, "--match-on"), (arguments.differ_on, "--differ-on")):
        if given:
            raise InputError(f"{flag} is for cells that are matched: give --library-size too, or leave it out")
    if arguments.genes is not None:
        raise InputError("--genes is for sources of cells: give --library-size too, or leave it out")
    made = world(source.removeprefix(_SYNTHETIC), seed=options.pop("world_seed", 0))
    n_pairs = max(1, options.pop("n_cells", N_CELLS) // 2)
    for name in options:
        raise InputError(f"--{name.replace('_', '-')} is of sequenced cells: give --library-size too")
    regime = regime_of(arguments.regime or "interventional")
    pairs = SimulatedPairs(
        scm=made.scm, regime=regime, n_pairs=n_pairs, told=None if arguments.told is None else tuple(arguments.told)
    )
    # A simulated answer would cost more than it shows here.
    exact = partial(bayes, made.scm, regime) if is_exact(made.scm, regime) else None
    return NamedPairs(pairs=pairs, exact=exact, name=f"{source} ({regime} pairs)")


def checked_place(path: Path | None, flag: str) -> None:
    """Refuse a file that cannot be written, before anything is run.

    Raises
    ------
    InputError
        It is a folder, or a file stands where its folder should be.
    """
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{flag}: {path} is a folder; name a file")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise InputError(f"{flag}: {existing} is a file, not a folder; name another place")
