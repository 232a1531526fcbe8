"""What a person sees while runs go on: one bar over all training steps, and one line as each run ends."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO, final

from diagnostics.commands.recover_graph.table import finishing_line
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.pool import Job


@final
class Progress:
    """A :class:`diagnostics.runs.pool.Listener` that writes to ``stream``.

    The bar is drawn on a terminal only, the lines always, and nothing at all where ``quiet``.
    """

    def __init__(self, jobs: Sequence[Job], *, quiet: bool = False, stream: TextIO | None = None) -> None:
        from tqdm import tqdm

        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._n_steps = [job.n_steps for job in jobs]
        self._n_done = [0] * len(jobs)
        self._n_ended = 0
        self._bar = tqdm(
            total=sum(self._n_steps),
            unit="step",
            desc="training",
            file=self._stream,
            disable=quiet or not self._stream.isatty(),
            leave=False,
            dynamic_ncols=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def step(self, job: int, n_done: int, loss: float) -> None:
        """Move the bar; a run that continues from a checkpoint moves it at once to where it was."""
        self._bar.update(n_done - self._n_done[job])
        self._n_done[job] = n_done

    def done(self, job: int, record: RunRecord, *, resumed: bool) -> None:
        """Write the line of a finished run."""
        self.step(job, self._n_steps[job], record.loss)
        self._n_ended += 1
        if not self._quiet:
            self._bar.clear()
            count = f"{self._n_ended}/{len(self._n_steps)}"
            print(f"{count}  {finishing_line(record)}{'  (found finished)' if resumed else ''}", file=self._stream)
            self._stream.flush()
            self._bar.refresh()
