import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.matched_linear import PairLinearPredictor, TypeLinearPredictor, TypeMeanPredictor
from diagnostics.scoring.matched_linear import given as given_law
from diagnostics.scoring.real_cells import labelled_losses
from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import concatenate
from gpcp.core.predictors import Perturbation, control_of, perturbation_of
from gpcp.pairing.paired import Paired
from simulators.exact.bayes import BayesPredictor, bayes
from simulators.exact.laws import Law, law_of
from simulators.sources import SimulatedPairs
from simulators.worlds import world
from tests.diagnostics.gaussian_cells import HeldCells, batch_of, covariance, gaussian_cells


def vocab_of(n_genes: int) -> GeneVocab:
    return GeneVocab(feature_id=tuple(f"g{i}" for i in range(n_genes)))


@given(st.integers(2, 6), st.integers(0, 10**6))
def test_given_is_what_the_law_says_pair_by_pair(n_genes: int, seed: int):
    rng = np.random.default_rng(seed)
    cov = covariance(n_genes, rng)
    mean, value = rng.normal(size=(4, n_genes)), rng.normal(size=(4, n_genes))
    n_perturbed = rng.random((4, n_genes)) < 0.5
    n_perturbed[0], n_perturbed[1] = False, True
    answer = given_law(cov, mean, n_perturbed, value)
    for pair in range(4):
        expected = np.where(n_perturbed[pair], value[pair], mean[pair])
        if n_perturbed[pair].any() and not n_perturbed[pair].all():
            law = Law(vocab=vocab_of(n_genes), mean_G=mean[pair], cov_GG=cov)
            expected[~n_perturbed[pair]] = law.condition(
                np.flatnonzero(n_perturbed[pair]), value[pair, n_perturbed[pair]]
            ).mean_G
        # Condition numbers of some thousands, in float64.
        np.testing.assert_allclose(answer[pair], expected, rtol=1e-9, atol=1e-9)


def test_with_the_worlds_own_law_it_is_the_bayes_answer_of_the_matched_regime():
    known = world("scale_free/10", seed=3)
    pairs = concatenate(
        list(SimulatedPairs(scm=known.scm, regime="matched", n_pairs=200).pairs(batch_size=200, seed=0))
    )
    predictor = TypeLinearPredictor(vocab=known.scm.graph.vocab, law_of={"only": law_of(known.scm)})
    labels = {"cell_type": np.full(len(pairs), "only")}
    ours = predictor.predict(control_of(pairs), perturbation_of(pairs), labels)
    # Both give float32.
    np.testing.assert_allclose(
        ours,
        BayesPredictor(known.scm, "matched").predict(control_of(pairs), perturbation_of(pairs)),
        rtol=1e-5,
        atol=1e-5,
    )


def test_fitted_to_many_cells_it_reaches_the_bayes_risk():
    known = world("scale_free/8", seed=0)
    value = known.scm.expression(known.scm.draw(6000, np.random.default_rng(0)))
    training = batch_of(value, ["only"] * len(value))
    pairs = concatenate(
        list(SimulatedPairs(scm=known.scm, regime="matched", n_pairs=4000).pairs(batch_size=500, seed=1))
    )
    labels = {"cell_type": np.full(len(pairs), "only")}
    predicted = TypeLinearPredictor.fit(training).predict(control_of(pairs), perturbation_of(pairs), labels)
    loss = float(((predicted - pairs.after_BG) ** 2)[pairs.scored_BG].mean())
    answer = bayes(known.scm, "matched", pairs)
    exact = float(((answer.mean_BG - pairs.after_BG) ** 2)[pairs.scored_BG].mean())
    # A covariance of 8 genes from 6,000 cells costs about (8 / 6000) of the variance: .2 %; 1 % is ample.
    assert exact * 0.995 < loss < exact * 1.01


@given(st.integers(2, 4), st.integers(0, 10**6))
def test_the_pair_predictor_conditions_the_joint_law_of_both_cells(n_genes: int, seed: int):
    rng = np.random.default_rng(seed)
    mean, within = rng.normal(size=n_genes), covariance(n_genes, rng)
    between = covariance(n_genes, rng)[:, :1] @ np.ones((1, n_genes))
    between = between @ between.T
    same = within + between
    pull = np.linalg.solve(same, between).astype(np.float64)
    predictor = PairLinearPredictor(vocab=vocab_of(n_genes), mean_G=mean, pull_GG=pull, cov_GG=same - between @ pull)
    joint = Law(
        vocab=vocab_of(2 * n_genes),
        mean_G=np.tile(mean, 2),
        cov_GG=np.block([[same, between], [between, same]]),
    )
    before, after = (rng.normal(size=(3, n_genes)).astype(np.float32) for _ in range(2))
    n_perturbed = rng.random((3, n_genes)) < 0.5
    n_perturbed[:, 0] = False
    answer = predictor.predict(
        before, Perturbation(perturbed_BG=n_perturbed, target_BG=np.where(n_perturbed, after, np.float32(0)))
    )
    for pair in range(3):
        seen = np.concatenate([np.arange(n_genes), n_genes + np.flatnonzero(n_perturbed[pair])])
        value = np.concatenate([before[pair], after[pair, n_perturbed[pair]]])
        # Predictions are float32.
        np.testing.assert_allclose(
            answer[pair, ~n_perturbed[pair]], joint.condition(seen, value).mean_G, rtol=1e-4, atol=1e-4
        )


