"""Graph baselines: shapes and refusals of all, and that the classical estimator is exact or consistent."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnostics.graphs.estimators import BASELINES, UNSIGNED, Estimate, classical, estimate, pooled_cells
from diagnostics.graphs.scores import entries, score_graph
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, concatenate
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world


def sample(
    of: World, regime: Regime, n_pairs: int, *, n_perturbed: tuple[int, int] | None = None, seed: int = 1
) -> PairBatch:
    source = SimulatedPairs(
        scm=of.scm, regime=regime, n_pairs=n_pairs, n_perturbed=n_perturbed or (1, of.graph.n_genes - 1)
    )
    return concatenate(source.pairs(batch_size=n_pairs, seed=seed))


def auprc(estimated: Estimate, of: World, target: str) -> float:
    assert estimated.score_GG is not None
    rng = np.random.default_rng(0)
    score = score_graph(estimated.score_GG, of.graph, target, threshold=0.1, rng=rng, n_permutations=1, n_bootstraps=1)
    return score.auprc


def stat(regime: Regime, pairs: PairBatch) -> NDArray[np.float64]:
    return classical(regime, pairs, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "regime"),
    [
        # Forests are slow in every regime alike.
        pytest.param(name, regime, marks=[pytest.mark.slow] * (name == "genie3" and regime != REGIMES[0]))
        for name in BASELINES
        for regime in REGIMES
    ],
)
def test_every_baseline_beats_chance_on_the_skeleton(name: str, regime: Regime) -> None:
    of = world("erdos_renyi/8", seed=1)
    pairs = sample(of, regime, 800)
    before = pairs.after_BG.copy()
    estimated = estimate(name, regime, pairs, rng=np.random.default_rng(0))
    assert estimated.score_GG is not None, estimated.summary
    assert estimated.score_GG.shape == (8, 8)
    np.testing.assert_array_equal(np.diag(estimated.score_GG), 0)
    assert auprc(estimated, of, "skeleton") > of.graph.skeleton_GG().mean() + 0.2
    assert estimated.signed == (name not in UNSIGNED)
    if not estimated.signed:
        assert (estimated.score_GG >= 0).all()
    again = estimate(name, regime, pairs, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(again.score_GG, estimated.score_GG)
    np.testing.assert_array_equal(pairs.after_BG, before)


@pytest.mark.parametrize("n_perturbed", [(1, 1), (1, 9), (9, 9)])
@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
def test_counterfactual_pairs_give_the_weights_exactly(n_perturbed: tuple[int, int], noise: str) -> None:
    of = world(f"scale_free/10/{noise}", seed=2)
    weight_GG = stat("counterfactual", sample(of, "counterfactual", 400, n_perturbed=n_perturbed))
    # Cells are float32: relative errors of 6e-8, magnified by the condition of forty rows a coefficient.
    np.testing.assert_allclose(weight_GG, of.scm.effective_weight_GG, atol=1e-4)


@pytest.mark.parametrize("n_perturbed", [(1, 1), (1, 9), (9, 9)])
@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
def test_interventional_pairs_give_the_weights_at_the_root_n_rate(n_perturbed: tuple[int, int], noise: str) -> None:
    of = world(f"scale_free/10/{noise}", seed=2)
    errors = [
        np.sqrt(np.mean((stat("interventional", sample(of, "interventional", n, n_perturbed=n_perturbed)) - W_GG) ** 2))
        for W_GG in [of.scm.effective_weight_GG]
        for n in (2_000, 32_000)
    ]
    # Sixteen times the pairs, a quarter of the error; each is a mean of 90 entries, so known to about 15 %.
    assert errors[1] / errors[0] == pytest.approx(0.25, abs=0.12)
    # One coefficient's standard error is about sd(noise) / (dose sd * root of the pairs that tell i and not j).
    n_perturbing = 32_000 * (0.1 if n_perturbed == (1, 1) else 0.2 if n_perturbed == (1, 9) else 0.1)
    assert errors[1] < 3 / (2 * np.sqrt(n_perturbing))


def test_least_squares_on_the_same_pairs_is_not_consistent() -> None:
    """Why instruments are needed: children that are not told carry the noise of the gene that is regressed."""
    of = world("scale_free/10", seed=2)
    pairs = sample(of, "interventional", 32_000)
    weight_GG = np.zeros((10, 10))
    for j in range(10):
        others, rows_B = np.arange(10) != j, ~pairs.perturbed_BG[:, j]
        x_BF = pairs.after_BG[rows_B][:, others].astype(np.float64)
        weight_GG[others, j] = np.linalg.lstsq(x_BF, pairs.after_BG[rows_B, j].astype(np.float64), rcond=None)[0]
    truth_GG = of.scm.effective_weight_GG
    instrumented = np.abs(stat("interventional", pairs) - truth_GG).max()
    assert np.abs(weight_GG - truth_GG).max() > 4 * instrumented


def test_one_gene_perturbed_at_a_time_gives_the_inverse_of_the_total_effects() -> None:
    of = world("erdos_renyi/6", seed=3)
    pairs = sample(of, "interventional", 3_000, n_perturbed=(1, 1))
    total_GG = np.eye(6)
    for i in range(6):
        rows_B = pairs.perturbed_BG[:, i]
        dose_B, after_BG = pairs.after_BG[rows_B, i].astype(np.float64), pairs.after_BG[rows_B].astype(np.float64)
        total_GG[i] = dose_B @ after_BG / (dose_B @ dose_B)
    inverted_GG = np.eye(6) - np.linalg.inv(total_GG)
    # Both are root-n estimates of one thing from the same pairs; they differ by how they centre.
    np.testing.assert_allclose(
        entries(stat("interventional", pairs), symmetric=False), entries(inverted_GG, symmetric=False), atol=0.1
    )


def test_the_right_regime_matters() -> None:
    of = world("scale_free/10", seed=4)
    pairs = sample(of, "interventional", 4_000)
    right, wrong = (
        estimate("classical", r, pairs, rng=np.random.default_rng(0)) for r in ("interventional", "matched")
    )
    assert auprc(right, of, "direct") > 0.98 > auprc(wrong, of, "direct") + 0.2


def test_partial_correlation_shrinks_where_cells_are_few() -> None:
    of = world("erdos_renyi/20", seed=5)
    pairs = sample(of, "matched", 15)
    score_GG = stat("matched", pairs)
    assert np.isfinite(score_GG).all()
    assert np.abs(score_GG).max() < 1
    np.testing.assert_allclose(score_GG, score_GG.T, atol=1e-12)


def test_pooled_cells_are_standardised_and_unmeasured_values_say_nothing() -> None:
    of = world("erdos_renyi/5", seed=6)
    pairs = sample(of, "matched", 100)
    measured_BG = np.random.default_rng(0).random((100, 5)) < 0.7
    measured_BG[:, 4] = False
    hidden = replace(
        pairs,
        measured_BG=measured_BG,
        perturbed_BG=np.zeros((100, 5), dtype=np.bool_),
        before_BG=np.where(measured_BG, pairs.before_BG + 7, 0).astype(np.float32),
        after_BG=np.where(measured_BG, pairs.after_BG + 7, 0).astype(np.float32),
    )
    cell_NG = pooled_cells(hidden)
    measured_NG = np.concatenate((measured_BG, measured_BG))
    np.testing.assert_array_equal(cell_NG[~measured_NG], 0)
    for gene in range(4):
        seen_N = cell_NG[measured_NG[:, gene], gene]
        assert (seen_N.mean(), seen_N.std()) == pytest.approx((0, 1), abs=1e-6)
    for name in ("correlation", "partial_correlation", "ridge"):
        estimated = estimate(name, "matched", hidden, rng=np.random.default_rng(0))
        assert estimated.score_GG is not None
        assert np.isfinite(estimated.score_GG).all()


def test_what_does_not_apply_says_so() -> None:
    of = world("erdos_renyi/5", seed=7)
    pairs = sample(of, "interventional", 40)
    hidden = replace(
        pairs,
        measured_BG=(measured_BG := np.where(np.arange(5) == 2, False, np.ones((40, 5), dtype=np.bool_))),
        perturbed_BG=pairs.perturbed_BG & measured_BG,
        before_BG=pairs.before_BG * measured_BG,
        after_BG=pairs.after_BG * measured_BG,
    )
    few = replace(pairs, perturbed_BG=pairs.perturbed_BG & (np.arange(5) != 3))
    for bad, summary in ((hidden, "ENSSIMG00000000002 is unmeasured"), (few, "ENSSIMG00000000003 is never perturbed")):
        estimated = estimate("classical", "interventional", bad, rng=np.random.default_rng(0))
        assert estimated.score_GG is None
        assert summary in estimated.summary


def test_a_solver_that_fails_is_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise FloatingPointError("Non SPD result\nand more")

    monkeypatch.setattr("sklearn.covariance.graphical_lasso", fails)
    pairs = sample(world("erdos_renyi/4", seed=8), "matched", 20)
    estimated = estimate("graphical_lasso", "matched", pairs, rng=np.random.default_rng(0))
    assert (estimated.score_GG, estimated.summary) == (None, "the solver failed: Non SPD result")


@pytest.mark.parametrize(
    ("name", "regime", "rows", "summary"),
    [
        ("partial_corelation", "matched", 5, "nearest: partial_correlation"),
        ("ridge", "mached", 5, "nearest: matched"),
        ("ridge", "matched", 1, "at least 2 pairs"),
    ],
)
def test_bad_requests_are_refused(name: str, regime: str, rows: int, summary: str) -> None:
    pairs = sample(world("chain/3", seed=0), "matched", 5).rows(slice(0, rows))
    with pytest.raises(InputError, match=summary):
        estimate(name, regime, pairs, rng=np.random.default_rng(0))
