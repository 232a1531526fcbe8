"""Budgets and streams of a training, and how much the last steps still won."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from diagnostics.commands.recover_graph.training import Trained, budget_of, configs_of
from diagnostics.runs.experiment import Experiment
from gpcp.core.errors import InputError
from gpcp.core.random import seed_of
from simulators.scm.regimes import REGIMES

RUN = Experiment(source="synthetic:chain/5", n_steps=5, batch_size=8, learning_rate=1e-3, n_held_out=10, seed=0)


def trained(step_point: list[int], loss_point: list[float]) -> Trained:
    anything: Any = None
    return Trained(
        predictor=anything,
        config=anything,
        step_point=np.array(step_point),
        held_out_loss_point=np.array(loss_point),
        n_steps=step_point[-1],
        n_pairs=1,
        n_parameters=1,
        stopped="finished",
        seconds=0.0,
    )


def test_late_gain_is_the_share_won_by_the_last_fifth() -> None:
    one = trained([20, 40, 60, 80, 100], [9.0, 5.0, 4.0, 3.0, 2.0])
    assert one.late_gain(baseline=11.0, best=1.0) == pytest.approx(0.1)
    assert one.late_gain(baseline=1.0, best=1.0) is None
    assert trained([100], [2.0]).late_gain(baseline=11.0, best=1.0) is None
    assert trained([80, 100], [2.0, float("nan")]).late_gain(baseline=11.0, best=1.0) is None


def test_streams_of_different_purposes_differ_and_repeat() -> None:
    drawn = {seed_of(seed, purpose) for seed in range(3) for purpose in ("training", "weights", "sample", "held out")}
    assert len(drawn) == 12
    assert seed_of(1, "sample") == seed_of(1, "sample")


@pytest.mark.parametrize("n_steps", [1, 3, 7, 100, 2000])
def test_a_training_of_any_length_has_a_valid_configuration(n_steps: int) -> None:
    model, fit = configs_of(replace(RUN, n_steps=n_steps), 5)
    assert model.n_genes == 5
    assert fit.warmup_steps <= n_steps
    assert 1 <= fit.evaluate_every <= n_steps
    assert 1 <= fit.checkpoint_every <= n_steps


@pytest.mark.parametrize("preset_name", ["mixing", "default"])
@pytest.mark.parametrize("regime", REGIMES)
def test_more_genes_get_no_shorter_a_training(preset_name: str, regime: str) -> None:
    budgets = [budget_of(preset_name, regime, n_genes) for n_genes in (3, 20, 31, 100, 200, 201, 500, 1000)]
    for fewer, more in pairwise(budgets):
        assert fewer.n_steps <= more.n_steps
        assert fewer.n_held_out >= more.n_held_out
    assert budget_of("mixing", regime, 20, linear=False).n_steps > budget_of("mixing", regime, 20).n_steps
    matched = budget_of(preset_name, "matched", 100)
    assert matched.n_steps >= budget_of(preset_name, "interventional", 100).n_steps


def test_bad_settings_are_refused_before_training() -> None:
    for bad in (replace(RUN, preset="defualt"), replace(RUN, learning_rate=-1.0)):
        with pytest.raises(InputError):
            configs_of(bad, 5)
