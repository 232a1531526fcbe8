"""Reading ahead on the wall clock: a thread hides what sleeps, and no gain is claimed where one lock is held by both.

The machine may be loaded. Stages that sleep need no processor, so that they depend on the scheduler alone; and what
others take of the processors lengthens every row. Nothing is asserted of absolute times.
"""

import time
from collections.abc import Callable, Iterator

import pytest
from torch.utils.data import DataLoader

from diagnostics.commands.throughput.text import advice, verdict
from diagnostics.throughput.cpu_use import usable_cores
from diagnostics.throughput.loaders import ReadTimes, Ways, ways_of_iterables
from diagnostics.throughput.report import OverlapReport, overlap_report
from diagnostics.throughput.rounds import stage_times
from gpcp.core.pairs import PairBatch
from gpcp.loading.torch_dataset import PairDataset
from tests.gpcp.held_pairs import HeldPairs, content

pytestmark = pytest.mark.slow

NUMBERS = 40


def ways_of(read: Callable[[int], None], *, depth: int = 4) -> Ways[int]:
    def numbers(seed: int) -> Iterator[int]:
        for number in range(NUMBERS):
            read(number)
            yield number

    return ways_of_iterables(numbers, size=lambda number: 1, depth=depth)


def spin(seconds: float) -> None:
    """Compute for so long, in this thread's own processor time, never letting the interpreter lock go by itself."""
    until_s = time.thread_time() + seconds
    while time.thread_time() < until_s:
        pass


def report_of(
    ways: Ways[int], step: Callable[[int], object], *, level: float = 0.95, n_rounds: int = 3, n_batches: int = 14
) -> OverlapReport:
    times = stage_times(ways, step, n_batches=n_batches, n_rounds=n_rounds)
    return overlap_report(times, usable_cores=usable_cores(), level=level)


@pytest.mark.parametrize(("read_s", "step_s", "workers"), [(0.04, 0.04, 1), (0.1, 0.04, 3), (0.04, 0.1, 1)])
def test_stages_that_sleep_overlap(read_s: float, step_s: float, workers: int):
    # Long sleeps: on a machine where a thread is given a tenth of a processor, one wakes some milliseconds late.
    read = ways_of(lambda number: time.sleep(read_s))
    report = report_of(read, lambda number: time.sleep(step_s), n_batches=8)
    assert report.helps
    assert report.efficiency.value >= 0.8
    # Who only waits needs no processor: as many readers as keep up with the model.
    assert report.advised_workers == workers
    assert "helps" in verdict(report)


def test_a_reader_that_reads_blocks_does_not_stall_a_queue_as_deep_as_is_advised():
    # 0.12 s for each block of 6: on average as long as 5 steps, so that the queue can fill.
    def ways(depth: int) -> Ways[int]:
        return ways_of(lambda number: time.sleep(0.12 if number % 6 == 0 else 0.0), depth=depth)

    def step(number: int) -> None:
        time.sleep(0.024)

    advised = report_of(ways(1), step, n_rounds=2).advised_depth
    report = report_of(ways(advised), step)
    # Blocks begin at batches 0 and 6 of a pass: one burst to be hidden, which a queue of one batch cannot.
    assert report.efficiency.value >= 0.8


def test_no_gain_is_claimed_where_reader_and_model_hold_one_lock():
    # An interval of 99.9 %: the noise of a machine shows a gain once in two thousand times.
    report = report_of(ways_of(lambda number: spin(0.015)), lambda number: spin(0.015), level=0.999, n_rounds=5)
    assert not report.helps
    assert report.efficiency.value < 0.3
    assert report.why in ("saturated", "lock")
    assert "No gain from reading ahead" in verdict(report) or "makes it slower" in verdict(report)
    assert not any("Prefetched(" in one for one in advice(report))
    # The trap: the model hardly waits, and yet nearly half of its time is lost.
    assert report.wait_share_ahead.value < report.bound_share_ahead.value


def test_input_that_is_next_to_nothing_is_left_alone():
    report = report_of(ways_of(lambda number: None), lambda number: time.sleep(0.02), n_rounds=3)
    assert report.little_to_hide
    assert report.advised_workers == 0
    assert advice(report)[0].startswith("leave the input as it is")


@pytest.mark.parametrize("n_workers", [1, 2])
def test_the_workers_of_a_loader_of_torch_are_measured_like_any_other_way(n_workers: int):
    source = HeldPairs(60)

    def loader(seed: int, n_workers: int) -> DataLoader[PairBatch]:
        dataset = PairDataset(source, batch_size=4, seed=seed)
        return DataLoader(dataset, batch_size=None, num_workers=n_workers)

    ways = ways_of_iterables(lambda seed: loader(seed, 0), lambda seed: loader(seed, n_workers), size=len)
    assert content(ways.ahead(3, 15, ReadTimes())) == content(ways.plain(3))
    times = stage_times(ways, lambda batch: spin(0.002), n_batches=12, n_rounds=2)
    report = overlap_report(times, usable_cores=usable_cores())
    # Workers are processes: starting them is the first batch's latency.
    assert report.row("prefetched").first_batch_s > report.row("synchronous").first_batch_s
