"""Responses by name: means of the pairs that got each perturbation alone, against the genes below its target."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.graphs.named import (
    auprc_of_responses,
    downstream_of,
    response_scores,
    responses,
    single_perturbations,
)
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import concatenate
from gpcp.core.perturbations import PerturbationVocab
from simulators.graphs.gene_graph import GeneGraph
from tests.gpcp.screens.test_h5ad_screen import read, screen

CHAIN = GeneGraph.of_edges(
    vocab=GeneVocab(feature_id=("a", "b", "c", "d")),
    regulator_E=np.array([0, 1]),
    target_E=np.array([1, 2]),
    weight_E=np.array([1.0, 1.0]),
)


@given(st.integers(0, 99))
def test_a_response_is_the_mean_difference_of_the_pairs_with_one_perturbation(seed: int) -> None:
    pairs = concatenate(read(screen(60)).pairs(batch_size=50, seed=seed))
    assert pairs.applied is not None
    token_P = single_perturbations(pairs)
    assert [pairs.applied.vocab.target[token] for token in token_P] == ["AAA", "BBB", "UNMEASURED"]
    found_PG = responses(pairs, pairs.after_BG, token_P)
    alone = np.array(pairs.applied.labels()) == "UNMEASURED"
    assert found_PG[2] == pytest.approx(pairs.delta_BG[alone].mean(axis=0), abs=1e-5)
    assert found_PG[0, 0] == found_PG[1, 1] == 0


def test_downstream_is_what_a_target_acts_on_and_a_target_itself_is_not_scored() -> None:
    named = PerturbationVocab(target=("a", "b", "hidden", "d"), kind=("knocked out",) * 4, gene=(2, -1, -1, -1))
    token_P, genes = np.arange(4), ("c", "d", "a")
    known = downstream_of([CHAIN], named, token_P, genes)
    assert known is not None
    assert known.true_PG.tolist() == [[True, False, False], [True, False, False], [False] * 3, [False] * 3]
    assert known.scored_PG.tolist() == [[True, True, False], [True] * 3, [False] * 3, [True, False, True]]
    assert downstream_of([CHAIN], named, token_P[2:], genes) is None
    assert downstream_of([], named, token_P, genes) is None


def test_the_true_responses_score_1_and_a_constant_the_base_rate() -> None:
    named = PerturbationVocab(target=("a", "b"), kind=("set", "set"), gene=(0, 1))
    known = downstream_of([CHAIN], named, np.arange(2), CHAIN.vocab.feature_id)
    assert known is not None
    assert auprc_of_responses(-known.true_PG.astype(np.float64), known) == 1
    found = response_scores(np.ones((2, 4)), known, rng=np.random.default_rng(0))
    assert found["auprc"] == pytest.approx(found["base_rate"]) == pytest.approx(3 / 6)
    assert found["n_true"] == 3
