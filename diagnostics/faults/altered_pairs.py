"""Sources of pairs made of other sources: altered block by block, always the same, or slow."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np

from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource, rebatched
from gpcp.core.random import stream
from simulators.scm.regimes import Regime

_BLOCK = 256
Alter: TypeAlias = Callable[[PairBatch, np.random.Generator], PairBatch]
"""A block of pairs and random numbers to other pairs."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class AlteredPairs:
    """The pairs of a source, altered block by block, whatever the batch size."""

    source: PairSource
    alter: Alter

    @property
    def vocab(self) -> GeneVocab:
        """The source's."""
        return self.source.vocab

    @property
    def n_pairs(self) -> int | None:
        """The source's."""
        return self.source.n_pairs

    @property
    def regime(self) -> Regime | None:
        """The regime that the source declares."""
        return getattr(self.source, "regime", None)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass."""
        return rebatched(self._blocks(seed), batch_size=batch_size)

    def _blocks(self, seed: int) -> Iterator[PairBatch]:
        for number, block in enumerate(self.source.pairs(batch_size=_BLOCK, seed=seed)):
            yield self.alter(block, stream(seed, "altered pairs", number))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SlowPairs:
    """The pairs of a source, with a wait before each batch."""

    source: PairSource
    wait_s: float

    @property
    def vocab(self) -> GeneVocab:
        """The source's."""
        return self.source.vocab

    @property
    def n_pairs(self) -> int | None:
        """The source's."""
        return self.source.n_pairs

    @property
    def regime(self) -> Regime | None:
        """The regime that the source declares."""
        return getattr(self.source, "regime", None)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass."""
        for batch in self.source.pairs(batch_size=batch_size, seed=seed):
            time.sleep(self.wait_s)
            yield batch
