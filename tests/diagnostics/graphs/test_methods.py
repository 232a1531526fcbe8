"""Scores of methods without a transformer, by the conventions of the main score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.graphs.estimators import BASELINES
from diagnostics.graphs.methods import auprc_of, method_scores, scores_from_inside
from diagnostics.graphs.scores import score_graph, target_graph
from gpcp.core.pairs import concatenate
from gpcp.model.config import preset
from gpcp.model.transformer import GenePerturbationTransformer
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import world

MADE = world("scale_free/6", seed=3)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["direct", "moral"]))
def test_the_short_score_is_the_long_one(seed: int, target: str) -> None:
    score_GG = np.random.default_rng(seed).normal(size=(6, 6)).round(1)
    long = score_graph(score_GG, MADE.graph, target, threshold=0.1, rng=np.random.default_rng(0), n_permutations=1,
                       n_bootstraps=1)  # fmt: skip
    assert auprc_of(score_GG, target_graph(MADE.graph, target)) == pytest.approx(long.auprc)


@pytest.mark.parametrize("regime", REGIMES)
def test_every_baseline_is_scored_and_the_statistician_wins(regime: Regime) -> None:
    pairs = concatenate(SimulatedPairs(scm=MADE.scm, regime=regime, n_pairs=3000).pairs(batch_size=3000, seed=0))
    target = "moral" if regime == "matched" else "direct"
    scores = method_scores(regime, pairs, target_graph(MADE.graph, target), target, rng=np.random.default_rng(0))
    assert [score.method for score in scores] == list(BASELINES)
    (own,) = [score for score in scores if score.classical]
    assert own.auprc is not None
    assert own.auprc >= max(score.auprc or 0.0 for score in scores) - 1e-9
    assert own.auprc > 0.95


def test_gradients_and_attention_are_read_from_any_preset() -> None:
    pairs = concatenate(SimulatedPairs(scm=MADE.scm, regime="matched", n_pairs=64).pairs(batch_size=64, seed=0))
    for name in ("default", "seed", "seed_perturbed"):
        model = GenePerturbationTransformer(preset(name, 6))
        scores = scores_from_inside(model, pairs, target_graph(MADE.graph, "moral"), "moral")
        assert {score.read_out for score in scores} == {"gradient_x_input", "attention"}
        assert all(score.auprc is not None and 0 < score.auprc <= 1 for score in scores)


def test_what_cannot_be_had_says_why() -> None:
    pairs = concatenate(SimulatedPairs(scm=MADE.scm, regime="interventional", n_pairs=3).pairs(batch_size=3, seed=0))
    true_GG = target_graph(MADE.graph, "direct")
    (own,) = [
        score
        for score in method_scores("interventional", pairs, true_GG, "direct", rng=np.random.default_rng(0))
        if score.classical
    ]
    assert own.auprc is None
    assert "never told" in own.note
    model = GenePerturbationTransformer(preset("default", 6))
    gradient, attention = scores_from_inside(model, pairs.rows(slice(0, 1)), true_GG, "direct")
    assert gradient.auprc is None
    assert gradient.note
    assert attention.auprc is not None
