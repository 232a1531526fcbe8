"""Progress of a command on stderr: a bar on a terminal, elsewhere a plain line at least every ten seconds.

A batch job, a notebook, a log of continuous integration and a file are all no terminal.
"""

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TextIO, final

from diagnostics.cli.bar import bar_on, draws_on
from diagnostics.cli.text import duration
from gpcp.core.progress import OnProgress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

EVERY_S = 10.0
"""Seconds between two lines, at most."""

_TICK_S = 1.0
_WIDEST = 200


@final
class Progress:
    """A count that grows to its total while something is done.

    Parameters
    ----------
    what : str
        What is done, such as ``"training"``; it begins every line.
    total : int or None
        None where it is not known how much there is to do.
    unit : str
        What is counted, in the plural, such as ``"steps"``.
    quiet : bool
        Shows nothing at all.
    opening : bool
        Writes a line at once, where there is no terminal.
    stream : file, optional
        Stderr by default.
    clock : callable
        Seconds; of a test: its own.
    ticking : bool
        A thread sees to it that lines come in time though nothing is counted meanwhile.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        *,
        unit: str,
        quiet: bool = False,
        opening: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        ticking: bool = True,
    ) -> None:
        self.what = what
        self._total, self._unit, self._note = total, unit, ""
        self._quiet, self._opening, self._ticking = quiet, opening, ticking
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._begin_s = self._written_s = clock()
        self._done = self._found = 0
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    @property
    def done(self) -> int:
        """How much is done."""
        return self._done

    def __enter__(self) -> Self:
        self._begin_s = self._written_s = self._clock()
        if self._quiet:
            return self
        if draws_on(self._stream):
            self._bar = bar_on(self._stream)
            self._task = self._bar.add_task(self.what, total=self._total, count="", left="", note="")
            self._show()
            self._bar.start()
            return self
        if self._opening:
            self._line(self.status())
        if self._ticking:
            self._thread = threading.Thread(target=self._keep_ticking, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._bar is not None:
            self._bar.stop()

    def reach(self, done: int, note: str | None = None, *, found: bool = False) -> None:
        """Set the count.

        Parameters
        ----------
        done : int
            All that is done by now.
        note : str, optional
            Stands behind the count, such as the loss so far; the last one stays where none is given.
        found : bool
            The difference was done by an earlier run: it says nothing of how long the rest takes.
        """
        with self._lock:
            self._found += (done - self._done) if found else 0
            self._done = done
            self._note = self._note if note is None else note
            self._show()
        self.tick()

    def advance(self, n: int = 1, note: str | None = None, *, found: bool = False) -> None:
        """Add to the count; see :meth:`reach`."""
        self.reach(self._done + n, note, found=found)

    def of_total(self, n_done: int, n_total: int | None, /) -> None:
        """Set the count and the total, as a :class:`gpcp.core.progress.OnProgress`."""
        self._total = n_total
        self.reach(n_done)

    def report(self, done: int, ended: str) -> None:
        """Set the count, and write a line about what ended: with count and time left where there is no bar."""
        with self._lock:
            self._done, self._note = done, f"last: {ended}"
            self._show()
            if self._bar is None:
                self._line(self.status())
            else:
                self.say(ended)

    def say(self, text: str, *, stream: TextIO | None = None) -> None:
        """Write a line of its own, above the bar where there is one; nothing where ``quiet``.

        Parameters
        ----------
        text : str
        stream : file, optional
            Such as stdout, for what belongs to the results.
        """
        if self._quiet:
            return
        with self._lock:
            target = self._stream if stream is None else stream
            if self._bar is not None and target.isatty():
                self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, file=target, flush=True)
            self._written_s = self._clock()

    def tick(self) -> None:
        """Write a line if the last one is :data:`EVERY_S` old; a bar keeps itself."""
        if self._quiet or self._bar is not None:
            return
        with self._lock:
            if self._clock() - self._written_s >= EVERY_S:
                self._line(self.status())

    def status(self) -> str:
        """What is done, what is left and for how long, and the note, in one line."""
        parts = [part for part in (self._count(), self._left()) if part]
        return f"{self.what}: {', '.join(parts)}{f'; {self._note}' if self._note else ''}"

    def _count(self) -> str:
        if self._total is None:
            return f"{self._done:,} {self._unit}"
        return f"{self._done:,} of {self._total:,} {self._unit}"

    def _left(self) -> str:
        """Count and time; the time as soon as anything was done from which it can be estimated."""
        if self._total is None:
            return ""
        n_left, n_new = max(self._total - self._done, 0), self._done - self._found
        if n_left == 0 or n_new <= 0:
            return f"{n_left:,} left"
        return f"{n_left:,} left, about {duration((self._clock() - self._begin_s) / n_new * n_left)}"

    def _line(self, text: str) -> None:
        elapsed_s = self._clock() - self._begin_s
        self.say(f"{elapsed_s:5.0f} s  {text}"[:_WIDEST])

    def begin(self, text: str) -> None:
        """Write that something begins, with the seconds since the start."""
        with self._lock:
            if not self._quiet and self._bar is None:
                self._line(text)

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                total=self._total,
                completed=self._done,
                description=self.what,
                count=self._count(),
                left=self._left().partition(", ")[2],
                note=self._note,
            )

    def _keep_ticking(self) -> None:
        while not self._ended.wait(_TICK_S):
            self.tick()


@final
class Stages:
    """Called with the name of each stage as it begins; the stages may differ in how long they take.

    Parameters
    ----------
    n_stages : int or None
        None where it is not known how many there are.
    quiet : bool
        Shows nothing at all.
    coarse : bool
        Where there is no terminal, stages whose names are the same up to a colon have one line.
    stream, clock, ticking
        As of :class:`Progress`.
    """

    def __init__(
        self,
        n_stages: int | None,
        *,
        quiet: bool = False,
        coarse: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        ticking: bool = True,
    ) -> None:
        self._coarse, self._last, self._n_begun = coarse, "", 0
        self.progress = Progress(
            "begins",
            n_stages,
            unit="stages",
            quiet=quiet,
            opening=False,
            stream=stream,
            clock=clock,
            ticking=ticking,
        )

    def __enter__(self) -> Self:
        self.progress.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        self.progress.__exit__(*ended)

    def __call__(self, stage: str) -> None:
        """Begin a stage."""
        self.progress.what = stage
        self.progress.reach(self._n_begun, "")
        self._n_begun += 1
        part = stage.partition(":")[0] if self._coarse else stage
        if part != self._last:
            self.progress.begin(part)
        self._last = part

    def within(self, unit: str) -> OnProgress:
        """A callback that says how far the stage itself has come."""

        def count(n_done: int, n_total: int | None, /) -> None:
            of = "" if n_total is None else f" of {n_total:,}"
            self.progress.reach(self.progress.done, f"{n_done:,}{of} {unit}")

        return count


@final
class EndingRuns:
    """Independent runs, reported as each ends.

    Parameters
    ----------
    n_runs : int
    unit : str
        What they are, in the plural.
    roughly_s : float, optional
        How long all of them take, as far as is known before any has ended.
    quiet, stream, clock, ticking
        As of :class:`Progress`.
    """

    def __init__(
        self,
        n_runs: int,
        *,
        unit: str,
        roughly_s: float | None = None,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        ticking: bool = True,
    ) -> None:
        self._n_runs, self._any_ended = n_runs, False
        self.progress = Progress("runs", n_runs, unit=unit, quiet=quiet, stream=stream, clock=clock, ticking=ticking)
        if roughly_s is not None:
            self.progress.reach(0, f"all of them take roughly {duration(roughly_s)}")

    def __enter__(self) -> Self:
        self.progress.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        self.progress.__exit__(*ended)

    def ended(self, n_left: int, summary: str) -> None:
        """Write the line of a run, with the count and the time of those that are left.

        Parameters
        ----------
        n_left : int
            Runs still to be done; those that were found finished are neither these nor among those that ended.
        summary : str
            The run and its loss.
        """
        if not self._any_ended:
            self.progress.reach(self._n_runs - n_left - 1, found=True)
        self._any_ended = True
        self.progress.report(self._n_runs - n_left, summary)

    def step(self, index: int, n_done: int, loss: float) -> None:
        """Take note of the loss of a run that goes on.

        Parameters
        ----------
        index : int
            Place of the run among all.
        n_done : int
            Its training steps so far.
        loss : float
        """
        self.progress.reach(self.progress.done, f"run {index + 1}, step {n_done:,}: loss {loss:.4g}")
