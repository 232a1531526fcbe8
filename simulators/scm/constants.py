"""The constants of a world's scaling: centre and spread of every gene in the undisturbed population.

Linear worlds have them exactly, by either of two recursions in causal order. Others have those of one draw.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from simulators.graphs.gene_graph import MOST_DENSE, GeneGraph
from simulators.scm.mechanisms import Linear, Mechanism
from simulators.scm.noises import Noise

Scaling = Literal["iscm", "raw", "standardised"]
SCALINGS: tuple[Scaling, ...] = get_args(Scaling)
"""``iscm``: each gene is centred and scaled while generating, its children see the scaled value. ``raw``: never.
``standardised``: generated raw, scaled afterwards; children answer to the raw value."""

CALIBRATION_CELLS = 32_768
"""Cells of the draw that gives a non-linear world its constants: standard error of a centre .0055 spreads."""

_CALIBRATION_VALUES = 2**27
"""Values of the draw at most, 1 GB, beyond ``MOST_DENSE`` genes: 6,710 cells of 20,000 genes, .0122 spreads."""

_Constants = tuple[NDArray[np.float64], NDArray[np.float64]]


def check_scaling(scaling: str) -> None:
    """Refuse a scaling that does not exist; the message names the nearest."""
    if scaling not in SCALINGS:
        raise InputError(f"scaling {scaling!r} does not exist; {nearest(scaling, SCALINGS)}")


def constants(
    graph: GeneGraph,
    mechanism: Mechanism,
    noise: Noise,
    noise_scale_G: NDArray[np.float64],
    *,
    scaling: Scaling,
    n_calibration: int,
    rng: np.random.Generator,
) -> _Constants:
    """``centre_G, spread_G``, float64 (G,), of a world whose mechanism is in its own units.

    Those of linear worlds are exact and draw nothing: up to :data:`~simulators.graphs.gene_graph.MOST_DENSE` genes by
    the covariance, beyond by the loadings on the noise, which differ by rounding alone.
    """
    if not isinstance(mechanism, Linear):
        return _of_draw(graph, mechanism, noise, noise_scale_G, scaling, n_calibration, rng.spawn(1)[0])
    exact = by_covariance if graph.n_genes <= MOST_DENSE else by_loadings
    return np.zeros(graph.n_genes), exact(graph, noise_scale_G, scaling)


def by_covariance(graph: GeneGraph, noise_scale_G: NDArray[np.float64], scaling: Scaling) -> NDArray[np.float64]:
    """Spread of each gene of a linear world, (G,).

    With ``C`` the covariance of what children see, ``cov(y_j, x) = w_j C`` and ``var(y_j) = w_j C w_j + noise^2``.
    """
    cov_GG = np.zeros((graph.n_genes, graph.n_genes))
    spread_G = np.empty(graph.n_genes)
    for gene in graph.order:
        parents = graph.parents(gene)
        weights = graph.parent_weights(gene)
        cross_G = weights @ cov_GG[parents]
        variance = weights @ cross_G[parents] + noise_scale_G[gene] ** 2
        spread_G[gene] = np.sqrt(variance)
        seen = spread_G[gene] if scaling == "iscm" else 1.0
        cov_GG[gene] = cross_G / seen
        cov_GG[:, gene] = cov_GG[gene]
        cov_GG[gene, gene] = variance / seen**2
    return spread_G


def by_loadings(graph: GeneGraph, noise_scale_G: NDArray[np.float64], scaling: Scaling) -> NDArray[np.float64]:
    """The same without an array of all pairs of genes.

    What children see of gene ``j`` is ``sum_i L_ji e_i`` over ``j`` and its ancestors ``i``, so ``var(y_j)`` is the sum
    of squares of ``sum_p w_p L_p`` and of its own noise. A row of ``L`` is its ancestors' entries alone, kept until
    the last child has read it.
    """
    spread_G, row_G = np.empty(graph.n_genes), np.zeros(graph.n_genes)
    loading: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
    n_left = graph.n_children().tolist()
    for gene in graph.order.tolist():
        parents = graph.parents(gene).tolist()
        for parent, weight in zip(parents, graph.parent_weights(gene).tolist(), strict=True):
            sources, values = loading[parent]
            row_G[sources] += weight * values
        row_G[gene] = noise_scale_G[gene]
        found = np.flatnonzero(row_G) if parents else np.array([gene])
        spread_G[gene] = np.sqrt(np.square(row_G[found]).sum())
        if n_left[gene]:
            loading[gene] = found, row_G[found] / (spread_G[gene] if scaling == "iscm" else 1.0)
        row_G[found] = 0
        for parent in parents:
            n_left[parent] -= 1
            if not n_left[parent]:
                del loading[parent]
    return spread_G


def _of_draw(
    graph: GeneGraph,
    mechanism: Mechanism,
    noise: Noise,
    noise_scale_G: NDArray[np.float64],
    scaling: Scaling,
    n_cells: int,
    rng: np.random.Generator,
) -> _Constants:
    """Centre and spread of one draw, gene by gene; a feature is dropped once the last child has read it."""
    if graph.n_genes > MOST_DENSE:
        n_cells = min(n_cells, max(1_000, _CALIBRATION_VALUES // graph.n_genes))
    centre_G, spread_G = np.zeros(graph.n_genes), np.ones(graph.n_genes)
    nothing = np.empty(0)
    n_left = graph.n_children().tolist()
    features: list[NDArray[np.float64]] = [nothing] * graph.n_genes
    for gene in graph.order.tolist():
        value_B = noise.draw((n_cells,), rng) * noise_scale_G[gene]
        mechanism.add(gene, features, value_B)
        centre_G[gene], spread_G[gene] = value_B.mean(), value_B.std()
        if n_left[gene]:
            seen_B = (value_B - centre_G[gene]) / spread_G[gene] if scaling == "iscm" else value_B
            features[gene] = mechanism.feature(seen_B)
        for parent in graph.parents(gene).tolist():
            n_left[parent] -= 1
            if not n_left[parent]:
                features[parent] = nothing
    return centre_G, spread_G
