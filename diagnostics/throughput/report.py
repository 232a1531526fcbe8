"""Summary of rounds of timed passes: shares with intervals, whether reading ahead helps, and if not, why.

A gain is claimed only where the interval of ``T_sync - T_async`` over rounds lies above 0, and is no more than a thread
can hide. Otherwise the report says that none was shown, and looks for the reason in what else was measured.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from diagnostics.throughput.pass_times import (
    NOT_BOUND,
    PassTimes,
    depth_for,
    input_bound_share,
    least_share,
    overlap_efficiency,
)
from diagnostics.throughput.rounds import ROWS, Row, StageTimes
from diagnostics.throughput.simulated_pass import prefetched_pass
from gpcp.core.errors import InputError
from gpcp.core.intervals import LEVEL, Interval, mean_interval

Why = Literal["uneven", "small", "saturated", "lock", "undecided"]

STALL_S = 0.05
MOST_DEPTH = 1024
"""Largest queue depth that is recommended."""

ALONE = 0.9
"""Share of its time that a thread which only computes gets at least, where no other process wants the processors."""

MOST_EFFICIENCY = 1.25
"""An overlap efficiency that lies above this with its whole interval is not a thread's: no more than 1 can be."""

_BUSY = 0.5
"""Processors from which a stage counts as computing, and from which idling counts as a processor to be had."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RowFigures:
    """One row of the table.

    Parameters
    ----------
    row : str
    batch_s, fastest_s, slowest_s : float
        Seconds a batch after the first: the median over rounds, and its ends.
    pairs_per_s : float
    cores_used : float
        Of this process, on average.
    idle_cores : float or None
        Usable processors with nothing to do meanwhile, on average; None if unknown.
    first_batch_s, longest_wait_s, n_stalls : float
        Median over rounds.
    device_share : float or None
        Share of the time that an accelerator was busy.
    """

    row: Row
    batch_s: float
    fastest_s: float
    slowest_s: float
    pairs_per_s: float
    cores_used: float
    idle_cores: float | None
    first_batch_s: float
    longest_wait_s: float
    n_stalls: float
    device_share: float | None

    @classmethod
    def of(cls, row: Row, passes: Sequence[PassTimes], *, stall_s: float) -> "RowFigures":
        """Summarise a row's passes, one a round."""
        seconds = [one.batch_s for one in passes]
        middle = statistics.median(seconds)
        window_s = sum(one.window_s for one in passes)
        n_each = sum(one.n_pairs for one in passes) / sum(len(one) - 1 for one in passes)
        idle = [one.idle_cores for one in passes if one.idle_cores is not None]
        busy = [one.device_s for one in passes if one.device_s is not None]
        return cls(
            row=row,
            batch_s=middle,
            fastest_s=min(seconds),
            slowest_s=max(seconds),
            pairs_per_s=n_each / middle if middle > 0 else math.inf,
            cores_used=statistics.median(one.cores_used for one in passes),
            idle_cores=statistics.median(idle) if idle else None,
            first_batch_s=statistics.median(one.first_batch_s for one in passes),
            longest_wait_s=statistics.median(float(one.wait_s[1:].max()) for one in passes),
            n_stalls=statistics.median(one.n_stalls(stall_s) for one in passes),
            device_share=sum(busy) / window_s if len(busy) == len(passes) and window_s > 0 else None,
        )


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class OverlapReport:
    """Everything computed from the rounds.

    Parameters
    ----------
    rows : tuple of RowFigures
        In the order of :data:`diagnostics.throughput.rounds.ROWS`.
    ideal_s : float
        Seconds a batch of a thread that costs nothing, by
        :func:`diagnostics.throughput.simulated_pass.prefetched_pass` over what
        was read and stepped: the ceiling of reading ahead.
    gain : Interval
        ``T_sync - T_async``, seconds a batch, and its interval over rounds.
    saved : Interval
        The same as a share of ``T_sync``.
    efficiency : Interval
        See :func:`diagnostics.throughput.pass_times.overlap_efficiency`.
    hidden_before : Interval
        ``(T_data + T_model - T_sync) / min(T_data, T_model)``: what a source that reads ahead by itself hides already.
    wait_share, wait_share_ahead : Interval
        Of synchronous and of prefetched training.
    bound_share, bound_share_ahead : Interval
        See :func:`diagnostics.throughput.pass_times.input_bound_share`.
    late_share : float or None
        Share of prefetched training in which the consumer made batches dense.
    longest_read_s : float
        After the first batch: the median over rounds of each round's longest.
    usable_cores, granted : float
        Processors; share of its time that a thread which only computes was given.
    free_cores : float
        Processors with nothing to do while the model trains on a batch that is there: what a reader could have.
    free_known : bool
        Whether that was measured; otherwise it is what this process leaves.
    depth, n_batches, n_rounds : int
    level : float
        Of the intervals.
    why : str or None
        Why no gain was shown: ``uneven``, there seems to be more than a thread can hide, so that it is the machine's;
        ``small``, there is too little to hide; ``saturated``, no processor is free to read; ``lock``, reader and model
        exclude each other though processors are free; ``undecided``, the interval is wide.
    """

    rows: tuple[RowFigures, ...]
    ideal_s: float
    gain: Interval
    saved: Interval
    efficiency: Interval
    hidden_before: Interval
    wait_share: Interval
    wait_share_ahead: Interval
    bound_share: Interval
    bound_share_ahead: Interval
    late_share: float | None
    longest_read_s: float
    usable_cores: float
    free_cores: float
    free_known: bool
    granted: float
    depth: int
    n_batches: int
    n_rounds: int
    level: float
    why: Why | None

    def row(self, name: Row) -> RowFigures:
        """One row of the table."""
        return self.rows[ROWS.index(name)]

    @property
    def helps(self) -> bool:
        """Whether a gain was shown: its interval lies above 0, and it is one that a thread can make."""
        return self.why is None

    @property
    def harms(self) -> bool:
        """Whether a loss was shown."""
        return self.gain.high < 0

    @property
    def lost(self) -> Interval:
        """What synchronous training loses to input: the larger of the wait share and the input-bound share."""
        return max(self.wait_share, self.bound_share, key=_value)

    @property
    def lost_ahead(self) -> Interval:
        """The same of prefetched training."""
        return max(self.wait_share_ahead, self.bound_share_ahead, key=_value)

    @property
    def little_to_hide(self) -> bool:
        """Whether the shorter stage is below :data:`diagnostics.throughput.pass_times.NOT_BOUND` of the whole."""
        return 1 - self.least_share < NOT_BOUND

    @property
    def least_share(self) -> float:
        """The least that reading ahead could leave of a synchronous step's time, by the medians of both stages."""
        return least_share(self.row("drain").batch_s, self.row("cached").batch_s)

    @property
    def advised_depth(self) -> int:
        """A queue that lasts as long as the longest read, in steps on a batch that is there."""
        return min(MOST_DEPTH, depth_for(self.longest_read_s, self.row("cached").batch_s))

    @property
    def advised_workers(self) -> int:
        """Readers that would keep up with the model, as far as the free processors let them compute.

        ``T_data / T_model`` of them, rounded up, are as fast as the model. Each needs as many processors as draining
        used: one that waits for a disk needs hardly any. 0 where input is not what limits, or where no gain was
        shown for want of processors.
        """
        data, model = self.row("drain"), self.row("cached")
        if self.little_to_hide or self.lost.value < NOT_BOUND or self.why == "saturated":
            return 0
        # A reader that is a tenth slower than the model is not worth a second one.
        asked = max(1, math.ceil(data.batch_s / model.batch_s - 0.1))
        wanted = data.cores_used / self.granted
        if wanted < _BUSY:
            return asked
        return min(asked, max(1, math.floor(self.free_cores / wanted + 0.25)))


