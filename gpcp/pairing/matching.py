"""Matching by key: cells are paired first come, first matched, and forbidden pairs then exchange partners."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

NOBODY = -1
"""The partner of a cell that is left over; it takes part in exchanges like any other."""

Allowed: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""Says of pairs, int64 (P, T), which may be; a cell with :data:`NOBODY` may."""

STALE, MOST_ROUNDS = 4, 64
"""Rounds of exchanges at random without any gain, and at all, before every exchange is looked at."""


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


def mended(
    pair_PT: NDArray[np.int64],
    key_P: NDArray[np.int64],
    allowed: Allowed,
    kind_B: NDArray[np.int64],
    *,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """The same cells paired anew, so that fewer pairs are none; of each key for itself.

    Two pairs, one of which may not be, exchange partners if that leaves fewer that may not be. At random, while it
    helps; then each pair that is left is tried with every other. Where cells have to differ in one thing alone, the
    end is a largest possible matching: a pair ``(a, a)`` that nothing mends meets an ``a`` in every other pair.

    Parameters
    ----------
    pair_PT : int64, (P, T)
        Rows of cells, or :data:`NOBODY`.
    key_P : int64, (P,)
    allowed : callable
    kind_B : int64, (B,)
        Equal for cells of a key that may meet the same others.
    rng : numpy.random.Generator

    Returns
    -------
    int64, (P, T)
        Pairs in the order of ``key_P``, some of which still may not be.
    """
    pair_PT = pair_PT.copy()
    good_P = allowed(pair_PT)
    stale = 0
    for _ in range(MOST_ROUNDS):
        if good_P.all() or stale == STALE:
            break
        # Keys without a bad pair are left alone: what is random there stays as it was drawn.
        at_P = rng.permutation(np.flatnonzero(np.isin(key_P, key_P[~good_P])))
        one, other, _ = first_come(key_P[at_P])
        one, other = at_P[one], at_P[other]
        bad = ~(good_P[one] & good_P[other])
        gained = _exchange(pair_PT, good_P, one[bad], other[bad], allowed)
        stale = 0 if gained else stale + 1
    hopeless: set[tuple[int, ...]] = set()
    for bad in np.flatnonzero(~good_P).tolist():
        kinds = (int(key_P[bad]), *sorted(kind_B[pair_PT[bad]].tolist()))
        if good_P[bad] or kinds in hopeless:
            continue
        others = rng.permutation(np.flatnonzero(key_P == key_P[bad]))
        others = others[others != bad]
        if not _exchange(pair_PT, good_P, np.full(len(others), bad), others, allowed, once=True):
            hopeless.add(kinds)
    return pair_PT


def _exchange(
    pair_PT: NDArray[np.int64],
    good_P: NDArray[np.bool_],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    allowed: Allowed,
    *,
    once: bool = False,
) -> bool:
    """Exchange partners between ``one`` and ``other`` wherever that helps, or only there where it first does."""
    gained = False
    for swap in (0, 1):
        # (a, b), (c, d) become (a, c), (b, d), or else (a, d), (c, b).
        first_PT = np.stack([pair_PT[one, 0], pair_PT[other, swap]], axis=1)
        second_PT = np.stack([pair_PT[one, 1], pair_PT[other, 1 - swap]], axis=1)
        first_good, second_good = allowed(first_PT), allowed(second_PT)
        before = good_P[one].astype(np.int8) + good_P[other]
        better = np.flatnonzero(first_good.astype(np.int8) + second_good > before)
        better = better[:1] if once else better
        pair_PT[one[better]], pair_PT[other[better]] = first_PT[better], second_PT[better]
        good_P[one[better]], good_P[other[better]] = first_good[better], second_good[better]
        gained = gained or bool(len(better))
        if once and gained:
            break
    return gained
