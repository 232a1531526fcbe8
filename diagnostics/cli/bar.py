"""The bar that shows progress on a terminal and, for functions of the library, in a notebook."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from gpcp.core.progress import OnProgress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LOG_EVERY_S = 10.0
"""Seconds between two lines where no bar can be drawn."""


def draws_on(stream: TextIO) -> bool:
    """Whether a bar can be drawn over and over in the same place."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def bar_on(stream: TextIO) -> "Bar":
    """A bar with the count, the time left and a note behind it."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False, style="progress.remaining"),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=stream, force_jupyter=False),
        transient=True,
        refresh_per_second=4,
        # What is printed meanwhile goes where it was meant to go; see `Progress.say`.
        redirect_stdout=False,
        redirect_stderr=stream is sys.stderr,
    )


@contextmanager
def progress_bar(what: str, *, unit: str = "it") -> Generator[OnProgress]:
    """A bar for whatever takes an ``on_progress``, in a notebook and on a terminal (``tqdm.auto``).

    Where neither is there, such as in a log, a line every ten seconds.

    Parameters
    ----------
    what : str
        What is done, before the bar.
    unit : str
        What is counted, such as ``" cells"``.

    Yields
    ------
    OnProgress
        Give it to the function.

    Examples
    --------
    >>> with progress_bar("first pass", unit=" cells") as on_progress:  # doctest: +SKIP
    ...     statistics = gene_statistics(cells, on_progress=on_progress)
    """
    from tqdm.auto import tqdm

    drawn = sys.stderr.isatty() or "ipykernel" in sys.modules
    with tqdm(desc=what, unit=unit, mininterval=0.1 if drawn else LOG_EVERY_S) as bar:

        def on_progress(n_done: int, n_total: int | None, /) -> None:
            bar.total = n_total
            bar.update(n_done - bar.n)

        yield on_progress
