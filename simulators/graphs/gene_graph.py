"""Gene graphs without cycles: edges with signed weights.

``weight_GG[i, j] != 0`` iff gene ``i`` acts on gene ``j``. A graph holds its edges alone, so that one of 20,000 genes
takes no more than they do; (G, G) arrays are made when they are asked for, of up to :data:`MOST_DENSE` genes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.html import html_table
from simulators.graphs.networkx_graphs import digraph_of, weights_of

if TYPE_CHECKING:
    import networkx as nx
    from scipy.sparse import coo_array, csc_array, csr_array

MOST_DENSE = 10_000
"""Genes up to which a graph gives (G, G) arrays: 800 MB of float64."""


@final
@dataclass(frozen=True, kw_only=True, init=False, slots=True, eq=False)
class GeneGraph:
    """A directed acyclic graph of genes with signed weights.

    Parameters
    ----------
    vocab : GeneVocab
    weight_GG : float64, (G, G), dense or of scipy.sparse
        ``weight_GG[i, j] != 0`` iff ``i -> j``. :meth:`of_edges` takes a list of edges.

    Attributes
    ----------
    regulator_E, target_E : int64, (E,)
        Tokens of both ends of each edge: by target, and by regulator within one.
    weight_E : float64, (E,)
    order : int64, (G,)
        Tokens such that every gene comes after its parents.

    Raises
    ------
    InputError
        The weights are not square, not of the vocabulary's size or not finite, or the graph has a cycle;
        the message names the genes.
    """

    vocab: GeneVocab
    regulator_E: NDArray[np.int64] = field(repr=False)
    target_E: NDArray[np.int64] = field(repr=False)
    weight_E: NDArray[np.float64] = field(repr=False)
    order: NDArray[np.int64] = field(init=False, repr=False)
    _first: NDArray[np.int64] = field(init=False, repr=False)

    def __init__(
        self, *, vocab: GeneVocab, weight_GG: "NDArray[np.float64] | csr_array | csc_array | coo_array"
    ) -> None:
        given: Any = weight_GG
        check_array("GeneGraph", "weight_GG", given, (len(vocab), len(vocab)), np.float64)
        if isinstance(weight_GG, np.ndarray):
            regulator_E, target_E = np.nonzero(weight_GG)
            weight_E = weight_GG[regulator_E, target_E]
        else:
            summed = given.tocsr().tocoo()  # by way of csr, which adds up what coo holds twice
            regulator_E, target_E, weight_E = summed.row[summed.data != 0], summed.col[summed.data != 0], summed.data
            weight_E = weight_E[weight_E != 0]
        self._hold(vocab, regulator_E, target_E, weight_E)

    def _repr_html_(self) -> str:
        names = self.vocab.feature_id
        largest = np.argsort(-np.abs(self.weight_E), kind="stable")
        rows = [(names[self.regulator_E[i]], names[self.target_E[i]], float(self.weight_E[i])) for i in largest[:20]]
        title = f"GeneGraph: {self.n_genes:,} genes, {self.n_edges:,} edges"
        return html_table(title, rows, head=("from", "to", "weight"), note="the largest weights" * (self.n_edges > 20))

    @classmethod
    def of_edges(
        cls,
        *,
        vocab: GeneVocab,
        regulator_E: NDArray[np.integer],
        target_E: NDArray[np.integer],
        weight_E: NDArray[np.float64],
    ) -> "GeneGraph":
        """The graph of a list of edges, in any order.

        Raises
        ------
        InputError
            The lists differ in length, hold what is no token, an edge twice, or a weight that is 0 or not finite; or
            there is a cycle.
        """
        check_array("GeneGraph", "target_E", target_E, regulator_E.shape, target_E.dtype.type)
        check_array("GeneGraph", "weight_E", weight_E, regulator_E.shape, np.float64)
        for name, end_E in (("regulator_E", regulator_E), ("target_E", target_E)):
            out_E = end_E[(end_E < 0) | (end_E >= len(vocab))]
            if len(out_E):
                raise InputError(f"GeneGraph.{name} holds {out_E[0]}: tokens are 0 .. {len(vocab) - 1}")
        key_E = regulator_E.astype(np.int64) * len(vocab) + target_E
        found, times = np.unique(key_E, return_counts=True)
        for bad, what in ((found[times > 1], "is given twice: keep one"), (key_E[weight_E == 0], "has the weight 0")):
            if len(bad):
                regulator, target = vocab.genes(divmod(int(bad[0]), len(vocab)))
                raise InputError(f"GeneGraph's edge {regulator} -> {target} {what}")
        graph = object.__new__(cls)
        graph._hold(vocab, regulator_E, target_E, weight_E)
        return graph

    @classmethod
    def of_weights(cls, vocab: GeneVocab, weight_of: Mapping[tuple[int, int], float]) -> "GeneGraph":
        """The graph of the weights of its edges, by the tokens of regulator and target; errors as :meth:`of_edges`."""
        ends = np.array(list(weight_of), dtype=np.int64).reshape(-1, 2)
        weight_E = np.array(list(weight_of.values()), dtype=np.float64)
        return cls.of_edges(vocab=vocab, regulator_E=ends[:, 0], target_E=ends[:, 1], weight_E=weight_E)

    def _hold(
        self,
        vocab: GeneVocab,
        regulator_E: NDArray[np.integer],
        target_E: NDArray[np.integer],
        weight_E: NDArray[np.float64],
    ) -> None:
        """Take in edges that are each there once."""
        by_target_E = np.lexsort((regulator_E, target_E))
        regulator_E, target_E = (end_E[by_target_E].astype(np.int64) for end_E in (regulator_E, target_E))
        weight_E = weight_E[by_target_E]
        if not np.isfinite(weight_E).all():
            edge = int(np.flatnonzero(~np.isfinite(weight_E))[0])
            regulator, target = vocab.genes((int(regulator_E[edge]), int(target_E[edge])))
            raise InputError(f"GeneGraph.weight_GG of {regulator} -> {target} is not finite: give a finite weight")
        first = np.searchsorted(target_E, np.arange(len(vocab) + 1))
        order = _topological_order(vocab, regulator_E, target_E)
        object.__setattr__(self, "vocab", vocab)
        for name, array in (
            ("regulator_E", regulator_E),
            ("target_E", target_E),
            ("weight_E", weight_E),
            ("order", order),
            ("_first", first),
        ):
            object.__setattr__(self, name, read_only(array))

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.vocab)

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.weight_E)

    @property
    def density(self) -> float:
        """Share of the ordered pairs of different genes that are edges: what a constant score's AUPRC is."""
        return self.n_edges / max(1, self.n_genes * (self.n_genes - 1))

    @property
    def weight_GG(self) -> NDArray[np.float64]:
        """Weights, float64 (G, G), read-only; an InputError beyond :data:`MOST_DENSE` genes."""
        weight_GG = np.zeros(self._dense_shape())
        weight_GG[self.regulator_E, self.target_E] = self.weight_E
        return read_only(weight_GG)

    @property
    def adjacency_GG(self) -> NDArray[np.bool_]:
        """Direct edges, bool (G, G): True at ``[i, j]`` iff ``i -> j``."""
        adjacency_GG = np.zeros(self._dense_shape(), dtype=np.bool_)
        adjacency_GG[self.regulator_E, self.target_E] = True
        return adjacency_GG

    def _dense_shape(self) -> tuple[int, int]:
        if self.n_genes > MOST_DENSE:
            raise InputError(
                f"an array of all pairs of {self.n_genes} genes would take {self.n_genes**2 * 8 / 1e9:.1f} GB: "
                f"beyond {MOST_DENSE} genes use the graph's edges, regulator_E, target_E and weight_E"
            )
        return self.n_genes, self.n_genes

    def parents(self, gene: int) -> NDArray[np.int64]:
        """Tokens of the genes that act on ``gene`` (a token), ascending."""
        return self.regulator_E[self._first[gene] : self._first[gene + 1]]

    def parent_weights(self, gene: int) -> NDArray[np.float64]:
        """Weights of the edges from :meth:`parents` to ``gene``, in their order."""
        return self.weight_E[self._first[gene] : self._first[gene + 1]]

    def n_children(self) -> NDArray[np.int64]:
        """Number of genes that each gene acts on, (G,)."""
        return np.bincount(self.regulator_E, minlength=self.n_genes)

    def ancestors_GG(self) -> NDArray[np.bool_]:
        """Ancestor relation, bool (G, G): True at ``[i, j]`` iff a directed path leads from ``i`` to ``j != i``."""
        of_GG = np.zeros(self._dense_shape(), dtype=np.bool_)  # of_GG[j] holds the ancestors of j: whole rows
        for gene in self.order.tolist():
            parents = self.parents(gene)
            of_GG[gene] = of_GG[parents].any(axis=0)
            of_GG[gene, parents] = True
        return of_GG.T.copy()

    def skeleton_GG(self) -> NDArray[np.bool_]:
        """Edges without direction, bool (G, G), symmetric."""
        adjacency_GG = self.adjacency_GG
        return adjacency_GG | adjacency_GG.T

    def moral_GG(self) -> NDArray[np.bool_]:
        """Skeleton plus an edge between any two parents of one gene, bool (G, G), symmetric, diagonal False.

        For a linear Gaussian world in general position this is the support of the precision matrix.
        """
        adjacency_GG = self.adjacency_GG.astype(np.float64)
        moral_GG = self.skeleton_GG() | ((adjacency_GG @ adjacency_GG.T) > 0)
        np.fill_diagonal(moral_GG, False)
        return moral_GG

    def edges(self) -> list[tuple[int, int, float]]:
        """Regulator, target and weight of each edge: by regulator, and by target within one."""
        by_regulator_E = np.argsort(self.regulator_E, kind="stable")
        ends = (self.regulator_E[by_regulator_E], self.target_E[by_regulator_E], self.weight_E[by_regulator_E])
        return list(zip(*(end_E.tolist() for end_E in ends), strict=True))

    def to_networkx(self) -> "nx.DiGraph[str]":
        """A networkx graph: nodes are the ids of all genes, in their order; edges carry ``weight``."""
        return digraph_of(self.vocab, self.edges())

    @classmethod
    def from_networkx(cls, graph: "nx.Graph[Any]", vocab: GeneVocab | None = None) -> "GeneGraph":
        """The graph of a networkx graph whose nodes are gene ids and whose edges run from regulator to target.

        Parameters
        ----------
        graph : networkx.DiGraph
            An edge without ``weight`` has weight 1, as everywhere in networkx.
        vocab : GeneVocab, optional
            Genes and their order; by default the nodes in theirs. Genes that are no node have no edge.

        Raises
        ------
        InputError
            Edges have no direction, a node is no gene of ``vocab``, an edge occurs twice, a weight is 0 or no finite
            number, or there is a cycle; the message names the genes.
        """
        vocab, weight_of = weights_of(graph, vocab)
        return cls.of_weights(vocab, weight_of)


