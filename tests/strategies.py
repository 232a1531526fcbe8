"""Every shared Hypothesis strategy: vocabularies, cells, pairs and perturbations, small and never NaN.

The corners that break code are drawn often: one gene, no cell, a cell with nothing measured, a pair with nothing
told, a pair with everything measured told. Magnitudes stay below ``LARGEST``, so that differences stay finite.

A strategy is made once for each size: Hypothesis looks a new one through before its first draw, which costs as much.
"""

from collections.abc import Collection
from dataclasses import replace
from functools import cache
from typing import cast

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gpcp.core.cells import COVARIATES, CellBatch
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import KINDS, AppliedPerturbations, PerturbationVocab
from gpcp.core.predictors import Perturbation
from gpcp.sources.index import CellIndex, Labels
from gpcp.sources.sparse import SparseCells, SparseValues
from simulators.graphs.families import erdos_renyi
from simulators.scm.constants import SCALINGS, Scaling
from simulators.scm.scm import Scm, build_scm

MOST_GENES = 6
MOST_ROWS = 5
LARGEST = 1e4

SPECIES = ("", "MUS", "DAR")
WORDS = ("T cell", "B cell", "K562", "")


@cache
def gene_ids() -> st.SearchStrategy[str]:
    """Ensembl gene ids without version, of several species."""
    number = st.integers(0, 10**11 - 1)
    return st.builds(lambda species, n: f"ENS{species}G{n:011d}", st.sampled_from(SPECIES), number)


@cache
def vocabs(*, min_genes: int = 1, max_genes: int = MOST_GENES) -> st.SearchStrategy[GeneVocab]:
    """Vocabularies of distinct genes in no particular order."""
    ids = st.lists(gene_ids(), min_size=min_genes, max_size=max_genes, unique=True)
    return ids.map(lambda genes: GeneVocab(feature_id=tuple(genes)))


@cache
def values(n_rows: int, n_genes: int) -> st.SearchStrategy[NDArray[np.float32]]:
    """Finite float32 (rows, genes), negative ones and zeros too."""
    bound = float(np.float32(LARGEST))
    return hnp.arrays(np.float32, (n_rows, n_genes), elements=st.floats(-bound, bound, width=32))


@cache
def adjectives(n_rows: int, n_genes: int) -> st.SearchStrategy[NDArray[np.bool_]]:
    """Bool (rows, genes), each row all True, all False or anything."""
    # A row is drawn as one number, whose bits are its genes.
    everything, anything = 2**n_genes - 1, st.integers(0, 2**n_genes - 1)
    row = st.one_of(st.just(everything), st.just(0), anything, anything.map(lambda bits: everything - bits))
    bit_G = np.arange(n_genes)
    rows = st.lists(row, min_size=n_rows, max_size=n_rows)
    return rows.map(lambda drawn: (np.array(drawn, dtype=np.int64).reshape(n_rows, 1) >> bit_G & 1).astype(np.bool_))


@cache
def labels(n_rows: int) -> st.SearchStrategy[list[str]]:
    """A word for each row."""
    return st.lists(st.sampled_from(WORDS), min_size=n_rows, max_size=n_rows)


@cache
def integers(n_rows: int, largest: int) -> st.SearchStrategy[NDArray[np.int32]]:
    """Int32 (rows,) of 0 .. largest."""
    return hnp.arrays(np.int32, n_rows, elements=st.integers(0, largest))


@cache
def totals(n_rows: int) -> st.SearchStrategy[NDArray[np.float64] | None]:
    """Sums of cells, float64 (rows,), or none."""
    return st.one_of(st.none(), hnp.arrays(np.float64, n_rows, elements=st.floats(0, LARGEST)))


@cache
def covariate_names() -> st.SearchStrategy[list[str]]:
    """Any of the covariates."""
    return st.lists(st.sampled_from(COVARIATES), unique=True)


@cache
def ids(n_rows: int) -> st.SearchStrategy[NDArray[np.int64]]:
    """Distinct names of cells, int64 (rows,)."""
    return hnp.arrays(np.int64, n_rows, elements=st.integers(0, 2**40), unique=True)


@st.composite
def cell_batches(
    draw: st.DrawFn, *, vocab: GeneVocab | None = None, min_cells: int = 0, max_cells: int = MOST_ROWS
) -> CellBatch:
    """Cells with partial masks and any of the covariates."""
    known = draw(vocabs()) if vocab is None else vocab
    n_cells = draw(st.integers(min_cells, max_cells))
    measured_BG = draw(adjectives(n_cells, len(known)))
    names = draw(covariate_names())
    return CellBatch(
        vocab=known,
        expression_BG=np.where(measured_BG, draw(values(n_cells, len(known))), np.float32(0)),
        measured_BG=measured_BG,
        cell_id_B=draw(ids(n_cells)),
        covariates={name: np.array(draw(labels(n_cells)), dtype=np.str_) for name in names},
    )


