"""The strategies reach the corners that they promise, and nothing outside."""

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings

from gpcp.core.cells import CellBatch
from gpcp.core.genes import ENSEMBL_GENE, GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Perturbation
from tests.strategies import (
    LARGEST,
    MOST_GENES,
    MOST_ROWS,
    cell_batches,
    gene_ids,
    pair_batches,
    perturbations,
    sparse_cells,
    vocabs,
)

N_GENES = 3
WITHOUT_SHRINKING = settings(phases=[Phase.generate], max_examples=400, database=None, derandomize=True)


@given(gene_ids())
def test_gene_ids_are_ensembl_ids(gene: str):
    assert ENSEMBL_GENE.match(gene)


@given(vocabs(min_genes=2, max_genes=4))
def test_vocabs_keep_to_their_sizes(vocab: GeneVocab):
    assert 2 <= len(vocab) <= 4


@given(cell_batches())
def test_cells_are_small_and_finite(cells: CellBatch):
    assert len(cells) <= MOST_ROWS
    assert len(cells.vocab) <= MOST_GENES
    assert np.isfinite(cells.expression_BG).all()
    assert len(set(cells.cell_id_B.tolist())) == len(cells)


@given(pair_batches(min_pairs=1))
def test_pairs_are_small_and_finite(pairs: PairBatch):
    assert 1 <= len(pairs) <= MOST_ROWS
    assert np.isfinite(pairs.delta_BG).all()
    assert np.abs(pairs.before_BG).max() <= LARGEST


@given(perturbations(n_genes=N_GENES))
def test_perturbations_have_the_genes_asked_for(perturbation: Perturbation):
    assert perturbation.perturbed_BG.shape == (len(perturbation), N_GENES)


@pytest.mark.parametrize(
    "corner",
    [
        lambda p: len(p) == 0,
        lambda p: len(p.vocab) == 1 and len(p) > 1,
        lambda p: len(p) > 1 and not p.measured_BG[0].any() and p.measured_BG[1].any(),
        lambda p: len(p) > 0 and p.measured_BG[0].all() and not p.perturbed_BG[0].any(),
        lambda p: len(p) > 0 and p.measured_BG[0].all() and p.perturbed_BG[0].all(),
        lambda p: len(p) > 0 and 0 < p.perturbed_BG[0].sum() < p.measured_BG[0].sum() < len(p.vocab),
        lambda p: bool((p.delta_BG[p.scored_BG] < 0).any()),
    ],
    ids=["no pair", "one gene", "nothing measured", "nothing told", "everything told", "partial masks", "a fall"],
)
def test_pairs_reach_their_corners(corner):
    """``find`` raises ``NoSuchExample`` where a corner is never drawn."""
    assert corner(find(pair_batches(), corner, settings=WITHOUT_SHRINKING))


@pytest.mark.parametrize(
    "corner",
    [
        lambda c: len(c) == 0,
        lambda c: len(c) > 1 and not c.measured_BG[0].any() and c.measured_BG[1].any(),
        lambda c: len(c) > 0 and len(c.covariates) == 0,
        lambda c: len(c) > 1 and len(c.covariates) == 4,
    ],
    ids=["no cell", "nothing measured", "no covariate", "every covariate"],
)
def test_cells_reach_their_corners(corner):
    assert corner(find(cell_batches(), corner, settings=WITHOUT_SHRINKING))


@pytest.mark.parametrize(
    "corner",
    [
        lambda c: len(c) == 0,
        lambda c: len(c) > 1 and not c.measured_BG[0].any() and c.measured_BG[1].any(),
        lambda c: len(c) > 0 and bool((c.value_BG.data == 0).any()),
        lambda c: len(c) > 0 and len(set(c.index.set_B.tolist())) < len(c.index.measured_SG),
        lambda c: len(c) > 0 and c.index.total_B is not None and len(c.index.covariates) > 1,
    ],
    ids=["no cell", "nothing measured", "a zero stored", "a set that no cell has", "totals and covariates"],
)
def test_sparse_cells_reach_their_corners(corner):
    assert corner(find(sparse_cells(), corner, settings=WITHOUT_SHRINKING))
