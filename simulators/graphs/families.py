"""Gene graphs without cycles, and the families that they are drawn from.

``weight_GG[i, j] != 0`` iff gene ``i`` acts on gene ``j``.

Every family shuffles its labels: a gene's token says nothing about its place in the causal order.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from simulators.graphs.networkx_graphs import digraph_of, weights_of

if TYPE_CHECKING:
    import networkx as nx

WEIGHT_RANGE = (0.5, 2.0)
"""Edge weights are drawn with a random sign and a size uniform between these, before any scaling."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GeneGraph:
    """A directed acyclic graph of genes with signed weights.

    Parameters
    ----------
    vocab : GeneVocab
    weight_GG : float64, (G, G)
        ``weight_GG[i, j] != 0`` iff ``i -> j``.

    Attributes
    ----------
    order : int64, (G,)
        Tokens such that every gene comes after its parents.

    Raises
    ------
    InputError
        The weights are not square, not of the vocabulary's size or not finite, or the graph has a cycle;
        the message names the genes.
    """

    vocab: GeneVocab
    weight_GG: NDArray[np.float64]
    order: NDArray[np.int64] = field(init=False, repr=False)
    _parents: tuple[NDArray[np.int64], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_array("GeneGraph", "weight_GG", self.weight_GG, (len(self.vocab), len(self.vocab)), np.float64)
        bad = np.argwhere(~np.isfinite(self.weight_GG))
        if len(bad):
            regulator, target = self.vocab.genes(bad[0])
            raise InputError(f"GeneGraph.weight_GG of {regulator} -> {target} is not finite: give a finite weight")
        weight_GG = self.weight_GG.copy()
        adjacency_GG = weight_GG != 0
        object.__setattr__(self, "weight_GG", read_only(weight_GG))
        object.__setattr__(self, "order", read_only(_topological_order(self.vocab, adjacency_GG)))
        parents = tuple(read_only(np.flatnonzero(column_G)) for column_G in adjacency_GG.T.copy())
        object.__setattr__(self, "_parents", parents)

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.vocab)

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return int(np.count_nonzero(self.weight_GG))

    @property
    def density(self) -> float:
        """Share of the ordered pairs of different genes that are edges: what a constant score's AUPRC is."""
        return self.n_edges / max(1, self.n_genes * (self.n_genes - 1))

    @property
    def adjacency_GG(self) -> NDArray[np.bool_]:
        """Direct edges, bool (G, G): True at ``[i, j]`` iff ``i -> j``."""
        return self.weight_GG != 0

    def parents(self, gene: int) -> NDArray[np.int64]:
        """Tokens of the genes that act on ``gene`` (a token), ascending."""
        return self._parents[gene]

    def ancestors_GG(self) -> NDArray[np.bool_]:
        """Ancestor relation, bool (G, G): True at ``[i, j]`` iff a directed path leads from ``i`` to ``j != i``."""
        of_GG = np.zeros((self.n_genes, self.n_genes), dtype=np.bool_)  # of_GG[j] holds the ancestors of j: whole rows
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

    def to_networkx(self) -> "nx.DiGraph[str]":
        """A networkx graph: nodes are the ids of all genes, in their order; edges carry ``weight``."""
        return digraph_of(self.vocab, self.weight_GG)

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
        vocab, weight_GG = weights_of(graph, vocab)
        return cls(vocab=vocab, weight_GG=weight_GG)


