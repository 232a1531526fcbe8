"""Random draws for each pair: which genes are perturbed, and which cell is ``before``.

Seed and number of a pair decide them alone: its random words lie at a position of the stream that its number gives,
and a generator can jump to any position, so that any process can resume a pass anywhere and finds the same genes.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from gpcp.core.random import stream
from gpcp.sources.index import CellIndex

CHUNK = 256
"""Pairs whose genes are drawn at a time: their numbers stay in the processor's cache."""

UNMEASURED = np.uint32(2**32 - 1)
"""The number of a gene that cannot be perturbed; no gene is chosen for a number below the bound that equals it."""


def coins(seed: int, number_P: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A fair coin for each pair, bool (P,)."""
    return _words(seed, "coin", number_P, 1)[:, 0] >= np.uint64(2**63)


def oriented(
    pair_PT: NDArray[np.int64], *, seed: int, number_P: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which cell of each pair is ``before`` and which ``after``, int64 (P,) each: a coin decides.

    Whoever chose a pair may have put the older cell first, or the one that was chosen.
    """
    heads_P = coins(seed, number_P).astype(np.int64)
    pair_P = np.arange(len(heads_P))
    return pair_PT[pair_P, heads_P], pair_PT[pair_P, 1 - heads_P]


def perturbed_bits(
    before: CellIndex, after: CellIndex, n_perturbed: tuple[int, int], *, seed: int, number_P: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """``numpy.packbits`` of the genes perturbed in each pair, uint8 (P, W); see :func:`choose_perturbed`.

    Parameters
    ----------
    before, after : CellIndex
        The two cells of each pair.
    n_perturbed : (int, int)
    seed : int
    number_P : int64, (P,)
        Each pair's number in the pass; cheapest where consecutive numbers follow each other.
    """
    n_genes = len(before.vocab)
    n_words = 1 + -(-n_genes // 2)
    bits_PW = np.empty((len(number_P), -(-n_genes // 8)), dtype=np.uint8)
    for start in range(0, len(number_P), CHUNK):
        now = slice(start, start + CHUNK)
        random_words = _words(seed, "told", number_P[now], n_words)
        measured_PG = before.measured_SG[before.set_B[now]] & after.measured_SG[after.set_B[now]]
        bits_PW[now] = np.packbits(choose_perturbed(measured_PG, n_perturbed, random_words), axis=1)
    return bits_PW


def choose_perturbed(
    measured_PG: NDArray[np.bool_], n_perturbed: tuple[int, int], random_words: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """A random set of the measured genes of each pair, bool (P, G).

    Parameters
    ----------
    measured_PG : bool, (P, G)
    n_perturbed : (int, int)
        The size is uniform from the first to the second, each clipped to one less than are measured in the pair.
    random_words : uint64, (P, 1 + G / 2, rounded up)
        Random words: one for the size, and half a word for each gene.

    Notes
    -----
    The measured genes with the lowest numbers are chosen. Two of 32 bits may be equal: then the earlier gene is chosen,
    which moves the chance of a set by less than G / 2**32 of it.
    """
    n_genes = measured_PG.shape[1]
    whole = bool(measured_PG.all())
    n_measured_P = np.full(len(random_words), n_genes) if whole else measured_PG.sum(axis=1)
    most_P = np.maximum(n_measured_P - 1, 0)
    lo_P, hi_P = np.minimum(n_perturbed[0], most_P), np.minimum(n_perturbed[1], most_P)
    share_P = (random_words[:, 0] >> np.uint64(11)) * 2.0**-53
    size_P = lo_P + np.floor(share_P * (hi_P - lo_P + 1)).astype(np.int64)
    number_PG = random_words[:, 1:].view(np.uint32)[:, :n_genes]
    if not whole:
        number_PG = np.where(measured_PG, number_PG, UNMEASURED)
    sorted_PG = np.sort(number_PG, axis=1)
    pair_P = np.arange(len(measured_PG))
    bound_P = sorted_PG[pair_P, size_P]
    perturbed_PG = number_PG < bound_P[:, None]
    for pair in np.flatnonzero((size_P > 0) & (sorted_PG[pair_P, size_P - 1] == bound_P)).tolist():
        level_G = np.flatnonzero((number_PG[pair] == bound_P[pair]) & measured_PG[pair])
        perturbed_PG[pair, level_G[: int(size_P[pair]) - int(perturbed_PG[pair].sum())]] = True
    return perturbed_PG


def _words(seed: int, purpose: str, number_P: NDArray[np.int64], n_words: int) -> NDArray[np.uint64]:
    """Random words of each pair, (P, N): pair ``i`` has those from ``i * N`` of the stream on."""
    bits = cast("np.random.PCG64", stream(seed, "pairing", purpose).bit_generator)
    begins = [0, *(np.flatnonzero(np.diff(number_P) != 1) + 1).tolist()]
    runs: list[NDArray[np.uint64]] = []
    place = 0
    for begin, end in zip(begins, [*begins[1:], len(number_P)], strict=True):
        first = int(number_P[begin]) if begin < end else 0
        bits.advance((first - place) * n_words)
        runs.append(bits.random_raw((end - begin) * n_words).reshape(-1, n_words))
        place = first + end - begin
    return runs[0] if len(runs) == 1 else np.concatenate(runs)
