"""A twin of a screen shows its effects, escaped cells, guides, controls and contexts, and knows the truth."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from gpcp.core.errors import InputError
from gpcp.core.random import stream
from gpcp.screens.h5ad_screen import H5adScreen
from simulators.exact.laws import total_effect_GG
from simulators.screens.design import ScreenDesign
from simulators.screens.files import screen_anndata
from simulators.screens.simulated import simulated_screen
from simulators.twins.screens.cells import ScreenCells, screen_cells_of
from simulators.twins.screens.effects import against_controls, effects_of, excess_of
from simulators.twins.screens.fidelity import screen_fidelity
from simulators.twins.screens.guides import efficiency_of
from simulators.twins.screens.planted import LARGEST_EFFECT, REFERENCE_EFFECT
from simulators.twins.screens.twin import ScreenTwin, screen_twin_of
from simulators.twins.twin import twin_of
from simulators.worlds import world

USUAL: dict[str, Any] = {
    "n_targets": 6, "least_descendants": 4, "cells_per_target": 120, "n_controls": 400, "guide_spread": 0.0,
}  # fmt: skip


@lru_cache
def simulated(**changes: Any) -> H5adScreen:
    """A screen of a known world, read as one from a file."""
    made = simulated_screen(world("scale_free/30", seed=3), ScreenDesign(**(USUAL | changes)), seed=1)
    return H5adScreen(screen_anndata(made))


@lru_cache
def twin(**changes: Any) -> tuple[ScreenCells, ScreenTwin]:
    """Its cells and their twin."""
    return screen_cells_of(simulated(**changes))[0], twin_of(simulated(**changes))


@pytest.mark.parametrize("escapers", [0.0, 0.3])
def test_effects_are_as_large_as_the_real_ones(escapers: float):
    real, made = twin(escapers=escapers)
    shown = [one.effects().size_P for one in (real, made.cells(seed=1))]
    assert np.corrcoef(shown[0], shown[1])[0, 1] > 0.9
    assert np.median(shown[1]) == pytest.approx(np.median(shown[0]), rel=0.2)


def test_escaped_cells_are_found_and_none_where_there_are_none():
    found = [twin(escapers=share)[1].escaped for share in (0.0, 0.3)]
    assert found == pytest.approx([0.0, 0.3], abs=0.1)
    assert all(twin(escapers=share)[1].n_scored > 0 for share in (0.0, 0.3))


def test_guides_of_other_strengths_differ_from_those_of_one():
    real, _ = twin(guide_spread=0.8, escapers=0.0)
    found = efficiency_of(real.standard_BG(), real.effects(), real.guide_B).strength_B
    same = efficiency_of(twin(escapers=0.0)[0].standard_BG(), twin(escapers=0.0)[0].effects(), real.guide_B).strength_B
    assert found.std() > 0.1
    assert same.std() < 0.05


def test_the_truth_is_that_of_the_drawn_world():
    _, made = twin(escapers=0.0)
    assert made.effect_AG == pytest.approx(made.direct_AG @ total_effect_GG(made.world.scm))
    assert np.abs(made.effect_AG).max() <= LARGEST_EFFECT + 1e-9
    latent = made.latent(20_000, seed=1, groups=False)
    found = latent.effects()
    labels = [found.labels.index(name) for name in made.applied.vocab.target]
    # Means of some 2,000 cells, of values of variance 1, against as many controls.
    mean_PG = np.stack([latent.cells.expression_BG[found.label_B == place].mean(axis=0) for place in labels])
    control_G = latent.cells.expression_BG[found.label_B < 0].mean(axis=0)
    assert np.abs(mean_PG - control_G - made.effect_AG).max() < 0.2


def test_controls_perturbations_and_contexts_are_as_many():
    real, made = twin(escapers=0.0)
    table = screen_fidelity(real, made.cells(seed=2))
    for name in ("cells of a perturbation", "controls", "contexts"):
        assert table.distance(name) == 0
    assert table.distance("detection, gene by gene") < 0.1
    assert table.distance("effects") < 0.15
    assert table.distance("escaped cells") < 0.15


def test_shuffled_labels_show_no_more_than_chance_and_get_usual_effects():
    real, _ = twin(escapers=0.0)
    order = stream(0, "shuffled").permutation(len(real))
    made = screen_twin_of(replace(real, applied=real.applied.rows(order)))
    assert made.is_reference
    assert abs(made.z) < 3
    assert np.median(made.cells(seed=1).effects().size_P) == pytest.approx(REFERENCE_EFFECT, rel=0.3)


def test_effects_are_means_over_standard_deviations_of_controls():
    real, _ = twin(escapers=0.0)
    is_control_B = real.applied.is_control_B
    one_group = np.full(len(real), "all")
    standard_BG = against_controls(real.cells, is_control_B, one_group)
    assert standard_BG[is_control_B].mean(axis=0) == pytest.approx(np.zeros(len(real.cells.vocab)), abs=1e-9)
    assert standard_BG[is_control_B].std(axis=0, ddof=1) == pytest.approx(np.ones(len(real.cells.vocab)))
    found = effects_of(standard_BG, real.cells.measured_BG, real.applied, one_group)
    rows_B = found.label_B == 0
    assert found.effect_PG[0] == pytest.approx(standard_BG[rows_B].mean(axis=0))
    error_G = np.sqrt(standard_BG[rows_B].var(axis=0, ddof=1) / rows_B.sum() + 1 / is_control_B.sum())
    assert found.error_PG[0] == pytest.approx(error_G)


def test_chance_alone_is_no_excess():
    rng = stream(0, "noise")
    value_BG = rng.standard_normal((600, 20))
    label_B = np.repeat(np.arange(-1, 5), 100)
    everywhere_BG = np.ones(value_BG.shape, dtype=np.bool_)
    group_B = np.full(600, "all")
    assert abs(excess_of(value_BG, everywhere_BG, label_B, group_B)) < 3
    value_BG[label_B == 2] += 0.5
    assert excess_of(value_BG, everywhere_BG, label_B, group_B) > 3


def test_a_screen_whose_groups_have_no_control_is_refused():
    real, _ = twin(escapers=0.0)
    apart_B = np.where(real.applied.is_control_B, "controls", "others")
    with pytest.raises(InputError, match="no perturbed cell of the screen has a control of its group"):
        screen_twin_of(replace(real, group_B=apart_B))