def _topological_order(vocab: GeneVocab, adjacency_GG: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Kahn's order; refuses a cycle by naming its genes."""
    n_in_G = adjacency_GG.sum(axis=0)
    order: list[int] = np.flatnonzero(n_in_G == 0).tolist()
    for gene in order:  # grows while it is walked
        children = np.flatnonzero(adjacency_GG[gene])
        n_in_G[children] -= 1
        order.extend(children[n_in_G[children] == 0].tolist())
    if len(order) < len(vocab):
        cycle = find_cycle(adjacency_GG)
        raise InputError(
            f"GeneGraph.weight_GG has a cycle: {' -> '.join(vocab.genes(cycle))} -> {vocab.feature_id[cycle[0]]}; "
            "remove one of its edges"
        )
    return np.array(order, dtype=np.int64)


def find_cycle(adjacency_GG: NDArray[np.bool_]) -> list[int]:
    """Tokens of one directed cycle in the direction of its edges, or an empty list if there is none."""
    left_G = np.ones(len(adjacency_GG), dtype=np.bool_)
    while left_G.any():
        roots_G = left_G & ~adjacency_GG[left_G].any(axis=0)
        if not roots_G.any():
            break
        left_G &= ~roots_G
    if not left_G.any():
        return []
    # Every gene that is left has a parent that is left: walking up the parents must come back.
    walk = [int(np.flatnonzero(left_G)[0])]
    while walk.count(walk[-1]) == 1:
        walk.append(int(np.flatnonzero(left_G & adjacency_GG[:, walk[-1]])[0]))
    return walk[walk.index(walk[-1]) + 1 :][::-1]


def simulated_vocab(n_genes: int) -> GeneVocab:
    """Ids of an imaginary species in Ensembl's form: ``ENSSIMG00000000000`` and so on.

    Raises
    ------
    InputError
        ``n_genes`` is below 1.
    """
    if n_genes < 1:
        raise InputError(f"n_genes is {n_genes}: it must be at least 1")
    return GeneVocab(feature_id=tuple(f"ENSSIMG{gene:011d}" for gene in range(n_genes)))


def drawn_weights(shape: int | tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Signed weights, uniform on +-[.5, 2], float64 of the given shape."""
    size = rng.uniform(*WEIGHT_RANGE, size=shape)
    return np.where(rng.random(shape) < 0.5, -size, size)


def _labelled(edge_GG: NDArray[np.bool_], rng: np.random.Generator) -> GeneGraph:
    """Weigh the edges of a graph and shuffle its labels."""
    n_genes = len(edge_GG)
    label_G = rng.permutation(n_genes)
    weight_GG = np.zeros((n_genes, n_genes))
    sources, targets = np.nonzero(edge_GG)
    weight_GG[label_G[sources], label_G[targets]] = drawn_weights(len(sources), rng)
    return GeneGraph(vocab=simulated_vocab(n_genes), weight_GG=weight_GG)


def _n_edges(n_genes: int, degree: float) -> float:
    """Expected number of edges where each gene has ``degree`` neighbours on average."""
    _check_size(n_genes)
    if not 0 <= degree <= n_genes - 1:
        raise InputError(f"degree is {degree}: with {n_genes} genes it must lie in 0 .. {n_genes - 1}")
    return degree * n_genes / 2


def _check_size(n_genes: int) -> None:
    if n_genes < 2:
        raise InputError(f"n_genes is {n_genes}: a graph family needs at least 2")


def erdos_renyi(n_genes: int, *, degree: float = 4.0, rng: np.random.Generator) -> GeneGraph:
    """Each pair of genes is joined with the same probability, directed along a random order.

    Parameters
    ----------
    n_genes : int
    degree : float
        Expected number of neighbours (parents and children together) of a gene, so ``n_genes * degree / 2`` edges.
    rng : np.random.Generator

    Raises
    ------
    InputError
        Fewer than two genes, or a degree that so few genes cannot have.
    """
    p = _n_edges(n_genes, degree) / (n_genes * (n_genes - 1) / 2)
    return _labelled(np.triu(rng.random((n_genes, n_genes)) < p, k=1), rng)


def scale_free(n_genes: int, *, degree: float = 4.0, rng: np.random.Generator) -> GeneGraph:
    """Regulators that have many targets gain more: Barabasi and Albert's growth, directed from old to new.

    Each new gene gets ``degree / 2`` parents (a random rounding of it where it is not whole), drawn without
    replacement with probability proportional to the number of neighbours that they have; the hubs are therefore
    regulators. Parameters and errors as in :func:`erdos_renyi`.
    """
    _n_edges(n_genes, degree)
    edge_GG = np.zeros((n_genes, n_genes), dtype=np.bool_)
    neighbours_G = np.zeros(n_genes)
    for gene in range(1, n_genes):
        n_parents = min(gene, int(np.floor(degree / 2 + rng.random())))
        if n_parents:
            pull = np.maximum(neighbours_G[:gene], 1.0)  # a first gene has no neighbour yet and can still be drawn
            parents = rng.choice(gene, size=n_parents, replace=False, p=pull / pull.sum())
            edge_GG[parents, gene] = True
            neighbours_G[parents] += 1
            neighbours_G[gene] = n_parents
    return _labelled(edge_GG, rng)


def modular(
    n_genes: int,
    *,
    degree: float = 4.0,
    module_size: int = 10,
    share_between: float = 0.1,
    rng: np.random.Generator,
) -> GeneGraph:
    """Modules of about ``module_size`` genes with many edges inside and few between.

    Parameters
    ----------
    n_genes, degree, rng
        As in :func:`erdos_renyi`.
    module_size : int
        Genes of a module; there are always at least two modules.
    share_between : float
        Expected share of the edges that run between modules; larger where the modules cannot hold the rest.

    Raises
    ------
    InputError
        As in :func:`erdos_renyi`, or ``module_size`` below 1, or ``share_between`` outside 0 .. 1.
    """
    n_edges = _n_edges(n_genes, degree)
    if module_size < 1 or not 0 <= share_between <= 1:
        raise InputError(
            f"module_size is {module_size} and share_between {share_between}: at least 1 and in 0 .. 1 are needed"
        )
    module_G = rng.permutation(np.arange(n_genes) % max(2, round(n_genes / module_size)))
    upper_GG = np.triu(np.ones((n_genes, n_genes), dtype=np.bool_), k=1)
    within_GG = upper_GG & (module_G[:, None] == module_G)
    n_within = int(within_GG.sum())
    n_between = int(upper_GG.sum()) - n_within
    inside = min(n_within, max((1 - share_between) * n_edges, n_edges - n_between))
    p_GG = np.where(within_GG, inside / max(1, n_within), (n_edges - inside) / max(1, n_between))
    return _labelled(upper_GG & (rng.random((n_genes, n_genes)) < p_GG), rng)


def chain(n_genes: int, *, rng: np.random.Generator) -> GeneGraph:
    """Each gene acts on the next: ``a -> b -> c``; at least two genes."""
    _check_size(n_genes)
    return _labelled(np.eye(n_genes, k=1, dtype=np.bool_), rng)


def fork(n_genes: int, *, rng: np.random.Generator) -> GeneGraph:
    """One gene acts on all others: ``a <- b -> c``; at least two genes."""
    _check_size(n_genes)
    edge_GG = np.zeros((n_genes, n_genes), dtype=np.bool_)
    edge_GG[0, 1:] = True
    return _labelled(edge_GG, rng)


def collider(n_genes: int, *, rng: np.random.Generator) -> GeneGraph:
    """All other genes act on one: ``a -> b <- c``; at least two genes."""
    _check_size(n_genes)
    edge_GG = np.zeros((n_genes, n_genes), dtype=np.bool_)
    edge_GG[1:, 0] = True
    return _labelled(edge_GG, rng)


class _WithDegree(Protocol):
    def __call__(self, n_genes: int, *, degree: float = ..., rng: np.random.Generator) -> GeneGraph: ...


DENSE_FAMILIES: dict[str, _WithDegree] = {"erdos_renyi": erdos_renyi, "scale_free": scale_free, "modular": modular}
"""Families that take a degree."""


class _Shape(Protocol):
    def __call__(self, n_genes: int, *, rng: np.random.Generator) -> GeneGraph: ...


SHAPES: dict[str, _Shape] = {"chain": chain, "fork": fork, "collider": collider}
"""Families whose edges are fixed up to the labels."""
