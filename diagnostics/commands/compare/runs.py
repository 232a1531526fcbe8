"""The trainings of a comparison: one world and its pairs, the same for every configuration, and many seeds.

Dimension key: ``B`` pairs, ``G`` genes.

A training is asked for by a value that names everything that decides it; what is finished is not done again.
"""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, final

import numpy as np

import gpcp
from diagnostics.commands.compare.compare import RankCeilings
from diagnostics.runs.execute import OnStep
from diagnostics.runs.store import Record
from diagnostics.runs.trained import one_thread
from diagnostics.scoring.errors import errors_of
from diagnostics.scoring.levels import levels_of
from diagnostics.scoring.low_rank import Wanted, least_residual, needed_rank, rank_fits
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.random import seed_of, stream
from simulators.exact.bayes import bayes
from simulators.scm.regimes import regime_of
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world

if TYPE_CHECKING:
    from gpcp.model.config import ModelConfig
    from gpcp.training.config import FitConfig

N_SAMPLE = 8000
"""Pairs that the baselines are fitted on."""

_SAYS_NOTHING = 1e-4
"""A bound that four decimals do not show."""

SHARE = 0.99
"""Of what is to be learnt, that a rank must explain to be enough."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What every configuration learns from and is measured on.

    Parameters
    ----------
    world : str
        Name as :func:`simulators.worlds.world` reads it.
    network, network_digest : str or None
        A regulator-target table, and the digest of what it holds.
    regime : str
    n_perturbed : (int, int)
        Fewest and most genes told a pair.
    seed : int
        Of the world, and of the pairs on which losses are measured.
    n_held_out : int
    """

    world: str
    network: str | None
    network_digest: str | None
    regime: str
    n_perturbed: tuple[int, int]
    seed: int
    n_held_out: int

    def pairs(self, made: World, n_pairs: int) -> SimulatedPairs:
        """Pairs of this setting, fresh for every seed."""
        return SimulatedPairs(
            scm=made.scm, regime=regime_of(self.regime), n_pairs=n_pairs, n_perturbed=self.n_perturbed
        )


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One configuration trained from one seed.

    Parameters
    ----------
    setting : Setting
    name : str
        Of the part that is compared.
    model, fit : str
        Both configurations as JSON.
    seed : int
        Number of the training; the same number is the same pairs in the same order for every configuration.
    """

    setting: Setting
    name: str
    model: str
    fit: str
    seed: int

    @property
    def key(self) -> str:
        """What decides its result; another version's results are other results."""
        return json.dumps({"gpcp": gpcp.__version__, **asdict(self)}, sort_keys=True)

    @property
    def configs(self) -> "tuple[ModelConfig, FitConfig]":
        """Both configurations."""
        from gpcp.model.config import ModelConfig
        from gpcp.training.config import FitConfig

        return ModelConfig(**json.loads(self.model)), FitConfig(**json.loads(self.fit))


@lru_cache(maxsize=1)
def held_out_of(setting: Setting) -> tuple[World, PairBatch]:
    """The world, and the pairs on which losses are measured."""
    made = world(setting.world, seed=setting.seed, network=setting.network)
    source = setting.pairs(made, setting.n_held_out)
    batches = source.pairs(batch_size=setting.n_held_out, seed=seed_of(setting.seed, "held out"))
    return made, concatenate(batches)


def train(training: Training, on_step: OnStep) -> Record:
    """Do one training in one thread; its record."""
    from gpcp.training.replicate import replicate

    made, held_out = held_out_of(training.setting)
    model_config, fit_config = training.configs
    pairs = training.setting.pairs(made, fit_config.n_steps * fit_config.batch_size)
    with one_thread():
        seed = seed_of(training.setting.seed, "compared", training.seed)
        _, came_to = replicate(model_config, fit_config, pairs, held_out, seed=seed, on_step=on_step)
    return {"key": training.key, "name": training.name, "number": training.seed, **came_to.to_json()}


def ceilings_of(setting: Setting, *, skip: bool, ranks: set[int]) -> RankCeilings:
    """What the held-out pairs score without a model, and what answers of some ranks could score on them.

    Raises
    ------
    InputError
        The exact answer is no better than an input-free baseline: there is nothing to compare for.
    """
    made, held_out = held_out_of(setting)
    source = setting.pairs(made, N_SAMPLE)
    sample = concatenate(source.pairs(batch_size=N_SAMPLE, seed=seed_of(setting.seed, "sample")))
    exact = bayes(made.scm, regime_of(setting.regime), held_out, rng=stream(setting.seed, "bayes"))
    levels = levels_of(sample, held_out, exact=exact, ridge_on=sample)
    if levels.skill(levels.baseline) is None:
        raise InputError(
            f"in {made.name}, {setting.regime}, the exact answer's loss {levels.bayes_risk:.4f} is not below "
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
    rng = stream(setting.seed, "blocks")
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
    return {rank: bound for rank, bound in found.items() if bound > _SAYS_NOTHING}
