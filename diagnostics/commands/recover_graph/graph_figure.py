"""The recovered graph beside the true one: edges found, invented and missed, apart by colour and by line."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.cli.figures import CEILING, CLASSICAL, INK, QUIET, SMALL, TITLE, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_GENES = 60
"""A larger graph is a tangle: its matrices say more."""

_STYLES = {"found": (CEILING, "-", 1.8), "missed": (INK, (0, (1, 1.6)), 1.5), "invented": (CLASSICAL, (0, (5, 2)), 1.5)}


def called_edges(recovered_GG: NDArray[np.float64], target_GG: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """As many of the strongest entries as there are true edges.

    Parameters
    ----------
    recovered_GG : float, (G, G)
        The read-out; a target without direction takes the stronger of both entries.
    target_GG : bool, (G, G)

    Returns
    -------
    bool, (G, G)
    """
    strength_GG = np.abs(recovered_GG)
    symmetric = bool((target_GG == target_GG.T).all())
    if symmetric:
        strength_GG = np.triu(np.maximum(strength_GG, strength_GG.T))
    strength_GG = np.where(np.eye(len(strength_GG), dtype=np.bool_), -1.0, strength_GG)
    n_edges = int(target_GG.sum()) // (2 if symmetric else 1)
    called_GG = np.zeros_like(target_GG)
    called_GG.ravel()[np.argsort(-strength_GG, axis=None, kind="stable")[:n_edges]] = True
    return called_GG | called_GG.T if symmetric else called_GG


def graph_figure(recovered_GG: NDArray[np.float64], target_GG: NDArray[np.bool_], title: str) -> "Figure | None":
    """The graph drawn, each gene by its number; None where there are more than :data:`MOST_GENES`."""
    if len(target_GG) > MOST_GENES:
        return None
    from matplotlib.patches import FancyArrowPatch

    called_GG = called_edges(recovered_GG, target_GG)
    place_of = _positions(target_GG | called_GG)
    symmetric = bool((target_GG == target_GG.T).all())
    groups = {
        "found": target_GG & called_GG,
        "missed": target_GG & ~called_GG,
        "invented": ~target_GG & called_GG,
    }
    figure, ax = new_axes(7.6, 6.4)
    radius = 11 if len(target_GG) <= 30 else 8
    for name, edge_GG in groups.items():
        colour, style, linewidth = _STYLES[name]
        edges = [(i, j) for i, j in zip(*np.nonzero(edge_GG), strict=True) if not symmetric or i < j]
        ax.plot([], [], color=colour, linestyle=style, linewidth=linewidth, label=f"{name} ({len(edges)})")
        for i, j in edges:
            ax.add_patch(
                FancyArrowPatch(
                    place_of[int(i)],
                    place_of[int(j)],
                    arrowstyle="-" if symmetric else "-|>",
                    mutation_scale=12,
                    shrinkA=radius,
                    shrinkB=radius,
                    # Two edges between the same genes lie beside each other.
                    connectionstyle="arc3" if symmetric else "arc3,rad=.08",
                    color=colour,
                    linestyle=style,
                    linewidth=linewidth,
                )
            )
    for gene, (x, y) in place_of.items():
        ax.plot(x, y, "o", markersize=1.7 * radius, markerfacecolor="none", markeredgecolor=QUIET, zorder=2)
        ax.text(x, y, str(gene), ha="center", va="center", fontsize=SMALL if radius > 8 else 7)
    ax.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    ax.set_axis_off()
    ax.set_title(title, fontsize=TITLE)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL)
    return figure


def _positions(edge_GG: NDArray[np.bool_]) -> dict[int, tuple[float, float]]:
    """Where each gene is drawn, within -1 .. 1; the same for the same graph."""
    import networkx as nx

    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(edge_GG)))
    graph.add_edges_from((int(i), int(j)) for i, j in zip(*np.nonzero(edge_GG), strict=True))
    steps: dict[int, dict[int, float]] = dict(nx.all_pairs_shortest_path_length(graph))
    # Parts that no edge joins lie next to each other.
    apart = 1 + max(max(row.values()) for row in steps.values())
    distance = {i: {j: row.get(j, apart) for j in graph} for i, row in steps.items()}
    layout: Any = nx.kamada_kawai_layout(graph, dist=distance, pos=nx.circular_layout(graph))
    place_G2 = np.array([layout[gene] for gene in range(len(edge_GG))])
    place_G2 -= (place_G2.min(axis=0) + place_G2.max(axis=0)) / 2
    place_G2 /= np.maximum(np.abs(place_G2).max(axis=0), 1e-9)
    return {gene: (float(x), float(y)) for gene, (x, y) in enumerate(place_G2)}
