"""The trainings of a comparison: one world or one split of cells, the same pairs for all, and many seeds."""

import numpy as np

from diagnostics.commands.compare.compare import RankCeilings
from diagnostics.inputs.data import CellsData, ScreenRunData, WorldData, data_of, perturbations_read
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, one_thread
from diagnostics.runs.store import Record
from diagnostics.scoring.errors import errors_of
from diagnostics.scoring.levels import Levels
from diagnostics.scoring.low_rank import Wanted, least_residual, needed_rank, rank_fits
from gpcp.core.errors import InputError
from gpcp.core.random import seed_of, stream

_NEGLIGIBLE = 1e-4
"""A bound that four decimals do not show."""

SHARE = 0.99
"""Of what is to be learnt, that a rank must explain to be enough."""


def train(run: Experiment, on_step: OnStep) -> Record:
    """Do one training in one thread; its record."""
    from gpcp.training.replicate import replicate

    data = data_of(run)
    model_config, fit_config = run.configs(len(data.vocab), perturbations_read(data))
    pairs = data.training(fit_config.n_steps * fit_config.batch_size)
    with one_thread():
        seed = seed_of(run.seed, "compared", run.replicate)
        _, came_to = replicate(model_config, fit_config, pairs, data.held_out, seed=seed, on_step=on_step)
    return {"key": run.key, **came_to.to_json()}


def references_of(run: Experiment, *, skip: bool, ranks: set[int]) -> tuple[Levels, RankCeilings | None]:
    """What the held-out pairs score without a model, and of a world what answers of some ranks could score on them.

    Raises
    ------
    InputError
        The exact answer is no better than an input-free baseline: there is nothing to compare for.
    """
    data = data_of(run)
    if isinstance(data, CellsData):
        return data.held_out_levels(), None
    exact, held_out = data.exact(), data.held_out
    if exact is None:
        assert isinstance(data, ScreenRunData), "a world has an exact answer"
        return data.held_out_levels(), None
    levels = data.levels(exact) if isinstance(data, WorldData) else data.held_out_levels()
    risk = levels.bayes_risk
    assert risk is not None, "a world has an exact answer"
    if levels.skill(levels.baseline) is None:
        raise InputError(
            f"in {run.title}, {run.regime}, the exact answer's loss {risk:.4f} is not below "
            f"that of the input-free baseline, {levels.baseline:.4f}: there is nothing to learn; choose another world, "
            "regime or --n-perturbed"
        )
    wanted = Wanted(
        exact_BG=exact.mean_BG,
        scored_BG=held_out.scored_BG,
        before_BG=held_out.before_BG.astype(np.float64) if skip else None,
    )
    fits = rank_fits(wanted, len(data.vocab), share=SHARE)
    few = sorted(rank for rank in ranks if rank < fits[-1].rank)
    rng = stream(run.seed, "blocks")
    simulated = 0.0 if levels.exact is None else levels.exact.noise
    return levels, RankCeilings(
        bayes_risk=risk,
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
