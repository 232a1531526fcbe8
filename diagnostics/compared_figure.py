"""The figure of ``compare_heads``: a dot for each seed's loss, between knowing nothing and the exact answer.

No dimension key: nothing here is an array.
"""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from pathlib import Path

from diagnostics.compared import Compared, Levels
from gpcp.atomic import write_with

_DOT, _LOST, _MEAN = "#4292c6", "#cb181d", "#08306b"
_BASELINE, _RIDGE, _CEILING, _REACH = "#636363", "#d94801", "#238b45", "#6a51a3"


def draw(result: Compared, levels: Levels, path: Path, *, title: str) -> None:
    """Draw into ``path``, whole or not at all; configurations from the worst at the top to the best."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(reversed(result.judged))
    figure = Figure(figsize=(8.6, 1.9 + 0.36 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    for label, value, colour, style in (
        ("knowing nothing", levels.baseline, _BASELINE, "--"),
        ("ridge", levels.ridge, _RIDGE, ":"),
        ("exact answer", levels.bayes, _CEILING, "--"),
    ):
        ax.axvline(value, color=colour, linestyle=style, linewidth=1.4, label=label, zorder=1)
    last = len(shown) - 1
    for place, one in enumerate(shown):
        y = last - place
        losses = sorted(one.entry.finite.values())
        colour = _LOST if one.loses_information else _DOT
        ax.scatter(losses, [y] * len(losses), s=26, color=colour, alpha=0.65, edgecolors="none", zorder=3)
        ax.scatter([one.entry.loss], [y], s=150, marker="|", color=_MEAN, linewidths=1.8, zorder=4)
        if levels.narrow(one.entry.rank):
            # Where answers of this rank could be at best.
            reach = levels.reach(one.entry.rank)
            ax.plot([reach, reach], [y - 0.36, y + 0.36], color=_REACH, linewidth=2.2, zorder=2)
    ax.scatter([], [], s=26, color=_DOT, label="one seed")
    if any(one.loses_information for one in shown):
        ax.scatter([], [], s=26, color=_LOST, label="one seed, information lost")
    ax.plot([], [], color=_MEAN, marker="|", markersize=11, markeredgewidth=1.8, linestyle="none", label="mean")
    if any(levels.narrow(one.entry.rank) for one in shown):
        ax.plot([], [], color=_REACH, linewidth=2.2, label="best of its rank")
    ax.set_yticks(range(len(shown)), [_label(one.entry.name, one.outcome) for one in reversed(shown)])
    ax.set_ylim(-0.6, last + 0.6)
    ax.set_xlabel("mean squared error on held-out pairs")
    ax.set_title(title, fontsize=10)
    ax.grid(axis="y", color="#eeeeee", zorder=0)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    write_with(path, lambda passing: figure.savefig(passing, dpi=120))


def _label(name: str, outcome: str) -> str:
    return f"{name} ({outcome})"
