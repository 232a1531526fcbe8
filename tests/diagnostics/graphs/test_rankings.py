"""Ranking scores against brute force over the orders of ties, and against scikit-learn where nothing ties."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from diagnostics.graphs import rankings
from gpcp.core.errors import InputError

Ranking = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def ranked(draw: st.DrawFn, *, max_size: int = 40, n_levels: int = 1000, unique: bool = False) -> Ranking:
    """Scores and labels with at least one true entry; few levels make ties."""
    level = st.integers(0, n_levels - 1)
    score = draw(st.lists(level, min_size=2, max_size=max_size, unique=unique))
    true = draw(st.lists(st.booleans(), min_size=len(score), max_size=len(score)).filter(any))
    return np.array(score, dtype=np.float64), np.array(true)


def curve_over_orders(score_E: NDArray[np.float64], true_E: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean number of true entries after 1 .. E entries, over every order that the score allows."""
    curves = [
        np.cumsum(true_E[list(order)])
        for order in permutations(range(len(score_E)))
        if (np.diff(score_E[list(order)]) <= 0).all()
    ]
    return np.mean(curves, axis=0)


@given(ranked(max_size=6, n_levels=3))
def test_ties_are_taken_in_expectation_over_every_order(case: Ranking) -> None:
    score_E, true_E = case
    found_E = curve_over_orders(score_E, true_E)
    n_true = true_E.sum()
    rank_E = np.arange(1, len(score_E) + 1)
    expected = (np.diff(found_E, prepend=0) / n_true) @ (found_E / rank_E)
    assert rankings.average_precision(score_E, true_E) == pytest.approx(expected, abs=1e-12)
    recall_E, precision_E = rankings.precision_recall(score_E, true_E)
    np.testing.assert_allclose(recall_E, found_E / n_true, atol=1e-12)
    np.testing.assert_allclose(precision_E, found_E / rank_E, atol=1e-12)
    assert rankings.early_precision(score_E, true_E) == pytest.approx(found_E[n_true - 1] / n_true, abs=1e-12)


@given(ranked(unique=True))
def test_without_ties_average_precision_is_sklearns(case: Ranking) -> None:
    score_E, true_E = case
    assert rankings.average_precision(score_E, true_E) == pytest.approx(
        average_precision_score(true_E, score_E), abs=1e-12
    )


@given(ranked(n_levels=5))
def test_auroc_is_sklearns_with_ties_too(case: Ranking) -> None:
    score_E, true_E = case
    if true_E.all():
        assert rankings.auroc(score_E, true_E) is None
    else:
        assert rankings.auroc(score_E, true_E) == pytest.approx(roc_auc_score(true_E, score_E), abs=1e-12)


@given(ranked(), st.floats(-10, 10))
def test_a_constant_score_gets_the_density_exactly(case: Ranking, constant: float) -> None:
    true_E = case[1]
    score_E = np.full(len(true_E), constant)
    assert rankings.average_precision(score_E, true_E) == pytest.approx(true_E.mean(), rel=1e-15)
    assert rankings.early_precision(score_E, true_E) == pytest.approx(true_E.mean(), rel=1e-12)


@given(ranked(n_levels=6), st.integers(0, 9))
def test_only_the_order_of_scores_matters(case: Ranking, seed: int) -> None:
    score_E, true_E = case
    shuffle_E = np.random.default_rng(seed).permutation(len(score_E))
    for score in (rankings.average_precision, rankings.auroc, rankings.early_precision):
        once = score(score_E, true_E)
        assert score(np.exp(score_E / 100) - 7, true_E) == pytest.approx(once, abs=1e-12)
        assert score(score_E[shuffle_E], true_E[shuffle_E]) == pytest.approx(once, abs=1e-12)


def test_a_perfect_ranking_scores_one_and_its_bootstrap_too() -> None:
    true_E = np.array([True, False, True, False, False])
    score_E = true_E.astype(np.float64)
    assert rankings.average_precision(score_E, true_E) == 1.0
    assert rankings.early_precision(score_E, true_E) == 1.0
    boot_R = rankings.bootstrap_average_precision(score_E, true_E, n_bootstraps=50, rng=np.random.default_rng(0))
    np.testing.assert_allclose(boot_R, 1.0, rtol=1e-14)


@pytest.mark.parametrize("n_levels", [4, 1000])
def test_the_null_has_the_mean_over_all_labellings(n_levels: int) -> None:
    rng = np.random.default_rng(1)
    score_E = rng.integers(n_levels, size=6).astype(np.float64)
    true_E = np.array([True, True, False, False, False, False])
    exact = [rankings.average_precision(score_E, np.array(labels)) for labels in permutations(true_E)]
    null_R = rankings.null_average_precision(score_E, true_E, n_permutations=20_000, rng=rng)
    # Four standard errors of a mean of 20,000 draws.
    assert null_R.mean() == pytest.approx(np.mean(exact), abs=4 * np.std(exact) / np.sqrt(20_000))
    assert set(np.round(null_R, 9)) == set(np.round(exact, 9))


def test_resamplings_in_chunks_are_as_many_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    score_E, true_E = np.arange(10.0), np.arange(10) > 6
    monkeypatch.setattr(rankings, "_CHUNK", 35)
    for n in (1, 3, 10):
        rng = np.random.default_rng(0)
        assert rankings.null_average_precision(score_E, true_E, n_permutations=n, rng=rng).shape == (n,)
        assert rankings.bootstrap_average_precision(score_E, true_E, n_bootstraps=n, rng=rng).shape == (n,)


def test_bootstrap_spreads_like_new_entries_do() -> None:
    """Its standard deviation is that of average precision over fresh samples of the same two score laws."""
    rng = np.random.default_rng(2)
    true_E = np.arange(600) < 120

    def fresh() -> NDArray[np.float64]:
        return rng.normal(size=600) + 1.2 * true_E

    spread = np.std([rankings.average_precision(fresh(), true_E) for _ in range(400)])
    boots = [
        np.std(rankings.bootstrap_average_precision(fresh(), true_E, n_bootstraps=200, rng=rng)) for _ in range(10)
    ]
    # The spread itself is known to 1 / sqrt(800) = 3.5 %, the mean of ten bootstraps to about as much.
    assert np.mean(boots) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize(
    ("score_E", "true_E", "summary"),
    [
        ([1.0, np.nan], [True, False], r"score_E\[1\] is not finite"),
        ([1.0, 2.0], [False, False], "no true entry"),
        ([1.0, 2.0, 3.0], [True, False], "must be equal"),
    ],
)
def test_what_cannot_be_ranked_is_refused(score_E: list[float], true_E: list[bool], summary: str) -> None:
    with pytest.raises(InputError, match=summary):
        rankings.average_precision(np.array(score_E), np.array(true_E))
