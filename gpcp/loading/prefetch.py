"""``Prefetched``: a source of pairs read ahead by a thread, with the times that thread and consumer waited.

One plain thread and one bounded queue for each pass, see :mod:`gpcp.core.read_ahead`. A source whose batches can wait
(:class:`gpcp.core.pairs.LatePairSource`) is queued as sparse blocks, and each batch is made dense when it is taken: 64
batches of 128 pairs of 2,000 genes, a tenth of them expressed, are 28 MB while they wait, and would be 164 MB dense.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import final

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource, PairsToCome, late_pairs
from gpcp.core.perturbations import PerturbationVocab, perturbations_of
from gpcp.core.read_ahead import PrefetchStats, ReadAhead, made_dense, read_ahead
from gpcp.pairing.sparse_pairs import SparsePairs

__all__ = ["PrefetchStats", "Prefetched"]


@final
class Prefetched:
    """The pairs of a source, the same in the same order, read while the consumer computes.

    Meets :class:`gpcp.core.pairs.LatePairSource`, whatever it wraps. Passes that go on at once have a thread each.
    What the
    source raises is raised where the batch would have come, with the source's own traceback.

    How deep? A source that reads in blocks gives nothing while it reads one, so the queue must last that long::

        depth x seconds of a step  >=  seconds to read one block

    ``stats.longest_read_s`` says the right side. A block of 8,192 cells takes about a second from a TileDB store; with
    steps of 20 ms that asks for 50 batches. Deeper does not help where reading is slower on average than computing.

    Parameters
    ----------
    pairs : PairSource
    depth : int
        Batches that may lie ready; one more is being read.
    max_bytes : int
        Bytes that may lie ready, with one batch more at most: dense batches of many genes fill memory long before
        they are ``depth``. Blocks of other types than gpcp's are not counted.
    dense_ahead : bool
        Make batches dense in the thread, before they wait: dearer in memory, and worth it only where a core is idle
        and a step is not much longer than making a batch dense.
    stall_s : float
        A wait after the first batch that is longer counts as a stall.

    Attributes
    ----------
    vocab : GeneVocab
        That of the source.
    n_pairs : int or None
        That of the source.

    Raises
    ------
    InputError
        ``depth`` or ``max_bytes`` is below 1, or ``stall_s`` is negative.
    """

    __slots__ = ("_dense_ahead", "_depth", "_last", "_max_bytes", "_pairs", "_stall_s")

    def __init__(
        self,
        pairs: PairSource,
        *,
        depth: int = 64,
        max_bytes: int = 2**28,
        dense_ahead: bool = False,
        stall_s: float = 0.05,
    ) -> None:
        for name, value in (("depth", depth), ("max_bytes", max_bytes)):
            if value < 1:
                raise InputError(f"Prefetched.{name} is {value}: it must be at least 1")
        if not stall_s >= 0:
            raise InputError(f"Prefetched.stall_s is {stall_s}: it must be 0 or more")
        self._pairs = pairs
        self._depth, self._max_bytes, self._dense_ahead, self._stall_s = depth, max_bytes, dense_ahead, stall_s
        self._last: ReadAhead[PairsToCome] | None = None

    def __reduce__(self) -> "tuple[object, ...]":
        """What pickle keeps: the source and the settings, not the passes under way."""
        settings = {"depth": self._depth, "max_bytes": self._max_bytes, "dense_ahead": self._dense_ahead}
        return partial(Prefetched, self._pairs, stall_s=self._stall_s, **settings), ()

    @property
    def vocab(self) -> GeneVocab:
        """The genes of every batch."""
        return self._pairs.vocab

    @property
    def n_pairs(self) -> int | None:
        """Pairs that one pass gives, or None where the source does not know."""
        return self._pairs.n_pairs

    @property
    def perturbations(self) -> PerturbationVocab | None:
        """The source's, where they have names of their own."""
        return perturbations_of(self._pairs)

    @property
    def stats(self) -> PrefetchStats:
        """The last pass begun, up to now; a value, which does not change when the pass goes on."""
        return PrefetchStats() if self._last is None else self._last.stats()

    def pairs(self, *, batch_size: int, seed: int) -> Generator[PairBatch]:
        """One pass, as the source gives it; its thread starts with the first batch asked for."""
        return made_dense(self.late_pairs(batch_size=batch_size, seed=seed))

    def late_pairs(self, *, batch_size: int, seed: int, start: int = 0, step: int = 1) -> Generator[PairsToCome]:
        """Batches ``start``, ``start + step``, ... of a pass; the others are not queued."""
        # Asked for here, not in the thread, so that wrong use is refused where it is written.
        batches = late_pairs(self._pairs, batch_size=batch_size, seed=seed, start=start, step=step)
        prepare = _dense if self._dense_ahead else None
        reading: ReadAhead[PairsToCome] = ReadAhead(
            self._depth, self._max_bytes, self._stall_s, weight=_n_bytes, prepare=prepare
        )
        self._last = reading
        ahead = read_ahead(reading, batches)
        return ahead if self._dense_ahead else _timed(ahead, reading)


@final
@dataclass(frozen=True, slots=True)
class _Timed:
    """A batch that waits, and whose making dense is to be timed."""

    pairs: PairsToCome
    reading: ReadAhead[PairsToCome]

    def __len__(self) -> int:
        return len(self.pairs)

    def dense(self) -> PairBatch:
        return self.reading.timed(_made, self.pairs)


def _made(pairs: PairsToCome) -> PairBatch:
    return pairs.dense()


def _dense(pairs: PairsToCome) -> PairsToCome:
    return pairs.dense()


def _timed(ahead: Generator[PairsToCome], reading: ReadAhead[PairsToCome]) -> Generator[PairsToCome]:
    """Each batch as one whose making dense is timed; left early, the pass is ended at once."""
    with closing(ahead):
        for pairs in ahead:
            yield _Timed(pairs, reading)


def _n_bytes(pairs: PairsToCome) -> int:
    """Bytes of what the types of gpcp hold for each pair."""
    if isinstance(pairs, _Timed):
        return _n_bytes(pairs.pairs)
    if isinstance(pairs, PairBatch):
        values = pairs.before_BG.nbytes + pairs.after_BG.nbytes
        return values + pairs.measured_BG.nbytes + pairs.perturbed_BG.nbytes + 16 * len(pairs)
    if isinstance(pairs, SparsePairs):
        parts = (pairs.before.value_BG, pairs.after.value_BG)
        return pairs.perturbed_BW.nbytes + sum(v.data.nbytes + v.indices.nbytes + v.indptr.nbytes for v in parts)
    return 0
