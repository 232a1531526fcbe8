"""``Paired``: the cells of any source, matched two by two, as a ``PairSource``.

Dimension key: ``B`` cells of a block, ``P`` pairs, ``G`` genes of the vocabulary.

First come, first matched: of each key one cell waits, as a copy of its row, for the next one of that key. Since a
source gives its cells in random order, that makes random pairs. What a pair's difference tells is a
*pseudo-perturbation*: two unrelated cells, no intervention.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.cells import COVARIATES, CellBatch, CellSource, concatenate_cells
from gpcp.errors import InputError, nearest
from gpcp.genes import GeneVocab
from gpcp.pairs import PairBatch, rebatched
from gpcp.randomness import stream

BLOCK_CELLS = 1024
"""Cells that are asked of the source at a time, whatever the batch size of the pairs."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PairingStats:
    """What has become of the cells that a pass has read so far.

    Parameters
    ----------
    n_cells : int
        Cells read: ``n_paired + n_left_over + n_unscorable``.
    n_paired : int
        Cells in pairs, two for each pair.
    n_left_over : int
        Cells without a partner: those that wait, until the pass ends, and those that nobody came for, after it.
    n_unscorable : int
        Cells of pairs that were dropped, since fewer than two genes were measured in both: one to tell, one to score.
    """

    n_cells: int = 0
    n_paired: int = 0
    n_left_over: int = 0
    n_unscorable: int = 0


@final
class _Pass:
    """Where a pass has got to; each has its own, so that an earlier one that goes on does not write into a later."""

    __slots__ = ("stats",)

    def __init__(self) -> None:
        self.stats = PairingStats()


@final
class Paired:
    """Pairs of cells of one key, none twice in a pass.

    Meets :class:`gpcp.pairs.PairSource`. ``measured`` is measured in both cells. A coin decides which cell is
    ``before``. The genes told are a random set of the measured ones; its size is uniform over ``told``, both ends
    clipped to one less than are measured, so that something is left to score.

    Parameters
    ----------
    cells : CellSource
    told : (int, int), optional
        The fewest and the most genes told in a pair; ``(1, G - 1)`` by default.
    match_on : sequence of str
        Covariates that both cells share; empty pairs any two cells.

    Attributes
    ----------
    vocab : GeneVocab
        That of the cells.
    n_pairs : None
        Not known beforehand: a source does not say how many cells of each key it has.

    Raises
    ------
    InputError
        ``told`` is not within ``1 <= lo <= hi <= G - 1``, or ``match_on`` names what is no covariate.
    """

    __slots__ = ("_cells", "_match_on", "_pass", "_told")

    def __init__(
        self, cells: CellSource, *, told: tuple[int, int] | None = None, match_on: Sequence[str] = ("cell_type",)
    ) -> None:
        n_genes = len(cells.vocab)
        if n_genes < 2:
            raise InputError("pairs need at least two genes, one to tell and one to score; the source has one")
        lo, hi = (1, n_genes - 1) if told is None else told
        if not 1 <= lo <= hi <= n_genes - 1:
            raise InputError(f"told is {(lo, hi)}: it must be (fewest, most) within 1 .. {n_genes - 1} genes")
        names = (match_on,) if isinstance(match_on, str) else tuple(match_on)
        for name in names:
            if name not in COVARIATES:
                raise InputError(f"match_on names {name!r}, which is no covariate; {nearest(name, COVARIATES)}")
        self._cells = cells
        self._told = (lo, hi)
        self._match_on = names
        self._pass = _Pass()

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        return self._cells.vocab

    @property
    def n_pairs(self) -> None:
        """Not known beforehand."""
        return None

    @property
    def stats(self) -> PairingStats:
        """The last pass begun, up to the cells read so far; all 0 before the first.

        A value: it does not change when the pass goes on. Reading runs ahead of the batches given by part of a block.
        """
        return self._pass.stats

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass over the pairs, which ``seed`` decides; the last batch may be smaller.

        Raises
        ------
        InputError
            ``batch_size`` is below 1, ``seed`` is negative, or the source does not give a covariate of ``match_on``.
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: it must be at least 1")
        coin, told = stream(seed, "pairing", "coin"), stream(seed, "pairing", "told")
        self._pass = begun = _Pass()
        return rebatched(self._matched(begun, seed, coin=coin, told=told), batch_size=batch_size)

    def _matched(
        self, begun: "_Pass", seed: int, *, coin: np.random.Generator, told: np.random.Generator
    ) -> Iterator[PairBatch]:
        """Pairs of one pass, in the blocks in which cells come."""
        waiting: list[CellBatch] = []
        for block in self._cells.cells(batch_size=BLOCK_CELLS, seed=seed):
            self._check_covariates(block)
            # Who waits comes first, so that nothing depends on where one block ends and the next begins.
            ready = concatenate_cells([*waiting, block])
            first_P, second_P, left_B = first_come(key_of(ready, self._match_on))
            pairs = self._joined(ready, first_P, second_P, coin=coin, told=told)
            waiting = [ready.rows(left_B)]
            begun.stats = PairingStats(
                n_cells=begun.stats.n_cells + len(block),
                n_paired=begun.stats.n_paired + 2 * len(pairs),
                n_left_over=len(left_B),
                n_unscorable=begun.stats.n_unscorable + 2 * (len(first_P) - len(pairs)),
            )
            if len(pairs):
                yield pairs

    def _check_covariates(self, block: CellBatch) -> None:
        """Refuse cells that do not say what they are to be matched on."""
        for name in self._match_on:
            if name not in block.covariates:
                known = ", ".join(block.covariates) or "none"
                raise InputError(
                    f"match_on names {name!r}, which the source does not give (it gives: {known}): name its column "
                    "when the source is made, or match on what there is"
                )

    def _joined(
        self,
        cells: CellBatch,
        first_P: NDArray[np.int64],
        second_P: NDArray[np.int64],
        *,
        coin: np.random.Generator,
        told: np.random.Generator,
    ) -> PairBatch:
        """Pairs of the rows given, oriented and told; without those that have nothing to score."""
        heads_P = coin.random(len(first_P)) < 0.5
        before_P, after_P = np.where(heads_P, second_P, first_P), np.where(heads_P, first_P, second_P)
        measured_PG = cells.measured_BG[before_P] & cells.measured_BG[after_P]
        perturbed_PG = told_genes(measured_PG, self._told, rng=told)
        scorable_P = measured_PG.sum(axis=1) >= 2
        before_P, after_P, measured_PG = before_P[scorable_P], after_P[scorable_P], measured_PG[scorable_P]
        return PairBatch(
            vocab=cells.vocab,
            before_BG=np.where(measured_PG, cells.expression_BG[before_P], np.float32(0)),
            after_BG=np.where(measured_PG, cells.expression_BG[after_P], np.float32(0)),
            measured_BG=measured_PG,
            perturbed_BG=perturbed_PG[scorable_P],
            before_id_B=cells.cell_id_B[before_P],
            after_id_B=cells.cell_id_B[after_P],
        )


