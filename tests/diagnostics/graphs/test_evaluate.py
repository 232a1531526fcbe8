"""The read-out that speaks is chosen by ceiling and by what training showed, never by how the model did."""

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.graphs.evaluate import (
    CANDIDATES,
    TARGET_OF,
    ReadOut,
    asking_of,
    effects,
    n_controls,
    primary,
    read_outs_of,
    response_ratio,
    supported,
    threshold_of,
)
from gpcp.core.pairs import PairBatch, concatenate
from simulators.exact.bayes import BayesPredictor
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world

MADE = world("scale_free/8", seed=0)


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
def test_the_exact_law_reaches_its_own_ceiling_and_the_speaking_one_is_perfect(regime: Regime) -> None:
    read_outs = exact_read_outs(regime, (1, 7))
    assert [read_out.read_out for read_out in read_outs] == list(CANDIDATES[TARGET_OF[regime]])
    for read_out in read_outs:
        assert read_out.score.auprc == read_out.ceiling.auprc
    assert primary(read_outs).score.auprc == 1
    assert primary(read_outs).score.sign_agreement == 1
    assert response_ratio(read_outs) == pytest.approx(1)


def test_with_one_gene_perturbed_only_single_gene_read_outs_are_supported() -> None:
    assert primary(exact_read_outs("interventional", (1, 1))).read_out == "single_gene_inverted"
    assert primary(exact_read_outs("interventional", (6, 7))).read_out == "all_but_one"
    assert primary(exact_read_outs("matched", (1, 1))).read_out == "single_gene"
    assert primary(exact_read_outs("matched", (1, 7))).read_out == "implied_partial"
    assert primary(exact_read_outs("matched", (7, 7))).read_out == "all_but_one_partial"


@pytest.mark.parametrize("n_perturbed", [(1, 1), (1, 7), (3, 5), (7, 7)])
def test_support_is_about_the_numbers_perturbed(n_perturbed: tuple[int, int]) -> None:
    assert supported("single_gene", n_perturbed, 8) == (n_perturbed[0] == 1)
    assert supported("all_but_one_partial", n_perturbed, 8) == (n_perturbed[1] == 7)


def test_the_model_has_no_say_in_which_read_out_speaks() -> None:
    read_outs = exact_read_outs("counterfactual", (1, 7))
    rigged = [replace(one, score=replace(one.score, auprc=0.0)) for one in read_outs]
    assert primary(rigged).read_out == primary(read_outs).read_out


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
