import numpy as np
import pytest

from diagnostics.graphs.asking import asking_of, effects
from diagnostics.graphs.readouts import all_but_one
from gpcp.core.predictors import Perturbation
from simulators.exact.bayes import BayesPredictor
from simulators.worlds import world
from tests.diagnostics.graphs.test_readouts import AffinePredictor


def cells(n_cells: int, n_genes: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n_cells, n_genes)).astype(np.float32)


@pytest.mark.parametrize(
    ("n_cells", "n_genes", "n_differences", "n_slopes"),
    [(100, 10, 32, 32), (100, 50, 4, 32), (100, 100, 4, 32), (100, 200, 4, 16), (100, 1000, 4, 4), (3, 20, 3, 3)],
)
def test_slopes_are_taken_in_more_cells_than_differences(
    n_cells: int, n_genes: int, n_differences: int, n_slopes: int
) -> None:
    asking = asking_of(cells(n_cells, n_genes), "interventional", dose_sd=2.0, rng=np.random.default_rng(0))
    assert (asking.n_controls, asking.n_slopes) == (n_differences, n_slopes)
    assert asking.perturbed_BG is not None
    assert asking.perturbed_BG.shape == asking.control_BG.shape == (n_slopes, n_genes)


def test_differences_are_of_the_first_cells_alone() -> None:
    predictor, control_BG = AffinePredictor(np.eye(5)), cells(7, 5)
    value_BG = control_BG[::-1].copy()
    few_GG = all_but_one(predictor, control_BG, step=1.0, perturbed_BG=value_BG, n_differences=2)
    asked_BG = np.concatenate([control for control, _, _ in predictor.asked])
    assert {tuple(row) for row in asked_BG.tolist()} == {tuple(row) for row in control_BG[:2].tolist()}
    np.testing.assert_array_equal(
        few_GG, all_but_one(predictor, control_BG[:2], step=1.0, perturbed_BG=value_BG[:2], n_differences=None)
    )


def test_a_predictor_with_slopes_is_asked_for_those_of_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    made = world("chain/60", seed=0)
    predictor, n_rows = BayesPredictor(made.scm, "interventional"), [0]
    slopes = BayesPredictor.slopes

    def counted(
        self: BayesPredictor, control_BG: np.ndarray, perturbation: Perturbation, gene_B: np.ndarray
    ) -> np.ndarray | None:
        n_rows[0] += len(control_BG)
        return slopes(self, control_BG, perturbation, gene_B)

    monkeypatch.setattr(BayesPredictor, "slopes", counted)
    asking = asking_of(cells(40, 60), "interventional", dose_sd=2.0, rng=np.random.default_rng(0))
    found_GG = effects(predictor, asking, ["all_but_one"])[0]["all_but_one"]
    assert n_rows[0] == 60 * 32
    np.testing.assert_allclose(found_GG, made.scm.effective_weight_GG, atol=1e-6)
