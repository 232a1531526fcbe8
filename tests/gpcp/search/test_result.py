"""What may be concluded from trials: ties by the seeds' noise, edges, flat and diverged rates, importance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.commands.sweep.table import sweep_table
from gpcp.search.result import importance, rates_of
from gpcp.search.trial import FLAT
from tests.gpcp.search.sweep_cases import result, row

losses = st.lists(st.floats(0.1, 3.0), min_size=3, max_size=3).map(tuple)


@given(all_losses=st.lists(losses, min_size=1, max_size=10))
def test_what_ties_is_within_the_seeds_noise_and_what_does_not_is_beyond(all_losses: list[tuple[float, ...]]):
    rows = [row(slot, loss_s, learning_rate=0.01) for slot, loss_s in enumerate(all_losses)]
    found = result(rows)
    best = found.best
    assert best is not None
    assert best.loss == min(one.loss for one in rows)
    better = sorted(rows, key=lambda one: one.loss)[: math.ceil(len(rows) / 2)]
    pooled = math.sqrt(np.mean([np.var(one.loss_R, ddof=1) for one in better]))
    width = 2 * math.sqrt(2) * pooled / math.sqrt(3)
    assert found.tie_width == pytest.approx(width)
    ties = {one.slot for one in found.ties}
    for one in rows:
        if one is not best and not math.isclose(one.loss - best.loss, width, rel_tol=1e-9, abs_tol=1e-12):
            assert (one.slot in ties) == (one.loss - best.loss < width)


def test_equal_configurations_tie_nineteen_times_in_twenty():
    # Two configurations of the same losses but for their seeds: with the spread known the difference of two means lies
    # within two standard errors in 95.4 % of cases; with a pooled spread of 2 x 5 degrees of freedom, in t's 93.
    rng = np.random.default_rng(0)
    tied = 0
    for _ in range(2_000):
        first, second = (tuple(rng.normal(1.0, 0.1, size=6)) for _ in range(2))
        rows = [row(0, first, learning_rate=0.01), row(1, second, learning_rate=0.02)]
        rows += [row(2, tuple(rng.normal(3.0, 0.1, size=6)), learning_rate=0.02)]
        tied += len(result(rows, n_seeds=6).ties) == 1
    # Binomial standard error .6 %; three of them.
    assert tied / 2_000 == pytest.approx(0.93, abs=0.02)


def test_one_seed_ranks_nothing():
    found = result([row(0, (1.0,), learning_rate=0.01), row(1, (1.9,), learning_rate=0.1)], n_seeds=1)
    assert [one.slot for one in found.ties] == [1]
    assert "one seed says nothing" in sweep_table(found)


_tried = st.lists(
    st.tuples(st.floats(1e-6, 1.0), st.floats(-2.0, 1.0), st.sampled_from(["finished", "flat", "worse", "diverged"])),
    min_size=1,
    max_size=12,
).map(sorted)


@given(tried=_tried)
def test_every_rate_that_did_not_learn_is_in_one_region(tried: list[tuple[float, float, str]]):
    found = rates_of(tried)
    regions = (found.flat_below, found.flat_above, found.diverged_above, found.flat_between)
    bad = [rate for rate, gain, outcome in tried if outcome == "diverged" or gain < FLAT]
    learnt = [rate for rate, gain, outcome in tried if outcome != "diverged" and gain >= FLAT]
    assert sorted(rate for region in regions for rate in region) == sorted(bad)
    if learnt:
        assert all(rate <= learnt[0] for rate in found.flat_below)
        assert all(rate >= learnt[-1] for rate in (*found.flat_above, *found.diverged_above))
        assert all(learnt[0] <= rate <= learnt[-1] for rate in found.flat_between)


def test_flat_rates_are_named_and_what_diverged_too():
    rows = [
        row(0, (1.98, 1.99, 1.97), learning_rate=1e-5),
        row(1, (1.99,), "flat", learning_rate=1e-4),
        row(2, (0.6, 0.62, 0.61), learning_rate=1e-2),
        row(3, (2.1,), "flat", learning_rate=2e-2),
        row(4, (0.9, 0.95, 0.92), "worse", learning_rate=3e-2),
        row(5, (), "diverged", learning_rate=0.5),
    ]
    text = " ".join(sweep_table(result(rows)).split())
    assert "at learning rates 1e-05 .. 0.0001 (2 trials, too low)" in text
    assert "diverged at learning rates 0.5 (1 trial)" in text
    assert "though others learnt at lower and at higher rates: 0.02 (1 trial)" in text
    assert "skill 0.927" in text


def test_a_best_value_at_an_edge_is_said_and_a_tie_inside_with_it():
    texts = ("learning_rate=1e-4..1e-1", "width=8,16,32", "dropout=0,0.1")
    low = row(0, (0.5, 0.6, 0.7), learning_rate=1.1e-4, width=32, dropout=0.0)
    far = row(1, (1.5, 1.6, 1.7), learning_rate=1e-2, width=16, dropout=0.1)
    edges = result([low, far], *texts).edges()
    assert any("learning_rate, 0.00011, is at the lower edge" in one and one.endswith("widen it") for one in edges)
    assert any("width, 32, is at the upper edge of what was tried, 8 .. 32: widen it" in one for one in edges)
    # No dropout is the end of what there is.
    assert len(edges) == 2
    near = row(1, (0.55, 0.65, 0.72), learning_rate=1e-2, width=16, dropout=0.1)
    assert all("(trial 1) ties with it" in one for one in result([low, near], *texts).edges())


def test_what_decides_the_loss_is_important_and_what_does_not_is_not():
    rng = np.random.default_rng(0)
    rows = []
    for slot in range(40):
        rate, width = 10 ** rng.uniform(-5, 0), int(rng.choice([8, 16]))
        loss = 0.5 + 0.2 * (math.log10(rate) + 2.5) ** 2 + rng.normal(0, 0.02)
        rows.append(row(slot, (loss, loss, loss), learning_rate=rate, width=width))
    shares = importance(result(rows, "learning_rate=1e-5..1", "width=8,16"))
    assert list(shares) == ["learning_rate", "width"]
    assert shares["learning_rate"][0] > 0.9
    assert sum(mean for mean, _ in shares.values()) == pytest.approx(1.0)


def test_few_trials_and_equal_losses_have_no_importance():
    few = [row(slot, (1.0 + slot,) * 3, learning_rate=0.01 * (slot + 1), width=8) for slot in range(5)]
    alike = [row(slot, (1.0,) * 3, learning_rate=0.01 * (slot + 1), width=8) for slot in range(20)]
    assert importance(result(few, "learning_rate=1e-5..1", "width=8,16")) == {}
    assert importance(result(alike, "learning_rate=1e-5..1", "width=8,16")) == {}


def test_nothing_is_dropped_silently():
    rows = [
        row(0, (), "diverged", learning_rate=0.5),
        row(1, (), "waiting"),
        row(2, (), "running", learning_rate=0.1),
    ]
    failed = row(3, (), "failed", learning_rate=0.2)
    text = sweep_table(result([*rows, failed]))
    for word in ("diverged", "waiting", "running", "failed: trial 3", "2 of 4 trials", "no trial has been trained"):
        assert word in text
