"""Pairs of another source: altered block by block, slow, or from passes that are seen nowhere else."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np

from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource, rebatched
from gpcp.core.perturbations import PerturbationVocab, perturbations_of
from gpcp.core.random import stream
from simulators.scm.regimes import Regime

_BLOCK = 256
Alter: TypeAlias = Callable[[PairBatch, np.random.Generator], PairBatch]
"""A block of pairs and random numbers to other pairs."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class AlteredPairs:
    """The pairs of a source, with one thing changed.

    Parameters
    ----------
    source : PairSource
    alter : callable, optional
        Alters block by block, whatever the batch size.
    wait_s : float
        Seconds to wait before each batch.
    further : int
        Added to the seed of every pass.
    """

    source: PairSource
    alter: Alter | None = None
    wait_s: float = 0.0
    further: int = 0

    @property
    def vocab(self) -> GeneVocab:
        """The source's."""
        return self.source.vocab

    @property
    def n_pairs(self) -> int | None:
        """The source's."""
        return self.source.n_pairs

    @property
    def perturbations(self) -> PerturbationVocab | None:
        """The source's, where they have names of their own."""
        return perturbations_of(self.source)

    @property
    def regime(self) -> Regime | None:
        """The regime that the source declares."""
        return getattr(self.source, "regime", None)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass."""
        if self.alter is None:
            batches = self.source.pairs(batch_size=batch_size, seed=seed + self.further)
        else:
            batches = rebatched(self._blocks(self.alter, seed + self.further), batch_size=batch_size)
        for batch in batches:
            time.sleep(self.wait_s)
            yield batch

    def _blocks(self, alter: Alter, seed: int) -> Iterator[PairBatch]:
        for number, block in enumerate(self.source.pairs(batch_size=_BLOCK, seed=seed)):
            yield alter(block, stream(seed, "altered pairs", number))


def partly_measured(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Every other pair measures about two thirds of its genes, of which some stay perturbed and some scored."""
    measured_BG = rng.random(pairs.before_BG.shape) < 2 / 3
    measured_BG |= (np.arange(len(pairs)) % 2 == 0)[:, None]
    lost_B = ~(measured_BG & pairs.perturbed_BG).any(axis=1) | ~(measured_BG & pairs.scored_BG).any(axis=1)
    measured_BG = pairs.measured_BG & (measured_BG | lost_B[:, None])
    return pairs.measured_where(measured_BG)
