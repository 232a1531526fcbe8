"""The exact law through the read-outs agrees with closed forms derived apart from it: the ceiling of each regime."""

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnostics.graphs.readouts import all_but_one, invert_total, read_out, single_gene_response
from diagnostics.graphs.scores import auprc_of, score_graph, target_graph
from simulators.exact.bayes import BayesPredictor
from simulators.exact.laws import law_of
from simulators.scm.regimes import Regime
from simulators.worlds import World, world

# Predictions are float32 of size 10 and divided by twice the step: 10 * 6e-8 / .5, and times the condition of the
# total effects (at most 100 here) where they are inverted.
ATOL, ATOL_INVERTED = 5e-6, 5e-4

WORLDS = ["scale_free/8", "erdos_renyi/8/raw", "chain/5/standardised", "collider/6/laplace"]


def known(name: str, seed: int = 0) -> tuple[World, NDArray[np.float32]]:
    of = world(name, seed=seed)
    return of, of.scm.sample(3, np.random.default_rng(seed)).astype(np.float32)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("regime", ["counterfactual", "interventional"])
def test_one_gene_perturbed_shows_total_effects_whose_inverse_are_the_weights(name: str, regime: Regime) -> None:
    of, control_BG = known(name)
    weight_GG = of.scm.effective_weight_GG
    total_GG = single_gene_response(BayesPredictor(of.scm, regime), control_BG, dose=1.0)
    np.testing.assert_allclose(total_GG, np.linalg.inv(np.eye(len(weight_GG)) - weight_GG), atol=ATOL)
    np.testing.assert_allclose(invert_total(total_GG), weight_GG, atol=ATOL_INVERTED)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("regime", ["counterfactual", "interventional"])
def test_all_but_one_perturbed_shows_the_weights(name: str, regime: Regime) -> None:
    of, control_BG = known(name)
    direct_GG = all_but_one(BayesPredictor(of.scm, regime), control_BG, step=0.5)
    np.testing.assert_allclose(direct_GG, of.scm.effective_weight_GG, atol=ATOL)


@pytest.mark.parametrize("name", WORLDS[:3])
def test_matched_cells_show_regression_coefficients_and_partial_correlations(name: str) -> None:
    of, control_BG = known(name)
    exact = BayesPredictor(of.scm, "matched")
    n_genes, law = of.graph.n_genes, law_of(of.scm)
    expected_GG, marginal_GG = np.zeros((n_genes, n_genes)), np.eye(n_genes)
    for j in range(n_genes):
        others = np.flatnonzero(np.arange(n_genes) != j)
        expected_GG[others, j] = law.regress([j], others).coefficient_known_Q[:, 0]
        for i in others:
            marginal_GG[i, j] = law.cov_GG[i, j] / law.cov_GG[i, i]
    np.testing.assert_allclose(all_but_one(exact, control_BG, step=0.5), expected_GG, atol=10 * ATOL)
    np.testing.assert_allclose(single_gene_response(exact, control_BG, dose=1.0), marginal_GG, atol=10 * ATOL)
    precision_GG = np.linalg.inv(law.cov_GG)
    scale_G = np.sqrt(np.diag(precision_GG))
    partial_GG = -precision_GG / np.outer(scale_G, scale_G)
    np.fill_diagonal(partial_GG, 0)
    np.testing.assert_allclose(read_out("all_but_one_partial", exact, control_BG), partial_GG, atol=10 * ATOL)


@pytest.mark.parametrize(
    ("regime", "name", "target", "least", "most"),
    [
        ("counterfactual", "single_gene_inverted", "direct", 1, 1),
        ("counterfactual", "all_but_one", "direct", 1, 1),
        ("counterfactual", "single_gene", "ancestors", 1, 1),
        ("counterfactual", "single_gene", "direct", 0.4, 0.9),
        ("interventional", "single_gene_inverted", "direct", 1, 1),
        ("interventional", "all_but_one", "direct", 1, 1),
        ("matched", "all_but_one_partial", "moral", 1, 1),
        ("matched", "all_but_one", "direct", 0.4, 0.9),
        ("matched", "single_gene", "moral", 0.3, 0.9),
    ],
)
def test_what_each_regime_can_show_at_best(regime: Regime, name: str, target: str, least: float, most: float) -> None:
    of, control_BG = known("scale_free/20", seed=1)
    rng = np.random.default_rng(0)
    effect_GG = read_out(name, BayesPredictor(of.scm, regime), control_BG, rng=rng)
    best = score_graph(effect_GG, of.graph, target, threshold=0.02, rng=rng, signed_GG=effect_GG)
    assert least - 1e-12 <= best.auprc <= most + 1e-12
    assert best.target == target
    if target == "direct" and least == 1:
        assert (best.shd, best.sign_agreement) == (0, 1.0)


def test_monte_carlo_ceilings_of_non_linear_worlds_find_every_edge() -> None:
    of, control_BG = known("scale_free/6/tanh")
    for regime in ("interventional", "counterfactual"):
        exact = BayesPredictor(of.scm, regime, n_particles=4096)
        effect_GG = read_out("single_gene_inverted", exact, control_BG)
        assert auprc_of(effect_GG, target_graph(of.graph, "direct")) > 0.95