def overlap_report(
    times: StageTimes, *, usable_cores: float, stall_s: float = STALL_S, level: float = LEVEL
) -> OverlapReport:
    """Compute the report of the rounds.

    Parameters
    ----------
    times : StageTimes
    usable_cores : float
        As :func:`diagnostics.throughput.cpu_use.usable_cores` gives them.
    stall_s : float
        A wait after the first batch that is longer is a stall.
    level : float
        Of the intervals, Student's over rounds.

    Raises
    ------
    InputError
        A stage took no time at all.
    """
    rounds = list(zip(*(times.passes[row] for row in ROWS), strict=True))
    seconds = [[one.batch_s for one in each] for each in rounds]
    if not all(min(each) > 0 for each in seconds):
        raise InputError(
            "a stage took no time that the clock can measure: nothing can be compared; give larger batches"
        )

    def over(figure: Callable[[PassTimes, PassTimes, PassTimes, PassTimes], float]) -> Interval:
        return mean_interval([figure(*each) for each in rounds], level=level)

    rows = tuple(RowFigures.of(row, times.passes[row], stall_s=stall_s) for row in ROWS)
    drain, cached, plain, ahead = rows
    little = 1 - least_share(drain.batch_s, cached.batch_s) < NOT_BOUND
    gain = over(lambda _d, _c, s, p: s.batch_s - p.batch_s)
    efficiency = over(
        lambda d, c, s, p: overlap_efficiency(
            data_s=d.batch_s, model_s=c.batch_s, synchronous_s=s.batch_s, prefetched_s=p.batch_s
        )
    )
    idle = plain.idle_cores if cached.idle_cores is None else cached.idle_cores
    late = [one.late_s / one.window_s for one in times.passes["prefetched"] if one.late_s is not None]
    granted = statistics.median(times.granted)
    free = _free(usable_cores, granted, cached) if idle is None else min(idle, usable_cores)
    if gain.low > 0:
        why: Why | None = "uneven" if efficiency.low > MOST_EFFICIENCY else None
    else:
        why = _why(drain, cached, ahead, free=free, granted=granted, little=little)
    return OverlapReport(
        rows=rows,
        ideal_s=_ideal_s(times),
        gain=gain,
        saved=over(lambda _d, _c, s, p: 1 - p.batch_s / s.batch_s),
        efficiency=efficiency,
        hidden_before=over(lambda d, c, s, _p: (d.batch_s + c.batch_s - s.batch_s) / min(d.batch_s, c.batch_s)),
        wait_share=over(lambda _d, _c, s, _p: s.wait_share),
        wait_share_ahead=over(lambda _d, _c, _s, p: p.wait_share),
        bound_share=over(lambda _d, c, s, _p: input_bound_share(c.batch_s, s.batch_s)),
        bound_share_ahead=over(lambda _d, c, _s, p: input_bound_share(c.batch_s, p.batch_s)),
        late_share=statistics.median(late) if late else None,
        longest_read_s=drain.longest_wait_s,
        usable_cores=usable_cores,
        free_cores=free,
        free_known=idle is not None,
        granted=granted,
        depth=times.depth,
        n_batches=times.n_batches,
        n_rounds=len(rounds),
        level=level,
        why=why,
    )


