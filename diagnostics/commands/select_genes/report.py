"""What ``select-genes`` shows: a table of the rules and the panel, and a figure of all genes with the panel in it."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.cli.figures import CLASSICAL, MODEL, QUIET, SMALL, TITLE, new_figure, save
from diagnostics.cli.text import cut, table, wrap
from gpcp.panels.panel import ORDERS, GenePanel
from gpcp.panels.statistics import GeneStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_SHOWN = 12
"""Genes of the panel that are shown."""

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_ALL, _PANEL, _KEPT = QUIET, MODEL, CLASSICAL
_LINE: dict[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": "--", "zorder": 0}
_SHARE_TICKS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)


def screen(statistics: GeneStatistics, panel: GenePanel, *, by: str) -> str:
    """The source, how many genes fail each rule, quantiles of the shares, and the first genes of the panel.

    Parameters
    ----------
    statistics : GeneStatistics
        Of all genes.
    panel : GenePanel
    by : str
        Of :data:`gpcp.panels.panel.ORDERS`: by what the genes shown are ranked.
    """
    parts = [_source(statistics, panel), _rules(statistics, panel), _quantiles(statistics, panel), _top(panel, by)]
    if panel.notes:
        parts.append("\n".join(line for note in _few(panel.notes) for line in _wrapped(f"note: {note}")))
    return "\n\n".join(parts)


def _wrapped(text: str) -> list[str]:
    return wrap(text, indent="  ")


def _few(notes: Sequence[str]) -> list[str]:
    return [*notes[:8], *([f"and {len(notes) - 8} more, in the panel's file"] if len(notes) > 8 else [])]


def _source(statistics: GeneStatistics, panel: GenePanel) -> str:
    """How much was read, and of what."""
    datasets = f", {len(statistics.dataset_S):,} datasets" if statistics.dataset_S else ""
    sample = ", a random sample of the source" if statistics.sampled else ""
    head = f"{statistics.n_cells:,} cells{sample}, {len(statistics.vocab):,} genes{datasets}"
    return "\n".join([head, *(line for text in panel.provenance.splitlines() for line in _wrapped(text))])


def _rules(statistics: GeneStatistics, panel: GenePanel) -> str:
    """Which rules there were, and the genes that each turned away."""
    rows: list[list[str]] = []
    for rule in panel.rules:
        first, *more = wrap(rule.summary, columns=60)
        rows.append([f"  {first}", f"{rule.n_failing:,}", f"{rule.n_failing_alone:,}"])
        rows += [[f"    {line}"] for line in more]
    head = ("a gene of the panel is", "genes that are not", "only that")
    return "\n".join([table(head, rows), *_wrapped(f"the panel: {panel.chosen_by}")])


def _quantiles(statistics: GeneStatistics, panel: GenePanel) -> str:
    """Quantiles over genes of what was counted, of all genes and of the panel's."""
    head = ["over genes", "", "least", *(f"{q:.0%}" for q in _QUANTILES[1:-1]), "most"]
    rows: list[list[str]] = []
    for what, all_G, panel_number in (
        ("share of cells measuring it", statistics.measured_share_G, panel.statistics.measured_share_G),
        ("share expressing it where measured", statistics.expressed_share_G, panel.statistics.expressed_share_G),
        ("  its standard error", statistics.expressed_error_G, panel.statistics.expressed_error_G),
        ("mean of log expression", statistics.mean_G, panel.statistics.mean_G),
        ("standard deviation", np.sqrt(statistics.variance_G), np.sqrt(panel.statistics.variance_G)),
    ):
        if "error" in what and not statistics.sampled:
            continue
        for which, number_G in (("all", all_G), ("panel", panel_number)):
            known_G = number_G[~np.isnan(number_G)]
            shown = [f"{q:.3f}" for q in np.quantile(known_G, _QUANTILES).tolist()] if len(known_G) else ["none"]
            rows.append([f"  {what}", which, *shown])
    return table(head, rows, align="ll")


def ranked(panel: GenePanel, by: str) -> NDArray[np.int64]:
    """Tokens of the panel's genes, the highest by ``by`` first; a gene without that number is last."""
    number_panel = ORDERS[by][1](panel.statistics)
    return np.argsort(np.where(np.isnan(number_panel), np.inf, -number_panel), kind="stable")


def _top(panel: GenePanel, by: str) -> str:
    """The first genes of the panel, by what they were ranked."""
    found = panel.statistics
    known = bool(found.dataset_S)
    head = [f"first by {by}", "symbol", "biotype", "measured", "expressed", "mean", "SD", *(["datasets"] * known)]
    rows: list[list[str]] = []
    for token in map(int, ranked(panel, by)[:N_SHOWN]):
        gene = panel.feature_id[token]
        name = f"{gene}*" if gene in panel.kept else gene
        numbers = (
            found.measured_share_G[token],
            found.expressed_share_G[token],
            found.mean_G[token],
            np.sqrt(found.variance_G[token]),
        )
        about = (cut(words.get(gene, "-"), 16) for words in (panel.about.symbol_of, panel.about.biotype_of))
        datasets = [f"{found.n_datasets_G[token]:,}"] if known else []
        rows.append([name, *about, *(f"{one:.3f}" for one in numbers), *datasets])
    left = len(panel) - N_SHOWN
    more = [f"and {left:,} more"] if left > 0 else []
    named = ["* named, and so in whatever the rules say"] if panel.kept else []
    return "\n".join([table(head, rows, align="lll"), *more, *named])


