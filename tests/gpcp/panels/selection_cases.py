"""Statistics of genes, drawn; used by the tests of panels, of files and of the command."""

import numpy as np
from hypothesis import strategies as st

from gpcp.core.genes import GeneVocab
from gpcp.panels.statistics import GeneStatistics


def statistics_of(counts: list[tuple[int, int]], *, n_cells: int, names: list[str] | None = None) -> GeneStatistics:
    """Genes measured in and expressed in so many cells; values are 1, 2, ... for the genes in turn."""
    n_measured, n_expressed = (np.array(column, dtype=np.int64) for column in zip(*counts, strict=True))
    return GeneStatistics(
        vocab=GeneVocab(feature_id=tuple(names or (f"ENSG{i:011d}" for i in range(len(counts))))),
        n_cells=n_cells,
        n_measured_G=n_measured,
        n_expressed_G=n_expressed,
        n_nonzero_G=n_expressed,
        mean_nonzero_G=np.where(n_expressed > 0, 1.0 + np.arange(len(counts)), 0.0),
        squares_nonzero_G=np.where(n_expressed > 1, 0.1 * n_expressed, 0.0),
        measured_SG=np.zeros((0, len(counts)), dtype=np.bool_),
    )


@st.composite
def statistics(draw: st.DrawFn, *, min_genes: int = 2, max_genes: int = 12) -> GeneStatistics:
    """Statistics of a few genes, with many ties, genes measured nowhere, and datasets or none."""
    n_cells = draw(st.integers(1, 8))
    n_genes = draw(st.integers(min_genes, max_genes))
    counts: list[tuple[int, int]] = []
    for _ in range(n_genes):
        n_measured = draw(st.integers(0, n_cells))
        counts.append((n_measured, draw(st.integers(0, n_measured))))
    found = statistics_of(counts, n_cells=n_cells)
    names = draw(st.lists(st.sampled_from(["a", "b", "set 3"]), unique=True).map(sorted))
    bits = draw(st.lists(st.booleans(), min_size=len(names) * n_genes, max_size=len(names) * n_genes))
    return GeneStatistics(
        vocab=found.vocab,
        n_cells=n_cells,
        n_measured_G=found.n_measured_G,
        n_expressed_G=found.n_expressed_G,
        n_nonzero_G=found.n_nonzero_G,
        mean_nonzero_G=found.mean_nonzero_G / draw(st.sampled_from([1.0, 3.0])),
        squares_nonzero_G=found.squares_nonzero_G,
        dataset_S=tuple(names),
        measured_SG=np.array(bits, dtype=np.bool_).reshape(len(names), n_genes),
        sampled=draw(st.booleans()),
    )


def same(one: GeneStatistics, other: GeneStatistics) -> bool:
    """Whether two are equal to the byte."""
    arrays = ("n_measured_G", "n_expressed_G", "n_nonzero_G", "measured_SG", "mean_nonzero_G", "squares_nonzero_G")
    return (one.vocab, one.n_cells, one.dataset_S, one.sampled) == (
        other.vocab,
        other.n_cells,
        other.dataset_S,
        other.sampled,
    ) and all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in arrays)
