"""Contexts of a screen: SCMs on the same genes whose edges are rescaled or moved, with a known overlap."""

from dataclasses import replace

import numpy as np

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.mechanisms import build_mechanism
from simulators.scm.scm import Scm
from simulators.worlds import World


def context_scm(world: World, context: int, *, seed: int, rewired: float, rescaled_sd: float) -> Scm:
    """The SCM of one context; context 0 is the world's own.

    Edges that stay keep their weight, or a rescaled one, and all genes keep the noise, centre and spread of the world,
    so that the direct effect of an edge that stays is the same to the last bit.

    Raises
    ------
    InputError
        The graph has no room for the edges that are to move.
    """
    if context == 0 or (rewired == 0 and rescaled_sd == 0):
        return world.scm
    rng = generator("screen context", world.name, world.seed, seed, context)
    graph = _rescaled(_rewired(world.graph, rewired, rng), rescaled_sd, rng)
    # The world's own stream: what a mechanism draws for an edge that stays is what it drew there.
    family, n_genes = world.name.split("/")[:2]
    mechanism = build_mechanism(world.scm.mechanism.name, graph, generator("scm", family, int(n_genes), world.seed))
    return replace(world.scm, graph=graph, mechanism=mechanism)


def overlap(first: GeneGraph, second: GeneGraph) -> float:
    """Share of the edges of ``first`` that ``second`` has, too; 1 where there is none."""
    edges, others = ({(i, j) for i, j, _ in one.edges()} for one in (first, second))
    return len(edges & others) / len(edges) if edges else 1.0


def _rewired(graph: GeneGraph, share: float, rng: np.random.Generator) -> GeneGraph:
    """Move a share of the edges, rounded, to pairs of genes without one, along the causal order."""
    n_moved = round(share * graph.n_edges)
    if n_moved == 0:
        return graph
    n = graph.n_genes
    if n_moved > n * (n - 1) // 2 - graph.n_edges:
        raise InputError(f"rewired is {share:g}: there are too few pairs of genes without an edge to move {n_moved} to")
    taken = {(i, j) for i, j, _ in graph.edges()}
    moved_E = np.sort(rng.permutation(graph.n_edges)[:n_moved])
    regulator_E, target_E = graph.regulator_E.copy(), graph.target_E.copy()
    for edge in moved_E.tolist():
        while True:
            early, late = np.sort(rng.choice(n, size=2, replace=False)).tolist()
            pair = int(graph.order[early]), int(graph.order[late])
            if pair not in taken:
                break
        taken.add(pair)
        regulator_E[edge], target_E[edge] = pair
    return GeneGraph.of_edges(vocab=graph.vocab, regulator_E=regulator_E, target_E=target_E, weight_E=graph.weight_E)


def _rescaled(graph: GeneGraph, sd: float, rng: np.random.Generator) -> GeneGraph:
    factor_E = np.exp(sd * rng.standard_normal(graph.n_edges))
    return GeneGraph.of_edges(
        vocab=graph.vocab,
        regulator_E=graph.regulator_E,
        target_E=graph.target_E,
        weight_E=graph.weight_E * factor_E,
    )
