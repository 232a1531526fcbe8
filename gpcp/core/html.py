"""Small HTML tables, by which values show themselves in a notebook."""

from collections.abc import Sequence
from html import escape

_STYLE = "text-align: left; vertical-align: top"


def html_table(
    title: str, rows: Sequence[Sequence[object]], *, head: Sequence[str] = (), note: str = "", last: int = 200
) -> str:
    """A table under a title, every text escaped.

    Parameters
    ----------
    title : str
    rows : sequence of sequences
        Cells of the table; floats are shown by four significant digits.
    head : sequence of str
        Titles of the columns; none by default.
    note : str
        A line below the table.
    last : int
        Rows shown at the most; how many more there are is in a line below.

    Returns
    -------
    str
        One ``<div>`` without scripts or styles from elsewhere.
    """
    shown = [f"<tr>{''.join(_cell(one) for one in row)}</tr>" for row in rows[:last]]
    titles = "".join(f"<th style={_STYLE!r}>{escape(one)}</th>" for one in head)
    more = [f"{len(rows) - last:,} more rows"] if len(rows) > last else []
    below = "".join(f"<p>{escape(one)}</p>" for one in [*more, *([note] if note else [])])
    body = f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(shown)}</tbody></table>"
    return f"<div><strong>{escape(title)}</strong>{body}{below}</div>"


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return f"<td style={_STYLE!r}>{escape(text)}</td>"
