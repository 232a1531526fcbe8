"""A thread that reads a source ahead of its consumer, and is stopped with it.

A pass that is left in any way, by ``break``, an exception or garbage collection, stops its thread, waits for it, and
has the source's iterator closed by the thread that ran it. What the source raises is raised in the consumer.
"""

import atexit
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from threading import Condition, Thread, current_thread
from time import perf_counter
from typing import Any, Generic, TypeVar, final

from gpcp.core.pairs import PairBatch, PairsToCome


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PrefetchStats:
    """How long reader and consumer of a pass have waited so far; times are seconds on the wall clock.

    Parameters
    ----------
    n_batches : int
        Batches given.
    first_batch_s : float or None
        How long the consumer waited for the first batch, which nothing can hide; None before it came.
    waited_s, longest_wait_s : float
        How long the consumer waited after the first batch: in total, and at most for one batch.
    n_stalls : int
        Waits after the first batch that were longer than ``stall_s``.
    read_s, longest_read_s : float
        How long the thread was in the source: in total, and at most for one batch. A source that reads blocks is long
        at the batch that begins one.
    no_room_s : float
        How long the thread waited for room: reading is faster than what is done with the batches.
    dense_s : float
        Time spent making batches dense, on whichever side.
    mean_queued : float
        Batches that lay ready when the consumer asked for one, on average.
    most_queued, most_bytes : int
        The most that lay ready at once.
    """

    n_batches: int = 0
    first_batch_s: float | None = None
    waited_s: float = 0.0
    longest_wait_s: float = 0.0
    n_stalls: int = 0
    read_s: float = 0.0
    longest_read_s: float = 0.0
    no_room_s: float = 0.0
    dense_s: float = 0.0
    mean_queued: float = 0.0
    most_queued: int = 0
    most_bytes: int = 0


ItemT = TypeVar("ItemT")
MadeT = TypeVar("MadeT")


@final
class ReadAhead(Generic[ItemT]):
    """The state of one pass that its thread and its consumer share.

    Parameters
    ----------
    depth, max_bytes : int
    stall_s : float
        See :class:`gpcp.loading.prefetch.Prefetched`.
    weight : callable
        Bytes of an item.
    prepare : callable, optional
        What the thread does with each item before it waits; its time is counted as ``dense_s``.
    """

    def __init__(
        self,
        depth: int,
        max_bytes: int,
        stall_s: float,
        *,
        weight: Callable[[ItemT], int],
        prepare: Callable[[ItemT], ItemT] | None = None,
    ) -> None:
        self.depth, self.max_bytes, self.stall_s = depth, max_bytes, stall_s
        self.weight, self.prepare = weight, prepare
        # A lock that its holder may take again: garbage collection can close this pass while its thread holds it.
        self.changed = Condition()
        self.ready: deque[tuple[ItemT, int]] = deque()
        self.bytes_ready, self.stopped, self.ended = 0, False, False
        self.failure: BaseException | None = None
        self.failure_of_closing: BaseException | None = None
        self.n_batches, self.n_stalls, self.n_asked, self.sum_queued = 0, 0, 0, 0
        self.most_queued, self.most_bytes = 0, 0
        self.first_batch_s: float | None = None
        self.waited_s, self.longest_wait_s, self.read_s, self.longest_read_s = 0.0, 0.0, 0.0, 0.0
        self.no_room_s, self.dense_s = 0.0, 0.0

    def read(self, batches: Iterator[ItemT]) -> None:
        """What the thread does."""
        try:
            while self._has_room() and self._read_one(batches):
                pass
        except BaseException as error:  # whatever it is, it belongs to the consumer
            self.failure = error
        try:
            closed(batches)
        except BaseException as error:
            self.failure_of_closing = error
        with self.changed:
            self.ended = True
            self.changed.notify()

    def take(self, began: float) -> ItemT | None:
        """The next batch for who asked at ``began``, or None after the last; raises what the source raised."""
        with self.changed:
            self.n_asked += 1
            self.sum_queued += len(self.ready)
            while not (self.ready or self.ended):
                self.changed.wait()
            item, n_bytes = self.ready.popleft() if self.ready else (None, 0)
            self.bytes_ready -= n_bytes
            self.changed.notify()
        self._count_wait(perf_counter() - began)
        if item is not None:
            self.n_batches += 1
        elif self.failure is not None:
            failure, self.failure = self.failure, None
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame
        return item

    def stop(self) -> None:
        """Ask the thread to go no further."""
        with self.changed:
            self.stopped = True
            self.ready.clear()
            self.bytes_ready = 0
            self.changed.notify()

    def stats(self) -> PrefetchStats:
        """Its counts up to now, each of which is written by one of the two threads."""
        with self.changed:
            return PrefetchStats(
                n_batches=self.n_batches,
                first_batch_s=self.first_batch_s,
                waited_s=self.waited_s,
                longest_wait_s=self.longest_wait_s,
                n_stalls=self.n_stalls,
                read_s=self.read_s,
                longest_read_s=self.longest_read_s,
                no_room_s=self.no_room_s,
                dense_s=self.dense_s,
                mean_queued=self.sum_queued / max(1, self.n_asked),
                most_queued=self.most_queued,
                most_bytes=self.most_bytes,
            )

    def timed(self, made: Callable[[ItemT], MadeT], item: ItemT) -> MadeT:
        """``made(item)``, the time that it takes counted as ``dense_s``."""
        began = perf_counter()
        result = made(item)
        self.dense_s += perf_counter() - began
        return result

    def _has_room(self) -> bool:
        """Wait for room; False when the consumer has gone."""
        with self.changed:
            if not self._full():
                return not self.stopped
            began = perf_counter()
            while self._full() and not self.stopped:
                self.changed.wait()
            self.no_room_s += perf_counter() - began
            return not self.stopped

    def _full(self) -> bool:
        return len(self.ready) >= self.depth or bool(self.ready and self.bytes_ready >= self.max_bytes)

    def _read_one(self, batches: Iterator[ItemT]) -> bool:
        began = perf_counter()
        item = next(batches, None)
        read_s = perf_counter() - began
        self.read_s, self.longest_read_s = self.read_s + read_s, max(self.longest_read_s, read_s)
        if item is None:
            return False
        item = item if self.prepare is None else self.timed(self.prepare, item)
        n_bytes = self.weight(item)
        with self.changed:
            if not self.stopped:
                self.ready.append((item, n_bytes))
                self.bytes_ready += n_bytes
                self.most_queued = max(self.most_queued, len(self.ready))
                self.most_bytes = max(self.most_bytes, self.bytes_ready)
                self.changed.notify()
        return True

    def _count_wait(self, wait_s: float) -> None:
        if self.first_batch_s is None:
            self.first_batch_s = wait_s
            return
        self.waited_s, self.longest_wait_s = self.waited_s + wait_s, max(self.longest_wait_s, wait_s)
        self.n_stalls += wait_s > self.stall_s


