"""Small figures as inline SVG that take the page's own colours, in the light and in the dark."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from diagnostics.cli.figures import CEILING, QUIET, WRONG, new_figure, plain
from diagnostics.cli.svg import PAGE_INK, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR, _BEST, _WRONG, _SPAN = "#2a8fd0", CEILING, "#d64a7a", CEILING
"""Those of all figures, where they are seen on white and on black."""


def _figure(height: float) -> "tuple[Figure, Axes]":
    figure = new_figure(7.2, height)
    ax = figure.add_subplot()
    plain(ax)
    return figure, ax


def _beside(
    ax: "Axes", text: str, place: tuple[float, float], colour: str, *, left: bool = False, above: bool = False
) -> None:
    """A few points from a place in data coordinates; ``above``: its height is a share of the axes'."""
    ax.annotate(
        text,
        place,
        xycoords=("data", "axes fraction") if above else "data",
        xytext=(-5 if left else 5, 4 if above else 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="bottom" if above else "center",
        color=colour,
        fontsize=9,
        annotation_clip=False,
    )


def levels_figure(levels: Mapping[str, float]) -> str:
    """Losses as bars; the first is the baseline, the last the best that can be had where it is the exact answer's."""
    figure, ax = _figure(0.42 * len(levels) + 0.9)
    names, values = list(levels), list(levels.values())
    exact = names[-1].startswith("the exact")
    place = list(range(len(names)))
    colours = [_BEST if exact and one == names[-1] else _BAR for one in names]
    ax.barh(place, values, color=colours, height=0.6)
    for row, value in zip(place, values, strict=True):
        _beside(ax, f"{value:.4g}", (value, row), PAGE_INK)
    ax.axvline(values[0], color=PAGE_INK, linestyle="--", linewidth=1)
    if exact:
        ax.axvline(values[-1], color=_BEST, linewidth=1)
    ax.set_yticks(place, names)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.15 * max([*values, 1e-12]))
    ax.set_xlabel("mean squared error, held out")
    return svg(figure, "losses")


def range_test_figure(
    loss_of: Mapping[float, float | None],
    *,
    start: float,
    repeats: tuple[float, Sequence[float]],
    usable: tuple[float, float] | None,
    given: float | None,
    suggestion: float | None,
) -> str:
    """Loss by learning rate, with what is usable, given and suggested."""
    figure, ax = _figure(3.2)
    known = [loss for loss in loss_of.values() if loss is not None]
    low = min([*known, *repeats[1], start])
    top = start + 0.25 * max(start - low, 0.1 * start, 1e-12)
    inside = {rate: loss for rate, loss in loss_of.items() if loss is not None and loss <= top}
    ax.plot(list(inside), list(inside.values()), color=_BAR, marker="o", markersize=4, linewidth=1.5)
    wild = [rate for rate in loss_of if rate not in inside]
    ax.plot(wild, [top] * len(wild), color=_WRONG, marker="x", linestyle="none", markersize=7)
    ax.plot(
        [repeats[0]] * len(repeats[1]), list(repeats[1]), color=PAGE_INK, marker="o", fillstyle="none", linestyle="none"
    )
    ax.axhline(start, color=PAGE_INK, linestyle="--", linewidth=1)
    ax.set_xscale("log")
    edge = min(loss_of)
    ax.text(edge, start, "untrained", color=PAGE_INK, fontsize=8, va="bottom")
    if usable is not None:
        ax.axvspan(usable[0] / 1.1, usable[1] * 1.1, color=_SPAN, alpha=0.15, linewidth=0)
    lower = min(rate for rate in (given, suggestion, math.inf) if rate is not None)
    for rate, word, colour in ((given, "given", PAGE_INK), (suggestion, "suggested", _BEST)):
        if rate is not None:
            ax.axvline(rate, color=colour, linewidth=1.2, linestyle=":")
            _beside(ax, f"{word} {rate:.2g}", (rate, 1.0), PAGE_INK, left=rate == lower, above=True)
    ax.set_ylim(low - 0.15 * (top - low), top + 0.06 * (top - low))
    ax.set_xlabel("learning rate")
    ax.set_ylabel("mean squared error")
    words = [f"{loss:.4g} at {rate:.2g}" for rate, loss in inside.items()]
    rates_given = [
        f"{word} {rate:.2g}" for word, rate in (("given", given), ("suggested", suggestion)) if rate is not None
    ]
    blown = [f"blew up at {', '.join(f'{rate:.2g}' for rate in wild)}"] if wild else []
    return svg(
        figure, "loss by learning rate", shows="; ".join([f"untrained {start:.4g}", *words, *blown, *rates_given])
    )


def dots(value_of: Mapping[str, float], *, unit: str, must_be_0: Sequence[str] = ()) -> str:
    """Values by name on a logarithmic scale, dots since such an axis has no 0 where a bar could begin.

    What is 0, or not finite, is said in words. What must be 0 and is not is red, and so is what must not and is.
    """
    figure, ax = _figure(0.27 * len(value_of) + 0.8)
    seen = [value for value in value_of.values() if 0 < value < math.inf]
    left = 10.0 ** math.floor(math.log10(min(seen)) - 0.5) if seen else 1e-3
    right = 10.0 ** math.ceil(math.log10(max(seen)) + 0.5) if seen else 1.0
    words: list[str] = []
    for row, (name, value) in enumerate(value_of.items()):
        finite = 0 < value < math.inf
        wrong = not math.isfinite(value) or (value == 0) != (name in must_be_0)
        ax.axhline(row, color=QUIET, linewidth=0.6, alpha=0.5, zorder=0)
        if finite:
            ax.plot(value, row, color=_WRONG if wrong else _BAR, marker="o", markersize=6, linestyle="none")
        word = f"{value:.2g}" if finite else "0" if value == 0 else "not finite"
        _beside(ax, word, (value if finite else left, row), WRONG if wrong else PAGE_INK)
        words.append(f"{name} {word}")
    ax.set_xscale("log")
    ax.set_xlim(left, right * 3)
    ax.set_yticks(range(len(value_of)), list(value_of))
    ax.set_ylim(len(value_of) - 0.5, -0.5)
    ax.set_xlabel(unit)
    return svg(figure, unit, shows="; ".join(words))
