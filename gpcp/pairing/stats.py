"""``PairingStats``: how many cells of a pass were paired, and how alike the cells of its pairs are.

Likeness is estimated from a random sample: a pass keeps a fixed number of pairs and of cells, however many it reads.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.random import stream
from gpcp.pairing.jaccard import expressed_words, jaccard, n_bits
from gpcp.pairing.matching import first_come
from gpcp.pairing.rules import KeyedCells
from gpcp.sources.sparse import SparseCells

SAMPLE_PAIRS, SAMPLE_CELLS = 1024, 2048
"""Pairs whose likeness is looked at, and cells of which random pairs are made to compare."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PairingStats:
    """What has become of the cells that a pass has read so far.

    Parameters
    ----------
    n_cells : int
        Cells read: ``n_paired + n_left_over + n_filtered``.
    n_paired : int
        Cells in pairs, two for each pair.
    n_left_over : int
        Cells without a partner: those that wait, until the pass ends; those that were given up because too many
        waited; and those without a partner, after it.
    n_filtered : int
        Cells that could be in no pair, since they were measured for fewer than ``min_shared`` genes.
    n_relaxed : int
        Pairs that do not share all of ``prefer_on``.
    most_held : int
        Cells that waited at once, at most; 0 where pairs were planned.
    age_mean, age_p95 : float, optional
        Cells read while the older cell of a pair waited: mean, and 95th percentile over a sample; None where pairs
        were planned, or there is none.
    age_most : int, optional
        The longest that the older cell of a pair has waited.
    jaccard, jaccard_se : float, optional
        Jaccard index of the expressed genes of the two cells of a pair, over the genes measured in both: mean over a
        random sample of pairs, and the standard error of that mean; None without two pairs.
    random_jaccard, random_jaccard_se : float, optional
        The same of random pairs that share ``match_on`` and nothing else is asked of.
    shared_genes : float, optional
        Genes measured in both cells of a pair: mean over the sample.
    """

    n_cells: int = 0
    n_paired: int = 0
    n_left_over: int = 0
    n_filtered: int = 0
    n_relaxed: int = 0
    most_held: int = 0
    age_mean: float | None = None
    age_p95: float | None = None
    age_most: int | None = None
    jaccard: float | None = None
    jaccard_se: float | None = None
    random_jaccard: float | None = None
    random_jaccard_se: float | None = None
    shared_genes: float | None = None


@final
class Sample:
    """The rows with the lowest of some random numbers: a random sample of rows that come one after the other.

    Parameters
    ----------
    room : int
        Rows to keep.
    rng : numpy.random.Generator

    Attributes
    ----------
    parts : tuple of arrays
        What is kept of each row, in a random order.
    """

    __slots__ = ("_chosen", "_number", "_rng", "_room", "parts")

    def __init__(self, room: int, rng: np.random.Generator) -> None:
        self._room, self._rng = room, rng
        self._number = self._chosen = np.zeros(0)
        self.parts: tuple[NDArray[np.generic], ...] = ()

    def choose(self, n_rows: int) -> NDArray[np.int64]:
        """Which of the next rows may stay; :meth:`keep` takes them."""
        number = self._rng.random(n_rows)
        bound = self._number[-1] if len(self._number) == self._room else 1.0
        chosen = np.flatnonzero(number < bound).astype(np.int64)
        self._chosen = number[chosen]
        return chosen

    def keep(self, *parts: NDArray[np.generic]) -> None:
        """The rows chosen, one array for each thing that is kept of them."""
        number = np.concatenate([self._number, self._chosen])
        lowest = np.argsort(number, kind="stable")[: self._room]
        held = self.parts or tuple(part[:0] for part in parts)
        self._number = number[lowest]
        self.parts = tuple(np.concatenate(two)[lowest] for two in zip(held, parts, strict=True))