_RUNNING: dict[Thread, ReadAhead[Any]] = {}


def read_ahead(reading: ReadAhead[ItemT], batches: Iterator[ItemT]) -> Generator[ItemT]:
    """The consumer's side of a pass: what ``batches`` gives, run by a thread that starts with the first one asked for.

    Neither the thread nor ``reading`` knows the iterator that is returned, so that it can be collected.
    """
    # A daemon, or Python would wait at its exit for a thread that waits for room.
    thread = Thread(target=reading.read, args=(batches,), name="gpcp.loading.prefetch", daemon=True)
    del batches  # the thread's own from here on: it closes the iterator, or drops it where it cannot be closed
    try:
        began = perf_counter()
        _RUNNING[thread] = reading
        thread.start()
        while (item := reading.take(began)) is not None:
            yield item
            began = perf_counter()
    finally:
        reading.stop()
        if thread.is_alive() and thread is not current_thread():
            thread.join()
        _RUNNING.pop(thread, None)
        reading.failure = None
        if reading.failure_of_closing is not None:
            raise reading.failure_of_closing


def made_dense(batches: Generator[PairsToCome]) -> Generator[PairBatch]:
    """Each batch made dense as it is taken; left early, the pass is ended at once."""
    with closing(batches):
        for pairs in batches:
            yield pairs.dense()


def closed(batches: Iterator[Any]) -> None:
    """End a pass now, where it can be ended: one that is read ahead lives as long as a traceback holds it."""
    close = getattr(batches, "close", None)
    if close is not None:
        close()


def _stop_all() -> None:
    """At exit daemons are dropped where they stand, which code in C++ under them does not survive: stop them before."""
    for thread, reading in list(_RUNNING.items()):
        reading.stop()
        thread.join()


atexit.register(_stop_all)
if sys.platform != "win32":
    # A forked process has no threads but the one that forked.
    os.register_at_fork(after_in_child=_RUNNING.clear)
