"""The primary read-out is chosen by ceiling and by what training showed; what else is scored beside it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.graphs.asking import asking_of, effects, n_controls
from diagnostics.graphs.estimators import BASELINES
from diagnostics.graphs.evaluate import (
    CANDIDATES,
    MOST_GENES,
    TARGET_OF,
    ReadOut,
    method_scores,
    primary,
    read_outs_of,
    response_ratio,
    score_of,
    scores_from_inside,
    supported,
    threshold_of,
)
from diagnostics.graphs.scores import auprc_of, score_graph, target_graph
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.model.config import preset
from gpcp.model.transformer import GenePerturbationTransformer
from simulators.exact.bayes import BayesPredictor
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world

MADE = world("scale_free/8", seed=0)
SMALL = world("scale_free/6", seed=3)


def pairs_of(made: World, regime: Regime) -> PairBatch:
    source = SimulatedPairs(scm=made.scm, regime=regime, n_pairs=64)
    return concatenate(source.pairs(batch_size=64, seed=0))


def exact_read_outs(regime: Regime, n_perturbed: tuple[int, int]) -> list[ReadOut]:
    read_outs, notes = read_outs_of(
        BayesPredictor(MADE.scm, regime),
        MADE,
        regime,
        n_perturbed=n_perturbed,
        dose_sd=2.0,
        held_out=pairs_of(MADE, regime),
        rng=np.random.default_rng(0),
    )
    assert notes == []
    return read_outs


@pytest.mark.parametrize("regime", REGIMES)
def test_the_exact_law_reaches_its_own_ceiling_and_the_primary_one_is_perfect(regime: Regime) -> None:
    read_outs = exact_read_outs(regime, (1, 7))
    assert [read_out.name for read_out in read_outs] == list(CANDIDATES[TARGET_OF[regime]])
    for read_out in read_outs:
        assert read_out.auprc == read_out.ceiling_auprc
    assert primary(read_outs).auprc == 1
    assert score_of(primary(read_outs), MADE.graph, rng=np.random.default_rng(0)).sign_agreement == 1
    assert response_ratio(read_outs) == pytest.approx(1)


def test_with_one_gene_perturbed_only_single_gene_read_outs_are_supported() -> None:
    assert primary(exact_read_outs("interventional", (1, 1))).name == "single_gene_inverted"
    assert primary(exact_read_outs("interventional", (6, 7))).name == "all_but_one"
    assert primary(exact_read_outs("matched", (1, 1))).name == "single_gene"
    assert primary(exact_read_outs("matched", (1, 7))).name == "implied_partial"
    assert primary(exact_read_outs("matched", (7, 7))).name == "all_but_one_partial"


@pytest.mark.parametrize("n_perturbed", [(1, 1), (1, 7), (3, 5), (7, 7)])
def test_support_is_about_the_numbers_perturbed(n_perturbed: tuple[int, int]) -> None:
    assert supported("single_gene", n_perturbed, 8) == (n_perturbed[0] == 1)
    assert supported("all_but_one_partial", n_perturbed, 8) == (n_perturbed[1] == 7)


def test_the_model_does_not_decide_which_read_out_is_primary() -> None:
    read_outs = exact_read_outs("counterfactual", (1, 7))
    rigged = [replace(one, auprc=0.0) for one in read_outs]
    assert primary(rigged).name == primary(read_outs).name


def test_thresholds_lie_below_the_smallest_effects_of_the_default_worlds() -> None:
    smallest = min(world(f"{family}/{n}", seed=seed).smallest_effect
                   for family in ("scale_free", "erdos_renyi") for n in (10, 20, 50) for seed in range(5))  # fmt: skip
    assert threshold_of("single_gene_inverted") < smallest


def test_a_matrix_that_cannot_be_inverted_reads_as_nothing_and_says_so() -> None:
    class Same:
        """Every gene follows the first told one exactly: total effects without an inverse."""

        vocab = MADE.graph.vocab

        def predict(self, control_BG: np.ndarray, perturbation: object, covariates: object = None) -> np.ndarray:
            target_BG: np.ndarray = perturbation.target_BG  # pyright: ignore[reportAttributeAccessIssue]
            return np.repeat(target_BG.sum(axis=1, keepdims=True), control_BG.shape[1], axis=1)

    asking = asking_of(np.zeros((4, 8), dtype=np.float32), "interventional", dose_sd=2.0, rng=np.random.default_rng(0))
    found, notes = effects(Same(), asking, ("single_gene_inverted", "single_gene"))
    assert not found["single_gene_inverted"].any()
    assert "condition number" in notes[0]


def test_the_cost_of_all_but_one_is_bounded() -> None:
    assert n_controls(5) == 32
    for n_genes in (10, 20, 50):
        assert n_controls(n_genes) == 4 or 2 * n_genes * (n_genes - 1) * n_controls(n_genes) <= 12_000


@given(st.integers(0, 2**32 - 1), st.sampled_from(["direct", "moral"]))
def test_the_short_score_is_the_long_one(seed: int, target: str) -> None:
    score_GG = np.random.default_rng(seed).normal(size=(6, 6)).round(1)
    long = score_graph(score_GG, SMALL.graph, target, threshold=0.1, rng=np.random.default_rng(0), n_permutations=1,
                       n_bootstraps=1)  # fmt: skip
    assert auprc_of(score_GG, target_graph(SMALL.graph, target)) == pytest.approx(long.auprc)


@pytest.mark.parametrize("regime", REGIMES)
def test_every_baseline_is_scored_and_the_classical_estimator_wins(regime: Regime) -> None:
    pairs = concatenate(SimulatedPairs(scm=SMALL.scm, regime=regime, n_pairs=3000).pairs(batch_size=3000, seed=0))
    target = "moral" if regime == "matched" else "direct"
    scores = method_scores(regime, pairs, target_graph(SMALL.graph, target), target, rng=np.random.default_rng(0))
    assert [score.method for score in scores] == list(BASELINES)
    (own,) = [score for score in scores if score.classical]
    assert own.auprc is not None
    assert own.auprc >= max(score.auprc or 0.0 for score in scores) - 1e-9
    assert own.auprc > 0.95


def test_gradients_and_attention_are_read_from_any_preset() -> None:
    pairs = concatenate(SimulatedPairs(scm=SMALL.scm, regime="matched", n_pairs=64).pairs(batch_size=64, seed=0))
    for name in ("default", "seed", "seed_perturbed"):
        model = GenePerturbationTransformer(preset(name, 6))
        scores = scores_from_inside(model, pairs, target_graph(SMALL.graph, "moral"), "moral")
        assert {score.read_out for score in scores} == {"gradient_x_input", "attention"}
        assert all(score.auprc is not None and 0 < score.auprc <= 1 for score in scores)


def test_what_cannot_be_had_says_why() -> None:
    pairs = concatenate(SimulatedPairs(scm=SMALL.scm, regime="interventional", n_pairs=3).pairs(batch_size=3, seed=0))
    true_GG = target_graph(SMALL.graph, "direct")
    (own,) = [
        score
        for score in method_scores("interventional", pairs, true_GG, "direct", rng=np.random.default_rng(0))
        if score.classical
    ]
    assert own.auprc is None
    assert "never perturbed" in own.note
    model = GenePerturbationTransformer(preset("default", 6))
    gradient, attention = scores_from_inside(model, pairs.rows(slice(0, 1)), true_GG, "direct")
    assert gradient.auprc is None
    assert gradient.note
    assert attention.auprc is not None


def test_what_takes_longer_than_the_training_is_left_out_unless_asked_for() -> None:
    n_genes = MOST_GENES["genie3"] + 1
    pairs = pairs_of(world(f"chain/{n_genes}", seed=0), "interventional")
    true_GG = np.triu(np.ones((n_genes, n_genes), dtype=np.bool_), 1)
    for thorough in (False, True):
        scores = method_scores(
            "interventional", pairs, true_GG, "direct", rng=np.random.default_rng(0), thorough=thorough
        )
        (forest,) = [score for score in scores if score.method == "genie3"]
        assert (forest.auprc is not None) == thorough
        assert ("--thorough" in forest.note) != thorough
