"""Expression of narrow blocks of cells, a level of the graph at a time.

The parents of a level's genes all lie in earlier levels, so that a few operations compute all of its genes: the terms
of their first parents together, then those of their second ones, and so on. Within a level genes stand by their number
of parents, most first. Every value goes through the operations of one gene at a time in the same order, and has the
same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.interventions import Change
from simulators.scm.mechanisms import Mechanism
from simulators.scm.ranks import Rank

_Rows = NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Level:
    """Rows of the genes of a level, their terms, and which of the rows are parents."""

    rows: slice
    ranks: tuple[Rank, ...]
    parents: NDArray[np.int64]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Levels:
    """A world laid out for narrow blocks, its genes in rows by level; :func:`levels_of` makes one."""

    row_of: NDArray[np.int64]
    gene_of: NDArray[np.int64]
    levels: tuple[_Level, ...]
    response: Mechanism
    noise_sd_rows: _Rows
    offset_rows: _Rows | None
    seen_rows: tuple[_Rows, _Rows] | None
    n_scratch: int

    def fill(self, noise_GB: _Rows, expression_GB: _Rows, changes: Mapping[int, Change], cells: slice) -> None:
        """Write the expression of one block; the two arrays may be one."""
        value_rows = np.take(noise_GB, self.gene_of, axis=0)
        value_rows *= self.noise_sd_rows
        n_genes, n_cells = value_rows.shape
        plain = self.response.name == "linear" and self.seen_rows is None
        feature_rows = value_rows if plain else np.empty((self.response.n_features * n_genes, n_cells))
        scratch_rows = np.empty((self.n_scratch, n_cells))
        changed = sorted((int(self.row_of[gene]), gene) for gene in changes)
        for level in self.levels:
            level_rows = value_rows[level.rows]
            for rank in level.ranks:
                self.response.add_rank(rank, feature_rows, level_rows, scratch_rows)
            if self.offset_rows is not None:
                level_rows += self.offset_rows[level.rows]
            while changed and changed[0][0] < level.rows.stop:
                row, gene = changed.pop(0)
                changes[gene].apply(value_rows[row], cells)
            if not plain and len(level.parents):
                seen = self._feature(value_rows, level.parents)
                feature_rows.reshape(-1, n_genes, n_cells)[:, level.parents] = seen
        expression_GB[self.gene_of] = value_rows

    def _feature(self, value_rows: _Rows, rows: NDArray[np.int64]) -> _Rows:
        seen_rows = value_rows[rows]
        if self.seen_rows is not None:
            centre_rows, spread_rows = self.seen_rows
            seen_rows *= spread_rows[rows]
            seen_rows += centre_rows[rows]
        return self.response.feature(seen_rows)


def levels_of(
    graph: GeneGraph,
    response: Mechanism,
    *,
    noise_sd_G: NDArray[np.float64],
    offset_G: NDArray[np.float64],
    seen_units: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> Levels:
    """Lay a world out.

    Parameters
    ----------
    graph : GeneGraph
    response : Mechanism
        In the units of expression.
    noise_sd_G, offset_G : float64, (G,)
    seen_units : (centre_G, spread_G), or None
        Children see ``spread * x + centre``; None where they see ``x``.
    """
    level_G = _depths(graph)
    n_parents_G = np.bincount(graph.target_E, minlength=graph.n_genes)
    gene_of = np.lexsort((-n_parents_G, level_G))
    row_of = np.argsort(gene_of)
    is_parent_rows = graph.n_children()[gene_of] > 0
    ends = np.cumsum(np.bincount(level_G)).tolist()
    levels = tuple(
        _Level(
            rows=slice(start, end),
            ranks=response.ranks(gene_of[start:end].tolist(), row_of),
            parents=start + np.flatnonzero(is_parent_rows[start:end]),
        )
        for start, end in zip([0, *ends], ends, strict=False)
    )
    return Levels(
        row_of=row_of,
        gene_of=gene_of,
        levels=levels,
        response=response,
        noise_sd_rows=noise_sd_G[gene_of, None],
        offset_rows=offset_G[gene_of, None] if offset_G.any() else None,
        seen_rows=None if seen_units is None else (seen_units[0][gene_of, None], seen_units[1][gene_of, None]),
        n_scratch=max((rank.n_genes for level in levels for rank in level.ranks), default=0),
    )


def _depths(graph: GeneGraph) -> NDArray[np.int64]:
    """Edges of the longest path that leads to each gene, (G,)."""
    depth_G = np.zeros(graph.n_genes, dtype=np.int64)
    for gene in graph.order.tolist():
        parents = graph.parents(gene)
        if len(parents):
            depth_G[gene] = depth_G[parents].max() + 1
    return depth_G
