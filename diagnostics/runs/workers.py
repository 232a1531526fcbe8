"""Where runs are carried out beside this process: worker processes of this machine, or a Dask cluster.

Both are a :class:`concurrent.futures.Executor`. This file imports nothing that starts threads of its own, since a
worker process imports it before it limits itself to one thread.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, ParamSpec, TypeVar, final

from gpcp.core.errors import InputError
from gpcp.imports import need

_POLL_S = 0.2
_P = ParamSpec("_P")
_T = TypeVar("_T")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An executor, and the errors of its futures that mean that a worker died.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    lost : tuple of exception types
    takes_waiting_runs : bool
        A worker holds runs ready that it has not started, and takes them along when it dies.
    """

    executor: Executor
    lost: tuple[type[BaseException], ...]
    takes_waiting_runs: bool

    def as_ended(
        self, futures: "Iterable[Future[_T]]", meanwhile: Callable[[], None]
    ) -> "Iterator[tuple[Future[_T], bool]]":
        """Each future as it ends, and whether its worker died; an error of what it did is raised.

        ``meanwhile`` is called several times a second.
        """
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            meanwhile()
            for future in ended:
                try:
                    future.result()
                except self.lost:
                    yield future, True
                else:
                    yield future, False


@final
class ProcessWorkers(Executor):
    """Worker processes, one run at a time each: one that dies takes its own run with it, and another replaces it.

    Workers are spawned, never forked (a fork of a process with threads can hang), keep to one thread each, leave Ctrl-C
    and SIGTERM to this process, and end when this process ends, however it ends.

    Parameters
    ----------
    n_workers : int
    initializer : callable, optional
        Called in each worker with ``initargs`` before its first run.
    """

    def __init__(
        self, n_workers: int, *, initializer: Callable[..., None] | None = None, initargs: Sequence[Any] = ()
    ) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._initargs = (initializer, *initargs)
        # A thread for each worker, with a pool of one process: a broken pool names the run that broke it.
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="worker")
        self._own = threading.local()
        self._pools: list[ProcessPoolExecutor] = []
        self._lock = threading.Lock()
        self._terminated = False
        self._others = {process.pid for process in multiprocessing.active_children()}

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> "Future[_T]":
        """Call ``fn`` in the next worker that is free."""

        def carried_out() -> _T:
            # It returns once the process is started, so that `terminate` finds it.
            with self._lock, _unhurried():
                future = self._pool().submit(fn, *args, **kwargs)
            try:
                return future.result()
            except BrokenExecutor:
                self._own.pool.shutdown()
                del self._own.pool
                raise

        return self._threads.submit(carried_out)

    def _pool(self) -> ProcessPoolExecutor:
        if self._terminated:
            raise CancelledError
        if not hasattr(self._own, "pool"):
            self._own.pool = ProcessPoolExecutor(
                1, mp_context=self._context, initializer=_begin, initargs=self._initargs
            )
            self._pools.append(self._own.pool)
        pool: ProcessPoolExecutor = self._own.pool
        return pool

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers after what was submitted, or after their present runs with ``cancel_futures``."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def terminate(self) -> None:
        """End the workers at once: what they are doing is lost."""
        with self._lock:
            self._terminated = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            if process.pid not in self._others:
                process.kill()
        self.shutdown(cancel_futures=True)


@contextmanager
def _unhurried() -> Generator[None]:
    """Let a process that is started here be born with Ctrl-C and SIGTERM blocked.

    They reach the whole group of processes, also one that is still importing: the parent alone answers them.
    """
    if sys.platform == "win32":
        yield
        return
    # Where it has to be started first, it unblocks both again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(initializer: Callable[..., None] | None, *initargs: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def engine(
    n_workers: int,
    scheduler: str | None,
    *,
    initializer: Callable[..., None] | None = None,
    initargs: Sequence[Any] = (),
) -> AbstractContextManager[Engine]:
    """Worker processes of this machine, or those of the Dask cluster whose scheduler is named.

    Parameters
    ----------
    n_workers : int
        Processes, where there is no scheduler.
    scheduler : str or None
    initializer : callable, optional
        Called in each process of this machine with ``initargs`` before its first run.
    """
    if scheduler is not None:
        return _cluster(scheduler)
    return _processes(n_workers, initializer, initargs)


@contextmanager
def _processes(n_workers: int, initializer: Callable[..., None] | None, initargs: Sequence[Any]) -> Generator[Engine]:
    """Worker processes of this machine; an error or an interrupt inside ends them at once."""
    workers = ProcessWorkers(n_workers, initializer=initializer, initargs=initargs)
    try:
        yield Engine(executor=workers, lost=(BrokenExecutor,), takes_waiting_runs=False)
    except BaseException:
        workers.terminate()
        raise
    workers.shutdown()


@contextmanager
def _cluster(address: str) -> Generator[Engine]:
    """The workers of a Dask cluster, which need this project installed; an error or an interrupt cancels their runs.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    InputError
        ``distributed`` is not installed, or no scheduler answers.
    """
    need("distributed", extra="cluster", use="--scheduler")
    from distributed import Client, KilledWorker

    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"--scheduler {address!r}: no Dask scheduler answers there ({reason}); "
            "start one with `dask scheduler`, which prints its address"
        ) from None
    with client:
        # Runs may be alike, and are all done all the same.
        executor: Executor = client.get_executor(pure=False)  # pyright: ignore[reportUnknownMemberType]
        try:
            yield Engine(executor=executor, lost=(KilledWorker, CancelledError), takes_waiting_runs=True)
        finally:
            executor.shutdown(wait=False)
