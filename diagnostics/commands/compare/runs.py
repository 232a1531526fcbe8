"""The trainings of a comparison: one world and its pairs, the same for every configuration, and many seeds."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from diagnostics.commands.compare.compare import RankCeilings
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, one_thread
from diagnostics.runs.store import Record
from diagnostics.scoring.errors import errors_of
from diagnostics.scoring.levels import levels_of
from diagnostics.scoring.low_rank import Wanted, least_residual, needed_rank, rank_fits
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.core.random import seed_of, stream
from simulators.exact.bayes import bayes
from simulators.scm.regimes import regime_of
from simulators.worlds import World

N_SAMPLE = 8000
"""Pairs that the baselines are fitted on."""

_NEGLIGIBLE = 1e-4
"""A bound that four decimals do not show."""

SHARE = 0.99
"""Of what is to be learnt, that a rank must explain to be enough."""


@lru_cache(maxsize=1)
def held_out_of(data: Experiment) -> tuple[World, PairBatch]:
    """The world, and the pairs on which losses are measured.

    Parameters
    ----------
    data : Experiment
        As :func:`data_of` gives it, so that trainings on the same data share them.
    """
    made = data.world()
    return made, data.drawn(made, "held out", data.n_held_out)


def data_of(run: Experiment) -> Experiment:
    """What trainings on the same data have in common: the run without what is about its model and training."""
    return replace(run, preset="default", changed=(), n_steps=1, batch_size=1, learning_rate=1.0, replicate=0)


def train(run: Experiment, on_step: OnStep) -> Record:
    """Do one training in one thread; its record."""
    from gpcp.training.replicate import replicate

    made, held_out = held_out_of(data_of(run))
    model_config, fit_config = run.configs(made.graph.n_genes)
    pairs = run.pairs(made, fit_config.n_steps * fit_config.batch_size)
    with one_thread():
        seed = seed_of(run.seed, "compared", run.replicate)
        _, came_to = replicate(model_config, fit_config, pairs, held_out, seed=seed, on_step=on_step)
    return {"key": run.key, **came_to.to_json()}


def ceilings_of(data: Experiment, *, skip: bool, ranks: set[int]) -> RankCeilings:
    """What the held-out pairs score without a model, and what answers of some ranks could score on them.

    Raises
    ------
    InputError
        The exact answer is no better than an input-free baseline: there is nothing to compare for.
    """
    made, held_out = held_out_of(data)
    sample = data.drawn(made, "sample", N_SAMPLE)
    exact = bayes(made.scm, regime_of(data.regime), held_out, rng=stream(data.seed, "bayes"))
    levels = levels_of(sample, held_out, exact=exact, ridge_on=sample)
    if levels.skill(levels.baseline) is None:
        raise InputError(
            f"in {made.name}, {data.regime}, the exact answer's loss {levels.bayes_risk:.4f} is not below "
            f"that of the input-free baseline, {levels.baseline:.4f}: there is nothing to learn; choose another world, "
            "regime or --n-perturbed"
        )
    wanted = Wanted(
        exact_BG=exact.mean_BG,
        scored_BG=held_out.scored_BG,
        before_BG=held_out.before_BG.astype(np.float64) if skip else None,
    )
    fits = rank_fits(wanted, made.graph.n_genes, share=SHARE)
    few = sorted(rank for rank in ranks if rank < fits[-1].rank)
    rng = stream(data.seed, "blocks")
    simulated = 0.0 if levels.exact is None else levels.exact.noise
    return RankCeilings(
        levels=levels,
        residuals=tuple(fit.residual for fit in fits),
        # On the very pairs on which trainings are measured, so that the luck of their noise is the same.
        reached=tuple(errors_of(exact.mean_BG - fit.rest_BG, held_out).loss - simulated for fit in fits),
        # A simulated answer's own noise has full rank: no bound follows from it.
        bounds={} if simulated > 0 else _bounds(wanted, few, rng),
        skip=skip,
        needed=needed_rank(fits, SHARE, noise=simulated),
    )


def _bounds(wanted: Wanted, ranks: list[int], rng: np.random.Generator) -> dict[int, float]:
    """Of the ranks for which one was found that says anything."""
    found = {rank: least_residual(wanted, rank, rng=rng) for rank in ranks}
    return {rank: bound for rank, bound in found.items() if bound > _NEGLIGIBLE}
