"""The figures of ``learning-curve``: skill against pairs, against capacity, and the pairs that a graph takes.

Of real cells, whose exact answer and graph are not known, losses stand in their place.

Bands and bars are from the lowest seed to the highest: with three seeds a 95 % interval is wider than all of them.
"""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diagnostics.cli.figures import (
    BASELINE,
    CEILING,
    CLASSICAL,
    MODEL,
    SMALL,
    legend_below,
    new_figure,
    plain,
    reference_line,
    save,
    shades,
)
from diagnostics.commands.learning_curve.genes_needed import GenesNeeded
from diagnostics.commands.learning_curve.points import TARGET_AUPRC, Curves
from diagnostics.runs.store import Record
from diagnostics.scoring.sample_size import Needed, NeededOfSeeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_curves(curves: Curves, field: str, out: Path) -> list[Path]:
    """Draw the learning curve, and the capacity curve where there is more than one capacity; their paths."""
    drawn = {"learning_curve.png": _learning_figure(curves, field)}
    if len(curves.capacities) > 1:
        drawn["capacity_curve.png"] = _capacity_figure(curves, field)
    return _written(drawn, out)


def draw_genes(needs: Sequence[GenesNeeded], out: Path) -> list[Path]:
    """Draw the sample size against the number of genes; its path."""
    return _written({"sample_size.png": _sample_size_figure(needs)}, out)


def _written(drawn: "Mapping[str, Figure]", out: Path) -> list[Path]:
    return [save(figure, out / name) for name, figure in drawn.items()]


def _learning_figure(curves: Curves, field: str) -> "Figure":
    figure = new_figure(10.4, 4.6)
    left, right = figure.subplots(1, 2)
    for capacity, colour in zip(curves.capacities, shades(len(curves.capacities)), strict=True):
        at = {n: curves.at(n, capacity) for n in curves.pairs}
        _line(left, at, curves.measure, colour, f"{field} {capacity}")
        if curves.graph_known:
            _line(right, at, "auprc", colour, f"{field} {capacity}")
        else:
            _line(right, at, "loss", colour, f"{field} {capacity}")
            _line(right, at, "train_loss", colour, f"{field} {capacity}, its training pairs", style=(0, (1, 1.5)))
    top = {n: curves.at(n, curves.capacities[-1]) for n in curves.pairs}
    _line(left, top, f"ridge_{curves.measure}", CLASSICAL, "ridge, same pairs", style=":")
    _between(left, curves)
    left.set_title("Held-out loss")
    if curves.graph_known:
        _line(right, top, "classical_auprc", CLASSICAL, "classical estimator, same pairs", style=":")
        _line(right, top, "ceiling_auprc", CEILING, "exact law, same read-out", style="-.")
        _line(right, top, "chance", BASELINE, "chance", style="--")
        right.set(ylim=(0, 1.04), ylabel="AUPRC of the graph", title="The graph inside it")
    else:
        _line(right, top, "baseline_loss", BASELINE, "input-free baseline", style="--")
        _line(right, top, "best_linear_loss", CLASSICAL, "best linear predictor", style="-.")
        right.set(ylabel="mean squared error", title="Held out, and on the training pairs")
    for ax in (left, right):
        _pairs_axis(ax, curves.pairs)
    legend_below(figure)
    return figure


def _capacity_figure(curves: Curves, field: str) -> "Figure":
    figure = new_figure(6.4, 4.6)
    ax = figure.subplots()
    for n_pairs, colour in zip(curves.pairs, shades(len(curves.pairs)), strict=True):
        at = {capacity: curves.at(n_pairs, capacity) for capacity in curves.capacities}
        _line(ax, at, curves.measure, colour, f"{n_pairs:,} pairs")
    _between(ax, curves)
    ax.set_xscale("log")
    _ticks(ax, curves.capacities)
    ax.set(xlabel=field, title="Held-out loss by capacity, the same steps for all")
    legend_below(figure)
    return figure


