"""Terms of many genes at once: the first parents of all, then the second ones, and so on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rank:
    """One term of each of the first ``n_genes`` rows of a stack, such as that of their second parents.

    Parameters
    ----------
    n_genes : int
    ends : tuple of int64 (n_genes,)
        Rows of the features that the term reads: of one parent, of two, or none.
    numbers : tuple of float64 (n_genes, 1)
        What the mechanism needs besides.
    """

    n_genes: int
    ends: tuple[NDArray[np.int64], ...]
    numbers: tuple[NDArray[np.float64], ...]


def ranked(
    terms: Sequence[Sequence[tuple[float, ...]]], row_of: NDArray[np.int64], *, offsets: tuple[int, ...] = (0,)
) -> tuple[Rank, ...]:
    """A rank of the first terms, one of the second ones and so on.

    A term is one parent for each of ``offsets``, which are added to the parents' rows, and then its numbers.
    """
    ranks: list[Rank] = []
    for place in range(len(terms[0]) if terms else 0):
        columns = tuple(zip(*(of_gene[place] for of_gene in terms if len(of_gene) > place), strict=True))
        ends = [row_of[np.array(parents, dtype=np.int64)] for parents in columns[: len(offsets)]]
        ranks.append(
            Rank(
                n_genes=len(columns[0]),
                ends=tuple(rows + offset for rows, offset in zip(ends, offsets, strict=True)),
                numbers=tuple(np.array(numbers)[:, None] for numbers in columns[len(offsets) :]),
            )
        )
    return tuple(ranks)


def add_weighted(rank: Rank, feature_rows: _Rows, out_rows: _Rows, scratch_rows: _Rows) -> None:
    """Add the features of the only end, times the only number."""
    term_rows = taken(feature_rows, rank.ends[0], scratch_rows)
    term_rows *= rank.numbers[0]
    out_rows[: rank.n_genes] += term_rows


def taken(feature_rows: _Rows, rows: NDArray[np.int64], scratch_rows: _Rows) -> _Rows:
    """The features of some rows, in the first rows of the scratch."""
    # mode: the default would fill a buffer of its own first
    return np.take(feature_rows, rows, axis=0, out=scratch_rows[: len(rows)], mode="clip")
