"""What the best linear predictor gains: against the exact law of Gaussian cells, and nothing where there is nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnostics.audit.linear_gain import LinearGain, linear_gain
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.matched_linear import PairLinearPredictor
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairSource, concatenate
from gpcp.pairing.paired import Paired
from gpcp.sources.in_memory import InMemoryCells
from tests.diagnostics.audit.audit_cases import sampled_cells
from tests.diagnostics.gaussian_cells import covariance

PERTURBED = "linear, before and perturbed"


def paired(cells: InMemoryCells) -> PairSource:
    return Paired(cells, match_on=[name for name in ("cell_type",) if name in cells.index.covariates])


def gain_of(value_BG: NDArray[np.floating], seed: int = 0, **label_of: NDArray[np.integer]) -> LinearGain:
    return linear_gain(sampled_cells(value_BG, label_of), paired, max_pairs=4000, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_where_genes_are_independent_there_is_nothing_to_learn(seed: int):
    found = gain_of(np.random.default_rng(seed).normal(size=(2000, 8)), seed)
    assert not found.seen
    assert found.perturbed_gain is not None
    # At 300 pairs of 8 genes a gain of a percent or so would show; an estimate far from 0 would be a leak.
    assert abs(found.perturbed_gain.value) < 0.02
    assert 0 < found.smallest_visible < 0.1
    assert found.baseline == "mean"


def test_the_gain_is_that_of_the_exact_law():
    rng = np.random.default_rng(1)
    cov_GG = covariance(6, rng)
    value_BG = rng.multivariate_normal(np.zeros(6), cov_GG, size=8000, method="cholesky")
    found = gain_of(value_BG)
    exact = PairLinearPredictor(
        vocab=sampled_cells(value_BG[:2]).vocab, mean_G=np.zeros(6), pull_GG=np.zeros((6, 6)), cov_GG=cov_GG
    )
    pairs = concatenate(list(paired(sampled_cells(value_BG)).pairs(batch_size=512, seed=5)))
    nothing = (np.diagonal(cov_GG) * pairs.scored_BG).sum() / pairs.scored_BG.sum()
    assert found.seen
    # Held-out loss of 1,200 pairs: a standard error of .01 of the gain.
    assert found.gain_of[PERTURBED].value == pytest.approx(1 - losses_of(exact, pairs).loss / nothing, abs=0.04)
    assert found.gain_of["linear, before alone"].value == pytest.approx(0.0, abs=0.02)
    assert found.loss_of["no change"] == pytest.approx(2 * found.loss_of["mean"], rel=0.05)


def test_the_smallest_visible_gain_is_seen_four_times_in_five():
    """Two genes with a correlation of which the exact answer gains just that share: r^2 of the loss."""
    n_cells, n_seen = 2000, 0
    visible = 0.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        # Told is one of the two genes, the other is scored: 300 entries, and two predictors that share the level.
        visible = visible or gain_of(rng.normal(size=(n_cells, 2)), seed).smallest_visible
        r = np.sqrt(visible)
        value_BG = rng.multivariate_normal(np.zeros(2), [[1, r], [r, 1]], size=n_cells)
        n_seen += gain_of(value_BG, seed).seen
    # Binomial(20, .8) is below 12 with probability .01, and the bound is an approximation.
    assert n_seen >= 12


def test_no_held_out_cell_was_trained_on():
    """Cells whose names are in their values: a predictor that knew them would need no perturbed gene."""
    found = gain_of(np.random.default_rng(0).normal(size=(400, 4)))
    assert found.n_held_out == 60
    assert found.n_training == 8 * 140


def test_genes_that_do_not_vary_or_are_unmeasured_are_left_at_the_mean():
    rng = np.random.default_rng(2)
    shared_B1 = rng.normal(size=(3000, 1))
    value_BG = np.hstack([shared_B1 + 0.3 * rng.normal(size=(3000, 4)), np.ones((3000, 2)), rng.normal(size=(3000, 1))])
    measured_BG = np.ones(value_BG.shape, dtype=np.bool_)
    measured_BG[:1500, 6] = False
    found = linear_gain(sampled_cells(value_BG, measured_BG=measured_BG), paired, max_pairs=4000, seed=0)
    assert found.summary == "the linear law leaves 3 of 7 genes at the mean"
    assert found.seen


def test_genes_that_no_cell_measures_together_are_ridge_s():
    """Three datasets, each without a third of the genes: no gene is measured in all, and any two are in one."""
    rng = np.random.default_rng(4)
    value_BG = rng.normal(size=(3000, 1)) + 0.3 * rng.normal(size=(3000, 6))
    measured_BG = np.ones((3000, 6), dtype=np.bool_)
    for study in range(3):
        measured_BG[study::3, 2 * study : 2 * study + 2] = False
    found = linear_gain(sampled_cells(value_BG, measured_BG=measured_BG), paired, max_pairs=4000, seed=0)
    assert list(found.gain_of) == ["ridge, before and perturbed"]
    assert found.seen


def test_without_two_genes_that_vary_nothing_is_fitted():
    found = gain_of(np.hstack([np.random.default_rng(0).normal(size=(200, 1)), np.ones((200, 3))]))
    assert found.gain_of == {}
    assert found.gain is None
    assert not found.seen
    assert found.smallest_visible == float("inf")
    assert "no linear predictor is fitted" in found.summary


def test_what_types_determine_counts_as_known_from_before():
    rng = np.random.default_rng(3)
    type_B = rng.integers(4, size=4000)
    mean_type_G = 3 * rng.normal(size=(4, 10))
    found = gain_of(mean_type_G[type_B] + rng.normal(size=(4000, 10)), cell_type=type_B)
    # The law of matched_linear: W + V - V (W + V)^-1 V with W = I; here the mean change, of loss 2, is the baseline.
    between_GG = np.cov(mean_type_G[type_B].T, bias=True)
    left_GG = np.eye(10) + between_GG - between_GG @ np.linalg.solve(np.eye(10) + between_GG, between_GG)
    assert found.baseline == "mean change"
    assert found.gain_of["linear, before alone"].value == pytest.approx(1 - np.trace(left_GG) / 20, abs=0.03)
    # The perturbation is informative of the type too, as before already is, but for the noise in it.
    assert found.unperturbed == "linear, before alone"
    assert found.perturbed_gain is not None
    assert found.perturbed_gain.value < found.gain_of["linear, before alone"].value


def test_cells_that_make_no_pair_are_refused():
    with pytest.raises(InputError, match="more cells"):
        gain_of(np.random.default_rng(0).normal(size=(12, 3)), cell_type=np.arange(12))
