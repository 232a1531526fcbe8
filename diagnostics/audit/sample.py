"""The pairs of an audit, with their cells."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.sources.in_memory import InMemoryCells

_BLOCK_CELLS = 1024


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampledPairs:
    """Pairs of sampled cells, no cell twice.

    Parameters
    ----------
    pairs : PairBatch
    cells : SampledCells
        All that the pairs were made of, of the same genes.
    before_row_P, after_row_P : int64, (P,)
        Rows of ``cells``.
    """

    pairs: PairBatch
    cells: InMemoryCells
    before_row_P: NDArray[np.int64]
    after_row_P: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pairs)


def sample_pairs(source: PairSource, cells: InMemoryCells, *, max_pairs: int, seed: int) -> SampledPairs:
    """The first pairs of one pass of ``source`` over ``cells``, at most ``max_pairs``.

    Raises
    ------
    InputError
        The pass gives no pair.
    """
    parts: list[PairBatch] = []
    n_found = 0
    for batch in source.pairs(batch_size=_BLOCK_CELLS, seed=seed):
        parts.append(batch.rows(slice(max_pairs - n_found)))
        n_found += len(parts[-1])
        if n_found == max_pairs:
            break
    if not n_found:
        raise InputError(
            f"{len(cells)} cells make no pair: no two of them agree in what is matched and differ in what is to "
            "differ, with two genes measured in both"
        )
    pairs = concatenate(parts)
    return SampledPairs(
        pairs=pairs,
        cells=cells,
        before_row_P=cells.row_of(pairs.before_id_B),
        after_row_P=cells.row_of(pairs.after_id_B),
    )
