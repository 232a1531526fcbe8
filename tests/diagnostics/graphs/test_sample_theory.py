"""The theory asks for about what the classical estimator needs, and has the variances of its estimates."""

import math

import numpy as np
import pytest

from diagnostics.commands.learning_curve.pairs import drawn
from diagnostics.graphs.estimators import estimate
from diagnostics.graphs.evaluate import TARGET_OF
from diagnostics.graphs.sample_theory import instrument_variance, theory_pairs
from diagnostics.graphs.scores import auprc_of, target_graph
from gpcp.core.pairs import PairBatch, concatenate
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world


def source(made: World, regime: Regime) -> SimulatedPairs:
    return SimulatedPairs(scm=made.scm, regime=regime, n_pairs=2**30)


def auprc(made: World, regime: Regime, pairs: PairBatch) -> float:
    found = estimate("classical", regime, pairs, rng=np.random.default_rng(0))
    # So few pairs that he has no answer show him nothing.
    return 0.0 if found.score_GG is None else auprc_of(found.score_GG, target_graph(made.graph, TARGET_OF[regime]))


def mean_auprc(made: World, regime: Regime, n_pairs: float) -> float:
    """Over five data sets."""
    sets = (drawn(source(made, regime), math.ceil(n_pairs), 10 + number) for number in range(5))
    return float(np.mean([auprc(made, regime, pairs) for pairs in sets]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("regime", REGIMES)
def test_the_classical_estimator_needs_about_what_the_theory_says(regime: Regime, seed: int):
    made = world("scale_free/12", seed=seed)
    n = theory_pairs(made, regime, drawn(source(made, regime), 20_000, 1))
    assert n is not None
    # Leading order: the next terms are of the relative order G / n, a third here, so that twice as many pairs are
    # enough.
    assert mean_auprc(made, regime, 2 * n) >= 0.9
    # A third is fewer than the unknowns use up. Of the moral graph, half of whose entries are edges, the largest of
    # the few others is no hindrance to an AUPRC of .9, and the count is only an upper one.
    if regime != "matched":
        assert mean_auprc(made, regime, n / 3) < 0.9


def test_counterfactual_counts_unknowns():
    made = world("chain/11", seed=0)
    n = theory_pairs(made, "counterfactual", drawn(source(made, "counterfactual"), 20_000, 1))
    # Ten unknowns, a gene untold in half of the pairs: 20, but for which of 20,000 pairs tell the gene told most.
    assert n == pytest.approx(20, rel=0.05)


def test_the_variance_of_the_instruments_is_that_of_their_estimates():
    made = world("scale_free/8", seed=1)
    pairs = source(made, "interventional")
    _, _, sd_G = made.scm.linear_form()
    variance_GG = instrument_variance(sd_G, drawn(pairs, 40_000, 1))
    n = 1000
    few = SimulatedPairs(scm=made.scm, regime="interventional", n_pairs=n)
    sets = (concatenate(few.pairs(batch_size=n, seed=50 + number)) for number in range(300))
    rng = np.random.default_rng(0)
    answers = [estimate("classical", "interventional", one, rng=rng).score_GG for one in sets]
    found = np.stack([answer for answer in answers if answer is not None])
    assert len(found) == 300
    off = ~np.eye(8, dtype=bool)
    ratio = (n * found.var(axis=0))[off] / variance_GG[off]
    # 300 draws know a variance to 8 % and 56 of them together to about 2 %; terms of order 1/n are about 2 % too.
    assert np.mean(ratio) == pytest.approx(1, abs=0.08)
    assert ratio.min() > 0.6
    assert ratio.max() < 1.6


def test_nothing_is_said_of_worlds_that_are_not_linear_or_have_no_edge():
    made = world("scale_free/6/tanh", seed=0)
    assert theory_pairs(made, "interventional", drawn(source(made, "interventional"), 500, 1)) is None
