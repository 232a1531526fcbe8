"""The planned engine: the pairs of a pass are chosen from the index; cells are read when their batch is asked for.

Cells are taken in a random order, by the same rules as for cells that stream by: first come, first matched, or the
best of a queue. Where not all of a key may meet, cells that are left over exchange partners with others until nothing
is gained. How many pairs there are must not depend on the seed: :class:`Planning` settles it for each key, once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.random import stream
from gpcp.pairing.buffer import BufferLimits, PairingBuffer
from gpcp.pairing.jaccard import expressed_words, jaccard, n_bits, words_of
from gpcp.pairing.matching import NOBODY, first_come, mended
from gpcp.pairing.perturbed_genes import oriented, perturbed_bits
from gpcp.pairing.rules import KeyedCells, Keys, PairRule
from gpcp.pairing.sparse_pairs import SparsePairs
from gpcp.pairing.stats import SAMPLE_PAIRS, PairingStats, mean_and_error, relaxed_P
from gpcp.sources.sparse import IndexedCells, signatures_of

READ_PAIRS = 1024
"""Pairs that are read at a time, if batches are smaller: a call for many rows costs less for each."""

READ_CELLS = 8192
"""Cells that are read at a time where only their expressed genes are wanted."""


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


@final
class Planning:
    """Plans for all seeds over the same cells.

    Parameters
    ----------
    cells : KeyedCells
        With their expressed genes, unless ``best_of`` is 1.
    best_of : int
        As in :class:`gpcp.pairing.buffer.BufferLimits`.
    """

    def __init__(self, cells: KeyedCells, *, best_of: int = 1) -> None:
        self._cells, self._best_of = cells, best_of
        self._usable = np.flatnonzero(cells.usable_B).astype(np.int64)

    @cached_property
    def n_usable(self) -> int:
        """Cells that were measured for genes enough to be in a pair."""
        return len(self._usable)

    @cached_property
    def _constrained(self) -> bool:
        return bool(self._cells.rule.differ_on) or not self._cells.rows(self._usable).all_share

    @cached_property
    def _kind_B(self) -> NDArray[np.int64]:
        """Equal for cells of a key that may meet the same others."""
        traits = np.stack([self._cells.hard_B, self._cells.set_B, *self._cells.label_CB])
        return np.unique(traits, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @cached_property
    def _settled(self) -> NDArray[np.int64]:
        """Pairs of one fixed draw, int64 (P, T): each key has as many in every pass."""
        rng = stream(0, "pairing", "settled")
        order = rng.permutation(self._usable)
        return self._complete(*self._first_come(order, rng), rng)

    @cached_property
    def n_pairs(self) -> int:
        """Pairs of every pass."""
        if self._constrained:
            return len(self._settled)
        return int((np.unique(self._cells.hard_B[self._usable], return_counts=True)[1] // 2).sum())

    def pairs(self, seed: int) -> NDArray[np.int64]:
        """Rows of the cells of each pair of a pass, in a random order; int64 (P, T)."""
        rng = stream(seed, "pairing", "plan")
        order = rng.permutation(self._usable)
        pair_PT, free = self._best(order) if self._best_of > 1 else self._first_come(order, rng)
        if self._constrained:
            pair_PT = self._fitted(self._complete(pair_PT, free, rng), rng)
        return rng.permutation(pair_PT)

    def random_pairs(self, n_pairs: int, seed: int) -> NDArray[np.int64]:
        """Rows of pairs that share ``match_on`` and are random otherwise, at most so many; int64 (P, T)."""
        rng = stream(seed, "pairing", "random pairs")
        order = rng.permutation(self._usable)
        first, second, _ = first_come(self._cells.hard_B[order])
        return rng.permutation(np.stack([order[first], order[second]], axis=1))[:n_pairs]

    def _allowed(self, pair_PT: NDArray[np.int64]) -> NDArray[np.bool_]:
        return self._cells.allowed(pair_PT[:, 0], pair_PT[:, 1]) | (pair_PT == NOBODY).any(axis=1)

    def _best(self, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs by the buffer's rules over cells in a random order, and the rows left over."""
        buffer = PairingBuffer(self._cells.rows(order), BufferLimits(best_of=self._best_of), np.arange(len(order)))
        buffer.arrive(0)
        buffer.flush()
        return order[buffer.pair_PT], order[buffer.left]

    def _first_come(
        self, order: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs of cells that follow each other in a random order, and the rows left over.

        Those of the fullest key first, then of each next key those that are left over.
        """
        made: list[NDArray[np.int64]] = []
        for level in reversed(range(len(self._cells.level_keys))):
            key_B = self._cells.level_keys[level]
            first, second, left = first_come(key_B[order])
            pair_PT, left = np.stack([order[first], order[second]], axis=1), order[left]
            if self._constrained:
                if level:
                    pair_PT = mended(pair_PT, key_B[pair_PT[:, 0]], self._allowed, self._kind_B, rng=rng)
                good_P = self._allowed(pair_PT)
                left = np.concatenate([pair_PT[~good_P].reshape(-1), left])
                pair_PT = pair_PT[good_P]
            made.append(pair_PT)
            order = rng.permutation(left)
        return np.concatenate(made), order

    def _complete(
        self, pair_PT: NDArray[np.int64], free: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """More pairs, by exchanging partners with those that are free."""
        hard_B = self._cells.hard_B
        first, second, left = first_come(hard_B[free])
        rest_PT = np.stack([free[first], free[second]], axis=1)
        odd_PT = np.stack([free[left], np.full(len(left), NOBODY)], axis=1)
        all_PT = np.concatenate([pair_PT, rest_PT, odd_PT])
        all_PT = mended(all_PT, hard_B[all_PT[:, 0]], self._allowed, self._kind_B, rng=rng)
        return all_PT[self._allowed(all_PT) & (all_PT != NOBODY).all(axis=1)]

    def _fitted(self, pair_PT: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """As many pairs of each key as are settled: some left out, or the settled ones with other cells of the kind."""
        hard_B, settled_PT = self._cells.hard_B, self._settled
        n_keys = int(hard_B.max(initial=-1)) + 1
        n_has = np.bincount(hard_B[pair_PT[:, 0]], minlength=n_keys)
        n_wanted = np.bincount(hard_B[settled_PT[:, 0]], minlength=n_keys)
        short = n_has < n_wanted
        pair_PT = rng.permutation(pair_PT)
        key_P = hard_B[pair_PT[:, 0]]
        by_key = np.argsort(key_P, kind="stable")
        rank_P = np.empty_like(key_P)
        rank_P[by_key] = np.arange(len(key_P)) - np.repeat(np.cumsum(n_has) - n_has, n_has)
        kept_PT = pair_PT[(rank_P < n_wanted[key_P]) & ~short[key_P]]
        lent_PT = settled_PT[short[hard_B[settled_PT[:, 0]]]]
        return np.concatenate([kept_PT, self._shuffled_in_kind(rng)[lent_PT]]) if len(lent_PT) else kept_PT

    def _shuffled_in_kind(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """For each row another one of its kind, at random, none twice; int64 (B,)."""
        kind_B = self._kind_B
        other_B = np.empty(len(kind_B), dtype=np.int64)
        other_B[np.argsort(kind_B, kind="stable")] = np.lexsort((rng.random(len(kind_B)), kind_B))
        return other_B


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
    n_perturbed : (int, int)
    best_of : int
        As in :class:`gpcp.pairing.buffer.BufferLimits`.
    """

    def __init__(self, cells: IndexedCells, *, rule: PairRule, n_perturbed: tuple[int, int], best_of: int) -> None:
        self._cells, self._rule, self._n_perturbed, self._best_of = cells, rule, n_perturbed, best_of
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
        perturbed_PW = perturbed_bits(before, after, self._n_perturbed, seed=plan.seed, number_P=number_P)
        for place in range(0, n_pairs, batch_size):
            end = min(place + batch_size, n_pairs)
            yield SparsePairs(
                before=cells.rows(slice(place, end)),
                after=cells.rows(slice(n_pairs + place, n_pairs + end)),
                perturbed_BW=perturbed_PW[place:end],
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