def _topological_order(
    vocab: GeneVocab, regulator_E: NDArray[np.int64], target_E: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Kahn's order; refuses a cycle by naming its genes."""
    order, n_left = _kahn(len(vocab), regulator_E, target_E)
    if len(order) < len(vocab):
        cycle = _cycle(n_left, regulator_E, target_E)
        raise InputError(
            f"GeneGraph.weight_GG has a cycle: {' -> '.join(vocab.genes(cycle))} -> {vocab.feature_id[cycle[0]]}; "
            "remove one of its edges"
        )
    return np.array(order, dtype=np.int64)


def _kahn(n_genes: int, regulator_E: NDArray[np.int64], target_E: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """The genes that no cycle is before, in causal order, and for each gene how many parents are left without."""
    by_regulator_E = np.lexsort((target_E, regulator_E))
    first: list[int] = np.searchsorted(regulator_E[by_regulator_E], np.arange(n_genes + 1)).tolist()
    child_E: list[int] = target_E[by_regulator_E].tolist()
    n_left: list[int] = np.bincount(target_E, minlength=n_genes).tolist()
    order = [gene for gene in range(n_genes) if not n_left[gene]]
    for gene in order:  # grows while it is walked
        for child in child_E[first[gene] : first[gene + 1]]:
            n_left[child] -= 1
            if not n_left[child]:
                order.append(child)
    return order, n_left


def _cycle(n_left: list[int], regulator_E: NDArray[np.int64], target_E: NDArray[np.int64]) -> list[int]:
    """A cycle: every gene that is left has a parent that is left, so walking up the parents must come back."""
    parent_of = {
        child: parent
        for parent, child in zip(regulator_E.tolist(), target_E.tolist(), strict=True)
        if n_left[parent] and n_left[child]
    }
    walk: dict[int, int] = {}
    gene = min(parent_of)
    while gene not in walk:
        walk[gene] = len(walk)
        gene = parent_of[gene]
    return list(walk)[walk[gene] :][::-1]


def find_cycle(adjacency_GG: NDArray[np.bool_]) -> list[int]:
    """Tokens of one directed cycle in the direction of its edges, or an empty list if there is none."""
    regulator_E, target_E = np.nonzero(adjacency_GG)
    order, n_left = _kahn(len(adjacency_GG), regulator_E, target_E)
    return [] if len(order) == len(adjacency_GG) else _cycle(n_left, regulator_E, target_E)
