"""A pass in virtual time: reader, queue and model with given stage times, and no other cost.

It follows :mod:`gpcp.core.read_ahead` step by step: the reader waits for room before it reads, so that one batch more
than
``depth`` is under way. No clock is read: the ceiling of what a thread can do, and a reference for tests.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from diagnostics.throughput.pass_times import PassTimes
from gpcp.core.errors import InputError

_NONE = np.zeros(0)


def synchronous_pass(read_s: Sequence[float], step_s: Sequence[float]) -> PassTimes:
    """Each batch is read when it is asked for.

    Parameters
    ----------
    read_s, step_s : sequence of float
        Seconds of reading each batch, and of the step on it.

    Raises
    ------
    InputError
        They do not have the same length, or are fewer than two.
    """
    read, step = _checked(read_s, step_s)
    done = np.cumsum(read + step)
    asked = done - (read + step)
    # The sums are rounded: a pass does not run backwards by the last bit.
    asked[1:] = done[:-1]
    got = np.clip(asked + read, asked, done)
    return PassTimes(asked_s=asked, got_s=got, done_s=done, read_from_s=_NONE, read_to_s=_NONE)


def prefetched_pass(read_s: Sequence[float], step_s: Sequence[float], *, depth: int) -> PassTimes:
    """A thread reads ahead into a queue of ``depth`` batches, and has a processor to itself.

    Raises
    ------
    InputError
        As :func:`synchronous_pass`, or ``depth`` is below 1.
    """
    read, step = _checked(read_s, step_s)
    if depth < 1:
        raise InputError(f"depth is {depth}: it must be at least 1")
    n = len(read)
    begun, laid, asked, got, done = (np.zeros(n) for _ in range(5))
    for i in range(n):
        # Room: all but depth - 1 of the batches put before have been taken.
        begun[i] = max(laid[i - 1] if i else 0.0, got[i - depth] if i >= depth else 0.0)
        laid[i] = begun[i] + read[i]
        asked[i] = done[i - 1] if i else 0.0
        got[i] = max(asked[i], laid[i])
        done[i] = got[i] + step[i]
    return PassTimes(asked_s=asked, got_s=got, done_s=done, read_from_s=begun, read_to_s=laid)


def _checked(read_s: Sequence[float], step_s: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    read, step = np.asarray(read_s, dtype=np.float64), np.asarray(step_s, dtype=np.float64)
    if len(read) != len(step):
        raise InputError(f"{len(read)} reads and {len(step)} steps: give one of both for each batch")
    return read, step
