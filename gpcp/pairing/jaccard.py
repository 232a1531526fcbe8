"""The expressed genes of a cell as bits, and the exact Jaccard index of two cells over the genes measured in both.

At 2,000 genes a cell is 32 words: less than a sketch of the same error, and exact. Expressed is a value above 0.
"""

from typing import cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.sources.sparse import SparseCells

CHUNK = 1024
"""Cells that are made dense at a time."""


def words_of(bits_BW: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Rows of ``numpy.packbits`` as words, uint64 (B, W), filled up with 0."""
    n_bytes = bits_BW.shape[1]
    padded = np.zeros((len(bits_BW), -(-n_bytes // 8) * 8), dtype=np.uint8)
    padded[:, :n_bytes] = bits_BW
    return padded.view(np.uint64)


def packed(true_BG: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Rows of bools as words, uint64 (B, W)."""
    return words_of(np.packbits(true_BG, axis=1))


def expressed_words(cells: SparseCells) -> NDArray[np.uint64]:
    """The expressed genes of each cell, uint64 (B, W)."""
    value_BG = cells.value_BG
    word_BW = np.empty((len(cells), -(-len(cells.vocab) // 64)), dtype=np.uint64)
    # scipy adds 0 and 1 of each stored value up in a loop of its own: faster than to index a dense array.
    parts = ((value_BG.data > 0).view(np.int8), value_BG.indices, value_BG.indptr)
    expressed_BG = sp.csr_array(parts, shape=value_BG.shape)
    for start in range(0, len(cells), CHUNK):
        block_BG = cast("NDArray[np.int8]", expressed_BG[start : start + CHUNK].toarray())
        word_BW[start : start + CHUNK] = packed(block_BG.view(np.bool_))
    return word_BW


def n_bits(word_BW: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many bits of each row are set, int64 (B,)."""
    return np.bitwise_count(word_BW).sum(axis=-1, dtype=np.int64)


def jaccard(
    first_PW: NDArray[np.uint64],
    second_PW: NDArray[np.uint64],
    first_measured_PW: NDArray[np.uint64] | None = None,
    second_measured_PW: NDArray[np.uint64] | None = None,
) -> NDArray[np.float64]:
    """``|A and B| / |A or B|`` of the genes expressed, among those measured in both cells, float64 (P,).

    Parameters
    ----------
    first_PW, second_PW : uint64, (P, W) or (W,)
        Expressed genes of the two cells of each pair; one row alone is compared with all of the other.
    first_measured_PW, second_measured_PW : uint64, like the above, optional
        What they were measured for; None where that is the same for all.

    Notes
    -----
    0 where neither expresses anything. Equal ratios are equal numbers, and unequal ones are not, below 2**26 genes.
    """
    both_P = n_bits(first_PW & second_PW)
    if first_measured_PW is None or second_measured_PW is None:
        either_P = n_bits(first_PW) + n_bits(second_PW) - both_P
    else:
        either_P = n_bits(first_PW & second_measured_PW) + n_bits(second_PW & first_measured_PW) - both_P
    return both_P / np.maximum(either_P, 1)
