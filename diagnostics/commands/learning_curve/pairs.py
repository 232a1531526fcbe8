"""The pairs of one training of a learning curve, drawn once, and what its losses are read against."""

from dataclasses import dataclass
from itertools import islice
from typing import final

from diagnostics.inputs.data import CellsData, CellSide, ScreenRunData, real_data_of
from diagnostics.inputs.data.screens import drawn as drawn_screen
from diagnostics.runs.experiment import Experiment
from diagnostics.scoring.errors import Errors
from diagnostics.scoring.levels import Levels, exact_loss, levels_of
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.random import seed_of, stream
from simulators.exact.bayes import BayesAnswer, bayes
from simulators.scm.regimes import regime_of
from simulators.sources import SimulatedPairs
from simulators.worlds import World

N_HELD_OUT, N_VALIDATION, N_REFERENCE, N_TRAIN_LOSS = 4000, 500, 8000, 2000
"""Pairs that losses are measured on, that choose the weights, that the input-free baseline takes its means from (the
same for all numbers of pairs, so that skill is one scale), and, at most, that the training loss is measured on."""

VALIDATION_SHARE = 0.1
"""Of the cells that are not held out."""

_ENDLESS = 2**40
"""Pairs of a pass that is not gone through to its end: all blocks are whole, and few pairs are the first of many."""


def source_of(run: Experiment, made: World) -> SimulatedPairs:
    """Pairs of its world and regime without end.

    Raises
    ------
    InputError
        The regime does not exist or ``n_perturbed`` is out of range.
    """
    return run.pairs(made, _ENDLESS)


def drawn(source: SimulatedPairs, n_pairs: int, seed: int) -> PairBatch:
    """The first pairs of a pass; fewer of them are the first of more."""
    size = min(n_pairs, 2000)
    batches = islice(source.pairs(batch_size=size, seed=seed), -(-n_pairs // size))
    return concatenate(batches).rows(slice(0, n_pairs))


def n_pairs_of(run: Experiment) -> int:
    """Training pairs of a run, all of which are drawn before it is trained."""
    assert run.n_pairs is not None, "a learning curve is over numbers of pairs"
    return run.n_pairs


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FinitePairs:
    """The pairs of one training, and what its losses are read against.

    Parameters
    ----------
    training, held_out, validation : PairBatch
    levels, validation_levels : Levels
        The same for all numbers of pairs, so that skill is one scale.
    ridge : Errors or None
        Of ridge on the training pairs, on the held-out ones.
    exact_train_loss : float or None
        Of the exact answer on the first training pairs; None where it is not known.
    """

    training: PairBatch
    held_out: PairBatch
    validation: PairBatch
    levels: Levels
    validation_levels: Levels
    ridge: Errors | None
    exact_train_loss: float | None


def world_pairs(run: Experiment, made: World) -> FinitePairs:
    """Pairs of the world of a run, in streams apart."""
    source = source_of(run, made)
    training, held_out, validation, reference = (
        drawn(source, n, seed_of(run.seed, "learning curve", purpose))
        for purpose, n in (
            ("training", n_pairs_of(run)),
            ("held out", run.n_held_out),
            ("validation", N_VALIDATION),
            ("training", N_REFERENCE),
        )
    )
    some = training.rows(slice(0, N_TRAIN_LOSS))
    levels = levels_of(reference, held_out, exact=_answer(run, made, held_out), ridge_on=training)
    return FinitePairs(
        training=training,
        held_out=held_out,
        validation=validation,
        levels=levels,
        validation_levels=levels_of(reference, validation, exact=_answer(run, made, validation), ridge_on=None),
        ridge=levels.ridge,
        exact_train_loss=exact_loss(_answer(run, made, some), some).risk,
    )


def data_of_cells(run: Experiment) -> CellsData | ScreenRunData:
    """The cells of a run, some of them spared to choose weights."""
    return real_data_of(run, validation_share=VALIDATION_SHARE)


def check_validation(run: Experiment) -> None:
    """Refuse a run whose spared cells make no pair.

    Raises
    ------
    InputError
        They make none.
    """
    data = data_of_cells(run)
    if isinstance(data, CellsData):
        _validation(data, run)


def _validation(data: CellsData, run: Experiment) -> tuple[CellSide, PairBatch]:
    """The cells that choose weights, and their pairs."""
    spared = data.validation_cells
    assert spared is not None, "they were asked for"
    return spared, spared.drawn(run.seed, "validation", N_VALIDATION)


def pairs_of_cells(run: Experiment) -> FinitePairs:
    """Pairs of the cells of a run: no cell is in pairs of two kinds."""
    data = data_of_cells(run)
    return _screen_pairs(run, data) if isinstance(data, ScreenRunData) else _matched_pairs(run, data)


def _matched_pairs(run: Experiment, data: CellsData) -> FinitePairs:
    training = data.training_cells.drawn(run.seed, "learning curve training", n_pairs_of(run))
    spared, validation = _validation(data, run)
    return FinitePairs(
        training=training,
        held_out=data.held_out,
        validation=validation,
        levels=data.held_out_levels(),
        validation_levels=data.levels(validation, spared, ridge_on=data.sample),
        ridge=levels_of(data.sample, data.held_out, ridge_on=training).ridge,
        exact_train_loss=None,
    )


def _screen_pairs(run: Experiment, data: ScreenRunData) -> FinitePairs:
    """The first pairs of a pass over the perturbed cells, each once; more than one pass gives are not asked for."""
    assert data.validation_pairs is not None, "they were asked for"
    training = drawn_screen(data.training_pairs, run.seed, "learning curve training", n_pairs_of(run))
    validation = drawn_screen(data.validation_pairs, run.seed, "validation", N_VALIDATION)
    levels = data.held_out_levels()
    some = training.rows(slice(0, N_TRAIN_LOSS))
    exact = data.exact_of(some)
    return FinitePairs(
        training=training,
        held_out=data.held_out,
        validation=validation,
        levels=levels,
        validation_levels=data.levels(validation, ridge_on=data.sample),
        ridge=levels_of(data.sample, data.held_out, ridge_on=training).ridge,
        exact_train_loss=None if exact is None else exact_loss(exact, some).risk,
    )


def _answer(run: Experiment, made: World, pairs: PairBatch) -> BayesAnswer:
    return bayes(made.scm, regime_of(run.regime), pairs, rng=stream(run.seed, "learning curve", "bayes"))
