"""The figure of ``audit``: what the squared change is made of, what is expressed, what can be gained.

One bar a panel.
"""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diagnostics.audit.audit import PanelAudit
from diagnostics.audit.decomposition import CHANGE, DEPTH, REGRESSION, REMAINS
from diagnostics.audit.verdicts import percent
from diagnostics.cli.figures import BASELINE, CEILING, CLASSICAL, INK, MODEL, SMALL, TITLE, TRAINING, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR_OF = {
    CHANGE: INK,
    "cell_type": "#d55e00",
    "tissue": "#b0004f",
    "disease": "#cc79a7",
    "dataset": "#e69f00",
    "assay": "#f0e442",
    "donor": "#fae9c0",
    DEPTH: "#56b4e9",
    REGRESSION: "#cccccc",
    REMAINS: MODEL,
}
_ENTRY_COLOURS = {
    "expressed in both": CEILING,
    "in one": "#8fd3bd",
    "in neither": "#d9d9d9",
    "not measured in both": BASELINE,
}
_LEAST_NAMED = 0.04
"""Shares below this are drawn and not written."""


def draw(audits: Sequence[PanelAudit], path: Path) -> Path:
    """Draw the figure and write it whole; its path."""
    figure = new_figure(10.0, 2.3 + 2.1 * len(audits))
    axes = figure.subplots(3, 1)
    names = [f"{audit.name}\n{audit.n_genes} genes, {audit.n_pairs:,} pairs" for audit in audits]
    _stacked(axes[0], [_parts(audit) for audit in audits], _COLOUR_OF)
    axes[0].set_title("what the mean squared change is made of", loc="left", fontsize=TITLE)
    _noise_threshold(axes[0], audits)
    _stacked(axes[1], [_entries(audit) for audit in audits], _ENTRY_COLOURS)
    axes[1].set_title("what the loss is about: all entries, a gene of a pair each", loc="left", fontsize=TITLE)
    _gains(axes[2], audits)
    for ax in axes:
        ax.set_yticks(range(len(audits)), names, fontsize=SMALL)
        ax.set_ylim(len(audits) - 0.5, -0.5)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
    for ax in axes[:2]:
        ax.set_xlim(0, 1)
        ax.xaxis.set_major_formatter("{x:.0%}")
    return save(figure, path)


def _parts(audit: PanelAudit) -> dict[str, float]:
    """Shares in the order of the legend; what came out below 0 is noise about 0, and is drawn as 0."""
    if audit.parts is None:
        return {}
    shares = audit.parts.share_of
    names = [name for name in _COLOUR_OF if name in shares]
    drawn = {name: max(shares[name].value, 0.0) for name in names}
    total = sum(drawn.values())
    return {name: share / total for name, share in drawn.items()}


def _entries(audit: PanelAudit) -> dict[str, float]:
    entries, measured = audit.entries, audit.entries.measured.value
    scored = (entries.both.value, entries.one.value, entries.neither.value)
    return dict(zip(_ENTRY_COLOURS, (*(measured * share for share in scored), 1 - measured), strict=True))


def _stacked(ax: "Axes", shares: Sequence[Mapping[str, float]], colour_of: Mapping[str, str]) -> None:
    shown = [name for name in colour_of if any(one.get(name, 0.0) > 0.001 for one in shares)]
    left = [0.0] * len(shares)
    for name in shown:
        widths = [one.get(name, 0.0) for one in shares]
        ax.barh(range(len(shares)), widths, left=left, height=0.5, color=colour_of[name], label=name.replace("_", " "))
        for row, width in enumerate(widths):
            if width >= _LEAST_NAMED:
                dark = sum(int(colour_of[name][i : i + 2], 16) for i in (1, 3, 5)) < 380
                ink = "white" if dark else "black"
                ax.text(left[row] + width / 2, row, f"{width:.0%}", ha="center", va="center", fontsize=SMALL, color=ink)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=SMALL)


def _noise_threshold(ax: "Axes", audits: Sequence[PanelAudit]) -> None:
    """A bracket under each bar; half of the noise is the cell before's, and regression to the mean takes it."""
    for row, audit in enumerate(audits):
        full = audit.noise.full_depth
        if full is None:
            continue
        middle = 1 - _parts(audit).get(REMAINS, 0.0)
        if audit.paired.best_of > 1:
            middle = 0.5
        ends = (max(middle - full.value / 2, 0.0), min(middle + full.value / 2, 1.0))
        style = {"arrowstyle": "|-|, widthA=.25, widthB=.25", "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (ends[0], row + 0.33), (ends[1], row + 0.33), arrowprops=style)
        ax.text(middle, row + 0.36, f"counting noise {full.value:.0%}", ha="center", va="top", fontsize=SMALL)


def _gains(ax: "Axes", audits: Sequence[PanelAudit]) -> None:
    """The gain of each linear predictor with its interval; in words, how much of it is from the perturbation."""
    from matplotlib.ticker import PercentFormatter

    names = list(dict.fromkeys(name for audit in audits for name in audit.gain.gain_of))
    colours = dict(zip(names, (TRAINING, MODEL, CLASSICAL), strict=False))
    for row, audit in enumerate(audits):
        for place, name in enumerate(audit.gain.gain_of):
            gain = audit.gain.gain_of[name]
            y = row + 0.2 * (place - (len(names) - 1) / 2)
            reach = [[max(gain.value - gain.low, 0)], [max(gain.high - gain.value, 0)]]
            label = name if name not in ax.get_legend_handles_labels()[1] else None
            ax.errorbar(
                [gain.value], [y], xerr=reach, fmt="o", markersize=4, color=colours[name], capsize=2, label=label
            )
        if audit.gain.perturbed_gain is not None:
            n_perturbed = f"the perturbation: {percent(audit.gain.perturbed_gain)} of the loss without it"
            ax.text(
                0.99,
                row - 0.38,
                n_perturbed,
                transform=ax.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=SMALL,
            )
    ax.axvline(0, color="black", linewidth=0.8)
    ax.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    ax.set_title(
        "share of the baseline's loss that a linear predictor takes away, on held-out cells", loc="left", fontsize=TITLE
    )
    if names:
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=SMALL)