@final
class Tally:
    """The statistics of one pass over cells that come by; each pass has its own, so that none writes into another's.

    Parameters
    ----------
    seed : int
    """

    __slots__ = ("_age_most", "_age_sum", "_cells", "_measured_SW", "_n_relaxed", "_pairs", "counts", "most_held")

    def __init__(self, seed: int) -> None:
        self.counts = {"n_cells": 0, "n_paired": 0, "n_left_over": 0, "n_filtered": 0}
        self.most_held = self._n_relaxed = self._age_sum = self._age_most = 0
        self._pairs = Sample(SAMPLE_PAIRS, stream(seed, "pairing", "sample of pairs"))
        self._cells = Sample(SAMPLE_CELLS, stream(seed, "pairing", "sample of cells"))
        self._measured_SW: NDArray[np.uint64] | None = None

    def add_cells(self, cells: SparseCells, keyed: KeyedCells) -> None:
        """Cells that came by, and can be paired."""
        chosen = self._cells.choose(len(cells))
        self._measured_SW = keyed.measured_SW
        if len(chosen):
            self._cells.keep(keyed.hard_B[chosen], keyed.set_B[chosen], _words(cells, keyed, chosen))

    def add_pairs(
        self, cells: SparseCells, keyed: KeyedCells, pair_PT: NDArray[np.int64], age_P: NDArray[np.int64]
    ) -> None:
        """Pairs that were made, as rows of the cells."""
        if not len(pair_PT):
            return
        self._n_relaxed += int(relaxed_P(keyed, pair_PT).sum())
        self._age_sum += int(age_P.sum())
        self._age_most = max(self._age_most, int(age_P.max()))
        chosen = self._pairs.choose(len(pair_PT))
        if len(chosen):
            first, second = (_words(cells, keyed, pair_PT[chosen, place]) for place in (0, 1))
            measured, sets_TP = keyed.measured_SW, keyed.set_B[pair_PT[chosen]].T
            likeness_P = jaccard(first, second, *measured[sets_TP])
            shared_P = n_bits(measured[sets_TP[0]] & measured[sets_TP[1]])
            self._pairs.keep(likeness_P, shared_P, age_P[chosen])

    def stats(self) -> PairingStats:
        """All that is known now."""
        n_pairs = self.counts["n_paired"] // 2
        jaccard_P, shared_P, age_P = self._pairs.parts or (np.zeros(0),) * 3
        mean, error = mean_and_error(np.asarray(jaccard_P, dtype=np.float64))
        random_mean, random_error = mean_and_error(self._random_jaccard())
        return PairingStats(
            **self.counts,
            n_relaxed=self._n_relaxed,
            most_held=self.most_held,
            age_mean=self._age_sum / n_pairs if n_pairs else None,
            age_p95=float(np.percentile(np.asarray(age_P, dtype=np.float64), 95)) if n_pairs else None,
            age_most=self._age_most if n_pairs else None,
            jaccard=mean,
            jaccard_se=error,
            random_jaccard=random_mean,
            random_jaccard_se=random_error,
            shared_genes=float(np.mean(np.asarray(shared_P, dtype=np.float64))) if n_pairs else None,
        )

    def _random_jaccard(self) -> NDArray[np.float64]:
        """Of each cell of the sample and the next one of its key."""
        if not self._cells.parts or self._measured_SW is None:
            return np.zeros(0)
        hard_B, set_B, word_BW = self._cells.parts
        words = np.asarray(word_BW, dtype=np.uint64)
        measured_BW = self._measured_SW[np.asarray(set_B, dtype=np.int64)]
        first, second, _ = first_come(np.asarray(hard_B, dtype=np.int64))
        return jaccard(words[first], words[second], measured_BW[first], measured_BW[second])


def _words(cells: SparseCells, keyed: KeyedCells, row_B: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The expressed genes of some rows, as they are known or as they are read; (B, W)."""
    return keyed.word_BW[row_B] if keyed.word_BW.shape[1] else expressed_words(cells.rows(row_B))


def relaxed_P(keyed: KeyedCells, pair_PT: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs do not share all of ``prefer_on``, bool (P,)."""
    return keyed.full_B[pair_PT[:, 0]] != keyed.full_B[pair_PT[:, 1]]


def mean_and_error(value_P: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The mean of some values and its standard error; neither, of fewer than two."""
    if len(value_P) < 2:
        return None, None
    return float(value_P.mean()), float(value_P.std(ddof=1) / np.sqrt(len(value_P)))
