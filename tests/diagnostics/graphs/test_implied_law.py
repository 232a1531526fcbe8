"""The implied law: exact for exact answers, silent for silent ones, and its slopes those of its loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from diagnostics.graphs.implied_law import _Answers, _loss, implied_partial  # pyright: ignore[reportPrivateUsage]
from diagnostics.graphs.readouts import read_out
from diagnostics.scoring.baselines import MeanPredictor
from gpcp.core.errors import InputError
from simulators.exact.bayes import BayesPredictor
from simulators.exact.laws import law_of
from simulators.graphs.families import simulated_vocab
from simulators.worlds import world


@given(st.integers(2, 6), st.integers(0, 99))
def test_slopes_are_those_of_the_loss(n_genes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    questions: list[_Answers] = []
    for n_asked in range(1, n_genes // 2 + 1):
        asked_BQ = np.sort(rng.permuted(np.tile(np.arange(n_genes), (4, 1)), axis=1)[:, :n_asked], axis=1)
        perturbed_BG = rng.normal(size=(4, n_genes))
        np.put_along_axis(perturbed_BG, asked_BQ, 0.0, axis=1)
        questions.append(_Answers(asked_BQ=asked_BQ, given_BG=perturbed_BG, answer_BQ=rng.normal(size=(4, n_asked))))
    root_GG, mean_G = np.eye(n_genes) + 0.2 * rng.normal(size=(n_genes, n_genes)), rng.normal(size=n_genes)
    step_GG, step_G, h = rng.normal(size=(n_genes, n_genes)), rng.normal(size=n_genes), 1e-6
    _, slope_GG, slope_G = _loss(root_GG, mean_G, questions)
    up, down = (_loss(root_GG + by * step_GG, mean_G + by * step_G, questions)[0] for by in (h, -h))
    expected = (slope_GG * step_GG).sum() + slope_G @ step_G
    assert (up - down) / (2 * h) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["scale_free/12", "erdos_renyi/8/raw", "chain/5", "fork/2"])
def test_exact_answers_imply_the_exact_law(name: str) -> None:
    of = world(name, seed=1)
    precision_GG = np.linalg.inv(law_of(of.scm).cov_GG)
    scale_G = np.sqrt(np.diag(precision_GG))
    partial_GG = -precision_GG / np.outer(scale_G, scale_G)
    np.fill_diagonal(partial_GG, 0)
    # A small sample of cells, off the population's mean and spread: units must not matter.
    control_BG = of.scm.sample(20, np.random.default_rng(0)).astype(np.float32)
    found_GG = implied_partial(BayesPredictor(of.scm, "matched"), control_BG, rng=np.random.default_rng(1))
    # The optimiser stops where a step wins less than 1e-12 of the loss.
    np.testing.assert_allclose(found_GG, partial_GG, atol=1e-3)
    np.testing.assert_allclose(found_GG, found_GG.T, atol=1e-12)


def test_a_predictor_that_answers_the_mean_implies_independent_genes() -> None:
    control_BG = np.random.default_rng(0).normal(3, 2, (50, 6)).astype(np.float32)
    silent = MeanPredictor(vocab=simulated_vocab(6), mean_G=np.full(6, 3.0))
    found_GG = implied_partial(silent, control_BG, rng=np.random.default_rng(1))
    np.testing.assert_allclose(found_GG, 0, atol=1e-4)


def test_the_questions_come_from_the_generator_alone() -> None:
    of = world("erdos_renyi/6/laplace", seed=2)
    control_BG = of.scm.sample(20, np.random.default_rng(0)).astype(np.float32)
    exact = BayesPredictor(world("erdos_renyi/6", seed=2).scm, "matched")

    def once(seed: int) -> NDArray[np.float64]:
        return read_out("implied_partial", exact, control_BG, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(once(3), once(3))
    assert (once(3) != once(4)).any()


@pytest.mark.parametrize(
    ("control_BG", "summary"),
    [
        (np.zeros((3, 2)), r"shape \(3, 2\)"),
        (np.ones((1, 3)), "at least 2 cells"),
        (np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 3.0]]), "ENSSIMG00000000001 is unmeasured in some .*, or constant"),
        (np.array([[0.0, 1.0, np.nan], [1.0, 2.0, 3.0]]), "ENSSIMG00000000002 is unmeasured"),
    ],
)
def test_cells_that_cannot_be_asked_about_are_refused(control_BG: NDArray[np.float64], summary: str) -> None:
    exact = BayesPredictor(world("chain/3", seed=0).scm, "matched")
    with pytest.raises(InputError, match=summary):
        implied_partial(exact, control_BG, rng=np.random.default_rng(0))


def test_answers_that_are_not_finite_are_refused() -> None:
    broken = MeanPredictor(vocab=simulated_vocab(2), mean_G=np.array([0.0, np.nan]))
    with pytest.raises(InputError, match="not finite"):
        implied_partial(broken, np.eye(2), rng=np.random.default_rng(0))
