"""Sources of pairs with one thing changed, and cells that a finite source gives again and again.

Dimension key: ``B`` pairs, ``G`` genes of the vocabulary.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.core.random import stream
from simulators.scm.regimes import Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import world

Change = Callable[[PairBatch, np.random.Generator], PairBatch]


def pairs_of(
    name: str = "scale_free/8", regime: Regime = "interventional", *, n_pairs: int = 5_000, seed: int = 0, **more: Any
) -> SimulatedPairs:
    return SimulatedPairs(scm=world(name, seed=seed).scm, regime=regime, n_pairs=n_pairs, **more)


@final
@dataclass(frozen=True, slots=True)
class Changed:
    """The pairs of a source after a change, which may draw; in blocks of its own, whatever the batch size."""

    source: PairSource
    change: Change
    regime: Regime | None = None

    @property
    def vocab(self) -> GeneVocab:
        return self.source.vocab

    @property
    def n_pairs(self) -> int | None:
        return self.source.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        from gpcp.core.pairs import rebatched

        blocks = (
            self.change(block, stream(seed, "changed", number))
            for number, block in enumerate(self.source.pairs(batch_size=512, seed=seed))
        )
        return rebatched(blocks, batch_size=batch_size)


@final
@dataclass(frozen=True, slots=True)
class Fixed:
    """The same pairs in every pass, in an order that the seed decides."""

    batch: PairBatch

    @property
    def vocab(self) -> GeneVocab:
        return self.batch.vocab

    @property
    def n_pairs(self) -> int | None:
        return len(self.batch)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        order_B = stream(seed, "fixed").permutation(len(self.batch))
        for start in range(0, len(order_B), batch_size):
            yield self.batch.rows(order_B[start : start + batch_size])


def drawn(source: PairSource, n_pairs: int, seed: int = 0) -> PairBatch:
    """The first pairs of a pass."""
    return next(iter(source.pairs(batch_size=n_pairs, seed=seed)))


def with_after(pairs: PairBatch, after_BG: NDArray[np.floating]) -> PairBatch:
    return replace(pairs, after_BG=np.where(pairs.measured_BG, after_BG, 0).astype(np.float32))


def with_before(pairs: PairBatch, before_BG: NDArray[np.floating]) -> PairBatch:
    return replace(pairs, before_BG=np.where(pairs.measured_BG, before_BG, 0).astype(np.float32))


def partly_measured(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Two thirds of the genes, others in each pair."""
    measured_BG = pairs.measured_BG & (rng.random(pairs.measured_BG.shape) < 2 / 3)
    return pairs.measured_where(measured_BG)
