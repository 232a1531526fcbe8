"""The data of an experiment, opened in one place for every verb that trains: a world, cells two by two, or a screen.

What was opened last is kept: experiments that differ in their model and training alone share their pairs.
"""

# Registers the kind `synthetic`, whose sequenced cells are real cells here.
import diagnostics.inputs.planted.spiked  # pyright: ignore[reportUnusedImport]
import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
from diagnostics.inputs.data.cells import N_GENES, CellsData, CellSide, cells_data_of
from diagnostics.inputs.data.screens import ScreenRunData, screen_data_of
from diagnostics.inputs.data.worlds import N_SAMPLE, WorldData, world_data_of
from diagnostics.runs.experiment import Experiment
from gpcp.core.perturbations import PerturbationVocab

__all__ = [
    "N_GENES",
    "N_SAMPLE",
    "CellSide",
    "CellsData",
    "ScreenRunData",
    "WorldData",
    "cells_data_of",
    "data_of",
    "perturbations_read",
    "real_data_of",
    "screen_data_of",
    "world_data_of",
]


def data_of(run: Experiment) -> WorldData | CellsData | ScreenRunData:
    """Open the data of an experiment.

    Raises
    ------
    InputError
        As :meth:`Experiment.world` and :meth:`Experiment.pairs`, or as :func:`real_data_of`.
    """
    return world_data_of(run) if run.is_world else real_data_of(run)


def real_data_of(run: Experiment, *, validation_share: float | None = None) -> CellsData | ScreenRunData:
    """The data of an experiment on cells, matched two by two or as the perturbations of a screen.

    Raises
    ------
    InputError
        As :func:`cells_data_of` or :func:`screen_data_of`.
    """
    of_kind = screen_data_of if run.is_screen else cells_data_of
    return of_kind(run, validation_share=validation_share)


def perturbations_read(data: WorldData | CellsData | ScreenRunData) -> PerturbationVocab | None:
    """The perturbations that models read by name; None where they are given values at genes."""
    return data.perturbations if isinstance(data, ScreenRunData) else None
