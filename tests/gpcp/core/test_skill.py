"""Skill is affine between the baseline and the least loss, and there is none where the two meet."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.skill import skill


@given(share=st.floats(-5, 5), way=st.floats(0.01, 5), best=st.floats(0, 5))
def test_skill_is_affine_between_the_baseline_and_the_best(share: float, way: float, best: float):
    loss = best + (1 - share) * way
    assert skill(loss, baseline=best + way, best=best) == pytest.approx(share, abs=1e-9 * (1 + best / way))


@given(loss=st.floats(-5, 5), best=st.floats(-5, 5), below=st.floats(0, 5))
def test_there_is_none_where_the_best_is_not_below_the_baseline(loss: float, best: float, below: float):
    assert skill(loss, baseline=best - below, best=best) is None


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", range(3))
def test_there_is_none_where_a_loss_is_not_known(unknown: float | None, which: int):
    loss, baseline, best = (unknown if place == which else known for place, known in enumerate((1.5, 2.0, 1.0)))
    assert skill(loss, baseline=baseline, best=best) is None
