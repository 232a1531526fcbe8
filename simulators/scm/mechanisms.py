"""How a gene depends on its parents: linear, tanh, Hill, pairwise interaction.

A mechanism works on rows (one gene in all cells of a block). What costs much and depends on one parent alone is its
*feature*, computed once for all of its children.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from simulators.graphs.families import GeneGraph, drawn_weights

_Row = NDArray[np.float64]


class Mechanism(Protocol):
    """The answers of all genes of one graph, parameters included."""

    @property
    def name(self) -> str:
        """Its name in :data:`MECHANISMS`."""
        ...

    def over(self, spread_G: NDArray[np.float64]) -> "Mechanism":
        """The same with the answer of each gene divided by its ``spread_G``."""
        ...

    def feature(self, seen_B: _Row) -> _Row:
        """What children need of a parent whose values they see as ``seen_B``; may be ``seen_B`` itself."""
        ...

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row) -> None:
        """Add the answer of ``gene`` to ``out_B``; ``features[p]`` is the feature of each parent ``p``."""
        ...


_Edges = tuple[tuple[tuple[int, float], ...], ...]


def _edges(graph: GeneGraph) -> _Edges:
    """For each gene its parents with their weights."""
    return tuple(
        tuple((int(p), float(graph.weight_GG[p, gene])) for p in graph.parents(gene)) for gene in range(graph.n_genes)
    )


def _divided(edges: _Edges, spread_G: NDArray[np.float64]) -> _Edges:
    return tuple(
        tuple((p, w / float(spread)) for p, w in of_gene) for of_gene, spread in zip(edges, spread_G, strict=True)
    )


def _add_weighted(edges: tuple[tuple[int, float], ...], features: Sequence[_Row], out_B: _Row) -> None:
    for parent, weight in edges:
        out_B += weight * features[parent]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Linear:
    """``f = sum_p w_p x_p``."""

    edges: _Edges
    name: str = "linear"

    @staticmethod
    def build(graph: GeneGraph, rng: np.random.Generator) -> "Linear":
        """Of the graph's weights; nothing is drawn."""
        del rng
        return Linear(edges=_edges(graph))

    def over(self, spread_G: NDArray[np.float64]) -> "Linear":
        """See :class:`Mechanism`."""
        return Linear(edges=_divided(self.edges, spread_G))

    def feature(self, seen_B: _Row) -> _Row:
        """The value itself."""
        return seen_B

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row) -> None:
        """See :class:`Mechanism`."""
        _add_weighted(self.edges[gene], features, out_B)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Tanh:
    """``f = sum_p w_p tanh(x_p)``: linear with slope ``w`` near 0, saturating at ``+-w``."""

    edges: _Edges
    name: str = "tanh"

    @staticmethod
    def build(graph: GeneGraph, rng: np.random.Generator) -> "Tanh":
        """Of the graph's weights; nothing is drawn."""
        del rng
        return Tanh(edges=_edges(graph))

    def over(self, spread_G: NDArray[np.float64]) -> "Tanh":
        """See :class:`Mechanism`."""
        return Tanh(edges=_divided(self.edges, spread_G))

    def feature(self, seen_B: _Row) -> _Row:
        """Its hyperbolic tangent."""
        return np.tanh(seen_B)

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row) -> None:
        """See :class:`Mechanism`."""
        _add_weighted(self.edges[gene], features, out_B)


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

    @staticmethod
    def build(graph: GeneGraph, rng: np.random.Generator) -> "Hill":
        """Draws ``K`` for each edge."""
        square_GG = 4.0 ** rng.uniform(-1, 1, size=graph.weight_GG.shape)
        # Both cases are -2 w K^2 / (K^2 + u^2) plus, for an activator, 2 w.
        edges = tuple(
            tuple((p, -2 * w * float(square_GG[p, gene]), float(square_GG[p, gene])) for p, w in of_gene)
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

    def feature(self, seen_B: _Row) -> _Row:
        """``u^2``."""
        root_B = seen_B * seen_B
        root_B += 1
        np.sqrt(root_B, out=root_B)
        root_B += seen_B
        root_B *= root_B
        return root_B

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row) -> None:
        """See :class:`Mechanism`."""
        for parent, top, square in self.edges[gene]:
            term_B = features[parent] + square
            np.divide(top, term_B, out=term_B)
            out_B += term_B
        if self.base[gene]:
            out_B += self.base[gene]


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

    def feature(self, seen_B: _Row) -> _Row:
        """The value and its squashed form, (2, B)."""
        return np.stack((seen_B, seen_B / np.sqrt(1 + seen_B * seen_B)))

    def add(self, gene: int, features: Sequence[_Row], out_B: _Row) -> None:
        """See :class:`Mechanism`."""
        for parent, weight in self.edges[gene]:
            out_B += weight * features[parent][0]
        for one, other, weight in self.pairs[gene]:
            out_B += weight * features[one][1] * features[other][1]


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
