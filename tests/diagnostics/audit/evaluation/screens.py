"""Small screens of known worlds, as an evaluation reads them."""

from typing import Any

from diagnostics.audit.evaluation.data import ScreenData, read_screen
from simulators.screens.design import design_named
from simulators.screens.files import screen_anndata
from simulators.screens.simulated import simulated_screen
from simulators.worlds import world


def small_anndata(*, tool: str = "cell-eval2", seed: int = 0, **changes: Any) -> Any:
    """Six strong perturbations of 40 cells in a world of 30 genes."""
    small = {"n_targets": 6, "cells_per_target": 40, "n_controls": 80, "depth": 3000.0}
    made = simulated_screen(world("scale_free/30", seed=1), design_named("ideal", **(small | changes)), seed=2)
    return screen_anndata(made, tool=tool, seed=seed)


def small_screen(**changes: Any) -> ScreenData:
    """The same as an evaluation reads it."""
    return read_screen(small_anndata(**changes))
