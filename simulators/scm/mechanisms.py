"""How a gene depends on its parents: linear, tanh, Hill, pairwise interaction.

A mechanism works on rows (one gene in all cells of a block), or on a stack of genes, one :class:`Rank` of their parents
after the other; both go through the same operations in the same order. What costs much and depends on one parent
alone is its *feature*, computed once for all of its children.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from simulators.graphs.families import drawn_weights
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.ranks import Rank, add_weighted, ranked, taken

_Row = NDArray[np.float64]


class Mechanism(Protocol):
    """The answers of all genes of one graph, parameters included."""

    n_features: ClassVar[int]
    """Rows that the feature of one gene has."""

    @property
    def name(self) -> str:
        """Its name in :data:`MECHANISMS`."""
        ...

    def over(self, spread_G: NDArray[np.float64]) -> "Mechanism":
        """The same with the answer of each gene divided by its ``spread_G``."""
        ...

    def feature(self, seen_B: _Row, out_B: _Row | None = None) -> _Row:
        """What children need of a parent whose values they see as ``seen_B``; may be ``seen_B`` itself.

        ``out_B``, which an earlier call gave, saves its memory.
        """
        ...

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row, scratch_B: _Row | None = None) -> None:
        """Add the answer of ``gene`` to ``out_B``; ``features[p]`` is the feature of each parent ``p``.

        ``scratch_B``, of the shape of ``out_B``, saves the memory of terms.
        """
        ...

    def ranks(self, genes: Sequence[int], row_of: NDArray[np.int64]) -> tuple[Rank, ...]:
        """The terms of genes that stand by their number of parents, most first.

        ``row_of[p]`` is the row of parent ``p`` among the features; a second row lies ``len(row_of)`` below.
        """
        ...

    def add_rank(self, rank: Rank, feature_rows: _Row, out_rows: _Row, scratch_rows: _Row) -> None:
        """Add one term to each row of ``out_rows``."""
        ...


_Edges = tuple[tuple[tuple[int, float], ...], ...]


def _edges(graph: GeneGraph) -> _Edges:
    """For each gene its parents with their weights."""
    return tuple(
        tuple(zip(graph.parents(gene).tolist(), graph.parent_weights(gene).tolist(), strict=True))
        for gene in range(graph.n_genes)
    )


def _divided(edges: _Edges, spread_G: NDArray[np.float64]) -> _Edges:
    return tuple(
        tuple((p, w / float(spread)) for p, w in of_gene) for of_gene, spread in zip(edges, spread_G, strict=True)
    )


def _add_weighted(
    edges: tuple[tuple[int, float], ...], features: Sequence[_Row], out_B: _Row, scratch_B: _Row | None
) -> None:
    for parent, weight in edges:
        out_B += np.multiply(weight, features[parent], scratch_B)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Linear:
    """``f = sum_p w_p x_p``."""

    edges: _Edges
    name: str = "linear"
    n_features: ClassVar[int] = 1

    @staticmethod
    def build(graph: GeneGraph, rng: np.random.Generator) -> "Linear":
        """Of the graph's weights; nothing is drawn."""
        del rng
        return Linear(edges=_edges(graph))

    def over(self, spread_G: NDArray[np.float64]) -> "Linear":
        """See :class:`Mechanism`."""
        return Linear(edges=_divided(self.edges, spread_G))

    def feature(self, seen_B: _Row, out_B: _Row | None = None) -> _Row:
        """The value itself."""
        del out_B
        return seen_B

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row, scratch_B: _Row | None = None) -> None:
        """See :class:`Mechanism`."""
        _add_weighted(self.edges[gene], features, out_B, scratch_B)

    def ranks(self, genes: Sequence[int], row_of: NDArray[np.int64]) -> tuple[Rank, ...]:
        """See :class:`Mechanism`."""
        return ranked([self.edges[gene] for gene in genes], row_of)

    def add_rank(self, rank: Rank, feature_rows: _Row, out_rows: _Row, scratch_rows: _Row) -> None:
        """See :class:`Mechanism`."""
        add_weighted(rank, feature_rows, out_rows, scratch_rows)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Tanh:
    """``f = sum_p w_p tanh(x_p)``: linear with slope ``w`` near 0, saturating at ``+-w``."""

    edges: _Edges
    name: str = "tanh"
    n_features: ClassVar[int] = 1

    @staticmethod
    def build(graph: GeneGraph, rng: np.random.Generator) -> "Tanh":
        """Of the graph's weights; nothing is drawn."""
        del rng
        return Tanh(edges=_edges(graph))

    def over(self, spread_G: NDArray[np.float64]) -> "Tanh":
        """See :class:`Mechanism`."""
        return Tanh(edges=_divided(self.edges, spread_G))

    def feature(self, seen_B: _Row, out_B: _Row | None = None) -> _Row:
        """Its hyperbolic tangent."""
        return np.tanh(seen_B, out_B)

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row, scratch_B: _Row | None = None) -> None:
        """See :class:`Mechanism`."""
        _add_weighted(self.edges[gene], features, out_B, scratch_B)

    def ranks(self, genes: Sequence[int], row_of: NDArray[np.int64]) -> tuple[Rank, ...]:
        """See :class:`Mechanism`."""
        return ranked([self.edges[gene] for gene in genes], row_of)

    def add_rank(self, rank: Rank, feature_rows: _Row, out_rows: _Row, scratch_rows: _Row) -> None:
        """See :class:`Mechanism`."""
        add_weighted(rank, feature_rows, out_rows, scratch_rows)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Hill:
    """Saturating activation (``w > 0``) or repression (``w < 0``) with Hill coefficient 2.

    ``f = sum_p 2 |w_p| a_p``, where ``a = u^2 / (K^2 + u^2)`` activates and ``K^2 / (K^2 + u^2)`` represses.
    ``u(x) = x + sqrt(1 + x^2)`` makes any real value a positive amount: it behaves as ``1 + x`` near 0, ``2 x`` for
    large ``x`` and ``1 / (2 |x|)`` for very negative ones, is smooth and needs neither ``exp`` nor ``pow``. (With
    ``u = exp(x)`` a Hill curve is a logistic one, the tanh mechanism again.) The half-saturation ``K``, one for each
    edge, is log-uniform on [1/2, 2], that is at ``x`` between -.75 and .75. The factor 2 gives slope ``w`` at 0
    for ``K = 1``, so that the mechanisms compare.
    """

    edges: tuple[tuple[tuple[int, float, float], ...], ...]
    """For each gene its parents with ``-2 w K^2`` and ``K^2``."""
    base: tuple[float, ...]
    """For each gene the sum of ``2 w`` over its activators."""
    name: str = "hill"
    n_features: ClassVar[int] = 1

    @staticmethod
    def build(graph: GeneGraph, rng: np.random.Generator) -> "Hill":
        """Draws ``K`` for each edge."""
        square_of = _drawn_squares(graph, rng)
        # Both cases are -2 w K^2 / (K^2 + u^2) plus, for an activator, 2 w.
        edges = tuple(
            tuple((p, -2 * w * square_of[p, gene], square_of[p, gene]) for p, w in of_gene)
            for gene, of_gene in enumerate(_edges(graph))
        )
        base = tuple(sum(2 * w for _, w in of_gene if w > 0) for of_gene in _edges(graph))
        return Hill(edges=edges, base=base)

    def over(self, spread_G: NDArray[np.float64]) -> "Hill":
        """See :class:`Mechanism`."""
        spread = [float(s) for s in spread_G]
        return Hill(
            edges=tuple(tuple((p, a / s, k) for p, a, k in g) for g, s in zip(self.edges, spread, strict=True)),
            base=tuple(b / s for b, s in zip(self.base, spread, strict=True)),
        )

    def feature(self, seen_B: _Row, out_B: _Row | None = None) -> _Row:
        """``u^2``."""
        root_B = np.multiply(seen_B, seen_B, out_B)
        root_B += 1
        np.sqrt(root_B, out=root_B)
        root_B += seen_B
        root_B *= root_B
        return root_B

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row, scratch_B: _Row | None = None) -> None:
        """See :class:`Mechanism`."""
        for parent, top, square in self.edges[gene]:
            term_B = np.add(features[parent], square, scratch_B)
            np.divide(top, term_B, out=term_B)
            out_B += term_B
        if self.base[gene]:
            out_B += self.base[gene]

    def ranks(self, genes: Sequence[int], row_of: NDArray[np.int64]) -> tuple[Rank, ...]:
        """See :class:`Mechanism`; the last rank is the base."""
        base = np.array([self.base[gene] for gene in genes])[:, None]
        last = (Rank(n_genes=len(base), ends=(), numbers=(base,)),) if base.any() else ()
        return (*ranked([self.edges[gene] for gene in genes], row_of), *last)

    def add_rank(self, rank: Rank, feature_rows: _Row, out_rows: _Row, scratch_rows: _Row) -> None:
        """See :class:`Mechanism`."""
        if not rank.ends:
            out_rows += rank.numbers[0]
            return
        top, square = rank.numbers
        term_rows = taken(feature_rows, rank.ends[0], scratch_rows)
        term_rows += square
        np.divide(top, term_rows, out=term_rows)
        out_rows[: rank.n_genes] += term_rows


