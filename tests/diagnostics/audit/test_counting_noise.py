"""Counting noise: against cells that are sequenced twice, which no experiment can do and a simulator can."""

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnostics.audit.counting_noise import Counts, counting_noise, gamma_shares
from simulators.assay import build_assay, log1p_tpm
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.diagnostics.audit.audit_cases import counted_cells, neighbours, sampled_cells

N_CELLS = 6000


def noise_of(count_BG: NDArray[np.integer], seed: int = 0):
    return counting_noise(neighbours(counted_cells(count_BG)), np.random.default_rng(seed))


def test_cells_of_one_profile_are_nothing_but_noise():
    count_BG = np.random.default_rng(0).poisson(2.0, size=(N_CELLS, 30))
    found = noise_of(count_BG)
    assert found.half_depth is not None
    assert found.full_depth is not None
    assert found.half_depth.low <= 1 <= found.half_depth.high
    # The model's ratio of depths adds an error of its own: the module says to within .03.
    assert found.full_depth.value == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_so_are_cells_of_one_type_of_a_world_without_variation(seed: int):
    rng = np.random.default_rng(seed)
    vocab = world("scale_free/20", seed=seed).scm.graph.vocab
    assay = build_assay(vocab, rng=rng, library_size=500, library_size_sd=0.0)
    none_B = np.zeros(N_CELLS, dtype=np.int64)
    reads = assay.reads(np.zeros((N_CELLS, 20)), cell_type_B=none_B, dataset_B=none_B, rng=rng)
    found = noise_of(reads.count_BG).half_depth
    assert found is not None
    # 95 % intervals of three seeds: one may miss by a little.
    assert found.low - 0.005 <= 1 <= found.high + 0.005


def test_without_noise_there_is_none():
    rng = np.random.default_rng(1)
    found = noise_of(rng.poisson(rng.gamma(3.0, 1e5, size=(N_CELLS, 10))))
    assert found.half_depth is not None
    assert found.full_depth is not None
    assert found.half_depth.high < 1e-4
    assert found.full_depth.high < 1e-4


@pytest.mark.parametrize("library_size", [100, 1000, 10_000])
def test_the_share_at_full_depth_is_that_of_cells_sequenced_twice(library_size: float):
    made = world("scale_free/30", seed=2)
    rng = np.random.default_rng(3)
    assay = build_assay(made.scm.graph.vocab, rng=rng, library_size=library_size, n_cell_types=3)
    latent_BG = made.scm.sample(N_CELLS, rng)
    type_B = rng.integers(3, size=N_CELLS)
    share_BG = assay.proportions(latent_BG, type_B)
    size_B1 = library_size * np.exp(0.3 * rng.standard_normal((N_CELLS, 1)))
    count_BG, again_BG = rng.poisson(share_BG * size_B1), rng.poisson(share_BG * size_B1)
    value_BG, other_BG = (log1p_tpm(counts).astype(np.float64) for counts in (count_BG, again_BG))
    truth = ((value_BG - other_BG) ** 2).sum() / 2 / ((value_BG[::2] - value_BG[1::2]) ** 2).sum()
    found = noise_of(count_BG)
    assert found.half_depth is not None
    assert found.full_depth is not None
    assert found.full_depth.value == pytest.approx(truth, abs=0.03)
    assert found.half_depth.low > truth, "half depth is an upper bound"


def test_a_panel_leaves_the_other_genes_in_the_total():
    rng = np.random.default_rng(4)
    cells = counted_cells(rng.poisson(rng.gamma(2.0, 2.0, size=(N_CELLS, 40))))
    few = counting_noise(neighbours(cells.genes(cells.vocab.feature_id[:5])), np.random.default_rng(0))
    every = counting_noise(neighbours(cells), np.random.default_rng(0))
    assert few.half_depth is not None
    assert every.half_depth is not None
    # The genes have one law, so five say what forty say, to within four standard errors of the five.
    assert few.half_depth.value == pytest.approx(every.half_depth.value, abs=0.03)


def test_cells_of_unequal_depth_are_not_called_noise():
    """One profile at depths that differ: noise is a part of the change, depth the other."""
    rng = np.random.default_rng(5)
    count_BG = rng.poisson(np.exp(rng.normal(1.0, 1.5, size=(N_CELLS, 1))) * np.ones(30))
    found = noise_of(count_BG[count_BG.sum(axis=1) > 0]).half_depth
    assert found is not None
    assert found.high < 0.95


def test_halves_are_the_cell_again():
    rng = np.random.default_rng(0)
    cell = Counts(gene_PG=rng.poisson(3.0, size=(50, 8)), other_P=rng.poisson(100.0, size=50))
    first, second = cell.split(rng)
    assert (first.gene_PG + second.gene_PG == cell.gene_PG).all()
    assert (first.total_P + second.total_P == cell.total_P).all()
    assert (first.gene_PG >= 0).all()
    assert (second.gene_PG >= 0).all()


def test_moments_of_shares_are_those_of_the_gammas():
    rng = np.random.default_rng(1)
    shape_G = np.array([0.5, 2.0, 50.0])
    share_PG = rng.gamma(shape_G, 0.01 / shape_G, size=(40_000, 3))
    total_P = rng.integers(500, 5000, size=40_000)
    gene_PG = rng.poisson(share_PG * total_P[:, None])
    found = gamma_shares([Counts(gene_PG=gene_PG, other_P=total_P - gene_PG.sum(axis=1))])
    # Relative standard errors of 40,000 cells: .5 % of a mean, 3 % of a variance.
    assert found.mean_G == pytest.approx([0.01] * 3, rel=0.03)
    assert found.variance_G == pytest.approx(1e-4 / shape_G, rel=0.15)


@pytest.mark.parametrize(
    ("cells", "summary"),
    [
        (sampled_cells(np.ones((8, 3))), "not known"),
        (sampled_cells(np.array([[1.5, 0.3]] * 8), total_B=np.full(8, 1000.0)), "no whole counts"),
        (sampled_cells(np.array([[-1.5, 0.3]] * 8), total_B=np.full(8, 1000.0)), "not known"),
        (sampled_cells(np.zeros((8, 2)), total_B=np.full(8, 1000.0)), "no scored entry"),
        (sampled_cells(np.zeros((8, 2)), total_B=np.full(8, np.nan)), "no pair has total counts"),
    ],
)
def test_where_counts_are_not_known_it_is_reported(cells: object, summary: str):
    found = counting_noise(neighbours(cells), np.random.default_rng(0))  # pyright: ignore[reportArgumentType]
    assert found.half_depth is None
    assert found.full_depth is None
    assert found.summary.startswith("counting noise: not applicable")
    assert summary in found.summary


def test_pairs_without_totals_are_left_out():
    cells = counted_cells(np.random.default_rng(6).poisson(2.0, size=(400, 10)))
    total_B = np.array(cells.index.total_B)
    total_B[:100] = np.nan
    found = counting_noise(
        neighbours(sampled_cells(cells.held.value_BG.toarray(), total_B=total_B)), np.random.default_rng(0)
    )
    assert found.half_depth is not None
    assert "150 of 200 pairs have total counts" in found.summary


def test_the_source_s_own_counts_come_back():
    made = world("scale_free/20", seed=0)
    assay = build_assay(made.scm.graph.vocab, rng=np.random.default_rng(0), library_size=300_000)
    (batch,) = SimulatedCells(scm=made.scm, n_cells=200, assay=assay).counted(batch_size=200, seed=0)
    assert noise_of(batch.count_BG).half_depth is not None