def _free(usable_cores: float, granted: float, cached: RowFigures) -> float:
    """Cores that the model leaves idle; none where a thread is not given a whole processor."""
    return max(0.0, usable_cores - cached.cores_used) if granted >= ALONE else 0.0


def _why(drain: RowFigures, cached: RowFigures, ahead: RowFigures, *, free: float, granted: float, little: bool) -> Why:
    """The first reason that holds: what cannot be gained, then what is in the way, then chance."""
    if little:
        return "small"
    # Where others take a part of every processor, a thread that computes all the time uses no more than is granted.
    reading_computes, model_computes = (one.cores_used / granted >= _BUSY for one in (drain, cached))
    if reading_computes and free < _BUSY:
        return "saturated"
    # Two threads that both compute, and no more than one of them at a time.
    if reading_computes and model_computes and ahead.cores_used < max(1.0, cached.cores_used) + 0.25:
        return "lock"
    return "undecided"


def _value(found: Interval) -> float:
    return found.value


def _ideal_s(times: StageTimes) -> float:
    """Of each round its own reads and steps; the median over rounds."""
    pairs = zip(times.passes["drain"], times.passes["cached"], strict=True)
    return statistics.median(
        prefetched_pass(
            drain.wait_s.tolist(), np.diff(cached.done_s, prepend=cached.got_s[0]).tolist(), depth=times.depth
        ).batch_s
        for drain, cached in pairs
    )
