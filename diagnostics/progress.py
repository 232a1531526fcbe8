"""What a person sees while runs go on: one bar over all training steps, and one line as each run ends."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO, final

from diagnostics.record import RunRecord
from diagnostics.runs import Job
from diagnostics.verdicts import linear_loss


@final
class Progress:
    """A :class:`diagnostics.runs.Listener` that writes to ``stream``.

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


def finishing_line(record: RunRecord) -> str:
    """The loss between its baseline and its ceiling, and the recovered graph, in one line."""
    between = f"loss {record.baseline_loss:.4f} -> {record.loss:.4f}"
    if record.bayes_risk is not None and record.skill is not None:
        between += f" (Bayes {record.bayes_risk:.4f}), skill {record.skill:.4f}"
    else:
        between += f" (best linear {linear_loss(record):.4f})"
    return f"{record.regime:<14} seed {record.seed}: {between}, AUPRC {record.auprc:.3f}, {record.seconds:.0f} s"
