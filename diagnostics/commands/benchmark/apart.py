"""Runs one piece of work in a process of its own, with one thread, a limit, and its own CPU time and peak memory.

The limit is CPU time too, so that what else the machine does decides nothing.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import final

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_CLOSES_S = 10.0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a piece of work ended.

    Parameters
    ----------
    value : float or None
        What it gave; None where it did not come to its end, for the reason ``note``.
    cpu_s : float or None
        CPU seconds that it said it took.
    peak_mib : float or None
        Most memory of its process, with all that it had imported; None where the system does not say.
    note : str
    """

    value: float | None = None
    cpu_s: float | None = None
    peak_mib: float | None = None
    note: str = ""


Work = Callable[[], tuple[float, float]]
"""Gives a value and the CPU seconds that it took; a function of a module, or a partial of one."""


def apart(work: Work, *, limit_s: int) -> Ended:
    """Do the work in a fresh process, which is ended after ``limit_s`` CPU seconds; what it prints is dropped."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(work, limit_s, sender), daemon=True)
    with _one_thread():
        process.start()
    sender.close()
    try:
        found = receiver.recv()
        process.join(_CLOSES_S)  # One that is killed while it closes leaves semaphores behind.
        assert isinstance(found, Ended)
        return found
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGXCPU:
            return Ended(note=f"ended after {limit_s:,} CPU s, the limit")
        return Ended(note=f"its process ended with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()
        receiver.close()


@contextmanager
def _one_thread() -> Generator[None]:
    """Numerical libraries read these when they are imported, which a process that starts now does."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _do(work: Work, limit_s: int, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, resource.RLIM_INFINITY))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    try:
        value, cpu_s = work()
        ended = Ended(value=value, cpu_s=cpu_s, peak_mib=_peak_mib())
    except Exception as error:  # Of other people's code: anything at all may come, and it is one row of a table.
        ended = Ended(note=f"{type(error).__name__}: {' '.join(str(error).split())}"[:200])
    sender.send(ended)


def _peak_mib() -> float | None:
    """Not ``ru_maxrss``, which a process inherits from the one that started it."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)
