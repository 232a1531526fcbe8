"""What rounds say, on rounds made up in virtual time: claims, reasons, advice, and the words for them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.commands.throughput.text import advice, screen, verdict
from diagnostics.throughput.pass_times import PassTimes
from diagnostics.throughput.report import OverlapReport, overlap_report
from diagnostics.throughput.rounds import StageTimes
from diagnostics.throughput.simulated_pass import prefetched_pass, synchronous_pass

N = 12


def rounds(
    read: float,
    step: float,
    *,
    luck_R: Sequence[float] = (1.0, 1.02, 0.99, 1.01),
    ahead: float | None = None,
    read_cores: float = 0.0,
    step_cores: float = 1.0,
    ahead_cores: float | None = None,
    idle: float | None = 1.0,
    late_share: float = 0.0,
    depth: int = 4,
) -> StageTimes:
    """Rounds of constant stages, each slowed by its luck; ``ahead`` is a prefetched batch, else the ideal."""

    def passes(read_s: float, step_s: float, cores: float) -> tuple[PassTimes, ...]:
        made = [synchronous_pass([read_s * luck] * N, [step_s * luck] * N) for luck in luck_R]
        return tuple(replace(one, cores_used=cores, idle_cores=idle, n_pairs=8 * (N - 1)) for one in made)

    both = (read * read_cores + step * step_cores) / (read + step)
    if ahead is None:
        ideal = [prefetched_pass([read * luck] * N, [step * luck] * N, depth=depth) for luck in luck_R]
        prefetched = tuple(replace(one, cores_used=ahead_cores or step_cores, idle_cores=idle) for one in ideal)
    else:
        prefetched = passes(ahead - step, step, ahead_cores or step_cores)
    prefetched = tuple(replace(one, late_s=late_share * one.window_s, n_pairs=8 * (N - 1)) for one in prefetched)
    return StageTimes(
        passes={
            "drain": passes(read, 0.0, read_cores),
            "cached": passes(0.0, step, step_cores),
            "synchronous": passes(read, step, both),
            "prefetched": prefetched,
        },
        granted=(1.0,) * len(luck_R),
        n_batches=N,
        depth=depth,
    )


def report_of(times: StageTimes, *, usable_cores: float = 2.0) -> OverlapReport:
    return overlap_report(times, usable_cores=usable_cores)


@given(st.integers(1, 100), st.integers(1, 100), st.lists(st.floats(0.9, 1.1), min_size=2, max_size=6))
def test_an_ideal_thread_is_reported_as_one(read_ms: int, step_ms: int, luck_R: list[float]):
    report = report_of(rounds(read_ms / 1000, step_ms / 1000, luck_R=luck_R))
    # Within a round the luck is the same for every row, so that shares do not feel it.
    assert report.efficiency.value == pytest.approx(1)
    assert report.saved.value == pytest.approx(1 - report.least_share)
    assert report.wait_share.value == pytest.approx(report.bound_share.value)
    assert report.ideal_s == pytest.approx(report.row("prefetched").batch_s)
    assert report.row("synchronous").pairs_per_s * report.row("synchronous").batch_s == pytest.approx(8)


def test_the_gain_of_a_thread_that_hides_a_disk_is_claimed():
    report = report_of(rounds(0.03, 0.02))
    assert report.helps
    assert report.why is None
    assert report.saved.low > 0.35
    text = verdict(report)
    assert "Reading ahead in a thread helps: it saves 40.0%" in text
    assert "highly input-bound" in text
    assert "has free capacity" in text


@given(st.lists(st.integers(-200, 200).map(lambda parts: parts / 10_000), min_size=2, max_size=6))
def test_no_gain_is_claimed_unless_its_interval_says_so(noise_R: list[float]):
    # Reader and model share one processor: prefetched is synchronous, with the noise of the machine.
    times = rounds(0.02, 0.02, luck_R=[1.0] * len(noise_R), read_cores=1.0, idle=0.0)
    passes = dict(times.passes)
    passes["prefetched"] = tuple(
        replace(one, asked_s=one.asked_s * scale, got_s=one.got_s * scale, done_s=one.done_s * scale)
        for one, scale in zip(times.passes["synchronous"], [1 + noise for noise in noise_R], strict=True)
    )
    report = report_of(replace(times, passes=passes))
    saved_R = -np.array(noise_R)
    # Student's interval, by its definition.
    half = report.saved.value - report.saved.low
    assert report.saved.value == pytest.approx(saved_R.mean(), abs=1e-12)
    assert report.helps == (report.gain.low > 0)
    if abs(saved_R.mean() - half) > 1e-9:
        assert report.helps == (saved_R.mean() > half)
    assert report.efficiency.value <= 0.05
    if not report.helps:
        assert report.why == "saturated"
        assert "No gain" in verdict(report) or "slower" in verdict(report)
        assert not any("Prefetched(" in one for one in advice(report))


def test_why_no_gain_was_shown():
    saturated = report_of(rounds(0.02, 0.02, ahead=0.04, read_cores=1.0, idle=0.1))
    assert (saturated.why, saturated.advised_workers) == ("saturated", 0)
    lock = report_of(rounds(0.02, 0.02, ahead=0.04, read_cores=1.0, idle=1.0, ahead_cores=1.05))
    assert lock.why == "lock"
    assert any("read in processes" in one for one in advice(lock))
    small = report_of(rounds(0.0005, 0.02, ahead=0.0205, read_cores=1.0, idle=0.0))
    assert small.why == "small"
    assert advice(small)[0].startswith("leave the input as it is")
    # Who only waits needs no processor, so that it cannot be for want of one.
    undecided = report_of(rounds(0.02, 0.02, ahead=0.04, read_cores=0.1, idle=0.0))
    assert undecided.why == "undecided"
    assert any("measure again" in one for one in advice(undecided))
    for report in (saturated, lock, small, undecided):
        assert not report.helps
        assert "No gain from reading ahead in a thread was shown" in verdict(report)


def test_more_than_a_thread_can_hide_is_not_its_gain():
    # The passes that were read ahead for fell on a faster minute: 10 % where 2.4 % could be hidden.
    times = rounds(0.0005, 0.02)
    passes = dict(times.passes)
    passes["prefetched"] = tuple(
        replace(one, asked_s=0.9 * one.asked_s, got_s=0.9 * one.got_s, done_s=0.9 * one.done_s)
        for one in times.passes["synchronous"]
    )
    report = report_of(replace(times, passes=passes))
    assert report.gain.low > 0
    assert not report.helps
    assert report.why == "uneven"
    assert "it was the machine that changed" in " ".join(verdict(report).split())


def test_a_source_that_reads_ahead_by_itself_is_noticed():
    times = rounds(0.03, 0.02)
    passes = {**times.passes, "synchronous": times.passes["prefetched"]}
    report = report_of(replace(times, passes=passes))
    assert report.hidden_before.value == pytest.approx(1)
    assert not report.helps
    assert "the source reads ahead by itself" in " ".join(verdict(report).split())
    assert report_of(times).hidden_before.value == pytest.approx(0, abs=1e-9)
    assert "by itself" not in verdict(report_of(times))


def test_a_loss_is_said_to_be_one():
    report = report_of(rounds(0.02, 0.02, ahead=0.05, read_cores=1.0, idle=0.0))
    assert report.harms
    assert "makes it slower, by 25.0%" in verdict(report)


def test_what_idles_elsewhere_is_what_this_process_leaves_where_it_is_not_known():
    report = report_of(rounds(0.02, 0.02, read_cores=1.0, idle=None), usable_cores=4.0)
    assert report.free_cores == pytest.approx(3.0)
    assert "what others use is not known here" in verdict(report)
    # A thread that is given half of its time shares its processor: none is idle.
    crowded = rounds(0.02, 0.02, ahead=0.04, read_cores=0.45, step_cores=0.45, idle=None)
    crowded = replace(crowded, granted=(0.5, 0.5, 0.5, 0.5))
    report = report_of(crowded, usable_cores=4.0)
    assert (report.free_cores, report.why) == (0.0, "saturated")
    assert "no free capacity" in verdict(report)


@pytest.mark.parametrize(
    ("read", "read_cores", "idle", "workers"),
    [
        (0.01, 1.0, 3.0, 1),  # reading is faster than the model: a thread is enough
        (0.07, 0.1, 0.0, 4),  # it waits for a disk: 4 readers keep up, and need no processors
        (0.07, 1.0, 8.0, 4),  # it computes, and there are processors for it
        (0.07, 1.0, 2.0, 2),  # no more than there are
        (0.0001, 1.0, 3.0, 0),  # input is nothing
    ],
)
def test_as_many_workers_as_are_asked_for_and_as_processors_allow(
    read: float, read_cores: float, idle: float, workers: int
):
    times = rounds(read, 0.02, read_cores=read_cores, idle=idle)
    assert report_of(times, usable_cores=16.0).advised_workers == workers


def test_the_depth_lasts_as_long_as_the_longest_read():
    times = rounds(0.001, 0.02)
    burst = synchronous_pass([0.001] * 6 + [0.3] + [0.001] * 5, [0.0] * N)
    passes = {**times.passes, "drain": (burst,) * 4}
    report = report_of(replace(times, passes=passes))
    assert report.longest_read_s == pytest.approx(0.3)
    assert report.advised_depth * report.row("cached").batch_s >= 0.3
    assert report.advised_depth == 15


def test_batches_made_dense_by_the_model_are_noticed():
    assert any("--dense-ahead" in one for one in advice(report_of(rounds(0.02, 0.02, late_share=0.2))))
    assert not any("--dense-ahead" in one for one in advice(report_of(rounds(0.02, 0.02, late_share=0.01))))


def test_a_share_whose_interval_spans_a_bound_is_in_both_bands():
    lucky = report_of(rounds(0.0012, 0.02, luck_R=[1.0, 1.0]))
    assert "is moderately input-bound" in verdict(lucky)
    times = rounds(0.0012, 0.02, luck_R=[1.0, 1.0])
    passes = {**times.passes, "synchronous": (times.passes["synchronous"][0], times.passes["prefetched"][0])}
    torn = report_of(replace(times, passes=passes))
    assert "between not input-bound and " in " ".join(verdict(torn).split())


def test_the_screen_shows_every_row_between_its_neighbours():
    text = screen(report_of(rounds(0.03, 0.02)), title="a model on a source")
    for part in ("drain", "cached", "synchronous training", "prefetched training", "a thread that costs nothing"):
        assert part in text
    for part in ("overlap efficiency  1.00", "wait share", "input-bound share", "first batch", "cores", "stalls"):
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= 100