def _sample_size_figure(needs: Sequence[GenesNeeded]) -> "Figure":
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    figure = new_figure(6.2, 4.4)
    ax = figure.subplots()
    _needed(ax, needs, lambda one: one.model, MODEL, "model", 0.985)
    _needed(ax, needs, lambda one: one.classical, CLASSICAL, "classical estimator, same pairs", 1.015)
    theory = [(one.n_genes, one.theory) for one in needs if one.theory is not None]
    if theory:
        ax.plot(*zip(*theory, strict=True), color=CEILING, linestyle="--", marker="s", markersize=4,
                label="theory for the classical estimator")  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    _ticks(ax, [one.n_genes for one in needs])
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="genes", ylabel="pairs")
    ax.set_title(
        f"Pairs until the AUPRC of the graph is {TARGET_AUPRC:g}\n"
        "bars: the least to the most of the seeds; triangles: more than (up), at most (down)",
        fontsize=SMALL,
    )
    ax.legend(fontsize=SMALL, frameon=False)
    return figure


def _needed(
    ax: "Axes",
    needs: Sequence[GenesNeeded],
    pick: Callable[[GenesNeeded], NeededOfSeeds | None],
    colour: str,
    label: str,
    shift: float,
) -> None:
    """The middle seed with the spread; an arrow where it is a bound only."""
    found = [(one.n_genes * shift, needed) for one in needs if (needed := pick(one)) is not None]
    x = [n_genes for n_genes, _ in found]
    ax.plot(x, [needed.middle.n for _, needed in found], color=colour, linewidth=1.4, label=label)
    for n_genes, needed in found:
        ax.plot([n_genes] * 2, [needed.least.n, needed.most.n], color=colour, linewidth=1)
        ax.plot(n_genes, needed.middle.n, color=colour, marker=_MARKERS[_bound(needed.middle)], markersize=7)


_MARKERS: Mapping[str, str] = {"": "o", "more than": "^", "at most": "v"}


def _bound(needed: Needed) -> str:
    return needed.bound


def _line(
    ax: "Axes",
    at: Mapping[int, Mapping[int, Record]],
    name: str,
    colour: str,
    label: str,
    *,
    style: str | tuple[float, tuple[float, ...]] = "-",
) -> None:
    """Mean over seeds, and a band from the lowest to the highest."""
    found = {x: [one[name] for one in records.values() if one[name] is not None] for x, records in at.items()}
    found = {x: values for x, values in found.items() if values}
    if not found:
        return
    marker, x, values = "o" if style == "-" else None, list(found), found.values()
    ax.plot(
        x, [np.mean(one) for one in values], color=colour, linestyle=style, marker=marker, markersize=4, label=label
    )
    if style == "-":
        ax.fill_between(
            x, [min(one) for one in values], [max(one) for one in values], color=colour, alpha=0.18, linewidth=0
        )


def _between(ax: "Axes", curves: Curves) -> None:
    """The two ends of the way, of which the best linear predictor can be passed; what lies far below 0 is cut off."""
    top = 1.06 if curves.exact_known else max(1.06, ax.dataLim.y1 + 0.05)
    ylim = max(-1.0, min(-0.05, ax.dataLim.y0) - 0.05), top
    if curves.exact_known:
        reference_line(ax, 1, "bayes", label="exact answer (Bayes risk)")
    else:
        reference_line(ax, 1, "linear")
    reference_line(ax, 0, "baseline")
    ax.set(ylim=ylim, ylabel="skill" if curves.exact_known else "share of the way to the best linear predictor")


def _pairs_axis(ax: "Axes", pairs: Sequence[int]) -> None:
    plain(ax)
    ax.set_xscale("log")
    _ticks(ax, pairs)
    ax.set_xlabel("training pairs")


def _ticks(ax: "Axes", values: Sequence[int]) -> None:
    """The values themselves, and no others."""
    from matplotlib.ticker import NullLocator

    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(list(values), [f"{value:,}" for value in values])