def _drawn_squares(graph: GeneGraph, rng: np.random.Generator) -> dict[tuple[int, int], float]:
    """``K^2`` of each edge. One is drawn for every pair of genes, row by row, and an edge takes its pair's."""
    targets: list[list[int]] = [[] for _ in range(graph.n_genes)]
    for regulator, target, _ in graph.edges():
        targets[regulator].append(target)
    log_K = [rng.uniform(-1, 1, size=graph.n_genes)[of_regulator] for of_regulator in targets]
    square_E = (4.0 ** np.concatenate(log_K)).tolist()
    return {(p, gene): square for (p, gene, _), square in zip(graph.edges(), square_E, strict=True)}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Interaction:
    """``f = sum_p w_p x_p + sum_(p, q) v_pq s(x_p) s(x_q)``, with ``s(x) = x / sqrt(1 + x^2)``.

    The pairs are neighbours in a random order of the parents, so each parent of two or more is in a pair; ``v`` is
    drawn like the edge weights. The products are of squashed values because plain ones would square the tails at
    every generation, and no world of any depth would have usable moments.
    """

    edges: _Edges
    pairs: tuple[tuple[tuple[int, int, float], ...], ...]
    name: str = "interaction"
    n_features: ClassVar[int] = 2

    @staticmethod
    def build(graph: GeneGraph, rng: np.random.Generator) -> "Interaction":
        """Draws the pairs and their weights."""
        pairs: list[tuple[tuple[int, int, float], ...]] = []
        for gene in range(graph.n_genes):
            shuffled: list[int] = rng.permutation(graph.parents(gene).tolist()).tolist()
            weights: list[float] = drawn_weights(max(0, len(shuffled) - 1), rng).tolist()
            pairs.append(tuple(zip(shuffled, shuffled[1:], weights, strict=False)))
        return Interaction(edges=_edges(graph), pairs=tuple(pairs))

    def over(self, spread_G: NDArray[np.float64]) -> "Interaction":
        """See :class:`Mechanism`."""
        return Interaction(
            edges=_divided(self.edges, spread_G),
            pairs=tuple(
                tuple((p, q, v / float(s)) for p, q, v in g) for g, s in zip(self.pairs, spread_G, strict=True)
            ),
        )

    def feature(self, seen_B: _Row, out_B: _Row | None = None) -> _Row:
        """The value and its squashed form, (2, B)."""
        return np.stack((seen_B, seen_B / np.sqrt(1 + seen_B * seen_B)), out=out_B)

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row, scratch_B: _Row | None = None) -> None:
        """See :class:`Mechanism`."""
        for parent, weight in self.edges[gene]:
            out_B += np.multiply(weight, features[parent][0], scratch_B)
        for one, other, weight in self.pairs[gene]:
            out_B += np.multiply(np.multiply(weight, features[one][1], scratch_B), features[other][1], scratch_B)

    def ranks(self, genes: Sequence[int], row_of: NDArray[np.int64]) -> tuple[Rank, ...]:
        """See :class:`Mechanism`; those of the parents, then those of the pairs."""
        squashed = len(row_of)
        pairs = ranked([self.pairs[gene] for gene in genes], row_of, offsets=(squashed, squashed))
        return (*ranked([self.edges[gene] for gene in genes], row_of), *pairs)

    def add_rank(self, rank: Rank, feature_rows: _Row, out_rows: _Row, scratch_rows: _Row) -> None:
        """See :class:`Mechanism`."""
        if len(rank.ends) == 1:
            add_weighted(rank, feature_rows, out_rows, scratch_rows)
            return
        term_rows = taken(feature_rows, rank.ends[0], scratch_rows)
        term_rows *= rank.numbers[0]
        term_rows *= feature_rows[rank.ends[1]]
        out_rows[: rank.n_genes] += term_rows


MECHANISMS: dict[str, Callable[[GeneGraph, np.random.Generator], Mechanism]] = {
    "linear": Linear.build,
    "tanh": Tanh.build,
    "hill": Hill.build,
    "interaction": Interaction.build,
}
"""By name: what makes the mechanism of a graph, drawing what the weights leave open."""


def build_mechanism(name: str, graph: GeneGraph, rng: np.random.Generator) -> Mechanism:
    """One of :data:`MECHANISMS` for a graph.

    Raises
    ------
    InputError
        There is none of that name; the message names the nearest.
    """
    if name not in MECHANISMS:
        raise InputError(f"mechanism {name!r} does not exist; {nearest(name, MECHANISMS)}")
    return MECHANISMS[name](graph, rng)
