"""The graph that cells themselves show: partial correlations within cell type, and which of them are stable.

An edge says that two genes go together once all other genes of the panel are held fixed, in cells of one type. It
has no direction and is **not causal**: genes outside the panel, cell cycle, depth and batch make edges too.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.matched_linear import shrunk_within, within_types
from gpcp.core.cells import CellBatch, check_array, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab

NOT_CAUSAL = (
    "these edges are partial correlations of the cells, not causes: unseen genes, cell cycle, depth and batch make "
    "edges too, and none has a direction"
)
"""What to bear in mind of such a graph, in words."""

MOST_CELLS = 10_000
"""Cells that a resample halves: more make it slower and its edges hardly more certain."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PartialGraph:
    """Partial correlations of a panel of genes, and how stable they are.

    Parameters
    ----------
    vocab : GeneVocab
    partial_GG : float64, (G, G)
        Symmetric, diagonal 0.
    stability_GG : float64, (G, G)
        Share of the resamples in which the pair of genes is among the ``n_strongest``.
    n_strongest, n_resamples, n_cells : int

    Raises
    ------
    InputError
        Wrong shape or dtype.
    """

    vocab: GeneVocab
    partial_GG: NDArray[np.float64]
    stability_GG: NDArray[np.float64]
    n_strongest: int
    n_resamples: int
    n_cells: int

    def __post_init__(self) -> None:
        for name in ("partial_GG", "stability_GG"):
            array_GG: NDArray[np.float64] = getattr(self, name)
            check_array("PartialGraph", name, array_GG, (len(self.vocab), len(self.vocab)), np.float64)
            object.__setattr__(self, name, read_only(array_GG))

    def edges_GG(self, stability: float = 0.9) -> NDArray[np.bool_]:
        """The pairs that are among the strongest in at least this share of the resamples, bool (G, G), symmetric."""
        return self.stability_GG >= stability

    def false_edges(self, stability: float = 0.9) -> float:
        """The most false edges to be expected among :meth:`edges_GG`: ``q^2 / ((2 stability - 1) p)``.

        Of ``p`` pairs of genes, ``q`` are taken in each resample (Meinshausen and Bühlmann 2010, theorem 1, whose
        assumption is that pairs without an edge are exchangeable).

        Raises
        ------
        InputError
            ``stability`` is not above .5, where the bound holds.
        """
        if not 0.5 < stability <= 1:
            raise InputError(f"stability is {stability}: the bound holds above 0.5 and up to 1")
        n_pairs = len(self.vocab) * (len(self.vocab) - 1) / 2
        return self.n_strongest**2 / ((2 * stability - 1) * n_pairs)

    @property
    def summary(self) -> str:
        """What the graph is, in one sentence."""
        n_edges = int(self.edges_GG().sum()) // 2
        return (
            f"{n_edges} of the {self.n_strongest} strongest partial correlations within cell type, from {self.n_cells} "
            f"cells, come back in 90 % of {self.n_resamples} half samples (at most {self.false_edges():.1f} false ones "
            f"to be expected); {NOT_CAUSAL}"
        )


def partial_graph(
    cells: CellBatch, *, rng: np.random.Generator, n_strongest: int | None = None, n_resamples: int = 100
) -> PartialGraph:
    """Shrunk partial correlations within cell type, and their stability over random halves of the cells.

    Parameters
    ----------
    cells : CellBatch
        Every gene measured in every cell.
    rng : Generator
    n_strongest : int, optional
        Pairs of genes taken in each resample, or fewer where the rest is shrunk to 0; as many as there are genes by
        default.
    n_resamples : int
        Each of half the cells of each type, without replacement (stability selection); of at most
        :data:`MOST_CELLS` cells.

    Raises
    ------
    InputError
        As :func:`diagnostics.scoring.matched_linear.within_types` and ``shrunk_within``; there are fewer than two
        genes,
        or fewer pairs of them than ``n_strongest``; no type has four cells, or ``n_resamples`` is below 1.
    """
    n_genes = len(cells.vocab)
    n_pairs = n_genes * (n_genes - 1) // 2
    n_strongest = min(n_genes, n_pairs) if n_strongest is None else n_strongest
    if not 1 <= n_strongest <= n_pairs:
        raise InputError(f"n_strongest is {n_strongest}, but {n_genes} genes make {n_pairs} pairs: take 1 to {n_pairs}")
    if n_resamples < 1:
        raise InputError(f"n_resamples is {n_resamples}: it must be at least 1")
    types, code_B, _ = within_types(cells)
    rows_of_type = [np.flatnonzero(code_B == code) for code in range(len(types))]
    if max(map(len, rows_of_type)) < 4:
        raise InputError("no cell type has four cells: there is nothing to halve")
    share = min(1.0, MOST_CELLS / len(cells)) / 2
    chosen_GG = np.zeros((n_genes, n_genes))
    for _ in range(n_resamples):
        # Of a type with a single cell, its mean would be all that is known: at least two of each, or none.
        halves = [
            rng.choice(rows, size=max(2, int(share * len(rows))), replace=False)
            for rows in rows_of_type
            if len(rows) > 3
        ]
        chosen_GG += _strongest(partial_within(cells.rows(np.concatenate(halves))), n_strongest)
    return PartialGraph(
        vocab=cells.vocab,
        partial_GG=partial_within(cells),
        stability_GG=chosen_GG / n_resamples,
        n_strongest=n_strongest,
        n_resamples=n_resamples,
        n_cells=len(cells),
    )


def partial_within(cells: CellBatch) -> NDArray[np.float64]:
    """Partial correlations within cell type, float64 (G, G), symmetric with diagonal 0.

    ``-K_ij / sqrt(K_ii K_jj)`` with ``K`` the inverse of the shrunk covariance of what remains of each cell once the
    mean of its type is taken away.
    """
    _, code_B, mean_type_G = within_types(cells)
    precision_GG = np.linalg.inv(shrunk_within(cells.expression_BG - mean_type_G[code_B], cells.vocab))
    root_G = np.sqrt(np.diagonal(precision_GG))
    partial_GG = -(precision_GG + precision_GG.T) / 2 / np.outer(root_G, root_G)
    np.fill_diagonal(partial_GG, 0.0)
    return partial_GG


def _strongest(partial_GG: NDArray[np.float64], n_strongest: int) -> NDArray[np.bool_]:
    """The pairs of genes with the largest magnitudes, none of them 0, bool (G, G), symmetric."""
    i, j = np.triu_indices(len(partial_GG), k=1)
    strength = np.abs(partial_GG[i, j])
    best = np.argsort(-strength, kind="stable")[:n_strongest]
    # Cells without any correlation are shrunk to none at all: their first zeros would come back every time.
    best = best[strength[best] > 1e-12]
    chosen_GG = np.zeros(partial_GG.shape, dtype=np.bool_)
    chosen_GG[i[best], j[best]] = True
    return chosen_GG | chosen_GG.T