def draw(
    path: Path,
    statistics: GeneStatistics,
    panel: GenePanel,
    *,
    min_measured: float | None = None,
    min_expressed: float | None = None,
) -> None:
    """Draw every gene's share of cells measuring it against the share of these that express it, the panel marked.

    Where every gene is measured equally often there is nothing to see of the first; the standard deviation takes its
    place.

    Parameters
    ----------
    path : Path
        Its ending says the format: png, pdf or svg.
    statistics : GeneStatistics
        Of all genes.
    panel : GenePanel
    min_measured, min_expressed : float, optional
        The least shares, as lines.
    """
    figure = new_figure(8, 6.4)
    grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(1, 4))
    middle = figure.add_subplot(grid[1, 0])
    above, right = figure.add_subplot(grid[0, 0], sharex=middle), figure.add_subplot(grid[1, 1], sharey=middle)
    x_G, some_G = _across(middle, statistics, min_measured), statistics.n_measured_G > 0
    y_G = statistics.expressed_share_G
    # Half of all genes are expressed in few cells: the square root makes room for them and still has a 0.
    middle.set_yscale("function", functions=(_root, np.square))
    middle.set_ylim(0, 1.04)
    middle.set_yticks(_SHARE_TICKS, [f"{tick:.0%}" for tick in _SHARE_TICKS])
    middle.set_ylabel("share of the cells measuring it that express it")
    if min_expressed:
        middle.axhline(min_expressed, **_LINE)
    chosen_G, kept_G = (_among(statistics, genes) for genes in (panel.feature_id, sorted(panel.kept)))
    for which_G, colour, size, label in (
        (~chosen_G & some_G, _ALL, 6, "not chosen"),
        (chosen_G & ~kept_G & some_G, _PANEL, 8, "chosen"),
        (kept_G & some_G, _KEPT, 24, "named"),
    ):
        if which_G.any():
            _draw_dots(middle, x_G[which_G], y_G[which_G], colour, size, label)
    if some_G.any():
        _draw_margin(above, x_G[some_G], chosen_G[some_G], orientation="vertical")
        _draw_margin(right, y_G[some_G], chosen_G[some_G], orientation="horizontal")
    corner = figure.add_subplot(grid[0, 1])
    corner.axis("off")
    handles, labels = middle.get_legend_handles_labels()
    legend = corner.legend(
        handles, labels, loc="center", frameon=False, fontsize=SMALL, handletextpad=0.2, markerscale=1.5
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    if not some_G.all():
        corner.text(0.5, 0, f"{int((~some_G).sum()):,} measured nowhere", ha="center", fontsize=SMALL)
    sample = " sampled" if statistics.sampled else ""
    chosen = f"{len(panel):,} of {len(statistics.vocab):,} genes"
    figure.suptitle(f"{chosen}, chosen on {statistics.n_cells:,}{sample} cells", fontsize=TITLE)
    save(figure, path)


def _among(statistics: GeneStatistics, genes: Sequence[str]) -> NDArray[np.bool_]:
    """Which genes of the source are among those given."""
    among_G = np.zeros(len(statistics.vocab), dtype=np.bool_)
    among_G[statistics.vocab.tokens(genes)] = True
    return among_G


def _across(axes: "Axes", statistics: GeneStatistics, min_measured: float | None) -> NDArray[np.float64]:
    """Where each gene lies from left to right; the axis says what that is."""
    measured_G = statistics.measured_share_G
    some_G = statistics.n_measured_G > 0
    if some_G.any() and np.ptp(measured_G[some_G]) == 0:
        axes.set_xlabel(
            f"standard deviation of log expression (each gene is measured in {measured_G[some_G][0]:.0%} of the cells)"
        )
        return np.sqrt(statistics.variance_G)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("share of cells measuring the gene")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    if min_measured:
        axes.axvline(min_measured, **_LINE)
    # Genes of the same datasets have the same share: spread over 1 percent, by a fixed rule, they can be distinguished.
    return measured_G + 0.01 * (np.modf(np.arange(len(measured_G)) * 0.6180339887)[0] - 0.5)


def _root(share: Any) -> Any:
    return np.sqrt(np.clip(share, 0, None))


def _draw_dots(
    axes: "Axes", x_G: NDArray[np.float64], y_G: NDArray[np.float64], colour: str, size: float, label: str
) -> None:
    """A dot for each gene, smaller and fainter where they are many."""
    many = len(x_G) > 5000
    axes.scatter(
        x_G,
        y_G,
        s=size / 3 if many else size,
        c=colour,
        alpha=0.3 if many else 0.8,
        linewidths=0,
        label=f"{label} ({len(x_G):,})",
        rasterized=True,
    )


def _draw_margin(axes: "Axes", number_G: NDArray[np.float64], chosen_G: NDArray[np.bool_], *, orientation: Any) -> None:
    """How many genes have which number, on a scale of logarithms."""
    vertical = orientation == "vertical"
    low, high = float(number_G.min()), float(number_G.max())
    # As wide on the paper as they are on the axis beside them, which is one of roots from below to above.
    edges = np.linspace(low, max(high, low + 1e-9), 41) if vertical else np.linspace(0, 1, 41) ** 2
    for shown_G, colour in ((number_G, _ALL), (number_G[chosen_G], _PANEL)):
        axes.hist(shown_G, bins=edges.tolist(), color=colour, orientation=orientation)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelbottom=not vertical, labelleft=vertical, labelsize=8, which="both")
    counts = axes.yaxis if vertical else axes.xaxis
    (axes.set_yscale if vertical else axes.set_xscale)("log")
    (axes.set_ylim if vertical else axes.set_xlim)(0.7)
    counts.set_major_formatter("{x:,.0f}")
    counts.set_minor_formatter("")
    (axes.set_ylabel if vertical else axes.set_xlabel)("genes", fontsize=SMALL)
