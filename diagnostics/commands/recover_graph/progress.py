"""How the runs of ``recover-graph`` go on: training steps done and left, the losses so far, a line as each run ends."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self, TextIO, final

from diagnostics.cli.progress import Progress
from diagnostics.commands.recover_graph.table import finishing_line
from diagnostics.results.run_record import RunRecord

_SHOWN = 4
"""Losses that are shown at a time."""


class Training(Protocol):
    """A run of so many training steps."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def n_steps(self) -> int:
        """Training steps."""
        ...


@final
class RunsProgress:
    """Training runs, shown as :class:`diagnostics.cli.progress.Progress` shows it.

    Parameters
    ----------
    jobs : sequence of Training
    quiet, stream, clock, ticking
        As of :class:`diagnostics.cli.progress.Progress`.
    """

    def __init__(
        self,
        jobs: Sequence[Training],
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        ticking: bool = True,
    ) -> None:
        self._names = [job.name for job in jobs]
        self._n_steps = [job.n_steps for job in jobs]
        self._n_done = [0] * len(jobs)
        self._loss: dict[int, float] = {}
        self._n_ended = 0
        self._progress = Progress(
            "training",
            sum(self._n_steps),
            unit="steps",
            quiet=quiet,
            stream=stream,
            clock=clock,
            ticking=ticking,
        )

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        self._progress.__exit__(*ended)

    def step(self, job: int, n_done: int, loss: float) -> None:
        """Count the steps of a run; those before its checkpoint were done earlier."""
        first = job not in self._loss
        self._loss[job] = loss
        self._count(job, n_done, found=first and n_done > 1)

    def done(self, job: int, record: RunRecord, *, resumed: bool) -> None:
        """Write the line of a finished run."""
        self._loss.pop(job, None)
        self._count(job, self._n_steps[job], found=resumed)
        self._n_ended += 1
        count = f"run {self._n_ended} of {len(self._n_steps)}"
        self._progress.say(f"{count}: {finishing_line(record)}{' (found finished)' if resumed else ''}")

    def _count(self, job: int, n_done: int, *, found: bool) -> None:
        n_more = n_done - self._n_done[job]
        self._n_done[job] = n_done
        self._progress.advance(n_more, self._losses(), found=found)

    def _losses(self) -> str:
        """The losses of the runs that are trained now."""
        shown = [f"{self._names[job]} {loss:.4g}" for job, loss in list(self._loss.items())[:_SHOWN]]
        more = len(self._loss) - len(shown)
        return f"loss {', '.join(shown)}{f' and {more} more' if more > 0 else ''}" if shown else ""
