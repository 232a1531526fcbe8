"""Passes in virtual time have exact answers: shares, overlap, the rule of depth, and no gain where none can be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.throughput.pass_times import (
    PassTimes,
    band,
    depth_for,
    input_bound_share,
    least_share,
    overlap_efficiency,
)
from diagnostics.throughput.simulated_pass import prefetched_pass, synchronous_pass
from gpcp.core.errors import InputError

NOTHING = np.zeros(0)

# Whole milliseconds: sums of them are exact to the last bits, which the tolerance of approx covers.
stages = st.integers(1, 200).map(lambda ms: ms / 1000)
depths = st.integers(1, 8)


@st.composite
def random_stages(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    n = draw(st.integers(2, 30))
    lists = st.lists(stages, min_size=n, max_size=n)
    return draw(lists), draw(lists)


def efficiency(read_s: list[float], step_s: list[float], depth: int) -> float:
    """Over the reads and steps that a pass is timed over: all reads but the first, all steps but the last."""
    return overlap_efficiency(
        data_s=sum(read_s[1:]) / (len(read_s) - 1),
        model_s=sum(step_s[:-1]) / (len(step_s) - 1),
        synchronous_s=synchronous_pass(read_s, step_s).batch_s,
        prefetched_s=prefetched_pass(read_s, step_s, depth=depth).batch_s,
    )


@given(stages, stages, st.integers(2, 30), depths)
def test_constant_stages_overlap_completely_at_any_depth(read: float, step: float, n: int, depth: int):
    plain = synchronous_pass([read] * n, [step] * n)
    ahead = prefetched_pass([read] * n, [step] * n, depth=depth)
    assert plain.batch_s == pytest.approx(read + step)
    assert plain.wait_share == pytest.approx(read / (read + step))
    assert ahead.batch_s == pytest.approx(max(read, step))
    assert ahead.wait_share == pytest.approx(max(0.0, 1 - step / read), abs=1e-9)
    assert efficiency([read] * n, [step] * n, depth) == pytest.approx(1)
    assert ahead.batch_s / plain.batch_s == pytest.approx(least_share(read, step))
    # The wait share and the input-bound share are the same where reader and model do not compete.
    assert input_bound_share(step, plain.batch_s) == pytest.approx(plain.wait_share)
    assert plain.first_batch_s == ahead.first_batch_s == pytest.approx(read)


@given(random_stages(), depths)
def test_a_thread_hides_between_nothing_and_the_shorter_stage(
    given_stages: tuple[list[float], list[float]], depth: int
):
    hidden = efficiency(*given_stages, depth)
    assert -1e-9 <= hidden <= 1 + 1e-9
    # A deeper queue hides no less.
    assert efficiency(*given_stages, depth + 1) >= hidden - 1e-9


@given(random_stages(), depths)
def test_the_queue_holds_what_was_read_and_not_taken(given_stages: tuple[list[float], list[float]], depth: int):
    ahead = prefetched_pass(*given_stages, depth=depth)
    _, queued_E = ahead.queued()
    assert queued_E.min() >= 0
    # One more than the depth at the very moment at which a batch is laid down and another is taken.
    assert queued_E.max() <= depth + 1
    assert queued_E[-1] == 0


@given(st.integers(1, 12), st.integers(1, 400), stages, st.integers(2, 5), st.floats(0, 1))
def test_a_queue_as_deep_as_the_rule_says_hides_a_reader_that_reads_blocks(
    block: int, burst_ms: int, step: float, n_blocks: int, rest: float
):
    # Each block begins with a long read; the others of it are no longer than a step; reading is no slower on average.
    short = rest * step
    burst = min(burst_ms / 1000, block * step - (block - 1) * short)
    read_s = ([burst] + [short] * (block - 1)) * n_blocks + [burst]
    longest = max(read_s[1:])
    depth = depth_for(longest, step)
    assert depth * step >= longest
    ahead = prefetched_pass(read_s, [step] * len(read_s), depth=depth)
    assert ahead.wait_s[1:].max() == pytest.approx(0, abs=1e-9)
    assert ahead.n_stalls(1e-6) == 0


def test_a_queue_shallower_than_the_rule_stalls_once_a_block():
    # Blocks of 8 batches, 0.8 s to read one, steps of 0.1 s: 8 deep.
    read_s, step_s = ([0.8] + [0.0] * 7) * 4, [0.1] * 32
    assert depth_for(0.8, 0.1) == 8
    assert prefetched_pass(read_s, step_s, depth=8).n_stalls(0.01) == 0
    # The queue lasts 0.5 s of each 0.8.
    shallow = prefetched_pass(read_s, step_s, depth=5)
    assert shallow.n_stalls(0.01) == 3
    assert shallow.wait_s[8] == pytest.approx(0.3)


@given(st.floats(1e-6, 10), st.floats(1e-6, 10))
def test_the_depth_is_the_least_that_lasts(longest: float, step: float):
    depth = depth_for(longest, step)
    assert depth * step >= longest
    assert depth == 2 or (depth - 1) * step < longest * (1 + 1e-12)


@given(stages, stages)
def test_at_best_a_thread_halves_the_time(read: float, step: float):
    assert 0.5 <= least_share(read, step) <= 1
    assert least_share(read, step) == pytest.approx(1 / (1 + min(read, step) / max(read, step)))
    assert least_share(read, read) == 0.5
    assert least_share(0.0, step) == 1.0


def test_the_bands_are_those_published():
    assert [band(share) for share in (-0.1, 0.049, 0.05, 0.2, 0.201)] == [
        *["not input-bound"] * 2,
        *["moderately input-bound"] * 2,
        "highly input-bound",
    ]


def pass_on_one_processor(read: float, step: float, n: int, depth: int, turns: list[bool]) -> PassTimes:
    """Reader and model take turns of a millisecond at one core, as threads do at Python's interpreter lock.

    ``turns`` decides which goes on where both could; the model needs a turn to take a batch, so that the reader may
    be well into the next one by then.
    """
    asked, got, done, laid = [0.0], list[float](), list[float](), list[float]()
    now, to_read, to_step, turn = 0.0, read, 0.0, iter(turns)
    while len(got) < n:
        may_read = len(laid) < n and len(laid) - len(got) < depth
        may_step = len(laid) > len(got) or to_step > 0
        if may_read and (not may_step or next(turn, False)):
            spent = min(0.001, to_read)
            now, to_read = now + spent, to_read - spent
            if to_read < 1e-9:
                laid.append(now)
                to_read = read
        elif to_step > 0:
            spent = min(0.001, to_step)
            now, to_step = now + spent, to_step - spent
            if to_step < 1e-9:
                to_step = 0.0
                done.append(now)
                asked.append(now)
        else:
            got.append(now)
            to_step = step
    laid_s = np.array(laid)
    done_s = np.array([*done, got[-1]])
    return PassTimes(
        asked_s=np.array(asked[:n]), got_s=np.array(got), done_s=done_s, read_from_s=laid_s - read, read_to_s=laid_s
    )


@given(stages, stages, st.integers(2, 8), depths, st.lists(st.booleans(), max_size=200))
def test_stages_that_share_one_processor_show_no_gain(read: float, step: float, n: int, depth: int, turns: list[bool]):
    # The work is the same whoever goes first, nothing idles, and no part of it lies outside the time that is taken.
    shared = pass_on_one_processor(read, step, n, depth, turns)
    assert shared.batch_s == pytest.approx(synchronous_pass([read] * n, [step] * n).batch_s)


def test_shares_of_a_pass_by_hand():
    times = PassTimes(
        asked_s=np.array([0.0, 3.0, 6.0]),
        got_s=np.array([1.0, 4.0, 6.5]),
        done_s=np.array([3.0, 6.0, 6.5]),
        read_from_s=NOTHING,
        read_to_s=NOTHING,
        n_pairs=20,
    )
    assert times.window_s == 5.5
    assert times.batch_s == 2.75
    assert times.wait_share == pytest.approx(1.5 / 5.5)
    assert times.first_batch_s == 1.0
    assert [times.n_stalls(limit) for limit in (0.4, 0.5, 1.0)] == [2, 1, 0]
    assert len(times.queued()[0]) == 0
    assert math.isnan(times.cores_used)


@pytest.mark.parametrize(
    ("got", "summary"),
    [([1.0], "at least 2"), ([1.0, 0.5], "run backwards"), ([1.0, math.nan], "run backwards")],
)
def test_times_that_cannot_be_are_refused(got: list[float], summary: str):
    with pytest.raises(InputError, match=summary):
        PassTimes(
            asked_s=np.array([0.0, 1.5][: len(got)]),
            got_s=np.array(got),
            done_s=np.array([1.5, 2.0][: len(got)]),
            read_from_s=NOTHING,
            read_to_s=NOTHING,
        )


def test_virtual_passes_refuse_what_makes_no_pass():
    with pytest.raises(InputError, match="give one of both"):
        synchronous_pass([1.0, 1.0], [1.0])
    with pytest.raises(InputError, match="depth is 0"):
        prefetched_pass([1.0, 1.0], [1.0, 1.0], depth=0)
    with pytest.raises(InputError, match="at least 2"):
        prefetched_pass([1.0], [1.0], depth=1)