@st.composite
def sparse_cells(
    draw: st.DrawFn,
    *,
    vocab: GeneVocab | None = None,
    covariates: Collection[str] | None = None,
    min_cells: int = 0,
    max_cells: int = MOST_ROWS,
) -> SparseCells:
    """Sparse cells with measured sets that several, one or no cell has, totals or none, and zeros that are stored."""
    known = draw(vocabs()) if vocab is None else vocab
    n_cells, n_sets = draw(st.integers(min_cells, max_cells)), draw(st.integers(1, 3))
    measured_SG = draw(adjectives(n_sets, len(known)))
    set_B = draw(integers(n_cells, n_sets - 1))
    value_BG = np.where(measured_SG[set_B], draw(values(n_cells, len(known))), np.float32(0))
    names = draw(covariate_names()) if covariates is None else covariates
    codes = integers(n_cells, len(WORDS) - 1)
    stored = draw(adjectives(n_cells, len(known))) | (value_BG != 0)
    row, gene = np.nonzero(stored)
    indptr = np.concatenate([[0], np.cumsum(stored.sum(axis=1))]).astype(np.int32)
    parts = (value_BG[row, gene], gene.astype(np.int32), indptr)
    return SparseCells(
        index=CellIndex(
            vocab=known,
            cell_id_B=draw(ids(n_cells)),
            measured_SG=measured_SG,
            set_B=set_B,
            covariates={name: Labels(names=np.array(WORDS), code_B=draw(codes)) for name in names},
            total_B=draw(totals(n_cells)),
        ),
        value_BG=cast("SparseValues", sp.csr_array(parts, shape=value_BG.shape)),
    )


@st.composite
def pair_batches(
    draw: st.DrawFn, *, vocab: GeneVocab | None = None, min_pairs: int = 0, max_pairs: int = MOST_ROWS
) -> PairBatch:
    """Pairs with partial masks; what is told is any subset of what is measured."""
    known = draw(vocabs()) if vocab is None else vocab
    n_pairs = draw(st.integers(min_pairs, max_pairs))
    measured_BG = draw(adjectives(n_pairs, len(known)))
    before_BG, after_BG = (
        np.where(measured_BG, draw(values(n_pairs, len(known))), np.float32(0)) for _ in ("before", "after")
    )
    return PairBatch(
        vocab=known,
        before_BG=before_BG,
        after_BG=after_BG,
        measured_BG=measured_BG,
        perturbed_BG=measured_BG & draw(adjectives(n_pairs, len(known))),
        before_id_B=draw(ids(n_pairs)),
        after_id_B=draw(ids(n_pairs)),
    )


@st.composite
def screen_pairs(
    draw: st.DrawFn, *, vocab: GeneVocab | None = None, min_pairs: int = 0, max_pairs: int = MOST_ROWS
) -> PairBatch:
    """Pairs whose perturbations have names: none, one or several a pair, of genes or not, with a dose or without."""
    pairs = draw(pair_batches(vocab=vocab, min_pairs=min_pairs, max_pairs=max_pairs))
    n_perturbations = draw(st.integers(1, 5))
    known = PerturbationVocab(
        target=tuple(f"target {i}" for i in range(n_perturbations)),
        kind=tuple(draw(st.sampled_from(KINDS)) for _ in range(n_perturbations)),
        gene=tuple(draw(st.integers(-1, len(pairs.vocab) - 1)) for _ in range(n_perturbations)),
    )
    tokens = [draw(st.lists(st.integers(0, n_perturbations - 1), unique=True, max_size=3)) for _ in range(len(pairs))]
    dose = st.sampled_from([np.nan, 0.0, -1.5, 10.0])
    doses = [[draw(dose) for _ in some] for some in tokens]
    applied = AppliedPerturbations.of(known, tokens, doses)
    return replace(pairs, applied=applied, perturbed_BG=applied.targets_BG(len(pairs.vocab)) & pairs.measured_BG)


@st.composite
def perturbations(draw: st.DrawFn, *, n_genes: int, min_cells: int = 0, max_cells: int = MOST_ROWS) -> Perturbation:
    """What is told of each cell: nothing, everything or anything between."""
    n_cells = draw(st.integers(min_cells, max_cells))
    perturbed_BG = draw(adjectives(n_cells, n_genes))
    target_BG = np.where(perturbed_BG, draw(values(n_cells, n_genes)), np.float32(0))
    return Perturbation(perturbed_BG=perturbed_BG, target_BG=target_BG)


def worlds(*, mechanism: str = "linear", noise: str = "gaussian") -> st.SearchStrategy[Scm]:
    """Worlds of 2 to 7 genes, of every scaling."""

    def build(n_genes: int, scaling: Scaling, seed: int) -> Scm:
        rng = np.random.default_rng(seed)
        graph = erdos_renyi(n_genes, degree=min(3.0, n_genes - 1), rng=rng)
        scm = build_scm(graph, mechanism=mechanism, noise=noise, scaling=scaling, n_calibration=500, rng=rng)
        return replace(scm, centre_G=rng.standard_normal(n_genes))  # means other than 0

    return st.builds(build, st.integers(2, 7), st.sampled_from(SCALINGS), st.integers(0, 2**32 - 1))
