"""Rounds of timed passes: the loader alone, the model on a cached batch, synchronous and prefetched training.

Every round makes the four passes over the same batches, in the order A B C D, the next in the order D C B A, and so on:
a slow minute of the machine does not fall on one row, and what is compared is compared within a round. The outermost
iterator is timed and nothing inside it, so that any loader and any step can be measured; torch is not needed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Generic, Literal, TypeVar, final, get_args

import numpy as np

from diagnostics.throughput.cpu_use import CoreReading, granted, idle_between, used_between
from diagnostics.throughput.loaders import ReadTimes, Ways
from diagnostics.throughput.pass_times import PassTimes
from gpcp.core.errors import InputError
from gpcp.core.read_ahead import closed
from gpcp.loading.sharding import epoch_seed

Row = Literal["drain", "cached", "synchronous", "prefetched"]
ROWS: tuple[Row, ...] = get_args(Row)
FEWEST_BATCHES, FEWEST_ROUNDS = 3, 2

T = TypeVar("T")
Step = Callable[[T], object]
OnPass = Callable[[str], None]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StageTimes:
    """The times of all rounds.

    Parameters
    ----------
    passes : mapping of str to tuple of PassTimes
        For each of :data:`ROWS` one pass a round.
    granted : tuple of float
        Before each round: the share of its time that a thread which only computes was given.
    n_batches, depth : int
    """

    passes: Mapping[Row, tuple[PassTimes, ...]]
    granted: tuple[float, ...]
    n_batches: int
    depth: int


@final
class _Pass(Generic[T]):
    """One pass under way."""

    def __init__(self, step: Step[T] | None, size: Callable[[T], int]) -> None:
        self.step, self.size = step, size
        self.times: list[tuple[float, float, float]] = []
        self.n_pairs: list[int] = []
        self.clocks: list[CoreReading] = []

    def run(self, batches: Iterator[T], n_batches: int, began: float) -> None:
        asked = began
        while len(self.times) < n_batches:
            item = next(batches, None)
            if item is None:
                break
            got = perf_counter()
            self.n_pairs.append(self.size(item))
            if len(self.n_pairs) in (1, n_batches):
                self.clocks.append(CoreReading.now())
            # The pass is timed up to when its last batch comes.
            if self.step is not None and len(self.n_pairs) < n_batches:
                self.step(item)
            done = perf_counter() if self.step is not None else got
            self.times.append((asked, got, done))
            asked = done

    def result(self, began: float, reads: ReadTimes, device_s: float | None) -> PassTimes:
        asked_s, got_s, done_s = (np.array(self.times, dtype=np.float64).reshape(-1, 3) - began).T
        read = np.array(reads.spans, dtype=np.float64).reshape(-1, 2) - began
        first, last = self.clocks
        return PassTimes(
            asked_s=asked_s,
            got_s=got_s,
            done_s=done_s,
            read_from_s=read[:, 0],
            read_to_s=read[:, 1],
            n_pairs=sum(self.n_pairs[1:]),
            cores_used=used_between(first, last),
            idle_cores=idle_between(first, last),
            late_s=None if reads.stats is None else reads.stats().dense_s,
            device_s=device_s,
        )


def timed_pass(
    make: Callable[[], Iterator[T]],
    step: Step[T] | None,
    n_batches: int,
    *,
    size: Callable[[T], int],
    reads: ReadTimes | None = None,
    device_times: Callable[[], float | None] | None = None,
) -> PassTimes:
    """Time one pass; making the iterator counts for the first batch.

    Parameters
    ----------
    make : callable
        Gives the iterator; it is closed at the end where it can be.
    step : callable or None
        What is done with each batch but the last; it must end when the work is done, not when it is begun.
    n_batches : int
        Batches to take.
    size : callable
        Pairs of a batch.
    reads : ReadTimes, optional
        Where a thread of its own notes when it read.
    device_times : callable, optional
        Asked after the pass for the seconds that an accelerator was busy with its steps.

    Raises
    ------
    InputError
        The pass ends before ``n_batches``.
    """
    one: _Pass[T] = _Pass(step, size)
    began = perf_counter()
    batches = make()
    try:
        one.run(batches, n_batches, began)
    finally:
        closed(batches)
    if len(one.times) < n_batches:
        raise InputError(f"the pass ended after {len(one.times)} of {n_batches} batches: every pass must give as many")
    return one.result(began, reads or ReadTimes(), None if device_times is None else device_times())


def stage_times(
    ways: Ways[T],
    step: Step[T],
    *,
    n_batches: int = 64,
    n_rounds: int = 5,
    seed: int = 0,
    device_times: Callable[[], float | None] | None = None,
    on_pass: OnPass | None = None,
) -> StageTimes:
    """Time the four passes of every round, after one of each that does not count.

    Parameters
    ----------
    ways : Ways
        See :func:`diagnostics.throughput.loaders.ways_of_pairs` and
        :func:`diagnostics.throughput.loaders.ways_of_iterables`.
    step : callable
        Takes a batch; what it returns is dropped.
    n_batches : int
        Of a pass; fewer where a pass has fewer whole ones. Bursts that are rarer are not seen.
    n_rounds : int
        Of which every interval is made.
    seed : int
        With the number of the round it decides the batches.
    device_times : callable, optional
        See :func:`timed_pass`.
    on_pass : callable, optional
        Called with the name of each pass before it is made.

    Raises
    ------
    InputError
        There are fewer than two rounds or three batches, or what the source or the step raises.
    """
    if n_rounds < FEWEST_ROUNDS:
        raise InputError(f"n_rounds is {n_rounds}: one round gives no spread; give at least {FEWEST_ROUNDS}")
    show = on_pass or _say_nothing
    show("warm-up: drain")
    warm_seed = epoch_seed(seed, 0)
    n_batches, held = _warm(ways, n_batches, warm_seed)

    def run(row: Row, one: int) -> PassTimes:
        reads, size = ReadTimes(), ways.size
        plain = partial(ways.plain, one)
        if row == "drain":
            return timed_pass(plain, None, n_batches, size=size)
        if row == "cached":
            return timed_pass(lambda: iter([held] * n_batches), step, n_batches, size=size, device_times=device_times)
        if row == "synchronous":
            return timed_pass(plain, step, n_batches, size=size, device_times=device_times)
        ahead = partial(ways.ahead, one, n_batches, reads)
        return timed_pass(ahead, step, n_batches, size=size, reads=reads, device_times=device_times)

    for row in ROWS[1:]:
        show(f"warm-up: {row}")
        run(row, warm_seed)
    passes: dict[Row, list[PassTimes]] = {row: [] for row in ROWS}
    shares: list[float] = []
    for number in range(n_rounds):
        shares.append(granted())
        for row in ROWS if number % 2 == 0 else ROWS[::-1]:
            show(f"round {number + 1} of {n_rounds}: {row}")
            passes[row].append(run(row, epoch_seed(seed, number + 1)))
    return StageTimes(
        passes={row: tuple(passes[row]) for row in ROWS},
        granted=tuple(shares),
        n_batches=n_batches,
        depth=ways.depth,
    )


def _warm(ways: Ways[T], n_batches: int, seed: int) -> tuple[int, T]:
    """How many batches of the first one's size begin a pass, up to ``n_batches``; and the first."""
    batches = ways.plain(seed)
    try:
        first = next(batches, None)
        if first is None:
            raise InputError("the source gives no batch: there is nothing to time")
        n_whole, n_first = 1, ways.size(first)
        while n_whole < n_batches and (item := next(batches, None)) is not None and ways.size(item) == n_first:
            n_whole += 1
    finally:
        closed(batches)
    if n_whole < FEWEST_BATCHES:
        raise InputError(
            f"a pass of {n_whole} whole batches of {n_first} pairs cannot be timed: it needs {FEWEST_BATCHES}; give "
            "more cells or pairs, more batches, or a smaller batch size"
        )
    return n_whole, first


def _say_nothing(name: str) -> None:
    del name
