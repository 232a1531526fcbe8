"""Losses over scored entries alone, and standard errors that are what a repetition would show."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from diagnostics.scoring.errors import Errors, errors_of, losses_of
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Perturbation

VOCAB = GeneVocab(feature_id=("ENSG00000000001", "ENSG00000000002", "ENSG00000000003"))


def some_pairs(n: int, rng: np.random.Generator) -> PairBatch:
    measured_BG = rng.random((n, 3)) < 0.8
    measured_BG[0] = True
    perturbed_BG = measured_BG & (rng.random((n, 3)) < 0.4)
    perturbed_BG[0, 0] = False
    return PairBatch(
        vocab=VOCAB,
        before_BG=np.where(measured_BG, rng.normal(size=(n, 3)), 0).astype(np.float32),
        after_BG=np.where(measured_BG, rng.normal(size=(n, 3)), 0).astype(np.float32),
        measured_BG=measured_BG,
        perturbed_BG=perturbed_BG,
        before_id_B=np.arange(n),
        after_id_B=np.arange(n) + n,
    )


class Constant:
    """Predicts one number everywhere."""

    vocab = VOCAB

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        return np.full(control_BG.shape, self.value, dtype=np.float32)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_the_loss_is_the_mean_over_scored_entries(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = some_pairs(n, rng)
    predicted_BG = rng.normal(size=(n, 3))
    expected = np.mean((predicted_BG - pairs.after_BG)[pairs.scored_BG] ** 2)
    assert errors_of(predicted_BG, pairs).loss == pytest.approx(float(expected))


@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_what_stands_at_unscored_entries_does_not_matter(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = some_pairs(n, rng)
    predicted_BG = rng.normal(size=(n, 3))
    spoilt_BG = np.where(pairs.scored_BG, predicted_BG, np.nan)
    assert errors_of(spoilt_BG, pairs).loss == errors_of(predicted_BG, pairs).loss


def test_batches_do_not_matter() -> None:
    pairs = some_pairs(25, np.random.default_rng(0))
    whole = losses_of(Constant(0.3), pairs)
    assert losses_of(Constant(0.3), pairs, batch_size=7).loss == pytest.approx(whole.loss, rel=1e-12)


def test_the_standard_error_is_the_spread_of_repetitions() -> None:
    rng = np.random.default_rng(1)
    found = [losses_of(Constant(0.0), some_pairs(200, rng)) for _ in range(400)]
    spread = np.std([errors.loss for errors in found])
    # The SD of 400 repetitions is known to 1 / sqrt(800) = 3.5 %: 15 % is four of those.
    assert np.mean([errors.standard_error for errors in found]) == pytest.approx(spread, rel=0.15)


def test_below_is_signed_paired_and_zero_for_equals() -> None:
    pairs = some_pairs(500, np.random.default_rng(2))
    better, worse = losses_of(Constant(0.0), pairs), losses_of(Constant(1.0), pairs)
    assert better.below(worse) > 10
    assert worse.below(better) == -better.below(worse)
    assert better.below(better) == 0


def test_two_equal_predictors_differ_by_about_one_standard_error() -> None:
    rng = np.random.default_rng(3)
    z = []
    for _ in range(400):
        n_B = rng.integers(1, 5, size=300)
        first, second = (Errors(sum_B=rng.chisquare(n_B), n_B=n_B) for _ in range(2))
        z.append(first.below(second))
    # SD of 400 standard normals: 1 within 4 / sqrt(800) = .14.
    assert np.std(z) == pytest.approx(1.0, abs=0.14)


def test_bad_predictions_are_refused() -> None:
    pairs = some_pairs(5, np.random.default_rng(4))
    with pytest.raises(InputError, match="shape"):
        errors_of(np.zeros((5, 2)), pairs)
    with pytest.raises(InputError, match="ENSG00000000001 in pair 0 is not finite"):
        errors_of(np.full((5, 3), np.nan), pairs)
