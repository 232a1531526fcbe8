"""The planned engine: pairs chosen in index space, cells read when a batch of pairs is asked for.

Dimension key: ``B`` cells, ``P`` pairs, ``T`` 2, the two cells of a pair, ``N`` cells of a source, ``W`` words of 64
bits that hold the genes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.pairing_keys import KeyedCells, Keys, PairRule
from gpcp.pairing_stats import SAMPLE_PAIRS, PairingStats, mean_and_error, relaxed_P
from gpcp.planning import Planning
from gpcp.randomness import stream
from gpcp.signatures import expressed_words, jaccard, n_bits, words_of
from gpcp.sparse_cells import IndexedCells, signatures_of
from gpcp.sparse_pairs import SparsePairs
from gpcp.told import oriented, told_bits

READ_PAIRS = 1024
"""Pairs that are read at a time, if batches are smaller: a call for many rows costs less for each."""

READ_CELLS = 8192
"""Cells that are read at a time where only their expressed genes are wanted."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """The pairs of one pass.

    Parameters
    ----------
    seed : int
    pair_PT : int64, (P, T)
        Rows of the source's index, in the order in which pairs are given; a coin has still to say which is before.
    """

    seed: int
    pair_PT: NDArray[np.int64]


@final
class PlannedPairs:
    """Pairs of cells that are known beforehand.

    Parameters
    ----------
    cells : IndexedCells
    rule : PairRule
    told : (int, int)
    best_of : int
        As in :class:`gpcp.pools.Waiting`.
    """

    def __init__(self, cells: IndexedCells, *, rule: PairRule, told: tuple[int, int], best_of: int) -> None:
        self._cells, self._rule, self._told, self._best_of = cells, rule, told, best_of
        self._last: Plan | None = None
        rule.check_covariates(cells.index)

    @cached_property
    def _keyed(self) -> KeyedCells:
        wanted = self._best_of > 1 or self._rule.needs_depth
        return Keys(self._rule).of(self._cells.index, signature_words(self._cells) if wanted else None)

    @cached_property
    def _planning(self) -> Planning:
        return Planning(self._keyed, best_of=self._best_of)

    @property
    def n_pairs(self) -> int:
        """Pairs of every pass."""
        return self._planning.n_pairs

    def plan(self, seed: int) -> Plan:
        """The pairs of a pass; the last plan is kept."""
        if self._last is None or self._last.seed != seed:
            self._last = Plan(seed=seed, pair_PT=self._planning.pairs(seed))
        return self._last

    def late_pairs(self, *, batch_size: int, seed: int, start: int, step: int) -> Iterator[SparsePairs]:
        """Batches ``start``, ``start + step``, ...: no other cell is read."""
        plan = self.plan(seed)
        n_batches = -(-len(plan.pair_PT) // batch_size)
        at_once = max(1, READ_PAIRS // batch_size) * step
        for first in range(start, n_batches, at_once):
            batches = range(first, min(first + at_once, n_batches), step)
            yield from self._read(plan, batches, batch_size)

    def _read(self, plan: Plan, batches: range, batch_size: int) -> Iterator[SparsePairs]:
        """Some batches, read at once."""
        number_P = np.concatenate([np.arange(batch * batch_size, (batch + 1) * batch_size) for batch in batches])
        number_P = number_P[number_P < len(plan.pair_PT)]
        before_P, after_P = oriented(plan.pair_PT[number_P], seed=plan.seed, number_P=number_P)
        cells = self._cells.sparse_rows(np.concatenate([before_P, after_P]))
        n_pairs = len(number_P)
        before, after = cells.index.rows(slice(0, n_pairs)), cells.index.rows(slice(n_pairs, None))
        told_PW = told_bits(before, after, self._told, seed=plan.seed, number_P=number_P)
        for place in range(0, n_pairs, batch_size):
            end = min(place + batch_size, n_pairs)
            yield SparsePairs(
                before=cells.rows(slice(place, end)),
                after=cells.rows(slice(n_pairs + place, n_pairs + end)),
                told_BW=told_PW[place:end],
            )

    def stats(self, seed: int) -> PairingStats:
        """What the plan does with the cells; a sample of pairs is read to see how alike their cells are."""
        pair_PT, n_cells = self.plan(seed).pair_PT, len(self._keyed)
        sample_PT = stream(seed, "pairing", "sample of pairs").permutation(pair_PT)[:SAMPLE_PAIRS]
        jaccard_P, shared_P = self._likeness(sample_PT)
        mean, error = mean_and_error(jaccard_P)
        random_P, _ = self._likeness(self._planning.random_pairs(SAMPLE_PAIRS, seed))
        random_mean, random_error = mean_and_error(random_P)
        return PairingStats(
            n_cells=n_cells,
            n_paired=2 * len(pair_PT),
            n_left_over=self._planning.n_usable - 2 * len(pair_PT),
            n_filtered=n_cells - self._planning.n_usable,
            n_relaxed=int(relaxed_P(self._keyed, pair_PT).sum()),
            jaccard=mean,
            jaccard_se=error,
            random_jaccard=random_mean,
            random_jaccard_se=random_error,
            shared_genes=float(shared_P.mean()) if len(shared_P) else None,
        )

    def _likeness(self, pair_PT: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Jaccard index of some pairs, and how many genes both cells were measured for; (P,) each."""
        keyed = self._keyed
        if keyed.word_BW.shape[1]:
            first_PW, second_PW = keyed.word_BW[pair_PT[:, 0]], keyed.word_BW[pair_PT[:, 1]]
        else:
            cells = self._cells.sparse_rows(pair_PT.T.reshape(-1))
            first_PW, second_PW = np.split(expressed_words(cells), 2)
        first_measured_PW, second_measured_PW = keyed.measured_SW[keyed.set_B[pair_PT.T]]
        jaccard_P = jaccard(first_PW, second_PW, first_measured_PW, second_measured_PW)
        return jaccard_P, n_bits(first_measured_PW & second_measured_PW)


def signature_words(cells: IndexedCells) -> NDArray[np.uint64]:
    """The expressed genes of all cells of a source, uint64 (N, W): as it keeps them, or else read once."""
    kept = signatures_of(cells)
    if kept is not None:
        return words_of(kept)
    n_cells = len(cells.index)
    if not n_cells:
        return np.zeros((0, -(-len(cells.vocab) // 64)), dtype=np.uint64)
    starts = range(0, n_cells, READ_CELLS)
    rows = (np.arange(start, min(start + READ_CELLS, n_cells)) for start in starts)
    return np.concatenate([expressed_words(cells.sparse_rows(row_B)) for row_B in rows])
