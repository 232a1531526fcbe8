"""What is asked of a screen: pairs by name with an exact answer, ceilings, splits without leaks, and the whole way."""

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.commands.ladder.rungs.ladder import ladder
from diagnostics.commands.ladder.rungs.screens.cells import LadderScreen, in_one_group, ladder_screen
from diagnostics.commands.ladder.rungs.screens.known import KNOWN_SIZE, named_pairs
from diagnostics.commands.ladder.rungs.screens.matched import baseline_of, codes_of_twos, variance_within
from diagnostics.commands.ladder.rungs.screens.recovery import agreement, recovery, screen_recoveries
from diagnostics.commands.ladder.rungs.screens.spiked import planted_screen
from diagnostics.scoring.errors import errors_of
from diagnostics.scoring.levels import levels_of
from gpcp.core.errors import InputError
from gpcp.core.pairs import concatenate
from gpcp.core.random import stream
from tests.diagnostics.commands.ladder.rungs.test_ladder import SHORT
from tests.simulators.twins.screens.test_screen_twin import simulated


def cells() -> LadderScreen:
    """A screen of a known world, made ready."""
    return ladder_screen(simulated(escapers=0.0), n_genes=6)


def test_no_cell_is_on_two_sides_and_no_held_out_perturbation_is_trained_on():
    found = cells()
    sides = (found.split.training, found.split.seen, found.split.unseen)
    assert sorted(np.concatenate(sides).tolist()) == list(range(len(found.real)))
    labels = [set(found.real.applied.rows(side).labels()) - {"control"} for side in sides]
    assert labels[2] == set(found.names)
    assert not labels[2] & labels[0]
    assert labels[1] <= labels[0]
    by_cells = ladder_screen(simulated(escapers=0.0), n_genes=6, hold_out_by="cells")
    assert not len(by_cells.split.unseen)


def test_targets_among_the_measured_genes_are_in_the_panel():
    found = cells()
    assert all(gene >= 0 for gene in found.perturbations.gene)
    assert len(found.vocab) > 6


@pytest.mark.parametrize("same_noise", [True, False])
def test_the_exact_answer_leaves_the_noise_of_a_fresh_cell_alone(same_noise: bool):
    found = cells()
    made = named_pairs(found.vocab, found.real.applied, same_noise=same_noise, n_pairs=4_000, seed=1)
    pairs = concatenate(made.pairs(batch_size=512, seed=0))
    loss = errors_of(made.exact(pairs), pairs).loss
    # A world's values have variance 1; 4,000 pairs of some ten genes each.
    assert loss == pytest.approx(0.0 if same_noise else 1.0, abs=1e-9 if same_noise else 0.06)
    on_others = np.where(made.applied.targets_BG(len(found.vocab)), 0.0, made.effect_PG)
    assert 0 < np.sqrt((on_others**2).mean()) <= KNOWN_SIZE
    again = concatenate(made.pairs(batch_size=100, seed=0))
    assert (again.after_BG == pairs.after_BG).all()


def test_the_variance_within_is_that_about_each_mean():
    found = cells()
    made = named_pairs(found.vocab, found.real.applied, same_noise=False, n_pairs=3_000, seed=1)
    pairs = concatenate(made.pairs(batch_size=512, seed=0))
    assert pairs.applied is not None
    code_B = np.unique(np.array(pairs.applied.labels()), return_inverse=True)[1].reshape(-1)
    assert variance_within(pairs, code_B) == pytest.approx(1.0, abs=0.07)
    one = pairs.rows(np.flatnonzero(code_B == 0))
    scored = [gene for gene in range(len(found.vocab)) if one.scored_BG[:, gene].all()]
    known = [one.after_BG[:, gene].var(ddof=1) for gene in scored]
    assert variance_within(one, np.zeros(len(one), dtype=np.int64)) == pytest.approx(np.mean(known), rel=1e-4)


def test_a_mean_is_that_of_the_context_where_two_cells_have_it():
    assert codes_of_twos(np.array(["a", "b", "a"]), np.array(["x", "x", "x"])).tolist() == [0, 1, 0]
    assert codes_of_twos(np.array(["a", "b", "c"]), np.array(["x", "y", "x"])).tolist() == [0, 1, 0]
    assert codes_of_twos(np.array(["a", "b"]), np.array(["x", "y"])).tolist() == [0, 0]


