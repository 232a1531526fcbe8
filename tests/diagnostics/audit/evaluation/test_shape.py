"""Collapse, spread and energy distance on answers whose shape is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.evaluation.data import split_of
from diagnostics.audit.evaluation.references import baselines, copies
from diagnostics.audit.evaluation.shape import floor_of, moments, shape_of
from diagnostics.audit.evaluation.truth import exact_answers, truth_of
from tests.diagnostics.audit.evaluation.screens import small_screen

SCREEN = small_screen(n_targets=10, least_descendants=1, cells_per_target=80)
SPLIT = split_of(SCREEN, share=0.5, seed=0)


def test_each_answer_has_the_shape_that_it_should():
    truth = truth_of(SCREEN, SPLIT)
    assert truth is not None
    answers = exact_answers(SCREEN, SPLIT, truth, seed=0) + baselines(SCREEN, SPLIT, seed=0)[0]
    answers += copies(SCREEN, SPLIT, seed=0)
    found = {one.name: shape_of(SCREEN, SPLIT, one.groups) for one in answers}
    copy, exact = found["copy of the reference"], found["exact sampler"]
    assert (copy.collapse, copy.spread, copy.energy) == pytest.approx((1, 1, 0))
    assert found["shuffled labels"].collapse == pytest.approx(1)
    assert exact.collapse == pytest.approx(1, abs=0.15)
    assert exact.spread == pytest.approx(1, abs=0.1)
    assert abs(found["mean response"].collapse) < 0.05
    # Counts that are rounded at random differ by less than one.
    assert found["exact mean, no spread"].spread < 0.05 < found["mean response"].spread
    assert 0 < exact.energy < found["mean response"].energy < found["mean response, no spread"].energy


def test_the_floor_is_that_of_the_truth():
    truth, floor = truth_of(SCREEN, SPLIT), floor_of(SCREEN, SPLIT)
    assert truth is not None
    assert floor is not None
    exact = shape_of(SCREEN, SPLIT, exact_answers(SCREEN, SPLIT, truth, seed=0)[0].groups)
    assert floor.n == 40
    # Of 40 cells instead of 64: averages over all pairs fall as 1 / n, the cost of transport more slowly.
    assert floor.energy == pytest.approx(exact.energy * 64 / 40, rel=0.25)
    assert floor.mmd == pytest.approx(exact.mmd * 64 / 40, rel=0.25)
    assert exact.sinkhorn < floor.sinkhorn < exact.sinkhorn * 64 / 40


@given(st.integers(0, 50))
def test_sampling_noise_is_taken_off_the_variance_between_perturbations(seed: int):
    rng = np.random.default_rng(seed)
    labels = tuple(f"{i}" for i in range(20))
    between, within = moments({one: rng.normal(size=(25, 40)) for one in labels}, labels)
    assert abs(between) < 6 * 40 / 25 * np.sqrt(2 / 19 / 40)
    assert within == pytest.approx(40 * 24 / 25, rel=0.1)
