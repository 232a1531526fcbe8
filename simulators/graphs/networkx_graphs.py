"""Gene graphs as networkx graphs and back: a node is a gene's id, an edge carries its ``weight``."""

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab

if TYPE_CHECKING:
    import networkx as nx


def digraph_of(vocab: GeneVocab, edges: Iterable[tuple[int, int, float]]) -> "nx.DiGraph[str]":
    """Every gene as a node, in the vocabulary's order, and the edges, of regulator, target and weight."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(vocab.feature_id)
    for regulator, target, weight in edges:
        graph.add_edge(*vocab.genes((regulator, target)), weight=weight)
    return graph


def weights_of(graph: "nx.Graph[Any]", vocab: GeneVocab | None) -> tuple[GeneVocab, dict[tuple[int, int], float]]:
    """Vocabulary and weights by tokens of a networkx graph; see ``GeneGraph.from_networkx`` for the rules."""
    if not graph.is_directed():
        raise InputError("the networkx graph has no directions: give a DiGraph, with edges from regulator to target")
    genes = [_gene(node) for node in cast(Iterable[object], graph.nodes)]
    vocab = GeneVocab(feature_id=tuple(genes)) if vocab is None else vocab
    vocab.tokens(genes)  # refuses a node that is no gene of the vocabulary, also one without edges
    edges = cast(Iterable[tuple[str, str, Mapping[str, object]]], graph.edges(data=True))
    return vocab, edge_weights(vocab, (("", *ends, data.get("weight", 1.0)) for *ends, data in edges))


def _gene(node: object) -> str:
    if not isinstance(node, str):
        raise InputError(f"node {node!r} of the networkx graph is no text: relabel nodes with their genes' ids")
    return node


def edge_weights(vocab: GeneVocab, edges: Iterable[tuple[Any, ...]]) -> dict[tuple[int, int], float]:
    """Weights of a list of edges, by the tokens of regulator and target.

    Parameters
    ----------
    vocab : GeneVocab
    edges : iterable of (place, regulator, target, weight)
        ``place`` begins the message where the edge is refused, such as the file and line that hold it.

    Raises
    ------
    InputError
        A gene is not in the vocabulary, an edge is given twice, or a weight is 0 or no finite number.
    """
    weight_of: dict[tuple[int, int], float] = {}
    for place, regulator, target, weight in edges:
        try:
            at = vocab.token(regulator), vocab.token(target)
        except InputError as error:
            raise InputError(f"{place}{error}") from None
        edge = f"{place}edge {regulator} -> {target}"
        if at in weight_of:
            raise InputError(f"{edge} is given twice: keep one")
        if not isinstance(weight, Real) or not np.isfinite(float(weight)):
            raise InputError(f"{edge} has the weight {weight!r}: give a finite number")
        if weight == 0:
            raise InputError(f"{edge} has the weight 0, which means no edge: leave it out, or give its weight")
        weight_of[at] = float(weight)
    return weight_of
