"""The order in which wide blocks of cells compute their genes: children soon after their parents.

A parent's values and features are then still in the cache when they are read, and their memory serves the next gene.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from simulators.graphs.gene_graph import GeneGraph


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One gene, whether another one reads it, and the parents that no later gene reads."""

    gene: int
    is_parent: bool
    read_last: tuple[int, ...]


def walk(graph: GeneGraph) -> tuple[Step, ...]:
    """All genes of a graph, each after its parents: depth first, as far as they allow."""
    children: list[list[int]] = [[] for _ in range(graph.n_genes)]
    for regulator, target, _ in graph.edges():
        children[regulator].append(target)
    n_left: list[int] = np.bincount(graph.target_E, minlength=graph.n_genes).tolist()
    waiting = [gene for gene in range(graph.n_genes) if not n_left[gene]]
    order: list[int] = []
    last: dict[int, int] = {}
    while waiting:
        gene = waiting.pop()
        order.append(gene)
        last.update(dict.fromkeys(graph.parents(gene).tolist(), gene))
        for child in children[gene]:
            n_left[child] -= 1
            if not n_left[child]:
                waiting.append(child)
    read_last: list[list[int]] = [[] for _ in range(graph.n_genes)]
    for parent, gene in last.items():
        read_last[gene].append(parent)
    return tuple(Step(gene=gene, is_parent=bool(children[gene]), read_last=tuple(read_last[gene])) for gene in order)
