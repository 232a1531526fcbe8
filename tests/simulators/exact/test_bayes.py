"""Bayes answers against the law of each pair, other ways to the same integral, and each other."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.predictors import Perturbation, Predictor, control_of, perturbation_of
from simulators.exact.bayes import BayesAnswer, BayesPredictor, bayes
from simulators.exact.equations import Equations, linear_twin
from simulators.exact.laws import law_of, total_effect_GG
from simulators.exact.monte_carlo import do_moments
from simulators.exact.particles import matched_moments
from simulators.exact.quadrature import one_unperturbed_moments
from simulators.graphs.families import simulated_vocab
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.interventions import Do
from simulators.scm.mechanisms import MECHANISMS
from simulators.scm.noises import NOISES
from simulators.scm.regimes import REGIMES, Regime
from simulators.scm.scm import Scm, build_scm
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.strategies import worlds


def some_pairs(scm: Scm, regime: Regime, n_pairs: int = 12, seed: int = 0) -> PairBatch:
    return concatenate(SimulatedPairs(scm=scm, regime=regime, n_pairs=n_pairs).pairs(batch_size=n_pairs, seed=seed))


@given(scm=worlds(), seed=st.integers(0, 1000))
def test_matched_answers_are_the_conditional_law_of_each_pair(scm: Scm, seed: int):
    pairs = some_pairs(scm, "matched", seed=seed)
    answer = bayes(scm, "matched", pairs)
    assert not answer.standard_error_BG.any()
    for pair, perturbed_G in enumerate(pairs.perturbed_BG):
        conditional = law_of(scm).condition(np.flatnonzero(perturbed_G), pairs.after_BG[pair, perturbed_G])
        assert np.allclose(answer.mean_BG[pair, ~perturbed_G], conditional.mean_G, atol=1e-7)
        assert np.allclose(answer.variance_BG[pair, ~perturbed_G], np.diagonal(conditional.cov_GG), atol=1e-7)
        assert np.array_equal(answer.mean_BG[pair, perturbed_G], pairs.after_BG[pair, perturbed_G])
        assert not answer.variance_BG[pair, perturbed_G].any()


@given(scm=worlds(noise="laplace"), seed=st.integers(0, 1000))
def test_interventional_answers_are_the_law_under_do_of_each_pair(scm: Scm, seed: int):
    pairs = some_pairs(scm, "interventional", seed=seed)
    answer = bayes(scm, "interventional", pairs)
    assert not answer.standard_error_BG.any()
    for pair, perturbed_G in enumerate(pairs.perturbed_BG):
        genes = scm.graph.vocab.genes(np.flatnonzero(perturbed_G))
        law = law_of(scm, Do(genes, pairs.after_BG[pair, perturbed_G].astype(np.float64)))
        assert np.allclose(answer.mean_BG[pair], law.mean_G, atol=1e-7)
        assert np.allclose(answer.variance_BG[pair], np.diagonal(law.cov_GG), atol=1e-7)


@pytest.mark.parametrize("noise", sorted(NOISES))
@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
@pytest.mark.parametrize("scaling", ["iscm", "standardised"])
def test_counterfactual_answers_are_exact_in_every_world(mechanism: str, noise: str, scaling: str):
    scm = world(f"scale_free/20/{mechanism}/{noise}/{scaling}").scm
    pairs = some_pairs(scm, "counterfactual", n_pairs=200)
    answer = bayes(scm, "counterfactual", pairs)
    assert not answer.variance_BG.any()
    # `before` is float32: its rounding (6e-8 of values of a few units) comes back out, amplified by few effects.
    assert np.abs(answer.mean_BG - pairs.after_BG).max() < 1e-4


@given(scm=worlds(), value=st.floats(-3, 3, width=32))
def test_a_counterfactual_moves_by_the_total_effects(scm: Scm, value: float):
    before_BG = scm.sample(5, np.random.default_rng(0)).astype(np.float32)
    perturbed_BG = np.zeros(before_BG.shape, dtype=np.bool_)
    perturbed_BG[:, 0] = True
    n_perturbed = Perturbation(
        perturbed_BG=perturbed_BG, target_BG=np.where(perturbed_BG, np.float32(value), np.float32(0))
    )
    after_BG = BayesPredictor(scm, "counterfactual").predict(before_BG, n_perturbed)
    expected_BG = before_BG + (value - before_BG[:, :1]) * total_effect_GG(scm)[0]
    assert np.allclose(after_BG, expected_BG, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", ["scale_free/20", "chain/5/hill/laplace"])
def test_the_predictor_says_what_bayes_says(name: str, regime: Regime):
    scm = world(name).scm
    predictor = BayesPredictor(scm, regime, seed=3, n_particles=64)
    pairs = some_pairs(scm, regime)
    control_BG, n_perturbed = control_of(pairs), perturbation_of(pairs)
    predicted_BG = predictor.predict(control_BG, n_perturbed, {"cell_type": np.array(["a"] * len(pairs))})
    assert isinstance(predictor, Predictor)
    assert predictor.vocab == scm.graph.vocab
    assert predicted_BG.dtype == np.float32
    # The same question again: the same answer.
    assert np.array_equal(predicted_BG, predictor.predict(control_BG, n_perturbed))
    answer = bayes(scm, regime, pairs, rng=np.random.default_rng(4), n_particles=64)
    # Two independent Monte Carlo answers: 12 SE of a t distribution of 7 degrees (p = 6e-6), 60 figures at most.
    assert (np.abs(predicted_BG - answer.mean_BG) <= 12 * np.sqrt(2) * answer.standard_error_BG + 1e-6).all()


@pytest.mark.parametrize("regime", REGIMES)
def test_no_pairs_get_no_answer(regime: Regime):
    for name in ("chain/5", "chain/5/hill"):
        scm = world(name).scm
        none = some_pairs(scm, regime).rows(slice(0, 0))
        assert bayes(scm, regime, none, rng=np.random.default_rng(0)).mean_BG.shape == (0, 5)


@given(scm=worlds().filter(lambda scm: scm.graph.n_genes > 2))
def test_an_unmeasured_gene_is_left_out_of_what_is_known(scm: Scm):
    pairs = some_pairs(scm, "matched")
    measured_BG = np.ones(pairs.measured_BG.shape, dtype=np.bool_)
    measured_BG[:, 1] = False
    pairs = pairs.measured_where(measured_BG)
    answer = bayes(scm, "matched", pairs)
    for pair, perturbed_G in enumerate(pairs.perturbed_BG):
        seen = np.flatnonzero(perturbed_G)
        law = law_of(scm).condition(seen, pairs.after_BG[pair, seen]) if len(seen) else law_of(scm)
        assert np.allclose(answer.mean_BG[pair, ~perturbed_G], law.mean_G, atol=1e-7)
    interventional = bayes(scm, "interventional", pairs)
    full = bayes(scm, "interventional", replace(pairs, measured_BG=np.ones_like(measured_BG)))
    assert np.array_equal(interventional.mean_BG, full.mean_BG)


def test_counterfactuals_need_every_gene():
    scm = world("chain/5").scm
    pairs = some_pairs(scm, "counterfactual")
    measured_BG = np.ones(pairs.measured_BG.shape, dtype=np.bool_)
    measured_BG[3, 2] = False
    with pytest.raises(InputError, match=rf"gene {scm.graph.vocab.feature_id[2]} of pair 3 is unmeasured"):
        bayes(scm, "counterfactual", pairs.measured_where(measured_BG))


def test_what_cannot_be_answered_is_refused():
    scm, curved = world("chain/5").scm, world("chain/5/hill").scm
    pairs = some_pairs(scm, "matched")
    with pytest.raises(InputError, match=r"regime is 'match'; nearest: matched"):
        bayes(scm, "match", pairs)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"regime is 'do'"):
        BayesPredictor(scm, "do")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="other genes than the world's"):
        bayes(world("chain/6").scm, "matched", pairs)
    with pytest.raises(InputError, match=r"matched regime of a world with hill mechanism and gaussian noise.*give rng"):
        bayes(curved, "matched", pairs)
    with pytest.raises(InputError, match="n_particles is 8: it must be at least 16"):
        bayes(curved, "matched", pairs, rng=np.random.default_rng(0), n_particles=8)
    with pytest.raises(InputError, match="n_particles is 8: it must be above twice the 5 genes"):
        bayes(curved, "interventional", pairs, rng=np.random.default_rng(0), n_particles=8)
    with pytest.raises(InputError, match=r"BayesAnswer.variance_BG has shape"):
        BayesAnswer(mean_BG=np.zeros((1, 2)), variance_BG=np.zeros((1, 1)), standard_error_BG=np.zeros((1, 2)))


def test_the_risk_is_the_mean_variance_of_what_is_scored():
    variance_BG = np.array([[1.0, 2.0], [3.0, 100.0]])
    answer = BayesAnswer(mean_BG=np.zeros((2, 2)), variance_BG=variance_BG, standard_error_BG=np.zeros((2, 2)))
    assert answer.risk(np.array([[True, True], [True, False]])) == 2.0
    assert np.isnan(answer.risk(np.zeros((2, 2), dtype=np.bool_)))


def perturbed_and_values(
    scm: Scm, n_pairs: int, n_perturbed: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    perturbed_BG = rng.permuted(np.tile(np.arange(scm.graph.n_genes) < n_perturbed, (n_pairs, 1)), axis=1)
    return perturbed_BG, np.where(perturbed_BG, scm.sample(n_pairs, rng), 0.0)


@pytest.mark.parametrize("n_perturbed", [1, 6, 12])
def test_particles_agree_with_the_closed_form(n_perturbed: int):
    scm = world("scale_free/13").scm
    perturbed_BG, value_BG = perturbed_and_values(scm, 40, n_perturbed, seed=n_perturbed)
    exact = exact_matched(scm, perturbed_BG, value_BG)
    mean_BG, variance_BG, error_BG = matched_moments(
        scm, perturbed_BG, value_BG, rng=np.random.default_rng(1), n_particles=2_048
    )
    z = ((mean_BG - exact.mean_BG)[~perturbed_BG]) / error_BG[~perturbed_BG]
    # Errors from 8 islands are t values of 7 degrees: variance 7/5. 40 pairs are 40 independent experiments at least,
    # so the mean square stays below 3 and none of 480 values beyond 12 (p = 6e-6 each).
    assert 0.5 < (z**2).mean() < 3
    assert np.abs(z).max() < 12
    # A standard error of a variance is about sqrt(2 / effective particles): 5 % at 800; over 40 pairs 1 %, times 4.
    assert variance_BG[~perturbed_BG].mean() == pytest.approx(exact.variance_BG[~perturbed_BG].mean(), rel=0.04)


def exact_matched(scm: Scm, perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.float64]) -> BayesAnswer:
    blank_BG = np.zeros(perturbed_BG.shape, dtype=np.float32)
    ids = np.arange(len(perturbed_BG))
    # The values are given exactly, not as float32 pairs store them.
    stored_BG = value_BG.astype(np.float32)
    pairs = PairBatch(
        vocab=scm.graph.vocab,
        before_BG=blank_BG,
        after_BG=stored_BG,
        measured_BG=np.ones(perturbed_BG.shape, dtype=np.bool_),
        perturbed_BG=perturbed_BG,
        before_id_B=ids,
        after_id_B=ids,
    )
    return bayes(scm, "matched", pairs)


@given(scm=worlds(), seed=st.integers(0, 1000))
def test_quadrature_agrees_with_the_closed_form(scm: Scm, seed: int):
    perturbed_BG, value_BG = perturbed_and_values(scm, 10, scm.graph.n_genes - 1, seed)
    value_BG = value_BG.astype(np.float32).astype(np.float64)
    exact = exact_matched(scm, perturbed_BG, value_BG)
    mean_BG, variance_BG, error_BG = one_unperturbed_moments(scm, perturbed_BG, value_BG)
    sd_BG = np.sqrt(exact.variance_BG) + perturbed_BG
    # The closed form itself loses digits where the precision is large; the grid is as good as that.
    assert (np.abs(mean_BG - exact.mean_BG) / sd_BG).max() < 1e-5
    assert np.allclose(variance_BG, exact.variance_BG, rtol=1e-5)
    assert (error_BG / sd_BG).max() < 1e-6


@pytest.mark.parametrize("noise", sorted(NOISES))
@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
def test_particles_agree_with_quadrature_where_one_gene_is_unperturbed(mechanism: str, noise: str):
    scm = world(f"erdos_renyi/8/{mechanism}/{noise}").scm
    perturbed_BG, value_BG = perturbed_and_values(scm, 48, 7, seed=5)
    grid_BG, grid_variance_BG, _ = one_unperturbed_moments(scm, perturbed_BG, value_BG)
    mean_BG, variance_BG, error_BG = matched_moments(
        scm, perturbed_BG, value_BG, rng=np.random.default_rng(2), n_particles=2_048
    )
    z = ((mean_BG - grid_BG) / np.where(perturbed_BG, 1.0, error_BG))[~perturbed_BG]
    # 48 independent t values of 7 degrees: mean square 1.4 with a standard error of .5, and p(|t| > 12) = 6e-6.
    assert (z**2).mean() < 4
    assert np.abs(z).max() < 12
    # As above: 5 % for each, 1 % for their mean, times 4, and as much again for a skewed density.
    assert variance_BG[~perturbed_BG].mean() == pytest.approx(grid_variance_BG[~perturbed_BG].mean(), rel=0.08)


def test_particles_agree_with_a_plane_of_points_where_two_genes_are_unperturbed():
    # a -> b -> c, and a -> c, hill and laplace: c is perturbed, (a, b) are integrated over a grid of 801 x 801 points.
    weight_GG = np.array([[0.0, 1.2, -0.9], [0.0, 0.0, 1.5], [0.0, 0.0, 0.0]])
    graph = GeneGraph(vocab=simulated_vocab(3), weight_GG=weight_GG)
    scm = build_scm(graph, mechanism="hill", noise="laplace", rng=np.random.default_rng(0))
    equations = Equations(scm)
    side = np.linspace(-10, 10, 801)
    a_NN, b_NN = np.meshgrid(side, side, indexing="ij")
    perturbed_BG = np.tile([False, False, True], (4, 1))
    value_BG = np.where(perturbed_BG, np.array([[-2.0], [-0.3], [0.8], [2.5]]), 0.0)
    mean_BG, variance_BG, error_BG = matched_moments(
        scm, perturbed_BG, value_BG, rng=np.random.default_rng(3), n_particles=8_192
    )
    for pair, c in enumerate(value_BG[:, 2]):
        features = [equations.feature(0, a_NN), equations.feature(1, b_NN), a_NN]
        log_NN = equations.log_density(2, np.full(a_NN.shape, c), equations.natural(2, features, a_NN.shape))
        for gene, value_NN in ((0, a_NN), (1, b_NN)):
            log_NN += equations.log_density(gene, value_NN, equations.natural(gene, features, a_NN.shape))
        weight_NN = np.exp(log_NN - log_NN.max())
        weight_NN /= weight_NN.sum()
        for gene, value_NN in ((0, a_NN), (1, b_NN)):
            mean = (weight_NN * value_NN).sum()
            variance = (weight_NN * (value_NN - mean) ** 2).sum()
            # 8 t values of 7 degrees: p(|t| > 8) = 1e-4 each.
            assert abs(mean_BG[pair, gene] - mean) < 8 * error_BG[pair, gene]
            assert error_BG[pair, gene] < 0.05
            # 8,192 particles, half of them effective: 2 % of a variance, four times that.
            assert variance_BG[pair, gene] == pytest.approx(variance, rel=0.1)


def test_perturbed_values_that_a_world_cannot_have_are_refused():
    # b = a * w + noise with edges: b = 100 has density 0 whatever a.
    scm = world("chain/3/uniform").scm
    last = int(scm.graph.order[-1])
    perturbed_BG = np.arange(3)[None, :] == last
    value_BG = np.where(perturbed_BG, 100.0, 0.0)
    with pytest.raises(InputError, match=r"no particle produced the perturbed values of pair 0.*uniform noise"):
        matched_moments(scm, perturbed_BG, value_BG, rng=np.random.default_rng(0), n_particles=64)
    unperturbed_BG = np.arange(3)[None, :] == int(scm.graph.order[-2])
    with pytest.raises(InputError, match=r"the perturbed values of pair 0 have density 0"):
        one_unperturbed_moments(scm, ~unperturbed_BG, np.where(unperturbed_BG, 0.0, value_BG))


def test_a_simulated_do_is_exact_in_a_linear_world_and_close_in_another():
    scm = world("scale_free/20/laplace").scm
    perturbed_BG, value_BG = perturbed_and_values(scm, 10, 5, seed=1)
    mean_BG, _, error_BG = do_moments(scm, perturbed_BG, value_BG, rng=np.random.default_rng(0), n_particles=200)
    for pair, perturbed_G in enumerate(perturbed_BG):
        law = law_of(scm, Do(scm.graph.vocab.genes(np.flatnonzero(perturbed_G)), value_BG[pair, perturbed_G]))
        assert np.allclose(mean_BG[pair], law.mean_G, atol=1e-9)  # the control variate takes all of the noise away
    assert error_BG.max() < 1e-6
    curved = world("scale_free/20/hill").scm
    perturbed_BG, value_BG = perturbed_and_values(curved, 10, 5, seed=1)
    mean_BG, variance_BG, error_BG = do_moments(
        curved, perturbed_BG, value_BG, rng=np.random.default_rng(0), n_particles=1_000
    )
    for pair, perturbed_G in enumerate(perturbed_BG):
        action = Do(curved.graph.vocab.genes(np.flatnonzero(perturbed_G)), value_BG[pair, perturbed_G])
        cell_NG = curved.sample(40_000, np.random.default_rng(7), action)
        plain_error_G = cell_NG.std(axis=0) / 200
        # 150 differences of independent means, 5 standard errors.
        assert (
            np.abs(mean_BG[pair] - cell_NG.mean(axis=0)) <= 5 * np.hypot(error_BG[pair], plain_error_G) + 1e-9
        ).all()
        # The variance of 1,000 cells: 4.5 % for a normal shape, times 5.
        assert np.allclose(variance_BG[pair], cell_NG.var(axis=0), rtol=0.25, atol=1e-9)


def test_the_twin_of_a_linear_world_is_the_world():
    scm = world("scale_free/20").scm
    twin = linear_twin(scm, np.random.default_rng(0))
    assert np.allclose(twin.mean_G(), law_of(scm).mean_G)
    assert np.allclose(np.linalg.inv(twin.precision_GG()), law_of(scm).cov_GG)
    curved = world("scale_free/20/tanh").scm
    fitted = linear_twin(curved, np.random.default_rng(0))
    assert np.array_equal(fitted.weight_GG != 0, curved.graph.adjacency_GG)
    assert (fitted.noise_sd_G > 0.9 * curved.noise_sd_G).all()
