"""One training from one seed: repeatable, paired across configurations, honest about divergence."""

from dataclasses import replace

import numpy as np

from gpcp.core.pairs import PairBatch, concatenate
from gpcp.model.config import ModelConfig
from gpcp.training.config import FitConfig
from gpcp.training.replicate import Replicate, replicate
from simulators.sources import SimulatedPairs
from simulators.worlds import world

CONFIG = ModelConfig(n_genes=5, width=8, n_heads=2, n_decoder_blocks=1, n_rounds=1)
FIT = FitConfig(n_steps=6, batch_size=16, warmup_steps=0, learning_rate=1e-2, accelerator="cpu")
PAIRS = SimulatedPairs(scm=world("scale_free/5").scm, regime="interventional", n_pairs=200)


def _held_out() -> PairBatch:
    return concatenate(list(PAIRS.pairs(batch_size=64, seed=99))[:1])


def test_a_seed_decides_everything():
    held_out = _held_out()
    first, again = (replicate(CONFIG, FIT, PAIRS, held_out, seed=3)[1] for _ in range(2))
    other = replicate(CONFIG, FIT, PAIRS, held_out, seed=4)[1]
    assert first.loss == again.loss != other.loss
    assert replicate(CONFIG, replace(FIT, seed=77), PAIRS, held_out, seed=3)[1].loss == first.loss


def test_validation_pairs_choose_the_weights_and_held_out_pairs_do_not():
    fit_config = replace(FIT, n_steps=12, evaluate_every=1, patience=50)
    held_out = _held_out()
    # Pairs whose answers are all wrong are answered best by weights that have learnt nothing yet.
    wrong = replace(held_out, after_BG=np.where(held_out.perturbed_BG, held_out.after_BG, -held_out.after_BG))
    plain, by_right, by_wrong = (
        replicate(CONFIG, fit_config if validation else FIT, PAIRS, held_out, seed=0, validation=validation)[1]
        for validation in (None, held_out, wrong)
    )
    assert all(row.held_out_loss is None for row in plain.history)
    losses = [row.held_out_loss for row in by_right.history]
    assert by_right.loss == min(loss for loss in losses if loss is not None)
    assert by_right.loss is not None
    assert by_wrong.loss is not None
    assert by_right.loss < by_wrong.loss


def test_a_training_that_blows_up_has_no_loss():
    wild = replace(FIT, learning_rate=1e30, gradient_clip=None)
    _, found = replicate(CONFIG, wild, PAIRS, _held_out(), seed=0)
    assert found.diverged
    assert found.loss is None


def test_a_training_that_blows_up_before_its_first_evaluation_has_no_best_weights():
    wild = replace(FIT, learning_rate=1e30, gradient_clip=None, evaluate_every=1, patience=50)
    _, found = replicate(CONFIG, wild, PAIRS, _held_out(), seed=0, validation=_held_out())
    assert found.loss is None
    patient = replicate(CONFIG, replace(wild, patience=1), PAIRS, _held_out(), seed=0, validation=_held_out())[1]
    assert patient.n_steps == 1, "one row without a better loss is as many as it waits for"


def test_json_is_a_way_back():
    _, found = replicate(CONFIG, FIT, PAIRS, _held_out(), seed=0)
    assert Replicate(**found.to_json(), history=()) == replace(found, history=())
    assert found.n_steps == 6
    assert found.loss is not None
    assert np.isfinite(found.loss)
