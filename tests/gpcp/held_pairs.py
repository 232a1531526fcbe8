"""Sources of pairs in memory, plain and late, and what a pass gives as bytes; child processes can import them."""

import threading
from collections.abc import Iterable, Iterator

import numpy as np

from gpcp.core.cells import CellBatch
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.random import stream
from gpcp.pairing.sparse_pairs import SparsePairs
from gpcp.sources.sparse import sparse_of

VOCAB = GeneVocab(feature_id=("ENSG00000000001", "ENSG00000000002", "ENSG00000000003"))
ARRAYS = ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B")


class HeldPairs:
    """``n`` pairs in an order that the seed decides; pair ``i`` is of cells ``i`` and ``1000 + i``."""

    def __init__(self, n: int, *, known: bool = True) -> None:
        self.n, self.known = n, known
        self.vocab = VOCAB
        rng = np.random.default_rng(7)
        before, after = (
            sparse_of(
                CellBatch(
                    vocab=VOCAB,
                    expression_BG=rng.integers(0, 3, size=(n, 3)).astype(np.float32),
                    measured_BG=np.ones((n, 3), dtype=np.bool_),
                    cell_id_B=np.arange(n) + first_id,
                    covariates={},
                )
            )
            for first_id in (0, 1000)
        )
        perturbed_BG = np.zeros((n, 3), dtype=np.bool_)
        perturbed_BG[np.arange(n), rng.integers(0, 3, size=n)] = True
        self.sparse = SparsePairs(before=before, after=after, perturbed_BW=np.packbits(perturbed_BG, axis=1))

    @property
    def n_pairs(self) -> int | None:
        return self.n if self.known else None

    def blocks(self, batch_size: int, seed: int) -> Iterator[SparsePairs]:
        order = stream(seed, "held").permutation(self.n)
        for start in range(0, self.n, batch_size):
            yield self.sparse.rows(order[start : start + batch_size])

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        for block in self.blocks(batch_size, seed):
            yield block.dense()


class LateBatch:
    """A block of a late source, which is told when it is made dense."""

    def __init__(self, block: SparsePairs, number: int, source: "LateHeldPairs") -> None:
        self.block, self.number, self.source = block, number, source

    def __len__(self) -> int:
        return len(self.block)

    def dense(self) -> PairBatch:
        self.source.made_dense.append((self.number, threading.get_ident()))
        return self.block.dense()


class LateHeldPairs(HeldPairs):
    """The same, whose batches can wait; ``made_dense`` holds the number of each that did not, and its thread."""

    def __init__(self, n: int, *, known: bool = True) -> None:
        super().__init__(n, known=known)
        self.made_dense: list[tuple[int, int]] = []

    def late_pairs(self, *, batch_size: int, seed: int, start: int = 0, step: int = 1) -> Iterator[LateBatch]:
        for number, block in enumerate(self.blocks(batch_size, seed)):
            if number >= start and (number - start) % step == 0:
                yield LateBatch(block, number, self)


class SparseHeldPairs(HeldPairs):
    """The same, that gives the blocks that it has."""

    def late_pairs(self, *, batch_size: int, seed: int, start: int = 0, step: int = 1) -> Iterator[SparsePairs]:
        yield from list(self.blocks(batch_size, seed))[start::step]


KINDS = (HeldPairs, LateHeldPairs, SparseHeldPairs)


def content(batches: Iterable[PairBatch]) -> list[tuple[bytes, ...]]:
    """Every byte of every batch."""
    return [tuple(getattr(batch, name).tobytes() for name in ARRAYS) for batch in batches]


def reading_threads() -> list[threading.Thread]:
    """Threads of passes that are read ahead."""
    return [thread for thread in threading.enumerate() if thread.name == "gpcp.loading.prefetch"]
