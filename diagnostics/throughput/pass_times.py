"""Times of each batch of a pass (requested, received, done), and the formulas of wait share and overlap.

Two numbers decide whether input limits a run, since each misses a case. The *wait share* is the time blocked in
``next()``; where reader and model compete for the same cores it is small although the steps are slow. The
*input-bound share* compares a step with one on a batch that is there already; it sees both.

The first batch is dropped from all but its own latency: a pass is timed from when its first batch was read to when its
last one is had. So much time holds as many reads as steps, in whatever thread: nothing is read before it and
used in it, as there would be were it to begin with the end of the first step, or when a thread that competes for the
interpreter lock hands the batch over. Two threads that take turns at one processor therefore show no gain. With
constant stages a synchronous pass takes ``read + step`` a batch, and an ideal prefetched one ``max(read, step)``, for
any number of batches.
"""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError

NOT_BOUND, HIGHLY_BOUND = 0.05, 0.20
"""Shares below which a run is not, and above which it is highly, input-bound: the bands of TensorFlow's profiler."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PassTimes:
    """One pass: seconds since its beginning, on the wall clock.

    Parameters
    ----------
    asked_s, got_s, done_s : float64, (n_batches,)
        When the consumer asked for a batch, had it, and had done its step. Without a step, done is got. The step of the
        last batch is not timed, and need not be done.
    read_from_s, read_to_s : float64, (n_reads,)
        When a thread of its own began and ended reading a batch; empty where the consumer reads for itself.
    n_pairs : int
        Pairs of the batches after the first.
    cores_used : float
        Processors that this process kept busy after the first batch came, over all its threads, on average.
    idle_cores : float or None
        Usable processors that had nothing to do meanwhile; None if unknown.
    late_s : float or None
        Seconds the consumer spent making batches dense, a part of its waiting; None if unknown.
    device_s : float or None
        Seconds the accelerator was busy with steps, by its own events; None without one.

    Raises
    ------
    InputError
        There are fewer than two batches, or times run backwards.
    """

    asked_s: NDArray[np.float64]
    got_s: NDArray[np.float64]
    done_s: NDArray[np.float64]
    read_from_s: NDArray[np.float64]
    read_to_s: NDArray[np.float64]
    n_pairs: int = 0
    cores_used: float = math.nan
    idle_cores: float | None = None
    late_s: float | None = None
    device_s: float | None = None

    def __post_init__(self) -> None:
        if not len(self.asked_s) == len(self.got_s) == len(self.done_s) >= 2:
            raise InputError(f"a pass of {len(self.done_s)} batches cannot be timed: it needs at least 2")
        order = np.stack([self.asked_s, self.got_s, self.done_s], axis=1).ravel()
        if not np.isfinite(order).all() or (np.diff(order) < 0).any():
            raise InputError("times run backwards: a batch is asked for, comes, and is done with before the next")

    def __len__(self) -> int:
        return len(self.done_s)

    @property
    def window_s(self) -> float:
        """From when the first batch was read to when the last one was had: a read and a step for each batch but one."""
        first = self.read_to_s[0] if len(self.read_to_s) else self.got_s[0]
        return float(self.got_s[-1] - min(first, self.got_s[0]))

    @property
    def batch_s(self) -> float:
        """Seconds a batch, on average over all but the first."""
        return self.window_s / (len(self) - 1)

    @property
    def wait_s(self) -> NDArray[np.float64]:
        """How long each batch was waited for, float64 (n_batches,)."""
        return self.got_s - self.asked_s

    @property
    def wait_share(self) -> float:
        """Share of the time after the first batch that was spent blocked in ``next()``."""
        return float(self.wait_s[1:].sum()) / self.window_s if self.window_s > 0 else 0.0

    @property
    def first_batch_s(self) -> float:
        """How long the first batch was waited for, which nothing can hide."""
        return float(self.wait_s[0])

    def n_stalls(self, stall_s: float) -> int:
        """Waits after the first batch that were longer than ``stall_s``."""
        return int((self.wait_s[1:] > stall_s).sum())

    def queued(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """When the number of batches that lie ready changed, and to what; empty without a thread that reads."""
        time_s = np.concatenate([self.read_to_s, self.got_s])
        change = np.concatenate([np.ones(len(self.read_to_s)), -np.ones(len(self.got_s))]).astype(np.int64)
        if not len(self.read_to_s):
            return time_s[:0], change[:0]
        # At the same moment a batch is put before it is taken.
        order = np.lexsort((-change, time_s))
        return time_s[order], np.cumsum(change[order])

    def to_json(self) -> dict[str, Any]:
        """The figures of the pass and, for drawing another timeline, its times in seconds to a microsecond."""
        names = ("asked_s", "got_s", "done_s", "read_from_s", "read_to_s")
        return {
            "seconds_a_batch": self.batch_s,
            "wait_share": self.wait_share,
            "first_batch_s": self.first_batch_s,
            "cores_used": self.cores_used,
            "n_pairs": self.n_pairs,
            "device_s": self.device_s,
            **{name[:-2]: [round(float(time), 6) for time in getattr(self, name)] for name in names},
        }


def input_bound_share(cached_s: float, real_s: float) -> float:
    """``1 - T(one cached batch) / T(real)``: what of a real step is lost to input, in waits or in competing for cores.

    Not cut at 0: what lies below is the noise of the measurement.
    """
    return 1 - cached_s / real_s


def overlap_efficiency(*, data_s: float, model_s: float, synchronous_s: float, prefetched_s: float) -> float:
    """``(T_sync - T_async) / min(T_data, T_model)``: what was hidden, of what a thread can hide.

    0 where nothing was, 1 where the shorter of the two stages has vanished behind the longer. Not cut to 0 .. 1.
    """
    return (synchronous_s - prefetched_s) / min(data_s, model_s)


def least_share(data_s: float, model_s: float) -> float:
    """``1 / (1 + min/max)``: the time a step takes with an ideal thread, as a share of the synchronous step's.

    ``max / (data + model)``. At least 1/2: one thread at best halves the time.
    """
    longer = max(data_s, model_s)
    return 1.0 if longer <= 0 else 1 / (1 + min(data_s, model_s) / longer)


def band(share: float) -> str:
    """Name of a share of time lost to input."""
    if share < NOT_BOUND:
        return "not input-bound"
    return "highly input-bound" if share > HIGHLY_BOUND else "moderately input-bound"


def depth_for(longest_read_s: float, step_s: float) -> int:
    """The shallowest queue that lasts as long as the longest read: ``depth x step >= longest read``, at least 2.

    Two, since with one the reader cannot begin on a batch before the last has been taken.
    """
    if step_s <= 0:
        return 2
    depth = max(2, math.ceil(longest_read_s / step_s))
    # The quotient is rounded: the product is what is required.
    return depth if depth * step_s >= longest_read_s else depth + 1