def key_of(cells: CellBatch, match_on: Sequence[str]) -> NDArray[np.int64]:
    """The number of each cell's key, int64 (B,): equal where all of ``match_on`` are equal."""
    key_B = np.zeros(len(cells), dtype=np.int64)
    for name in match_on:
        names, code_B = np.unique(cells.covariates[name], return_inverse=True)
        # Renumbered each time, so that the product of the numbers of keys cannot overflow.
        key_B = np.unique(key_B * len(names) + code_B, return_inverse=True)[1].astype(np.int64)
    return key_B


def first_come(key_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Match each cell with the next one of its key.

    Parameters
    ----------
    key_B : int64, (B,)

    Returns
    -------
    first_P, second_P : int64, (P,)
        Rows of the two cells of each pair, ``first < second``, in the order of ``second``: that in which pairs
        become complete as the cells come by.
    left_B : int64
        Rows without a partner, at most one of each key, ascending.
    """
    if not len(key_B):
        none = np.zeros(0, dtype=np.int64)
        return none, none, none
    by_key_B = np.argsort(key_B, kind="stable")
    sorted_B = key_B[by_key_B]
    begins_B = np.concatenate(([True], sorted_B[1:] != sorted_B[:-1]))
    start_B = np.maximum.accumulate(np.where(begins_B, np.arange(len(key_B)), 0))
    odd_B = (np.arange(len(key_B)) - start_B) % 2 == 1
    second_at = np.flatnonzero(odd_B)
    first_P, second_P = by_key_B[second_at - 1], by_key_B[second_at]
    used_B = np.zeros(len(key_B), dtype=np.bool_)
    used_B[first_P] = used_B[second_P] = True
    complete = np.argsort(second_P)
    return first_P[complete], second_P[complete], np.flatnonzero(~used_B)


def told_genes(measured_PG: NDArray[np.bool_], told: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random set of the measured genes of each pair, bool (P, G).

    Parameters
    ----------
    measured_PG : bool, (P, G)
    told : (int, int)
        The size is uniform from the first to the second, each clipped to one less than are measured in the pair.

    Notes
    -----
    The numbers are drawn pair by pair, ``1 + G`` of each, so that a pair's set does not depend on how many are asked
    for at once.
    """
    n_pairs, n_genes = measured_PG.shape
    drawn = rng.random((n_pairs, 1 + n_genes))
    most_P = np.maximum(measured_PG.sum(axis=1) - 1, 0)
    lo_P, hi_P = np.minimum(told[0], most_P), np.minimum(told[1], most_P)
    size_P = lo_P + np.floor(drawn[:, 0] * (hi_P - lo_P + 1)).astype(np.int64)
    # Told are the `size` measured genes with the lowest numbers: those below the next one in rank.
    number_PG = np.where(measured_PG, drawn[:, 1:], 2.0)
    bound_P1 = np.take_along_axis(np.sort(number_PG, axis=1), size_P[:, None], axis=1)
    return number_PG < bound_P1
