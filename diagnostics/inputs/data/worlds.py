"""The data of an experiment on a known world: pairs drawn afresh, and the exact answer to those held out."""

from dataclasses import dataclass
from functools import lru_cache
from typing import final

from diagnostics.runs.experiment import Experiment
from diagnostics.scoring.levels import Levels, levels_of
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.random import stream
from simulators.exact.bayes import BayesAnswer, bayes
from simulators.scm.regimes import Regime, regime_of
from simulators.sources import SimulatedPairs
from simulators.worlds import World

N_SAMPLE = 8000
"""Training pairs that the baselines are fitted on."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WorldData:
    """The pairs of a known world.

    Parameters
    ----------
    run : Experiment
    world : World
    sample, held_out : PairBatch
        Pairs for the baselines, and those on which every loss is measured.
    """

    run: Experiment
    world: World
    sample: PairBatch
    held_out: PairBatch

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every pair."""
        return self.world.graph.vocab

    @property
    def regime(self) -> Regime:
        """Of all pairs."""
        return regime_of(self.run.regime)

    def training(self, n_pairs: int) -> SimulatedPairs:
        """So many pairs, fresh in every pass, in streams apart from the others."""
        return self.run.pairs(self.world, n_pairs)

    def exact(self) -> BayesAnswer:
        """The exact answer to the held-out pairs."""
        return bayes(self.world.scm, self.regime, self.held_out, rng=stream(self.run.seed, "bayes"))

    def levels(self, exact: BayesAnswer) -> Levels:
        """What losses on the held-out pairs are read against."""
        return levels_of(self.sample, self.held_out, exact=exact, ridge_on=self.sample)


def world_data_of(run: Experiment) -> WorldData:
    """The pairs of an experiment's world; errors as :meth:`Experiment.world` and :meth:`Experiment.pairs`."""
    return _world_data(run.data)


@lru_cache(maxsize=1)
def _world_data(data: Experiment) -> WorldData:
    made = data.world()
    return WorldData(
        run=data,
        world=made,
        sample=data.drawn(made, "sample", N_SAMPLE),
        held_out=data.drawn(made, "held out", data.n_held_out),
    )