def test_knowing_the_context_is_no_skill():
    found = cells()
    half_B = np.where(np.arange(len(found.real)) % 2 == 0, "even", "odd")
    moved = found.real.cells.expression_BG + np.float32(3) * (half_B == "odd")[:, None].astype(np.float32)
    side = found.side(replace(found.real, cells=replace(found.real.cells, expression_BG=moved), group_B=half_B))
    sample = side.drawn(found.split.training, 2_000, 0, "sample")
    pairs = side.drawn(found.split.seen, 2_000, 0, "held out")
    levels = levels_of(sample, pairs, ridge_on=None)
    # Two halves that lie 3 apart: the mean of both misses each by 1.5.
    assert levels.mean.loss - baseline_of(side, sample, pairs, levels).loss == pytest.approx(1.5**2, rel=0.2)


def test_agreement_is_one_of_the_truth_and_none_of_noise():
    true_PG = stream(0, "effects").standard_normal((20, 50))
    nowhere_PG = np.zeros(true_PG.shape, dtype=np.bool_)
    assert agreement(3 * true_PG + 1, true_PG, nowhere_PG) == pytest.approx(1.0)
    assert abs(agreement(stream(1, "noise").standard_normal((20, 50)), true_PG, nowhere_PG)) < 0.1
    assert agreement(np.zeros(true_PG.shape), true_PG, nowhere_PG) == 0


def test_controls_of_another_context_cost_recovery_and_measuring_does():
    found = cells()
    unmeasured = screen_recoveries(found, measured=False, seed=0)
    assert unmeasured["matched"] == unmeasured["as paired"] > 0.8
    measured = screen_recoveries(found, measured=True, seed=0)
    assert measured["assay"] <= measured["unlimited"] + 0.05
    # Two contexts that lie apart, in one of which nearly all perturbed cells are.
    drawn = found.twin.latent(seed=1, groups=False)
    is_other_B = np.where(drawn.applied.is_control_B, np.arange(len(drawn)) % 10 > 0, np.arange(len(drawn)) % 10 == 0)
    moved = replace(drawn.cells, expression_BG=drawn.cells.expression_BG + 2 * is_other_B[:, None].astype(np.float32))
    apart = replace(drawn, cells=moved, group_B=np.where(is_other_B, "one", "other"))
    shift = in_one_group(apart).effects().effect_PG.mean() - apart.effects().effect_PG.mean()
    assert shift < -0.5
    assert recovery(apart, found.twin) > 0.7


def test_planted_effects_are_found_in_the_controls():
    found = cells()
    planted, effect_PG, target_PG, _ = planted_screen(found, 0)
    shown = planted.effects()
    order = [shown.labels.index(name) for name in planted.applied.vocab.target]
    own = shown.effect_PG[order][target_PG]
    assert (own < 0).all()
    assert (effect_PG[target_PG] == -1.0).all()


def test_what_has_no_meaning_for_a_screen_is_refused():
    with pytest.raises(InputError, match="--n-perturbed has no meaning for a screen"):
        ladder_screen(simulated(escapers=0.0), n_genes=6, n_perturbed=(1, 2))
    with pytest.raises(InputError, match="not by 'perturbations'; nearest: perturbation"):
        ladder_screen(simulated(escapers=0.0), n_genes=6, hold_out_by="perturbations")


@pytest.mark.slow
def test_a_screen_gives_finite_figures_all_the_way():
    found = ladder(
        simulated(escapers=0.0), "mixing", n_genes=6, budget=SHORT, go_on=True,
        rungs=("twin", "exact", "interventional", "pairing", "assay", "spike-in", "real"),
    )  # fmt: skip
    assert [one.rung for one in found.results] == ["exact", "interventional", "pairing", "assay", "spike-in", "real"]
    for one in found.results[1:]:
        assert np.isfinite([one.record[name] for name in ("loss", "baseline", "ceiling")]).all()
        assert one.record["ceiling"] < one.record["baseline"]
    assert found.results[-1].record["facts"]["held_out"]
    assert found.twin is not None
    assert "effect sizes" in {row["property"] for row in found.twin["rows"]}
    assert found.source == "the screen"
