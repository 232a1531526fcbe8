"""The streaming engine: cells of any source, read once in order, each kept until its partner comes.

Cells that wait are copies of their rows. A block is paired as if its cells had come one by one, so that nothing
depends on where one block ends and the next begins.
"""

from collections.abc import Iterator
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellSource, rebatched_rows
from gpcp.pairing.buffer import BufferLimits, PairingBuffer
from gpcp.pairing.jaccard import expressed_words
from gpcp.pairing.matching import first_come
from gpcp.pairing.perturbed_genes import oriented, perturbed_bits
from gpcp.pairing.rules import KeyedCells, Keys, PairRule
from gpcp.pairing.sparse_pairs import SparsePairs, concatenate_sparse_pairs
from gpcp.pairing.stats import Tally
from gpcp.sources.sparse import SparseCells, concatenate_sparse, sparse_batches

BLOCK_CELLS = 1024
"""Cells that are asked of the source at a time, whatever the batch size of the pairs."""

MOST_CELLS = 8192
"""Cells that are paired at a time, at most: as many as wait, so that these are copied once for each that comes."""


@final
class StreamingPairs:
    """Pairs of cells as they come by.

    Parameters
    ----------
    cells : CellSource
    rule : PairRule
    n_perturbed : (int, int)
    limits : BufferLimits
    """

    def __init__(
        self, cells: CellSource, *, rule: PairRule, n_perturbed: tuple[int, int], limits: BufferLimits
    ) -> None:
        self._cells, self._rule, self._n_perturbed, self._limits = cells, rule, n_perturbed, limits

    def late_pairs(self, tally: Tally, *, batch_size: int, seed: int, start: int, step: int) -> Iterator[SparsePairs]:
        """Batches ``start``, ``start + step``, ... of a pass; the tally counts all of it."""
        made = self._made(tally, batch_size, seed, start, step)
        return rebatched_rows(made, concatenate_sparse_pairs, batch_size=batch_size)

    def _made(self, tally: Tally, batch_size: int, seed: int, start: int, step: int) -> Iterator[SparsePairs]:
        """The pairs of the batches asked for, in blocks as they become complete."""
        n_pairs = 0
        for cells, pair_PT in self._paired(tally, seed):
            number_P = np.arange(n_pairs, n_pairs + len(pair_PT))
            n_pairs += len(pair_PT)
            batch_P = number_P // batch_size - start
            asked = (batch_P >= 0) & (batch_P % step == 0)
            if not asked.any():
                continue
            number_P = number_P[asked]
            before_P, after_P = oriented(pair_PT[asked], seed=seed, number_P=number_P)
            before, after = cells.index.rows(before_P), cells.index.rows(after_P)
            perturbed_PW = perturbed_bits(before, after, self._n_perturbed, seed=seed, number_P=number_P)
            # Cut where batches end, so that a batch that lies within a block is copied once.
            ends = [*(np.flatnonzero(np.diff(number_P // batch_size)) + 1).tolist(), len(number_P)]
            for begin, end in zip([0, *ends[:-1]], ends, strict=True):
                yield SparsePairs(
                    before=cells.rows(before_P[begin:end]),
                    after=cells.rows(after_P[begin:end]),
                    perturbed_BW=perturbed_PW[begin:end],
                )

    def _paired(self, tally: Tally, seed: int) -> Iterator[tuple[SparseCells, NDArray[np.int64]]]:
        """Some cells, and rows of the pairs among them, until all have been read and those that wait are paired."""
        matcher = _Matcher(self._rule, self._limits, tally)
        held: list[SparseCells] = []
        for batch in sparse_batches(self._cells, batch_size=BLOCK_CELLS, seed=seed):
            self._rule.check_covariates(batch.index)
            held.append(batch)
            if sum(map(len, held)) >= min(matcher.n_waiting, MOST_CELLS):
                yield matcher.arrive(concatenate_sparse(held))
                held = []
        if held:
            yield matcher.arrive(concatenate_sparse(held))
        if matcher.n_waiting:
            yield matcher.flush()


@final
class _Matcher:
    """The cells that wait, between one block and the next."""

    def __init__(self, rule: PairRule, limits: BufferLimits, tally: Tally) -> None:
        self._rule, self._limits, self._tally = rule, limits, tally
        self._keys = Keys(rule)
        self._wants_words = limits.best_of > 1 or rule.needs_depth
        self._cells: SparseCells | None = None
        self._keyed: KeyedCells | None = None
        self._number = np.zeros(0, dtype=np.int64)
        self._n_due = 0

    @property
    def n_waiting(self) -> int:
        return len(self._number)

    def arrive(self, block: SparseCells) -> tuple[SparseCells, NDArray[np.int64]]:
        """Cells that wait and cells that come, and the pairs that they make."""
        counts = self._tally.counts
        n_waiting, n_usable = self.n_waiting, counts["n_cells"] - counts["n_filtered"]
        keyed = self._keys.of(block.index, expressed_words(block) if self._wants_words else None)
        usable_B = keyed.usable_B
        counts["n_cells"] += len(block)
        counts["n_filtered"] += int(len(block) - usable_B.sum())
        if not usable_B.all():
            block, keyed = block.rows(usable_B), keyed.rows(usable_B)
        self._tally.add_cells(block, keyed)
        if self._cells is not None and self._keyed is not None and n_waiting:
            block, keyed = concatenate_sparse([self._cells, block]), self._keyed.then(keyed)
        number_B = np.concatenate([self._number, np.arange(n_usable, n_usable + len(keyed) - n_waiting)])
        pair_PT, age_P, left = self._matched(keyed, number_B, n_waiting)
        self._cells, self._keyed, self._number = block.rows(left).compacted(), keyed.rows(left), number_B[left]
        self._count(block, keyed, pair_PT, age_P)
        return block, pair_PT

    def flush(self) -> tuple[SparseCells, NDArray[np.int64]]:
        """The cells that wait when no more come, and the pairs that they make."""
        cells, keyed, number_B = self._cells, self._keyed, self._number
        assert cells is not None
        assert keyed is not None
        buffer = PairingBuffer(keyed, self._limits, number_B, n_held=len(number_B), n_due=self._n_due)
        buffer.flush()
        # Those left now have no partner: they stay left over.
        self._number = number_B[buffer.left]
        counts = self._tally.counts
        age_P = counts["n_cells"] - counts["n_filtered"] - 1 - number_B[buffer.pair_PT[:, 0]]
        self._count(cells, keyed, buffer.pair_PT, age_P)
        return cells, buffer.pair_PT

    def _matched(
        self, keyed: KeyedCells, number_B: NDArray[np.int64], n_waiting: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Pairs, their ages, and rows that wait from now on."""
        if self._limits.best_of == 1 and len(keyed.level_keys) == 1 and not self._rule.differ_on and keyed.all_share:
            first, second, left = first_come(keyed.hard_B)
            # A cell that comes waits, unless it is the second of a pair, which takes one away that waited.
            change = np.ones(len(keyed), dtype=np.int64)
            change[second] = -1
            most_held = int((n_waiting + np.cumsum(change[n_waiting:])).max(initial=n_waiting))
            if self._limits.max_held is None or most_held <= self._limits.max_held:
                self._tally.most_held = max(self._tally.most_held, most_held)
                self._n_due = int((number_B[left] <= number_B.max(initial=-1) - self._max_age).sum())
                return np.stack([first, second], axis=1), number_B[second] - number_B[first], left
        buffer = PairingBuffer(keyed, self._limits, number_B, n_held=n_waiting, n_due=self._n_due)
        buffer.arrive(n_waiting)
        self._n_due = buffer.n_due
        self._tally.most_held = max(self._tally.most_held, buffer.most_held)
        return buffer.pair_PT, buffer.age_P, buffer.left

    @property
    def _max_age(self) -> int:
        return 2**62 if self._limits.max_age is None else self._limits.max_age

    def _count(
        self, cells: SparseCells, keyed: KeyedCells, pair_PT: NDArray[np.int64], age_P: NDArray[np.int64]
    ) -> None:
        counts = self._tally.counts
        counts["n_paired"] += 2 * len(pair_PT)
        counts["n_left_over"] = counts["n_cells"] - counts["n_paired"] - counts["n_filtered"]
        self._tally.add_pairs(cells, keyed, pair_PT, age_P)
