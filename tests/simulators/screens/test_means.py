"""Exact means of a simulated screen against large samples, and Monte Carlo means against exact ones."""

import numpy as np
import pytest

from simulators.screens.design import design_named
from simulators.screens.means import exact_mean, log_values
from simulators.screens.simulated import simulated_screen
from simulators.worlds import world

N = 20_000


@pytest.mark.parametrize("kind", ["knockdown", "knockout", "activation"])
def test_the_mean_of_a_linear_world_is_that_of_many_cells(kind: str):
    design = design_named("plain", n_targets=3, n_combinations=1, kind=kind, n_contexts=2, rewired=0.2, rescaled_sd=0.3)
    screen = simulated_screen(world("scale_free/12", seed=1), design)
    means = exact_mean(screen, n_cells=1024)
    assert not means.latent_error.any()
    assert not means.count_error.any()
    for context in screen.contexts:
        for label in screen.labels:
            cells = screen.sampler(label, context, N, 7)
            for unit, value_BG in (
                ("latent", cells.latent_BG),
                ("count", cells.count_BG),
                ("log", log_values(cells.count_BG, design.log_total)),
            ):
                error_G = value_BG.std(axis=0) / np.sqrt(N)
                if unit == "log":
                    error_G = error_G * np.sqrt(1 + N / 1024)
                # A value that an intervention sets has no spread.
                distance_G = np.abs(value_BG.mean(axis=0) - means.row(label, context, unit=unit))
                assert (distance_G <= 5.5 * error_G + 1e-9).all()


def test_means_of_other_worlds_are_sampled_and_have_an_error():
    screen = simulated_screen(world("scale_free/12/hill", seed=1), design_named("plain", n_targets=3))
    means = exact_mean(screen, n_cells=256)
    assert means.latent_error.any()
    assert means.count_error.all()
    cells = screen.sampler(screen.labels[1], "context_0", N, 7)
    error_G = means.count_error[0, 1] * np.sqrt(1 + 256 / N)
    assert (np.abs(cells.count_BG.mean(axis=0) - means.count_context_label_G[0, 1]) < 5 * error_G).all()


def test_logarithms_of_a_cell_sum_to_the_total():
    count_BG = np.array([[1, 3, 0], [0, 0, 0]])
    value_BG = log_values(count_BG, 100.0)
    np.testing.assert_allclose(np.expm1(value_BG), [[25, 75, 0], [0, 0, 0]])
