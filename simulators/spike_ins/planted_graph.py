"""The graph that is planted: drawn on the genes of real cells, and how a change of some genes runs through it."""

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.random import generator
from simulators.graphs.families import DENSE_FAMILIES
from simulators.graphs.gene_graph import GeneGraph

WEIGHTS = (0.3, 0.8)
"""Sizes of planted weights: natural-logarithmic fold change of a target for each of its regulator."""


def planted_graph(
    vocab: GeneVocab,
    *,
    family: str = "scale_free",
    degree: float = 2.0,
    weights: tuple[float, float] = WEIGHTS,
    seed: int = 0,
) -> GeneGraph:
    """A random graph on the genes of real cells.

    Parameters
    ----------
    vocab : GeneVocab
        At least two genes.
    family : str
        Of :data:`simulators.graphs.families.DENSE_FAMILIES`.
    degree : float
        Expected neighbours of a gene.
    weights : (float, float)
        Smallest and largest size of a weight, uniform between them, with a random sign: the change of a target for
        each unit of its regulator, both as natural logarithms of fold changes.
    seed : int

    Raises
    ------
    InputError
        The family is unknown, the weights are not ``0 < smallest <= largest``, or as the family itself.
    """
    if family not in DENSE_FAMILIES:
        raise InputError(f"graph family {family!r} does not exist; {nearest(family, DENSE_FAMILIES)}")
    low, high = weights
    if not 0 < low <= high < np.inf:
        raise InputError(f"weights are {low:g} .. {high:g}: sizes above 0 are needed, the smaller first")
    rng = generator("planted graph", family, len(vocab), repr(float(degree)), seed)
    drawn = DENSE_FAMILIES[family](len(vocab), degree=min(degree, len(vocab) - 1.0), rng=rng)
    size_E = rng.uniform(low, high, size=drawn.n_edges)
    return GeneGraph.of_edges(
        vocab=vocab,
        regulator_E=drawn.regulator_E,
        target_E=drawn.target_E,
        weight_E=np.where(rng.random(drawn.n_edges) < 0.5, -size_E, size_E),
    )


def propagated(graph: GeneGraph, dose_BG: NDArray[np.float64], perturbed_BG: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The effect on every gene of setting some: ``effect_j = dose_j`` where perturbed, else ``sum_i w_ij effect_i``.

    A perturbed gene is cut off from its parents, as under an intervention that sets it.

    Parameters
    ----------
    graph : GeneGraph
    dose_BG : float64, (B, G)
        Read where ``perturbed_BG`` alone.
    perturbed_BG : bool, (B, G)

    Returns
    -------
    float64, (B, G)
        In the units of the doses.

    Raises
    ------
    InputError
        The arrays differ in shape, or are not of the graph's genes.
    """
    shape = (len(dose_BG), graph.n_genes)
    check_array("propagated", "dose_BG", dose_BG, shape, np.float64)
    check_array("propagated", "perturbed_BG", perturbed_BG, shape, np.bool_)
    effect_BG = np.where(perturbed_BG, dose_BG, 0.0)
    for gene in graph.order.tolist():
        parents = graph.parents(gene)
        if len(parents):
            moved_B = effect_BG[:, parents] @ graph.parent_weights(gene)
            effect_BG[:, gene] = np.where(perturbed_BG[:, gene], effect_BG[:, gene], moved_B)
    return effect_BG


def total_effects(graph: GeneGraph, target_genes: tuple[str, ...]) -> NDArray[np.float64]:
    """The effect on every gene of one unit on each target alone, float64 (targets, G); 1 on the target itself.

    Raises
    ------
    InputError
        A target is no gene of the graph; the message names the nearest.
    """
    token = graph.vocab.tokens(target_genes)
    perturbed_BG = np.zeros((len(token), graph.n_genes), dtype=np.bool_)
    perturbed_BG[np.arange(len(token)), token] = True
    return propagated(graph, perturbed_BG.astype(np.float64), perturbed_BG)