def test_fitted_moments():
    rng = np.random.default_rng(1)
    mean_type_G, cov_GG = np.array([[0.0, 0, 0], [3, -1, 2]]), covariance(3, rng)
    cells = gaussian_cells(mean_type_G, cov_GG, [4000, 8000], rng)
    fitted = PairLinearPredictor.fit(cells)
    mean = (mean_type_G[0] + 2 * mean_type_G[1]) / 3
    between = sum(w * np.outer(m - mean, m - mean) for w, m in zip([1 / 3, 2 / 3], mean_type_G, strict=True))
    # 12,000 cells: moments to about one part in a hundred; 5 % is five standard errors.
    np.testing.assert_allclose(fitted.mean_G, mean, atol=0.1)
    np.testing.assert_allclose(fitted.pull_GG, np.linalg.solve(cov_GG + between, between), atol=0.05)
    by_type = TypeLinearPredictor.fit(cells)
    scale = np.sqrt(np.outer(np.diagonal(cov_GG), np.diagonal(cov_GG)))
    for name, expected in (("t0", mean_type_G[0]), ("t1", mean_type_G[1])):
        np.testing.assert_allclose(by_type.law_of[name].mean_G, expected, atol=0.15)
        assert (np.abs(by_type.law_of[name].cov_GG - cov_GG) < 0.1 * scale).all()
    assert list(TypeMeanPredictor.fit(cells).mean_of) == ["t0", "t1"]


def test_what_is_known_orders_the_losses():
    rng = np.random.default_rng(2)
    cov_GG, mean_type_G = covariance(6, rng), rng.normal(size=(3, 6)) * 2
    training, held_out = (gaussian_cells(mean_type_G, cov_GG, [700, 700, 700], rng) for _ in range(2))
    pairs = concatenate(list(Paired(HeldCells(held=held_out)).pairs(batch_size=200, seed=0)))
    by_type = labelled_losses(TypeLinearPredictor.fit(training), pairs, held_out)
    by_before = losses_of(PairLinearPredictor.fit(training), pairs)
    type_mean = labelled_losses(TypeMeanPredictor.fit(training), pairs, held_out)
    # More than five standard errors of the paired differences.
    assert by_type.below(by_before) > 5
    assert by_type.below(type_mean) > 5
    exact = {f"t{t}": Law(vocab=training.vocab, mean_G=mean_type_G[t], cov_GG=cov_GG) for t in range(3)}
    best = labelled_losses(TypeLinearPredictor(vocab=training.vocab, law_of=exact), pairs, held_out)
    # 2,100 cells for 21 covariances and 18 means: 1 to 2 % above the law itself.
    assert best.loss < by_type.loss < 1.04 * best.loss


def test_a_type_of_one_cell_takes_the_covariance_of_all():
    rng = np.random.default_rng(0)
    cells = batch_of(rng.normal(size=(41, 3)), ["many"] * 40 + ["one"])
    law = TypeLinearPredictor.fit(cells).law_of["one"]
    np.testing.assert_array_equal(law.mean_G, cells.expression_BG[40].astype(np.float64))
    assert np.linalg.eigvalsh(law.cov_GG)[0] > 0.1


def test_an_unmeasured_gene_before_is_set_to_its_mean():
    rng = np.random.default_rng(0)
    fitted = PairLinearPredictor.fit(gaussian_cells(np.array([[0.0, 0], [4, 4]]), np.eye(2), [50, 50], rng))
    nothing = Perturbation(perturbed_BG=np.zeros((1, 2), dtype=np.bool_), target_BG=np.zeros((1, 2), dtype=np.float32))
    hidden = fitted.predict(np.full((1, 2), np.nan, dtype=np.float32), nothing)
    np.testing.assert_allclose(hidden[0], fitted.mean_G, rtol=1e-6)


def test_bad_use():
    rng = np.random.default_rng(0)
    cells = batch_of(rng.normal(size=(20, 3)), ["T cell"] * 20)
    predictor = TypeLinearPredictor.fit(cells)
    nothing = Perturbation(perturbed_BG=np.zeros((1, 3), dtype=np.bool_), target_BG=np.zeros((1, 3), dtype=np.float32))
    control = np.zeros((1, 3), dtype=np.float32)
    with pytest.raises(InputError, match="goes by cell type: pass covariates"):
        predictor.predict(control, nothing)
    with pytest.raises(InputError, match="'T cells' was not among the training cells; nearest: T cell"):
        predictor.predict(control, nothing, {"cell_type": np.array(["T cells"])})
    bare = CellBatch(
        vocab=cells.vocab,
        expression_BG=cells.expression_BG,
        measured_BG=cells.measured_BG,
        cell_id_B=cells.cell_id_B,
    )
    with pytest.raises(InputError, match="no covariate cell_type"):
        TypeMeanPredictor.fit(bare)
    flat = cells.expression_BG.copy()
    flat[:, 1] = 2
    with pytest.raises(InputError, match="gene g1 does not vary within any cell type"):
        PairLinearPredictor.fit(batch_of(flat, ["a"] * 20))
    measured = cells.measured_BG.copy()
    measured[3, 2] = False
    with pytest.raises(InputError, match="gene g2 is unmeasured in cell 30"):
        TypeMeanPredictor.fit(
            CellBatch(
                vocab=cells.vocab,
                expression_BG=np.where(measured, cells.expression_BG, np.float32(0)),
                measured_BG=measured,
                cell_id_B=cells.cell_id_B,
                covariates=cells.covariates,
            )
        )
