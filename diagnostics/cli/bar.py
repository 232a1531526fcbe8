"""The bar that shows progress on a terminal."""

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


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
