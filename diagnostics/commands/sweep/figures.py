"""The figures of ``sweep``: learning rate against loss with the seeds' spread, parallel coordinates, importance."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from diagnostics.cli.figures import (
    CLASSICAL,
    MODEL,
    QUIET,
    SMALL,
    TITLE,
    TRAINING,
    WRONG,
    Reference,
    new_axes,
    reference_line,
    save,
    shades,
)
from gpcp.search.result import RATE, SweepResult, SweepRow, importance
from gpcp.search.space import Hyperparameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {"finished": MODEL, "worse": TRAINING, "flat": CLASSICAL, "diverged": WRONG}
_REFERENCES: Mapping[str, Reference] = {
    "untrained": "untrained",
    "baseline": "baseline",
    "ridge": "ridge",
    "Bayes risk": "bayes",
}


def draw_all(result: SweepResult, out: Path) -> list[Path]:
    """Draw what there is to see into ``out`` and give the paths."""
    drawn: dict[str, Figure] = {}
    judged = [row for row in result.rows if row.outcome in _COLOURS]
    if RATE in result.space.names and judged:
        drawn["rates.png"] = _rates_figure(result, judged)
    if len(result.space.names) > 1 and judged:
        drawn["parallel.png"] = _parallel_figure(result, judged)
    shares = importance(result)
    if len(shares) > 1:
        drawn["importance.png"] = _importance_figure(shares)
    return [save(figure, out / name) for name, figure in drawn.items()]


def _rates_figure(result: SweepResult, judged: list[SweepRow]) -> "Figure":
    """Loss by rate; a line for each trial from its lowest to its highest seed, a dot at the mean."""
    figure, ax = new_axes(8.0, 4.6)
    levels = {"untrained": result.start_loss, **result.levels}
    finite = [row.loss for row in judged if math.isfinite(row.loss)]
    top = max([*levels.values(), *(loss for loss in finite if loss < 1.5 * result.start_loss)]) * 1.04
    for outcome, colour in _COLOURS.items():
        rows = [row for row in judged if row.outcome == outcome]
        if not rows:
            continue
        rates = [float(str(row.values[RATE])) for row in rows]
        means = [min(row.loss, top) for row in rows]
        marker = "x" if outcome == "diverged" else "o"
        ax.plot(rates, means, marker, color=colour, markersize=5, label=f"{outcome} ({len(rows)})", clip_on=False)
        for rate, row in zip(rates, rows, strict=True):
            if len(row.loss_R) > 1 and outcome != "diverged":
                ax.plot([rate, rate], [min(row.loss_R), min(max(row.loss_R), top)], color=colour, linewidth=1.2)
    best = result.best
    if best is not None:
        if math.isfinite(result.tie_width):
            label = "ties with the best"
            ax.axhspan(best.loss, best.loss + result.tie_width, color=MODEL, alpha=0.12, linewidth=0, label=label)
        ax.plot(float(str(best.values[RATE])), best.loss, "*", color=MODEL, markersize=13, label="best")
    for name, loss in levels.items():
        reference_line(ax, loss, _REFERENCES[name])
    low = min([*levels.values(), *finite])
    ax.set(xscale="log", xlabel="learning rate", ylabel="held-out mean squared error")
    _label_rates(ax, [float(str(row.values[RATE])) for row in judged])
    ax.set_ylim(low - 0.05 * (top - low), top)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=SMALL)
    ax.set_title(
        f"{len(judged)} trials; lines from the lowest to the highest of {result.n_seeds} seeds", fontsize=TITLE
    )
    return figure


def _label_rates(ax: "Axes", rates: list[float]) -> None:
    """Decades alone over a wide range, 1, 2 and 5 of each over a narrow one."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    wide = max(rates) > 50 * min(rates)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _parallel_figure(result: SweepResult, judged: list[SweepRow]) -> "Figure":
    """A line for each trial over its values; the last axis is its loss, the best below."""
    axes = [one for one in result.space.hyperparameters if len(one.choices) != 1]
    figure, ax = new_axes(1.35 * (len(axes) + 1) + 1.0, 4.8)
    finite = [row for row in judged if math.isfinite(row.loss)]
    low = min(row.loss for row in finite) if finite else 0.0
    # What is worse than the untrained model is drawn as bad as that, so that the good ones can be distinguished.
    high = max(result.start_loss, low + 1e-12)
    for row in sorted(judged, key=lambda row: -row.loss):
        height = 1.0 if not math.isfinite(row.loss) else min((row.loss - low) / (high - low), 1.0)
        point_sets = [_jittered(one, row) for one in axes]
        strong = row is result.best
        ax.plot(range(len(axes) + 1), [*point_sets, height], color=_colour(height), zorder=3 if strong else 1,
                linewidth=3.0 if strong else 1.1, alpha=1.0 if strong else 0.75)  # fmt: skip
    for place, one in enumerate(axes):
        ax.axvline(place, color=QUIET, linewidth=0.8)
        for value, text in _ticks(one):
            ax.annotate(text, (place, value), xytext=(4, 0), textcoords="offset points", fontsize=SMALL, va="center",
                        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.7, "lw": 0})  # fmt: skip
    ax.axvline(len(axes), color=QUIET, linewidth=0.8)
    for height, loss in ((0.0, low), (1.0, high)):
        ax.annotate(
            f"{loss:.3g}", (len(axes), height), xytext=(6, 0), textcoords="offset points", fontsize=SMALL, va="center"
        )
    ax.set_xticks(range(len(axes) + 1), [*(one.name.replace("_", "\n", 1) for one in axes), "loss"], fontsize=SMALL)
    ax.set_yticks([])
    ax.set(xlim=(-0.1, len(axes) + 0.4), ylim=(-0.05, 1.05))
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.set_title(
        f"{len(judged)} trials; dark: low loss, thick: the best, orange: no better than untrained", fontsize=TITLE
    )
    return figure


def _jittered(one: Hyperparameter, row: SweepRow) -> float:
    """Where the trial crosses an axis: those of one choice beside each other, not on top of each other."""
    if one.name not in row.values:
        return 0.5
    place = one.place(row.values[one.name])
    return place if not one.choices else place + 0.5 / len(one.choices) * ((row.slot * 0.618) % 1 - 0.5)


def _ticks(one: Hyperparameter) -> list[tuple[float, str]]:
    if one.choices:
        return [(one.place(value), str(value)) for value in one.choices]
    return [(place, f"{float(str(one.at(place))):.1g}") for place in (0.0, 0.5, 1.0)]


def _colour(height: float) -> str:
    """From dark at the best to light, orange where nothing was learnt."""
    if height > 0.9:
        return CLASSICAL
    colours = list(reversed(shades(6)))
    return colours[min(int(height / 0.9 * len(colours)), len(colours) - 1)]


def _importance_figure(shares: "dict[str, tuple[float, float]]") -> "Figure":
    figure, ax = new_axes(6.4, 0.36 * len(shares) + 1.2)
    names = list(shares)
    means, spreads = [shares[name][0] for name in names], [shares[name][1] for name in names]
    ax.barh(names, means, xerr=spreads, color=MODEL, height=0.6)
    ax.invert_yaxis()
    ax.set(xlabel="share of the spread of losses explained (fANOVA; bars: between forests)", xlim=(0, 1))
    return figure
