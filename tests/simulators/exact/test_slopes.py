"""Slopes in closed form are those of the conditional mean, and none is claimed where there is no closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.predictors import GivesSlopes, Perturbation
from simulators.exact.bayes import BayesPredictor, bayes
from simulators.exact.slopes import exact_slopes
from simulators.scm.mechanisms import MECHANISMS
from simulators.scm.regimes import REGIMES, Regime
from simulators.scm.scm import Scm
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.strategies import worlds

STEP = 0.25


def one_of(scm: Scm, regime: Regime, seed: int, n_perturbed: tuple[int, int] | None = None) -> PairBatch:
    source = SimulatedPairs(scm=scm, regime=regime, n_pairs=6, n_perturbed=n_perturbed)
    return concatenate(source.pairs(batch_size=6, seed=seed))


def means(scm: Scm, regime: Regime, pairs: PairBatch, value_BG: NDArray[np.float64]) -> NDArray[np.float64]:
    after_BG = np.where(pairs.perturbed_BG, value_BG, pairs.after_BG).astype(np.float32)
    asked = PairBatch(
        vocab=pairs.vocab,
        before_BG=pairs.before_BG,
        after_BG=after_BG,
        measured_BG=pairs.measured_BG,
        perturbed_BG=pairs.perturbed_BG,
        before_id_B=pairs.before_id_B,
        after_id_B=pairs.after_id_B,
    )
    return bayes(scm, regime, asked).mean_BG


@given(scm=worlds(), regime=st.sampled_from(REGIMES), seed=st.integers(0, 1000), data=st.data())
def test_linear_worlds_answer_along_a_line_with_these_slopes(scm: Scm, regime: Regime, seed: int, data: st.DataObject):
    pairs = one_of(scm, regime, seed)
    n_genes = scm.graph.n_genes
    gene_B = np.array(data.draw(st.lists(st.integers(0, n_genes - 1), min_size=6, max_size=6)), dtype=np.int64)
    value_BG = pairs.after_BG.astype(np.float64)
    slope_BG = exact_slopes(scm, regime, pairs.perturbed_BG, value_BG, gene_B)
    assert slope_BG is not None
    rows = np.arange(6)
    for i in range(n_genes):
        # A quarter is exact in float32 next to values of a few units, up to their own rounding.
        step_BG = np.where(np.arange(n_genes) == i, STEP, 0.0)
        up_BG = means(scm, regime, pairs, value_BG + step_BG)
        down_BG = means(scm, regime, pairs, value_BG - step_BG)
        expected_B = (up_BG - down_BG)[rows, gene_B] / (2 * STEP)
        expected_B[pairs.perturbed_BG[rows, gene_B] | ~pairs.perturbed_BG[:, i]] = 0.0
        np.testing.assert_allclose(slope_BG[:, i], expected_B, atol=2e-5)


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
@pytest.mark.parametrize("scaling", ["iscm", "standardised", "raw"])
def test_with_all_others_given_the_slopes_are_those_of_the_own_equation(mechanism: str, scaling: str):
    scm = world(f"erdos_renyi/9/{mechanism}/gaussian/{scaling}", seed=2).scm
    rng = np.random.default_rng(0)
    value_BG = rng.normal(size=(9, 9))
    perturbed_BG = ~np.eye(9, dtype=np.bool_)
    gene_B = np.arange(9)
    slope_BG = exact_slopes(scm, "interventional", perturbed_BG, value_BG, gene_B)
    assert slope_BG is not None
    assert not slope_BG[~scm.graph.adjacency_GG.T].any()
    residual_BG = -scm.noise_of(value_BG) * scm.noise_sd_G
    for parent in range(9):
        step_BG = np.where(np.arange(9) == parent, 1e-3, 0.0)
        up_BG = -scm.noise_of(value_BG + step_BG) * scm.noise_sd_G
        moved_B = (up_BG - residual_BG)[gene_B, gene_B] / 1e-3
        moved_B[parent] = 0.0
        np.testing.assert_allclose(slope_BG[:, parent], moved_B, atol=5e-3)


def test_no_slope_is_claimed_without_a_closed_form():
    scm = world("erdos_renyi/6/tanh", seed=1).scm
    perturbed_BG = np.zeros((1, 6), dtype=np.bool_)
    perturbed_BG[:, :2] = True
    gene_B = np.array([4])
    value_BG = np.zeros((1, 6))
    assert exact_slopes(scm, "interventional", perturbed_BG, value_BG, gene_B) is None
    assert exact_slopes(scm, "matched", ~np.eye(6, dtype=np.bool_)[:1], value_BG, np.array([0])) is None
    assert isinstance(BayesPredictor(scm, "matched"), GivesSlopes)


@pytest.mark.parametrize("name", ["scale_free/8/linear/laplace", "erdos_renyi/8/hill", "erdos_renyi/8/interaction"])
def test_means_under_do_are_those_of_bayes(name: str):
    scm = world(name, seed=3).scm
    pairs = one_of(scm, "interventional", 5, n_perturbed=(1, 7))
    exact = bayes(scm, "interventional", pairs, rng=np.random.default_rng(7), n_particles=4_000)
    asked = Perturbation(
        perturbed_BG=pairs.perturbed_BG, target_BG=np.where(pairs.perturbed_BG, pairs.after_BG, np.float32(0))
    )
    found_BG = BayesPredictor(scm, "interventional", n_particles=4_000).predict(pairs.before_BG, asked)
    assert (np.abs(found_BG - exact.mean_BG) <= 1e-5 + 8 * exact.standard_error_BG).all()
