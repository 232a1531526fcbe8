"""Pairs in a queue: two blocks of sparse cells, and the perturbed genes as bits; made dense when needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.sources.index import Which
from gpcp.sources.sparse import SparseCells, concatenate_sparse


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SparsePairs:
    """Some pairs; meets :class:`gpcp.core.pairs.PairsToCome`.

    Parameters
    ----------
    before, after : SparseCells
        Row ``i`` of each makes pair ``i``.
    told_BW : uint8, (B, W)
        ``numpy.packbits`` of the perturbed genes, along the genes; each measured in both cells.

    Raises
    ------
    InputError
        The three do not have the same number of rows, or the cells have different vocabularies.
    """

    before: SparseCells
    after: SparseCells
    perturbed_BW: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.before.vocab != self.after.vocab:
            raise InputError("SparsePairs.before and .after have different vocabularies")
        n_bytes = -(-len(self.before.vocab) // 8)
        if len(self.after) != len(self.before) or self.perturbed_BW.shape != (len(self.before), n_bytes):
            raise InputError(
                f"SparsePairs has {len(self.before)} cells before, {len(self.after)} after, and perturbed genes of "
                f"shape {self.perturbed_BW.shape}, expected ({len(self.before)}, {n_bytes})"
            )

    def __len__(self) -> int:
        return len(self.before)

    @property
    def vocab(self) -> GeneVocab:
        """The genes of both cells."""
        return self.before.vocab

    def rows(self, which: Which) -> "SparsePairs":
        """Some of the pairs."""
        return SparsePairs(
            before=self.before.rows(which), after=self.after.rows(which), perturbed_BW=self.perturbed_BW[which]
        )

    def dense(self) -> PairBatch:
        """The pairs as a model eats them: measured is measured in both cells."""
        before_set_B, after_set_B = self.before.index.set_B, self.after.index.set_B
        measured_BG = self.before.measured_BG & self.after.measured_BG
        before_BG, after_BG = self.before.value_BG.toarray(), self.after.value_BG.toarray()
        shared = self.before.index.measured_SG is self.after.index.measured_SG
        if not (shared and np.array_equal(before_set_B, after_set_B)):
            before_BG *= measured_BG
            after_BG *= measured_BG
        perturbed_BG = np.unpackbits(self.perturbed_BW, axis=1, count=len(self.vocab)).view(np.bool_)
        return PairBatch(
            vocab=self.vocab,
            before_BG=before_BG,
            after_BG=after_BG,
            measured_BG=measured_BG,
            perturbed_BG=perturbed_BG,
            before_id_B=self.before.index.cell_id_B,
            after_id_B=self.after.index.cell_id_B,
        )


def concatenate_sparse_pairs(parts: Sequence[SparsePairs]) -> SparsePairs:
    """All pairs of some blocks as one block.

    Raises
    ------
    InputError
        There is no block, or the blocks have different vocabularies or covariates.
    """
    if not parts:
        raise InputError("there is no pair to concatenate: the source is empty")
    if len(parts) == 1:
        return parts[0]
    return SparsePairs(
        before=concatenate_sparse([part.before for part in parts]),
        after=concatenate_sparse([part.after for part in parts]),
        perturbed_BW=np.concatenate([part.perturbed_BW for part in parts]),
    )
