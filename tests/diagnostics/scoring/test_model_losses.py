"""Skill follows from the losses shown; the exact answer has skill 1, and nothing is below it."""

import numpy as np
import pytest

from diagnostics.scoring.levels import levels_of
from diagnostics.scoring.model_losses import model_losses
from gpcp.core.pairs import PairBatch, concatenate
from simulators.exact.bayes import BayesPredictor, bayes
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world


def some_pairs(made: World, regime: Regime, n_pairs: int, seed: int) -> PairBatch:
    source = SimulatedPairs(scm=made.scm, regime=regime, n_pairs=n_pairs)
    return concatenate(source.pairs(batch_size=n_pairs, seed=seed))


@pytest.mark.parametrize("regime", REGIMES)
def test_the_exact_answer_has_skill_1_and_is_no_leak(regime: Regime) -> None:
    made = world("erdos_renyi/6", seed=1)
    held_out = some_pairs(made, regime, 2000, 2)
    sample, exact = some_pairs(made, regime, 2000, 1), bayes(made.scm, regime, held_out)
    levels = levels_of(sample, held_out, exact=exact, ridge_on=sample)
    found = model_losses(BayesPredictor(made.scm, regime), held_out, levels, exact=exact)
    fields = found.fields()
    assert fields["skill"] == pytest.approx(1, abs=1e-5)
    assert fields["answer_spread_ratio"] == pytest.approx(1, abs=1e-5)
    assert fields["bayes_is_exact"]
    # The exact answer's loss is its risk, up to 4 standard errors of 2,000 pairs (and float32 where both are 0).
    assert fields["bayes_risk"] == pytest.approx(fields["bayes_risk_exact"], abs=4 * fields["loss_se"] + 1e-9)
    assert fields["bayes_risk"] < fields["ridge_loss"] < fields["baseline_loss"]
    assert fields["skill"] == (fields["baseline_loss"] - fields["loss"]) / (
        fields["baseline_loss"] - fields["bayes_risk"]
    )


def test_a_predictor_that_sees_the_answer_is_far_below_the_bayes_risk() -> None:
    made = world("erdos_renyi/6", seed=1)
    held_out = some_pairs(made, "matched", 500, 2)
    exact = bayes(made.scm, "matched", held_out)

    class Cheat:
        vocab = held_out.vocab

        def predict(self, control_BG: object, perturbation: object, covariates: object = None) -> np.ndarray:
            return 0.2 * exact.mean_BG.astype(np.float32) + 0.8 * held_out.after_BG

    sample = some_pairs(made, "matched", 500, 1)
    found = model_losses(Cheat(), held_out, levels_of(sample, held_out, exact=exact, ridge_on=sample), exact=exact)
    assert found.fields()["leak_z"] > 4
    assert found.fields()["skill"] > 1


def test_without_an_exact_answer_there_is_no_skill() -> None:
    made = world("erdos_renyi/6", seed=1)
    held_out = some_pairs(made, "matched", 200, 2)
    levels = levels_of(held_out, held_out, ridge_on=held_out)
    found = model_losses(BayesPredictor(made.scm, "matched"), held_out, levels)
    fields = found.fields()
    assert fields["skill"] is fields["bayes_risk"] is fields["leak_z"] is None
    assert found.levels.best == fields["ridge_loss"]
    assert set(found.levels.first(100).named()) == {"baseline", "ridge"}


def test_monte_carlo_noise_is_taken_out_of_the_bayes_risk() -> None:
    made = world("chain/4/tanh", seed=0)
    held_out = some_pairs(made, "interventional", 3000, 2)
    sample = some_pairs(made, "interventional", 500, 1)
    few = bayes(made.scm, "interventional", held_out, rng=np.random.default_rng(0), n_particles=12)
    levels = levels_of(sample, held_out, exact=few, ridge_on=sample)
    found = model_losses(BayesPredictor(made.scm, "interventional"), held_out, levels, exact=few)
    assert found.levels.exact is not None
    assert not found.levels.bayes_is_exact
    assert found.levels.exact.errors.loss > found.levels.exact.risk
    # What 12 particles add is taken out: the rest agrees with a good answer within 4 standard errors.
    assert found.levels.bayes_risk == pytest.approx(found.model.loss, abs=4 * found.model.standard_error)
