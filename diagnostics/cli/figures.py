"""One look for every figure: colours that the colour-blind distinguish, one style, reference lines drawn in one way.

Matplotlib's objects alone, without pyplot: no global state, no display.
"""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from gpcp.core.files import write_with

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130
SMALL, TITLE = 9, 11
"""Points: of labels and legends, of titles; legible at half the size of the file."""

MODEL, TRAINING, BASELINE, CEILING, CLASSICAL, WRONG, INK = (
    "#0072b2",
    "#56b4e9",
    "#595959",
    "#009e73",
    "#d55e00",
    "#b0004f",
    "#1a1a1a",
)
"""What a colour stands for, in every figure (the palette of Okabe and Ito 2008, with a darker purple)."""

SERIES = ("#0072b2", "#e69f00", "#cc79a7", "#1a1a1a", "#56b4e9", "#d55e00")
"""Colours of what has no order, such as seeds."""

QUIET = "#a6a6a6"
"""Of what stands behind."""

DIVERGING = "PuOr_r"
"""The colour map of signed values: purple below zero, orange above, distinguishable by everyone."""

Reference = Literal["untrained", "baseline", "ridge", "linear", "classical", "bayes", "exact law", "chance"]

REFERENCES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "untrained": ("untrained", BASELINE, ":"),
        "baseline": ("input-free baseline", BASELINE, "--"),
        "chance": ("chance", BASELINE, "--"),
        "ridge": ("ridge", CLASSICAL, ":"),
        "linear": ("best linear predictor", CLASSICAL, "-."),
        "classical": ("classical estimator", CLASSICAL, ":"),
        "bayes": ("Bayes risk", CEILING, "-."),
        "exact law": ("exact law", CEILING, "-."),
    }
)
"""Label, colour and line style of what a result is held against."""


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of a size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_axes(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of one panel in the style of all."""
    figure = new_figure(width, height)
    ax = figure.add_subplot()
    plain(ax)
    return figure, ax


def plain(ax: "Axes") -> None:
    """Take away what holds no data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=SMALL)


def reference_line(
    ax: "Axes", value: float | None, reference: Reference, *, label: str | None = None, vertical: bool = False
) -> None:
    """A line at what a result is held against: baseline, classical estimator or ceiling.

    Parameters
    ----------
    ax : Axes
    value : float or None
        None draws nothing.
    reference : str
        Of :data:`REFERENCES`; decides colour and style.
    label : str, optional
        For the legend; the reference's own by default.
    vertical : bool
        Where the loss or score is the horizontal axis.
    """
    usual, colour, style = REFERENCES[reference]
    label = usual if label is None else label
    if value is None:
        return
    if vertical:
        ax.axvline(value, color=colour, linestyle=style, linewidth=1.4, label=label, zorder=1)
    else:
        ax.axhline(value, color=colour, linestyle=style, linewidth=1.4, label=label, zorder=1)


def legend_below(figure: "Figure", *, most_columns: int = 4) -> None:
    """One legend for all panels, below them, where it hides nothing; each label once."""
    found: dict[str, Artist] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    if not found:
        return
    n_rows = -(-len(found) // most_columns)
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside lower center",
        ncols=-(-len(found) // n_rows),
        frameon=False,
        fontsize=SMALL,
    )


def shades(n: int) -> list[str]:
    """So many colours from light to dark, for what has an order: even in brightness, so that grey paper keeps it."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    colours = colormaps["viridis_r"]
    return [MODEL] if n == 1 else [to_hex(colours(0.25 + 0.7 * place / (n - 1))) for place in range(n)]


def save(figure: "Figure", path: Path) -> Path:
    """Write the figure; the file is the old one or the new one, never a part."""
    write_with(path, lambda passing: figure.savefig(passing, dpi=DPI))
    return path
