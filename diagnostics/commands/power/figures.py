"""The figures of ``power``: power by effect and by cells, limits by cells, and recovery of planted graphs."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diagnostics.audit.power.surface import TESTS
from diagnostics.cli.figures import (
    BASELINE,
    CLASSICAL,
    MODEL,
    SMALL,
    TITLE,
    legend_below,
    new_axes,
    new_figure,
    plain,
    reference_line,
    save,
    shades,
)
from diagnostics.commands.power.table import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from diagnostics.commands.power.run import PowerReport

_COLOURS = {"welch": MODEL, "wilcoxon": CLASSICAL, "ridge": CLASSICAL}


_STYLES = {"welch": "-", "ridge": "--", "model": ":"}


def curves_figure(report: "PowerReport", path: Path) -> Path:
    """Power by cells, the limit of detection, and the planted graph, side by side."""
    n_panels = 2 if report.graphs is None else 3
    figure = new_figure(4.4 * n_panels, 4.2)
    axes = [figure.add_subplot(1, n_panels, place + 1) for place in range(n_panels)]
    for ax in axes:
        plain(ax)
    _power(axes[0], report)
    _limits(axes[1], report)
    if report.graphs is not None:
        _graph(axes[2], report)
    legend_below(figure)
    return save(figure, path)


def drawings(report: "PowerReport") -> "list[tuple[str, str, Figure]]":
    """Title, caption and figure of each drawing of the page."""
    found = report.detection
    shown: list[tuple[str, str, Figure]] = []
    figure, ax = new_axes(8, 4)
    _power(ax, report)
    legend_below(figure)
    caption = (
        f"Share of the affected genes that are found at a false discovery rate of {found.design.fdr:g}; bands are "
        f"{found.design.level:.0%} intervals for the size of the pilot ({found.n_pilot:,} cells)."
    )
    shown.append(("Power by number of cells", caption, figure))
    figure, ax = new_axes(8, 4)
    _limits(ax, report)
    legend_below(figure)
    caption = f"The smallest effect of which {found.design.power:.0%} of the affected genes are found. Lower is better."
    shown.append(("Limit of detection", caption, figure))
    figure, ax = new_axes(8, 4)
    _expression(ax, report)
    legend_below(figure)
    caption = (
        f"Share of the cells that must express a gene for an effect of {found.design.effect:g} to be found with a "
        f"probability of {found.design.power:.0%}. Lower is better; where a line is missing no expression is enough."
    )
    shown.append(("Expression needed", caption, figure))
    if report.graphs is not None:
        figure, ax = new_axes(8, 4)
        _graph(ax, report)
        legend_below(figure)
        caption = (
            "Average precision with which the total effects of the perturbed genes are ranked, by the change of a "
            "perturbed gene: dark is strong. Solid: Welch's t; dashed: ridge coefficients; dotted: the model, where "
            "one was trained. Below the line at chance nothing was recovered."
        )
        shown.append(("Recovery of a planted graph", caption, figure))
    return shown


def _power(ax: "Axes", report: "PowerReport") -> None:
    found = report.detection
    cells = np.array(found.design.cells_grid)
    effect = found.design.effect_grid.index(found.design.effect)
    factor = 1.645
    for test, name in enumerate(TESTS):
        power, error = found.power[test, effect, :, 0], factor * found.error[test, effect, :, 0]
        ax.plot(cells, power, color=_COLOURS[name], label=NAMES[name], marker="o", markersize=3)
        ax.fill_between(
            cells, np.clip(power - error, 0, 1), np.clip(power + error, 0, 1), color=_COLOURS[name], alpha=0.25, lw=0
        )
    ax.axhline(found.design.power, color=BASELINE, linestyle="--", linewidth=1, label="power wanted")
    _by_cells(ax, f"affected genes found, effect {found.design.effect:g}")
    ax.set_ylim(0, 1.02)
    ax.set_title("Power", fontsize=TITLE)


def _limits(ax: "Axes", report: "PowerReport") -> None:
    found = report.detection
    cells = np.array(found.design.cells_grid)
    for name in TESTS:
        value = np.array([np.nan if one.value is None else one.value for one in found.limits[name]])
        ends = [
            np.array([v if end is None else end for v, end in zip(value, every, strict=True)], dtype=np.float64)
            for every in ([one.low for one in found.limits[name]], [one.high for one in found.limits[name]])
        ]
        ax.plot(cells, value, color=_COLOURS[name], label=NAMES[name], marker="o", markersize=3)
        ax.fill_between(cells, ends[0], ends[1], color=_COLOURS[name], alpha=0.25, lw=0)
    ax.axhline(found.design.effect, color=BASELINE, linestyle=":", linewidth=1, label="effect wanted")
    ax.set_yscale("log")
    ticks = [one for one in (0.1, 0.2, 0.5, 1.0, 2.0, 3.0) if one <= max(found.design.effect_grid)]
    ax.set_yticks(ticks, [f"{one:g}" for one in ticks], minor=False)
    ax.set_yticks([], minor=True)
    _by_cells(ax, "smallest log fold change found")
    ax.set_title("Limit of detection", fontsize=TITLE)


def _expression(ax: "Axes", report: "PowerReport") -> None:
    found = report.detection
    cells = np.array(found.design.cells_grid)
    for name in TESTS:
        many = found.expression_needed[name]
        value = np.array([np.nan if one.value is None else one.value for one in many])
        low, high = (
            np.array([v if end is None else end for v, end in zip(value, ends, strict=True)], dtype=np.float64)
            for ends in ([one.low for one in many], [one.high for one in many])
        )
        ax.plot(cells, value, color=_COLOURS[name], label=NAMES[name], marker="o", markersize=3)
        ax.fill_between(cells, low, high, color=_COLOURS[name], alpha=0.25, lw=0)
    _by_cells(ax, "share of cells that express the gene")
    ax.set_ylim(0, 1.02)
    ax.set_title("Expression needed", fontsize=TITLE)


def _graph(ax: "Axes", report: "PowerReport") -> None:
    assert report.graphs is not None
    graphs, design = report.graphs, report.graphs.design
    for colour, dose in zip(shades(len(design.doses)), design.doses, strict=True):
        for name in graphs.auprc:
            found = [graphs.auprc[name][dose, n] for n in design.n_cells]
            label = f"target changed by {-dose:g}" if name == "welch" else "_"
            ax.plot(design.n_cells, [one.value for one in found], _STYLES[name], color=colour, label=label)
            if name in ("welch", "model"):
                ends = [[max(one.low, 0) for one in found], [min(one.high, 1) for one in found]]
                ax.fill_between(design.n_cells, ends[0], ends[1], color=colour, alpha=0.15, lw=0)
    reference_line(ax, graphs.chance, "chance")
    _by_cells(ax, "AUPRC of total effects")
    ax.set_ylim(0, 1.02)
    ax.set_title("Planted graph", fontsize=TITLE)


def _by_cells(ax: "Axes", label: str) -> None:
    ax.set_xscale("log")
    ticks = [10, 30, 100, 300, 1000]
    ax.set_xticks(ticks, [f"{one:,}" for one in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_xlabel("cells of a perturbation", fontsize=SMALL)
    ax.set_ylabel(label, fontsize=SMALL)
