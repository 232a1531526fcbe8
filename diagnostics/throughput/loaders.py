"""Two ways to read batches: by the training loop itself, or ahead of it in a thread or in workers.

A source of pairs is read ahead by :class:`gpcp.loading.prefetch.Prefetched`, any other iterable by
:mod:`gpcp.core.read_ahead`, on
which that rests; or both ways are given, such as PyTorch's ``DataLoader`` without workers and with some.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, TypeVar, final

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource, PairsToCome, late_pairs
from gpcp.core.read_ahead import PrefetchStats, ReadAhead, closed, read_ahead
from gpcp.loading.prefetch import Prefetched

T = TypeVar("T")
U = TypeVar("U")


@final
@dataclass(slots=True, frozen=True)
class ReadTimes:
    """Record of a thread that reads ahead of a pass: when each read began and ended, and how to ask for its counts."""

    spans: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    asked: list[Callable[[], PrefetchStats]] = field(default_factory=list[Callable[[], PrefetchStats]])

    @property
    def stats(self) -> Callable[[], PrefetchStats] | None:
        """Gives the counts of the pass, where its way keeps them."""
        return self.asked[0] if self.asked else None


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ways(Generic[T]):
    """Two ways to the same batches.

    Parameters
    ----------
    plain : callable
        ``seed -> batches``, each read when it is asked for.
    ahead : callable
        ``(seed, n_batches, reads) -> batches``, of which no more than the first ``n_batches`` need be read; it may
        note in ``reads`` when its thread did.
    size : callable
        Pairs of a batch.
    depth : int
        Batches that may lie ready in the second way.
    """

    plain: Callable[[int], Iterator[T]]
    ahead: Callable[[int, int, ReadTimes], Iterator[T]]
    size: Callable[[T], int]
    depth: int


def ways_of_pairs(
    pairs: PairSource,
    *,
    batch_size: int,
    depth: int = 64,
    dense_ahead: bool = False,
    prepared: Callable[[PairBatch], T],
    size: Callable[[T], int],
    placed: Callable[[Iterator[T]], Iterator[T]] | None = None,
) -> Ways[T]:
    """Any source of pairs, and the same read ahead by :class:`gpcp.loading.prefetch.Prefetched`.

    Parameters
    ----------
    pairs : PairSource
    batch_size : int
    depth, dense_ahead
        As :class:`gpcp.loading.prefetch.Prefetched` takes them.
    prepared : callable
        What the consumer makes of each batch as it takes it, such as :func:`gpcp.model.batch.model_batch`; its time
        counts as waiting, as it does in :func:`gpcp.training.fit.fit`.
    size : callable
        Pairs of what ``prepared`` gives.
    placed : callable, optional
        What becomes of the batches of the second way, such as :func:`gpcp.model.batch.copied_ahead`.

    Raises
    ------
    InputError
        ``batch_size`` or ``depth`` is below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}: it must be at least 1")
    if depth < 1:
        raise InputError(f"depth is {depth}: it must be at least 1")

    def made(batches: Iterator[PairBatch]) -> Generator[T]:
        try:
            yield from map(prepared, batches)
        finally:
            closed(batches)

    def ahead(seed: int, n_batches: int, reads: ReadTimes) -> Iterator[T]:
        prefetched = Prefetched(_Noted(pairs, n_batches, reads, dense=dense_ahead), depth=depth)
        reads.asked.append(lambda: prefetched.stats)
        items = made(prefetched.pairs(batch_size=batch_size, seed=seed))
        return items if placed is None else placed(items)

    return Ways(
        plain=lambda seed: made(pairs.pairs(batch_size=batch_size, seed=seed)),
        ahead=ahead,
        size=size,
        depth=depth,
    )


def ways_of_iterables(
    plain: Callable[[int], Iterable[T]],
    ahead: Callable[[int], Iterable[T]] | None = None,
    *,
    size: Callable[[T], int],
    depth: int = 64,
) -> Ways[T]:
    """Any loader, such as PyTorch's ``DataLoader``.

    Parameters
    ----------
    plain : callable
        ``seed -> iterable``, which reads when it is asked.
    ahead : callable, optional
        ``seed -> iterable``, which reads ahead by itself, such as a ``DataLoader`` with workers; by default the first,
        read by a thread. What its workers have read when the first batch comes is not counted against it: measure many
        more batches than they hold.
    size : callable
        Pairs of a batch.
    depth : int
        Of the thread's queue; with ``ahead`` what is written in reports.
    """

    def by_thread(seed: int, n_batches: int, reads: ReadTimes) -> Iterator[T]:
        reading: ReadAhead[T] = ReadAhead(depth, 2**62, 0.05, weight=_weightless)
        reads.asked.append(reading.stats)
        batches = iter(plain(seed))
        return read_ahead(reading, _noted(batches, reads, n_batches=n_batches, below=batches))

    def by_itself(seed: int, n_batches: int, reads: ReadTimes) -> Iterator[T]:
        del n_batches, reads
        return iter(plain(seed) if ahead is None else ahead(seed))

    way = by_thread if ahead is None else by_itself
    return Ways(plain=lambda seed: iter(plain(seed)), ahead=way, size=size, depth=depth)


@final
class _Noted:
    """The first batches of a source, so that every way reads equally many; each read is noted by its reader.

    Meets :class:`gpcp.core.pairs.LatePairSource`, so that batches that can wait are queued as they would be.
    """

    def __init__(self, source: PairSource, n_batches: int, reads: ReadTimes, *, dense: bool) -> None:
        self.source, self.n_batches, self.reads, self.dense = source, n_batches, reads, dense

    @property
    def vocab(self) -> GeneVocab:
        return self.source.vocab

    @property
    def n_pairs(self) -> int | None:
        return None

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        return (pairs.dense() for pairs in self.late_pairs(batch_size=batch_size, seed=seed))

    def late_pairs(self, *, batch_size: int, seed: int, start: int = 0, step: int = 1) -> Iterator[PairsToCome]:
        batches = late_pairs(self.source, batch_size=batch_size, seed=seed, start=start, step=step)
        made = (batch.dense() for batch in batches) if self.dense else batches
        return _noted(made, self.reads, n_batches=self.n_batches, below=batches)


def _noted(batches: Iterator[U], reads: ReadTimes, *, n_batches: int, below: Iterator[object]) -> Generator[U]:
    """The first of some batches, each read noted; what is below them is closed by their caller."""
    try:
        for _ in range(n_batches):
            began = perf_counter()
            item = next(batches, None)
            if item is None:
                return
            reads.spans.append((began, perf_counter()))
            yield item
    finally:
        closed(below)


def _weightless(item: object) -> int:
    del item
    return 0
