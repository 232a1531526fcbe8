"""Predictions that ignore the input, and ridge."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diagnostics.scoring.baselines import (
    MeanDeltaPredictor,
    MeanPredictor,
    NoChangePredictor,
    RidgePredictor,
)
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.levels import levels_of
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor, control_of, perturbation_of
from simulators.graphs.families import simulated_vocab
from tests.strategies import pair_batches


def squared_loss(predictor: Predictor, pairs: PairBatch) -> float:
    return losses_of(predictor, pairs).loss


def drawn(n_pairs: int, n_genes: int, seed: int, *, p_measured: float = 1.0) -> PairBatch:
    """Pairs of noise around 2, told values that move every other gene, and genes unmeasured here and there."""
    rng = np.random.default_rng(seed)
    measured_BG = rng.random((n_pairs, n_genes)) < p_measured
    perturbed_BG = measured_BG & (rng.random((n_pairs, n_genes)) < 0.4)
    before_BG = rng.normal(2, 1, (n_pairs, n_genes))
    target_BG = np.where(perturbed_BG, rng.normal(0, 2, (n_pairs, n_genes)), 0)
    effect_GG = np.random.default_rng([seed, 1]).normal(size=(n_genes, n_genes))
    after_BG = np.where(perturbed_BG, target_BG, 2 + target_BG @ effect_GG + 0.5 * rng.normal(size=(n_pairs, n_genes)))
    return PairBatch(
        vocab=simulated_vocab(n_genes),
        before_BG=np.where(measured_BG, before_BG, 0).astype(np.float32),
        after_BG=np.where(measured_BG, after_BG, 0).astype(np.float32),
        measured_BG=measured_BG,
        perturbed_BG=perturbed_BG,
        before_id_B=np.arange(n_pairs),
        after_id_B=np.arange(n_pairs, 2 * n_pairs),
    )


def fitted(pairs: PairBatch) -> list[Predictor]:
    return [
        NoChangePredictor(vocab=pairs.vocab),
        MeanPredictor.fit(pairs),
        MeanDeltaPredictor.fit(pairs),
        RidgePredictor.fit(pairs),
    ]


@given(pair_batches(min_pairs=1))
def test_means_have_the_least_loss_of_their_kind(pairs: PairBatch) -> None:
    assume(pairs.scored_BG.any())
    for best, other in (
        (MeanPredictor.fit(pairs), lambda by_G: MeanPredictor(vocab=pairs.vocab, mean_G=by_G)),
        (MeanDeltaPredictor.fit(pairs), lambda by_G: MeanDeltaPredictor(vocab=pairs.vocab, delta_G=by_G)),
    ):
        fitted_G = best.mean_G if isinstance(best, MeanPredictor) else best.delta_G
        least = squared_loss(best, pairs)
        for by in (-1.0, 1.0):
            # Values reach 1e4, so their squares carry float32 errors of about 1e8 * 1e-7.
            assert least <= squared_loss(other(fitted_G + by), pairs) + 20


def test_losses_by_hand() -> None:
    pairs = PairBatch(
        vocab=simulated_vocab(2),
        before_BG=np.array([[1, 5], [2, 0], [4, 1]], dtype=np.float32),
        after_BG=np.array([[3, 9], [5, 0], [4, 7]], dtype=np.float32),
        measured_BG=np.array([[1, 1], [1, 0], [1, 1]], dtype=np.bool_),
        perturbed_BG=np.array([[0, 1], [0, 0], [1, 0]], dtype=np.bool_),
        before_id_B=np.arange(3),
        after_id_B=np.arange(3, 6),
    )
    # Scored: 1 -> 3 and 2 -> 5 of the first gene, 1 -> 7 of the second.
    assert squared_loss(NoChangePredictor(vocab=pairs.vocab), pairs) == pytest.approx((4 + 9 + 36) / 3)
    np.testing.assert_allclose(MeanPredictor.fit(pairs).mean_G, [4, 7])
    assert squared_loss(MeanPredictor.fit(pairs), pairs) == pytest.approx(2 / 3)
    np.testing.assert_allclose(MeanDeltaPredictor.fit(pairs).delta_G, [2.5, 6])
    assert squared_loss(MeanDeltaPredictor.fit(pairs), pairs) == pytest.approx(0.5 / 3)
    levels = levels_of(pairs, pairs, ridge_on=None)
    assert (levels.baseline_name, levels.baseline) == ("mean delta", pytest.approx(0.5 / 3))


@given(st.integers(20, 60), st.integers(2, 6), st.integers(0, 99), st.sampled_from([1.0, 0.8]))
def test_ridge_is_never_worse_than_the_mean_on_its_own_pairs(n: int, n_genes: int, seed: int, p: float) -> None:
    pairs = drawn(n, n_genes, seed, p_measured=p)
    ridge_loss = squared_loss(RidgePredictor.fit(pairs), pairs)
    assert ridge_loss <= squared_loss(MeanPredictor.fit(pairs), pairs) * (1 + 1e-6)


def test_ridge_learns_what_is_linear_in_what_is_perturbed() -> None:
    training, held_out = drawn(4000, 5, 7).rows(slice(0, 3000)), drawn(4000, 5, 7).rows(slice(3000, 4000))
    loss = squared_loss(RidgePredictor.fit(training), held_out)
    # The noise that was put in has variance .25; five standard errors of a mean of 3,000 squares: .25 * 5 * .026.
    assert loss == pytest.approx(0.25, abs=0.035)
    assert levels_of(training, held_out, ridge_on=None).baseline > 1


def test_ridge_learns_the_change_of_a_cell_that_stays_what_it_was() -> None:
    """Counterfactual pairs in small: after is before plus an effect of ``told - before``, which ridge can hold."""
    pairs = drawn(2000, 4, 8)
    delta_BG = np.where(pairs.perturbed_BG, pairs.after_BG - pairs.before_BG, 0)
    effect_GG = np.triu(np.ones((4, 4)), 1)
    after_BG = np.where(pairs.perturbed_BG, pairs.after_BG, pairs.before_BG + delta_BG @ effect_GG)
    changed = PairBatch(
        vocab=pairs.vocab,
        before_BG=pairs.before_BG,
        after_BG=after_BG.astype(np.float32),
        measured_BG=pairs.measured_BG,
        perturbed_BG=pairs.perturbed_BG,
        before_id_B=pairs.before_id_B,
        after_id_B=pairs.after_id_B,
    )
    assert squared_loss(RidgePredictor.fit(changed.rows(slice(0, 1500))), changed.rows(slice(1500, 2000))) < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_every_baseline_is_a_predictor_and_stays_finite_where_genes_are_unmeasured(seed: int) -> None:
    pairs = drawn(50, 4, seed, p_measured=0.7)
    control_BG, perturbation = control_of(pairs), perturbation_of(pairs)
    assert np.isnan(control_BG).any()
    for predictor in fitted(pairs):
        predicted_BG = predictor.predict(control_BG, perturbation)
        assert predicted_BG.dtype == np.float32
        assert predicted_BG.shape == control_BG.shape
        assert np.isfinite(predicted_BG).all()
        assert isinstance(predictor, Predictor)


def test_a_gene_that_no_pair_scores_is_named() -> None:
    pairs = drawn(30, 3, 0)
    target_BG = pairs.perturbed_BG.copy()
    target_BG[:, 1] = True
    silent = PairBatch(
        vocab=pairs.vocab,
        before_BG=pairs.before_BG,
        after_BG=pairs.after_BG,
        measured_BG=pairs.measured_BG,
        perturbed_BG=target_BG,
        before_id_B=pairs.before_id_B,
        after_id_B=pairs.after_id_B,
    )
    with pytest.raises(InputError, match="no pair scores gene ENSSIMG00000000001"):
        RidgePredictor.fit(silent)
    # The others' means still exist; the silent gene is never scored, so its own does not matter.
    assert np.isfinite(squared_loss(MeanPredictor.fit(silent), silent))
