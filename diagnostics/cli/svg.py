"""A figure as inline SVG that takes the page's own colours, in the light and in the dark."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

import io
import re
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from diagnostics.cli.figures import BASELINE, INK, WRONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MOST_WORDS = 24
"""Of lines and bars that are named in an alternative text."""

PAGE_INK = "#010203"
"""Stands for the colour of the page's text, which matplotlib cannot name."""

OF_PAGE = {PAGE_INK: "currentColor", INK: "currentColor", BASELINE: "var(--soft)", WRONG: "var(--fail)"}
"""Colours too dark for a dark page, and what takes their place there and in the light."""


def svg(figure: "Figure", title: str, *, shows: str = "") -> str:
    """The drawing alone: text stays text, what is dark takes the page's colours, nothing points outside the page.

    Parameters
    ----------
    figure : Figure
        Its black lines and letters are recoloured.
    title : str
        What it shows; it keeps the ids of several drawings on one page apart.
    shows : str
        The same numbers in words, for who does not see the figure; by default those of :func:`in_words`.
    """
    import matplotlib as mpl

    label = escape(" ".join(f"{title}: {shows or in_words(figure)}".split()))
    _take_the_colour_of_the_page(figure)
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        # A margin for browsers whose letters are wider than those that the figure was measured with.
        figure.savefig(out, format="svg", transparent=True, metadata=nothing, bbox_inches="tight", pad_inches=0.15)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for dark, taken in OF_PAGE.items():
        text = text.replace(dark, taken)
    # Inside HTML an svg needs no name spaces; the addresses that name them would look like links.
    text = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", text, count=2).replace("xlink:href", "href")
    prefix = re.sub(r"\W+", "-", title)
    # Points of width let the page keep letters of all drawings at one size.
    text = re.sub(
        r'<svg [^>]*?viewBox="(\S+ \S+ (\S+) \S+)"[^>]*>',
        lambda found: f'<svg viewBox="{found[1]}" style="--points:{found[2]}" role="img" aria-label="{label}">',
        text,
        count=1,
    )
    # Ids are of their own drawing: several stand on one page.
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    return re.sub(r'(href="|url\()#', rf"\1#{prefix}-", text)


def in_words(figure: "Figure") -> str:
    """What a figure shows, for who does not see it: of each panel the axes, and of what is drawn the values.

    Lines and points are named by their labels, bars by the ticks they rest on; of a curve both ends are given.
    """
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    return ". ".join(_panel_in_words(ax) if ax.axison else _drawing_in_words(ax) for ax in panels)


def _drawing_in_words(ax: "Axes") -> str:
    """Of a drawing without axes, such as a graph: its title, and the legend, which has the counts."""
    labels = [str(line.get_label()) for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    return ": ".join(one for one in (ax.get_title(), ", ".join(labels)) if one)


def _panel_in_words(ax: "Axes") -> str:
    over, across = ax.get_ylabel(), ax.get_xlabel()
    titles = (ax.get_title(place) for place in ("left", "center", "right"))
    axes = " by ".join(one for one in (over, across) if one)
    drawn = list(dict.fromkeys([*map(_line_in_words, _named_lines(ax)), *_bars_in_words(ax), *_images_in_words(ax)]))
    more = [f"and {len(drawn) - MOST_WORDS} more"] if len(drawn) > MOST_WORDS else []
    return ", ".join(one for one in (*titles, axes) if one) + ": " + "; ".join([*drawn[:MOST_WORDS], *more])


def _named_lines(ax: "Axes") -> list["Line2D"]:
    return [line for line in ax.get_lines() if not str(line.get_label()).startswith("_") and np.size(line.get_xdata())]


def _line_in_words(line: "Line2D") -> str:
    x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    name = str(line.get_label())
    if not len(y):
        return f"{name} has no value"
    if len(y) == 1 or (y == y[0]).all():
        return f"{name} {y[0]:.4g}"
    if (x == x[0]).all():
        return f"{name} at {x[0]:.4g}"
    return f"{name} from {y[0]:.4g} at {x[0]:.4g} to {y[-1]:.4g} at {x[-1]:.4g}"


def _bars_in_words(ax: "Axes") -> list[str]:
    """Each bar with the name of the nearest tick and, where several rest on one tick, the label of its kind."""
    from matplotlib.container import BarContainer

    found: list[str] = []
    for bars in ax.containers:
        if not isinstance(bars, BarContainer):
            continue
        level = bars.orientation == "horizontal"
        axis = ax.yaxis if level else ax.xaxis
        kind = "" if str(bars.get_label()).startswith("_") else f" {bars.get_label()}"
        for bar in bars.patches:
            middle = bar.get_y() + bar.get_height() / 2 if level else bar.get_x() + bar.get_width() / 2
            value = bar.get_x() + bar.get_width() if level else bar.get_y() + bar.get_height()
            at_ticks = np.asarray(axis.get_ticklocs(), dtype=float)
            name = axis.get_ticklabels()[int(np.abs(at_ticks - middle).argmin())].get_text()
            found.append(f"{' '.join(name.split())}{kind} {value:.4g}".strip())
    return found


def _images_in_words(ax: "Axes") -> list[str]:
    drawn = [image.get_array() for image in ax.images]
    matrices = [np.asarray(np.ma.filled(one, np.nan), dtype=float) for one in drawn if one is not None]
    return [
        f"a matrix of {len(one)} x {one.shape[1]} with values from {np.nanmin(one):.3g} to {np.nanmax(one):.3g}"
        for one in matrices
        if np.isfinite(one).any()
    ]


def _take_the_colour_of_the_page(figure: "Figure") -> None:
    from matplotlib.colors import to_hex
    from matplotlib.lines import Line2D
    from matplotlib.spines import Spine
    from matplotlib.text import Text

    for found in figure.findobj(lambda artist: isinstance(artist, (Text, Line2D))):
        if isinstance(found, (Text, Line2D)) and to_hex(found.get_color()) == "#000000":
            found.set_color(PAGE_INK)
    for spine in figure.findobj(Spine):
        spine.set_edgecolor(PAGE_INK)
    for ax in figure.axes:
        ax.tick_params(colors=PAGE_INK, which="both")
