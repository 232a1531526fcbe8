"""Var- and R2-sortability: how much of a world's causal order variances, or R2 of each gene, reveal.

0.5 reveals nothing, 1 (or 0) everything: a method that scores well on a world of 1 may have found only the order.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from simulators.graphs.gene_graph import GeneGraph


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Sortability:
    """Both sortabilities of a world, each in 0 .. 1; NaN where the graph has no edge."""

    var: float
    r2: float


def sortability(expression_BG: NDArray[np.float64], graph: GeneGraph) -> Sortability:
    """Both, from the same cells; see :func:`var_sortability` and :func:`r2_sortability`."""
    return Sortability(var=var_sortability(expression_BG, graph), r2=r2_sortability(expression_BG, graph))


def var_sortability(expression_BG: NDArray[np.float64], graph: GeneGraph) -> float:
    """Share of the directed paths on which the variance grows (Reisach et al. 2021, "Beware of the simulated DAG!").

    As in the authors' code, a pair of genes counts once for each length of path between them, ties count half.

    Raises
    ------
    InputError
        The cells are not of the graph's genes, or fewer than two.
    """
    _check(expression_BG, graph, 2)
    return _share_of_paths(expression_BG.var(axis=0), graph)


def r2_sortability(expression_BG: NDArray[np.float64], graph: GeneGraph) -> float:
    """Share of the directed paths on which R2 grows, where R2 is that of the gene given all others.

    Reisach et al. 2023, "A scale-invariant sorting criterion to find a causal order in additive noise models";
    ``R2_j = 1 - 1 / (var_j * precision_jj)``.

    Raises
    ------
    InputError
        The cells are not of the graph's genes, or not more than the genes.
    """
    _check(expression_BG, graph, graph.n_genes + 2)
    correlation_GG = np.atleast_2d(np.corrcoef(expression_BG, rowvar=False))
    return _share_of_paths(1 - 1 / np.diag(np.linalg.inv(correlation_GG)), graph)


def _share_of_paths(score_G: NDArray[np.float64], graph: GeneGraph) -> float:
    """Share of the paths that end in a higher score than they start from."""
    grows_GG = 0.5 * (1 + np.sign(score_G[None, :] - score_G[:, None]))
    adjacency_GG = graph.adjacency_GG.astype(np.float32)
    path_GG = adjacency_GG
    n_paths = n_growing = 0.0
    while path_GG.any():
        n_paths += float(path_GG.sum(dtype=np.float64))
        n_growing += float((path_GG * grows_GG).sum())
        path_GG = (path_GG @ adjacency_GG > 0).astype(np.float32)
    return n_growing / n_paths if n_paths else float("nan")


def _check(expression_BG: NDArray[np.float64], graph: GeneGraph, n_cells: int) -> None:
    if expression_BG.ndim != 2 or expression_BG.shape[1] != graph.n_genes:
        raise InputError(f"expression_BG has shape {expression_BG.shape}, expected (cells, {graph.n_genes})")
    if len(expression_BG) < n_cells:
        raise InputError(f"expression_BG has {len(expression_BG)} cells: give at least {n_cells}")
