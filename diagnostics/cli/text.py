"""Tables, wrapped text and numbers as every command prints them: plain text, coloured on a terminal alone."""

import math
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from io import StringIO

WIDTH = 100
"""Columns of a line where there is no terminal, and at most."""

_LEAST_WIDTH = 60
_OUTCOMES = r"^(?P<good>PASS|pass)\b|^(?P<bad>FAIL|ERROR|ERR)\b|^(?P<undecided>OPEN|open|n/a|N/A)\b"


def width() -> int:
    """Columns to wrap text to: those of the terminal, within 60 .. 100; 100 where stdout is none."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(_LEAST_WIDTH, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


def wrap(text: str, *, indent: str = "", first: str = "", columns: int | None = None) -> list[str]:
    """Lines of at most ``columns`` characters (default :func:`width`), but for words that are longer.

    ``indent`` begins every line but the first, ``first`` the first.
    """
    return textwrap.wrap(
        text,
        width() if columns is None else columns,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def fill(text: str, *, indent: str = "", first: str = "", columns: int | None = None) -> str:
    """The lines of :func:`wrap`, joined."""
    return "\n".join(wrap(text, indent=indent, first=first, columns=columns))


def cut(text: str, longest: int) -> str:
    """The text on one line, its end replaced by dots where it is longer."""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 4].rstrip()} ..."


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "", gap: int = 2) -> str:
    """Columns as wide as their widest cell; no cell is wrapped.

    Parameters
    ----------
    head : sequence of str
    rows : iterable of sequence of str
        A row may be shorter than the head.
    align : str
        ``l`` or ``r`` for each column from the left; the others are aligned to the right. The first is to the left
        where nothing is given.
    gap : int
        Spaces between two columns.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), show_edge=False)
    # As text objects: what a cell holds is no markup.
    sides = (align or "l").ljust(len(head), "r")
    for name, side in zip(head, sides, strict=False):
        made.add_column(Text(name), justify="left" if side == "l" else "right", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    out = StringIO()
    Console(file=out, width=10_000, color_system=None, force_terminal=False, force_jupyter=False).print(made)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def show(text: str) -> None:
    """Print to stdout; on a terminal the outcomes that lines begin with are coloured."""
    if not sys.stdout.isatty():
        print(text, flush=True)
        return
    from rich.console import Console
    from rich.text import Text
    from rich.theme import Theme

    theme = Theme({"good": "bold green", "bad": "bold red", "undecided": "yellow"})
    console = Console(theme=theme, force_jupyter=False)
    for line in text.split("\n"):
        shown = Text(line)
        shown.highlight_regex(_OUTCOMES)
        console.print(shown, soft_wrap=True)


def number(value: float | None) -> str:
    """A loss in at most 8 characters."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.2e}"


def score(value: float | None, decimals: int = 4) -> str:
    """A skill or an AUPRC in at most ``decimals + 3`` characters; rounded down, so that 1.000 means exact."""
    if value is None:
        return "-"
    if value <= -10:
        return f"{value:.0e}"
    scale = 10**decimals
    return f"{math.floor(value * scale + 1e-9) / scale:.{decimals}f}"


def share(value: float | None, decimals: int = 0) -> str:
    """A part of a whole as per cent."""
    return "-" if value is None else f"{value:.{decimals}%}"


def interval(low: str, high: str) -> str:
    """Two ends, such as those of a confidence interval; one where both look the same."""
    return low if low == high else f"{low} .. {high}"


def span(values: Iterable[float | None]) -> str:
    """The score, or the smallest and the largest of several; ``-`` where there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return "-"
    return interval(score(min(known), 2), score(max(known), 2))


def whole_span(low: int, high: int) -> str:
    """``1`` or ``1-19``, as an option would be written."""
    return str(low) if low == high else f"{low}-{high}"


def duration(seconds: float) -> str:
    """A time in the two units that suit it."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def plural(n: int, unit: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{n:,} {unit}" if n == 1 else f"{n:,} {unit}s"
