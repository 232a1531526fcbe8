"""Gene graphs as networkx graphs and back: a node is a gene's id, an edge carries its ``weight``."""

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab

if TYPE_CHECKING:
    import networkx as nx


def digraph_of(vocab: GeneVocab, weight_GG: NDArray[np.float64]) -> "nx.DiGraph[str]":
    """Every gene as a node, in the vocabulary's order, and every weight that is not 0 as an edge."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(vocab.feature_id)
    for regulator, target in np.argwhere(weight_GG).tolist():
        graph.add_edge(*vocab.genes((regulator, target)), weight=float(weight_GG[regulator, target]))
    return graph


def weights_of(graph: "nx.Graph[Any]", vocab: GeneVocab | None) -> tuple[GeneVocab, NDArray[np.float64]]:
    """Vocabulary and weights, float64 (G, G), of a networkx graph; see ``GeneGraph.from_networkx`` for the rules."""
    if not graph.is_directed():
        raise InputError("the networkx graph has no directions: give a DiGraph, with edges from regulator to target")
    genes = [_gene(node) for node in cast(Iterable[object], graph.nodes)]
    vocab = GeneVocab(feature_id=tuple(genes)) if vocab is None else vocab
    vocab.tokens(genes)  # refuses a node that is no gene of the vocabulary, also one without edges
    edges = cast(Iterable[tuple[str, str, Mapping[str, object]]], graph.edges(data=True))
    return vocab, weight_matrix(vocab, (("", *ends, data.get("weight", 1.0)) for *ends, data in edges))


def _gene(node: object) -> str:
    if not isinstance(node, str):
        raise InputError(f"node {node!r} of the networkx graph is no text: relabel nodes with their genes' ids")
    return node


def weight_matrix(vocab: GeneVocab, edges: Iterable[tuple[Any, ...]]) -> NDArray[np.float64]:
    """Weights of a list of edges.

    Parameters
    ----------
    vocab : GeneVocab
    edges : iterable of (place, regulator, target, weight)
        ``place`` begins the message where the edge is refused, such as the file and line that hold it.

    Returns
    -------
    float64, (G, G)

    Raises
    ------
    InputError
        A gene is not in the vocabulary, an edge is given twice, or a weight is 0 or no finite number.
    """
    weight_GG = np.zeros((len(vocab), len(vocab)))
    for place, regulator, target, weight in edges:
        try:
            at = vocab.token(regulator), vocab.token(target)
        except InputError as error:
            raise InputError(f"{place}{error}") from None
        edge = f"{place}edge {regulator} -> {target}"
        if weight_GG[at] != 0:
            raise InputError(f"{edge} is given twice: keep one")
        if not isinstance(weight, Real) or not np.isfinite(float(weight)):
            raise InputError(f"{edge} has the weight {weight!r}: give a finite number")
        if weight == 0:
            raise InputError(f"{edge} has the weight 0, which means no edge: leave it out, or give its weight")
        weight_GG[at] = float(weight)
    return weight_GG
