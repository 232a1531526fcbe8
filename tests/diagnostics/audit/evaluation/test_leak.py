"""The leak alarm: planted leaks in 100 worlds are caught, healthy answers are not accused."""

import numpy as np
import pytest

from diagnostics.audit.evaluation.data import read_screen, split_of
from diagnostics.audit.evaluation.leak import leak_of
from diagnostics.audit.evaluation.references import baselines, copies
from diagnostics.audit.evaluation.truth import exact_answers, truth_of
from simulators.screens.design import design_named
from simulators.screens.files import screen_anndata
from simulators.screens.simulated import simulated_screen
from simulators.worlds import world
from tests.diagnostics.audit.evaluation.screens import small_screen

LEAKS = ("copy of the reference", "test mean, no spread")


def accused(name: str, values: str, seed: int) -> dict[str, bool]:
    """Which answers on the screen of one seed the alarm accuses."""
    design = design_named("plain", n_targets=16, cells_per_target=40, n_controls=80, depth=3000.0, values=values)
    made = simulated_screen(world(name, seed=seed), design, seed=seed)
    screen = read_screen(screen_anndata(made, seed=seed))
    split = split_of(screen, share=0.5, seed=seed)
    truth = truth_of(screen, split, n_mean=256)
    assert truth is not None
    answers = exact_answers(screen, split, truth, seed=seed) + baselines(screen, split, seed=seed)[0]
    groups = {one.name: one.groups for one in answers + copies(screen, split, seed=seed)}
    groups[LEAKS[1]] = {key: cell_BG.mean(axis=0, keepdims=True) for key, cell_BG in groups[LEAKS[0]].items()}
    return {one: leak_of(screen, split, cells, means=truth.means).accused for one, cells in groups.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "values"), [("scale_free/30", "counts"), ("scale_free/30/hill", "log")])
def test_planted_leaks_are_caught_and_healthy_answers_are_not_accused(name: str, values: str):
    found = [accused(name, values, seed) for seed in range(100)]
    n_accused = {one: sum(each[one] for each in found) for one in found[0]}
    for one, n in n_accused.items():
        assert n >= 99 if one in LEAKS else n <= 1, (one, n)
    assert "exact sampler" in n_accused


def test_a_copy_shares_all_noise_and_too_few_perturbations_are_not_tested():
    screen = small_screen(n_targets=16)
    split = split_of(screen, share=0.5, seed=0)
    truth = truth_of(screen, split)
    assert truth is not None
    copy, shuffled = copies(screen, split, seed=0)
    found = leak_of(screen, split, copy.groups, means=truth.means)
    assert found.correlation == pytest.approx(1)
    assert found.accused
    assert not leak_of(screen, split, shuffled.groups, means=truth.means).accused
    few = split_of(screen, share=0.12, seed=0)
    truth = truth_of(screen, few)
    assert truth is not None
    found = leak_of(screen, few, copies(screen, few, seed=0)[0].groups, means=truth.means)
    assert np.isnan(found.p)
    assert not found.accused
