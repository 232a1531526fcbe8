"""CPU cores: how many this process may use, how many it used, and how many were idle meanwhile.

What idles is read from ``/proc/stat``, over the processors that this process may run on; elsewhere than on Linux it is
not known, and a busy loop shows at least whether other processes compete.
"""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import final

_STAT = Path("/proc/stat")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_LEAST_S = 0.2


def usable_cores() -> float:
    """Processors that this process may use: its affinity, or the quota of its control group where that is less."""
    n_cores = float(len(_own()))
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return n_cores if quota == "max" else min(n_cores, int(quota) / int(period))
    except (OSError, ValueError):
        return n_cores


def _own() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CoreReading:
    """The clocks at one moment.

    Parameters
    ----------
    wall_s, cpu_s : float
        The wall's, and this process's over all its threads.
    idle_s : float or None
        Seconds that the processors it may use have had nothing to do, summed over them; None if unknown.
    """

    wall_s: float
    cpu_s: float
    idle_s: float | None

    @classmethod
    def now(cls) -> "CoreReading":
        """Read them."""
        return cls(wall_s=time.perf_counter(), cpu_s=time.process_time(), idle_s=_idle_s())


def _idle_s() -> float | None:
    """The columns idle and iowait of each processor's line: a processor that waits for a disk is free to compute."""
    own = {f"cpu{core}" for core in _own()}
    try:
        rows = [line.split() for line in _STAT.read_text(encoding="ascii").splitlines() if line.startswith("cpu")]
        ticks = [int(row[4]) + int(row[5]) for row in rows if row[0] in own]
        return sum(ticks) / os.sysconf("SC_CLK_TCK") if len(ticks) == len(own) else None
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def used_between(first: CoreReading, last: CoreReading) -> float:
    """Processors that this process kept busy between two clock samples, on average; NaN if no time has passed."""
    wall_s = last.wall_s - first.wall_s
    return (last.cpu_s - first.cpu_s) / wall_s if wall_s > 0 else math.nan


def idle_between(first: CoreReading, last: CoreReading) -> float | None:
    """Usable processors that were idle between two clock samples, on average; None if that is not known.

    The kernel counts in hundredths of a second: less than a fifth of a second is too short.
    """
    wall_s = last.wall_s - first.wall_s
    if first.idle_s is None or last.idle_s is None or wall_s < _LEAST_S:
        return None
    return max(0.0, last.idle_s - first.idle_s) / wall_s


def granted(spin_s: float = 0.03) -> float:
    """Share of the wall's time that a thread which only computes was given, within 0 .. 1.

    Well below 1: more threads want to run on the processors of this process than there are processors.

    Parameters
    ----------
    spin_s : float
        Processor time to spend on it.
    """
    wall_s, cpu_s = time.perf_counter(), time.thread_time()
    while (used_s := time.thread_time() - cpu_s) < spin_s:
        pass
    return min(1.0, used_s / (time.perf_counter() - wall_s))
