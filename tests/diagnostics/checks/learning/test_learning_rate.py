"""Learning-rate range test: the valley of a quadratic in closed form, rates that are decades off, and healthy ones."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.learning.learning_rate import (
    RangeTest,
    RatePoint,
    best_rate,
    given_rate,
    range_test_of,
    run_range_test,
)
from diagnostics.scoring.errors import Errors
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.sources import pairs_of
from tests.diagnostics.checks.subjects import Linear, Mlp, found, made, subject

NAME = "learning.rate"


def adam(rate: float):
    return lambda model: torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)


def perceptron(rate: float = 3e-3, *, seed: int = 0, **parts) -> Subject:
    return subject(made(lambda: Mlp(8), seed=seed), make_optimizer=adam(rate), pairs=pairs_of(seed=seed), **parts)


@pytest.mark.parametrize("rate", [1e-7, 1e-6, 10.0])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_rate_that_is_decades_off_is_blamed_and_another_named(rate: float, seed: int):
    result = found(perceptron(rate, seed=seed), NAME)
    assert (result.outcome, result.cause) == ("fail", "optimiser")
    assert result.next_step.startswith("use about")
    assert result.p is not None
    assert result.p < 1e-3


@pytest.mark.parametrize("rate", [1e-3, 3e-3, 1e-2])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_usual_rates_are_not_blamed(rate: float, seed: int):
    assert found(perceptron(rate, seed=seed), NAME).outcome in ("pass", "inconclusive")


class Bowl(nn.Module):
    """Every answer is one number: gradient descent on it goes ``w -> (1 - 2 rate) w`` towards the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(50.0))

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return self.level.expand(before_BG.shape)


def test_the_valley_of_a_quadratic():
    """Plain descent on a bowl gets there at rates below 1, at once at 1/2, and blows up above."""

    def plain(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.1)

    range_test = run_range_test(Probe(subject(Bowl(), make_optimizer=plain, pairs=pairs_of())))
    rates = [point.rate for point in range_test.points]
    assert rates == sorted(rates)
    assert range_test.learns
    assert 0.03 < range_test.best.rate < 1
    slow = range_test.nearest(1e-3)
    assert range_test.start is not None
    # 50 steps of a thousandth: the distance of 50 shrinks by (1 - .002)^50.
    assert slow.loss / range_test.start.loss == pytest.approx(0.998**100, rel=0.02)
    assert range_test.usable[1] < 1.0


def test_a_best_rate_at_the_edge_is_climbed_past():
    """A quadratic whose predictions are a thousandth of its weight needs rates above the decades always tried."""

    class Shallow(Bowl):
        def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
            return 0.1 * self.level.expand(before_BG.shape)

    def plain(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.1)

    assert run_range_test(Probe(subject(Shallow(), make_optimizer=plain, pairs=pairs_of()))).best.rate > 1


def test_every_rate_begins_at_the_same_weights_and_leaves_them():
    asked = perceptron()
    assert asked.model is not None
    before = {name: value.clone() for name, value in asked.model.state_dict().items()}
    probe = Probe(asked)
    one = run_range_test(probe)
    assert all(torch.equal(value, before[name]) for name, value in asked.model.state_dict().items())
    other = run_range_test(Probe(asked))
    assert [point.loss for point in one.points] == [point.loss for point in other.points]
    assert range_test_of(probe) is range_test_of(probe)


def test_without_an_optimiser_there_is_no_rate_to_judge():
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        return 0.0

    asked = subject(made(lambda: Mlp(8)), training_step=step, make_optimizer=None)
    assert found(asked, NAME).outcome == "not_applicable"
    assert given_rate(Probe(asked)) is None
    assert best_rate(Probe(asked)) is None


def test_answers_that_are_not_finite_are_left_to_their_check():
    def infinite(model: nn.Module, batch) -> Tensor:
        return batch.before_BL * next(model.parameters()).sum() / 0.0

    result = found(subject(made(lambda: Linear(8)), forward=infinite), NAME)
    assert result.outcome == "inconclusive"
    assert "not finite" in result.message


def test_where_no_rate_learns_the_rate_is_not_blamed():
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        return 1.0

    assert "it is not the rate" in found(perceptron(training_step=step), NAME).message


def point(rate: float, loss: float) -> RatePoint:
    return RatePoint(rate=rate, errors=errors(loss))


def errors(loss: float) -> Errors:
    return Errors(sum_B=loss * np.linspace(0.9, 1.1, 50), n_B=np.ones(50, dtype=np.int64))


RANGE = partial(RangeTest, start=errors(2.0), n_steps=50, repeats=())


def test_usable_rates_are_those_about_the_best_that_win_half_as_much():
    range_test = RANGE(points=(point(1e-4, 1.9), point(1e-3, 1.4), point(1e-2, 1.0), point(1e-1, 1.5), point(1.0, 1.9)))
    assert range_test.best.rate == 1e-2
    assert range_test.usable == (1e-3, 1e-1)
    assert range_test.suggestion == 1e-2


def test_a_cliff_above_the_best_rate_asks_for_a_third_of_it():
    blown = RatePoint(rate=1e-1, errors=None)
    assert RANGE(points=(point(1e-2, 1.0), blown)).suggestion == pytest.approx(1e-2 / 3)
    assert RANGE(points=(point(1e-2, 1.0), point(1e-1, 2.5))).suggestion == pytest.approx(1e-2 / 3)
    assert RANGE(points=(blown,)).learns is False
