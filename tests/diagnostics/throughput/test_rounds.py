"""Rounds of passes over real sources: the same batches in every row, in turn, no thread left; no time is asserted."""

import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from diagnostics.throughput.cpu_use import CoreReading, granted, idle_between, usable_cores, used_between
from diagnostics.throughput.loaders import ReadTimes, ways_of_iterables, ways_of_pairs
from diagnostics.throughput.report import overlap_report
from diagnostics.throughput.rounds import ROWS, stage_times
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.loading.sharding import epoch_seed
from tests.gpcp.held_pairs import KINDS, HeldPairs, LateHeldPairs, content, reading_threads


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert reading_threads() == []


def as_it_is(batch: PairBatch) -> PairBatch:
    return batch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("dense_ahead", [True, False])
def test_both_ways_give_the_batches_of_the_source(kind: type[HeldPairs], known: bool, dense_ahead: bool):
    source: PairSource = kind(14, known=known)
    ways = ways_of_pairs(source, batch_size=4, depth=2, dense_ahead=dense_ahead, prepared=as_it_is, size=len)
    whole = content(source.pairs(batch_size=4, seed=3))
    assert content(ways.plain(3)) == whole
    reads = ReadTimes()
    assert content(ways.ahead(3, 3, reads)) == whole[:3]
    # Each of the three was noted when it was read, and nothing was read beyond them.
    assert len(reads.spans) == 3
    assert all(first[1] <= second[0] for first, second in pairwise(reads.spans))
    assert reads.stats is not None
    assert reads.stats().n_batches == 3


def test_late_batches_are_made_dense_by_the_model_unless_that_is_asked_of_the_thread():
    for dense_ahead in (False, True):
        source = LateHeldPairs(12)
        ways = ways_of_pairs(source, batch_size=4, depth=2, dense_ahead=dense_ahead, prepared=as_it_is, size=len)
        assert len(list(ways.ahead(0, 3, ReadTimes()))) == 3
        threads = {thread for _, thread in source.made_dense}
        assert len(threads) == 1
        assert (threads != {threading.get_ident()}) == dense_ahead


def test_rounds_turn_round_and_every_pass_is_over_the_same_batches():
    seen: list[bytes] = []
    source = HeldPairs(14)

    def step(batch: PairBatch) -> None:
        seen.append(batch.before_id_B.tobytes())

    names: list[str] = []
    ways = ways_of_pairs(source, batch_size=4, depth=2, prepared=as_it_is, size=len)
    times = stage_times(ways, step, n_batches=64, n_rounds=2, seed=5, on_pass=names.append)
    # 14 pairs are three whole batches of 4; the last, of two, is left out.
    assert times.n_batches == 3
    assert names[: len(ROWS)] == [f"warm-up: {row}" for row in ROWS]
    assert names[len(ROWS) :] == [f"round 1 of 2: {row}" for row in ROWS] + [f"round 2 of 2: {r}" for r in ROWS[::-1]]
    # A pass of three batches has two steps: it is timed up to when the third comes.
    assert all(len(one) == 3 and one.n_pairs == 8 for passes in times.passes.values() for one in passes)
    batches = [
        [batch.before_id_B.tobytes() for batch in source.pairs(batch_size=4, seed=epoch_seed(5, number))][:2]
        for number in range(3)
    ]
    held = [batches[0][0]] * 2
    assert seen == held + 2 * batches[0] + held + 2 * batches[1] + 2 * batches[2] + held


def test_a_round_of_a_real_source_makes_a_report():
    ways = ways_of_pairs(HeldPairs(40), batch_size=4, depth=2, prepared=as_it_is, size=len)
    times = stage_times(ways, lambda batch: np.linalg.svd(batch.after_BG), n_batches=8, n_rounds=2)
    report = overlap_report(times, usable_cores=usable_cores())
    assert [one.row for one in report.rows] == list(ROWS)
    assert report.n_rounds == 2
    for one in times.passes["prefetched"]:
        assert len(one.read_from_s) == 8
        assert one.late_s is not None
    for one in times.passes["synchronous"]:
        assert len(one.read_from_s) == 0


def test_any_iterable_is_read_ahead_by_a_thread_or_by_itself():
    def numbers(seed: int) -> Iterator[int]:
        return iter(range(seed, seed + 6))

    ways = ways_of_iterables(numbers, size=lambda number: 1, depth=3)
    reads = ReadTimes()
    assert list(ways.ahead(2, 4, reads)) == [2, 3, 4, 5]
    assert len(reads.spans) == 4
    both = ways_of_iterables(numbers, lambda seed: [seed] * 3, size=lambda number: 1)
    assert list(both.ahead(2, 9, ReadTimes())) == [2, 2, 2]
    assert list(both.plain(2)) == [2, 3, 4, 5, 6, 7]


def test_what_a_source_or_a_step_raises_ends_the_rounds():
    def failing(seed: int) -> Iterator[int]:
        yield from range(4)
        raise OSError(f"the disk failed in pass {seed}")

    ways = ways_of_iterables(failing, size=lambda number: 1)
    with pytest.raises(OSError, match="the disk failed"):
        stage_times(ways, lambda number: None, n_batches=8)

    def refusing(batch: PairBatch) -> None:
        raise RuntimeError("no step")

    with pytest.raises(RuntimeError, match="no step"):
        stage_times(ways_of_pairs(HeldPairs(40), batch_size=4, prepared=as_it_is, size=len), refusing)


@pytest.mark.parametrize(
    ("n_pairs", "n_rounds", "summary"),
    [(0, 5, "gives no batch"), (8, 5, "2 whole batches of 4 pairs"), (40, 1, "n_rounds is 1")],
)
def test_too_little_is_refused(n_pairs: int, n_rounds: int, summary: str):
    ways = ways_of_pairs(HeldPairs(n_pairs), batch_size=4, prepared=as_it_is, size=len)
    with pytest.raises(InputError, match=summary):
        stage_times(ways, lambda batch: None, n_rounds=n_rounds)


@pytest.mark.parametrize(("batch_size", "depth", "summary"), [(0, 4, "batch_size is 0"), (4, 0, "depth is 0")])
def test_ways_of_nothing_are_refused(batch_size: int, depth: int, summary: str):
    with pytest.raises(InputError, match=summary):
        ways_of_pairs(HeldPairs(8), batch_size=batch_size, depth=depth, prepared=as_it_is, size=len)


def test_a_pass_that_becomes_shorter_is_refused():
    def shrinking(seed: int) -> Iterator[int]:
        return iter(range(6 if seed == epoch_seed(0, 0) else 4))

    with pytest.raises(InputError, match="ended after 4 of 6"):
        stage_times(ways_of_iterables(shrinking, size=lambda number: 1), lambda number: None)


def test_processors_are_counted_within_what_there_is():
    first = CoreReading.now()
    assert 0 < granted(0.01) <= 1
    last = CoreReading.now()
    assert usable_cores() > 0
    assert used_between(first, last) >= 0
    later = CoreReading(wall_s=first.wall_s + 2, cpu_s=first.cpu_s + 3, idle_s=None)
    assert used_between(first, later) == pytest.approx(1.5)
    assert idle_between(first, later) is None
    known = [CoreReading(wall_s=wall, cpu_s=0.0, idle_s=idle) for wall, idle in ((0.0, 5.0), (2.0, 6.0), (0.1, 5.0))]
    assert idle_between(known[0], known[1]) == 0.5
    assert idle_between(known[0], known[2]) is None
