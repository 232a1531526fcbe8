"""``detection_power``: the limit of detection of a screen of such cells, and the cells that it would take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from diagnostics.audit.power.design import EXPRESSED_BINS, PowerDesign, percent
from diagnostics.audit.power.limits import Crossing, crossing_interval
from diagnostics.audit.power.planted_values import Pilot, pilot_of
from diagnostics.audit.power.surface import (
    TESTS,
    classes_of,
    drawn,
    effects_of,
    power_at,
    resamplings,
    split_samples,
    without_effect,
)
from gpcp.core.progress import OnProgress, no_progress
from simulators.spike_ins.real_cells import RealCells


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectionPower:
    """What an experiment on such cells would find; tests are ``welch`` and ``wilcoxon``.

    Parameters
    ----------
    design : PowerDesign
    n_pilot, n_genes : int
        Cells of the pilot, and genes tested.
    rule : str
        How effects were planted: ``counts``, ``fold`` or ``shift``.
    power : float64, (tests, effects, cells, classes + 1)
        Share of the affected genes that are found: of all genes, then of each class of expression, NaN where empty.
    error : float64, of the same shape
        Standard error that the pilot's size leaves.
    false : float64, (tests, effects, cells)
        Share of the discoveries that are none: above ``design.fdr`` where a test's p-values are too small.
    n_class : tuple of int
        Genes of each class of :data:`~diagnostics.audit.power.design.EXPRESSED_BINS`.
    limits : mapping of test to Crossings
        Smallest effect found, one for each number of cells.
    class_limits : mapping of test to Crossings
        The same at ``design.cells``, one for each class of expression.
    cells_needed : mapping of test to Crossings
        Cells of a perturbation, one for each effect.
    expression_needed : mapping of test to Crossings
        Share of the cells that express a gene from which on ``design.effect`` is found, one for each number of cells;
        by interpolation between the classes of expression, each of which stands at the geometric mean of its bounds.
    """

    design: PowerDesign
    n_pilot: int
    n_genes: int
    rule: str
    power: NDArray[np.float64]
    error: NDArray[np.float64]
    false: NDArray[np.float64]
    n_class: tuple[int, ...]
    limits: Mapping[str, tuple[Crossing, ...]]
    class_limits: Mapping[str, tuple[Crossing, ...]]
    cells_needed: Mapping[str, tuple[Crossing, ...]]
    expression_needed: Mapping[str, tuple[Crossing, ...]]

    def limit(self, test: str) -> Crossing:
        """The smallest effect that a test finds with ``design.cells`` cells."""
        return self.limits[test][self.design.cells_grid.index(self.design.cells)]

    def needed(self, test: str) -> Crossing:
        """The cells that a test needs for ``design.effect``."""
        return self.cells_needed[test][self.design.effect_grid.index(self.design.effect)]

    def expression(self, test: str) -> Crossing:
        """The share of cells that must express a gene for ``design.effect`` to be found with ``design.cells`` cells."""
        return self.expression_needed[test][self.design.cells_grid.index(self.design.cells)]

    def trusted(self, n: float) -> tuple[str, ...]:
        """Tests of whose discoveries at most twice the wanted share are false with so many cells; all, if none is."""
        effect = self.design.effect_grid.index(self.design.effect)
        place = min(int(np.searchsorted(self.design.cells_grid, n)), len(self.design.cells_grid) - 1)
        found = tuple(name for test, name in enumerate(TESTS) if self.false[test, effect, place] <= 2 * self.design.fdr)
        return found or TESTS

    def rows(self) -> list[dict[str, Any]]:
        """The curves as a tidy table: a row for each test, effect, number of cells and class of expression."""
        half = float(special.ndtri((1 + self.design.level) / 2))
        classes = ["all", *(class_name(number) for number in range(len(self.n_class)))]
        found: list[dict[str, Any]] = []
        for index in np.ndindex(self.power.shape):
            test, effect, cells, group = map(int, index)
            power, error = float(self.power[index]), half * float(self.error[index])
            if np.isnan(power):
                continue
            size: float = self.design.effect_grid[effect]
            found.append(
                {
                    "test": TESTS[test],
                    "effect": size,
                    "change": percent(size, self.design.direction),
                    "cells": self.design.cells_grid[cells],
                    "expressed": classes[group],
                    "power": power,
                    "low": max(0.0, power - error),
                    "high": min(1.0, power + error),
                }
            )
        return found


def class_name(number: int) -> str:
    """A class of genes by the share of cells that express them: ``5-10 %``."""
    return f"{100 * EXPRESSED_BINS[number]:g}-{100 * EXPRESSED_BINS[number + 1]:g} %"


def detection_power(
    cells: RealCells,
    design: PowerDesign | None = None,
    *,
    seed: int = 0,
    kept: Mapping[int, NDArray[np.float64]] | None = None,
    keep: Callable[[int, NDArray[np.float64]], None] | None = None,
    on_progress: OnProgress = no_progress,
) -> DetectionPower:
    """Plant effects into real cells, draw experiments, test them, and say where effects stop being found.

    Experiments are drawn with replacement from the cells, with the effect on every gene in turn; in each of them
    Benjamini and Hochberg's procedure meets the p-values of as many affected genes as ``design`` says and of others
    that are not. Intervals come of bootstrap samples of the pilot's cells.

    Parameters
    ----------
    cells : RealCells
        To which nothing was done: see :func:`simulators.spike_ins.real_cells.real_cells`.
    design : PowerDesign, optional
    seed : int
    kept : mapping, optional
        Results by the number of cells, of an interrupted call.
    keep : callable, optional
        Given the result of each number of cells as it is there.
    on_progress : callable

    Raises
    ------
    InputError
        There are fewer than 20 cells, or no gene is left to test.
    """
    design = PowerDesign() if design is None else design
    pilot = pilot_of(cells, expressed=design.expressed)
    found = dict(kept or {})
    todo = [n for n in design.cells_grid if n not in found]
    if todo:
        some = resamplings(pilot, design, seed=seed)
        none = without_effect(pilot, some)
        effects = effects_of(pilot, design, some, none, seed=seed)
        for done, n in enumerate(todo, 1):
            found[n] = power_at(drawn(pilot, n, design, seed=seed), some, none, effects, design)
            if keep is not None:
                keep(n, found[n])
            on_progress(len(design.cells_grid) - len(todo) + done, len(design.cells_grid))
    # (tests, samples, effects, cells, classes + 2)
    return _summarised(design, pilot, np.stack([found[n] for n in design.cells_grid], axis=3))


Surface = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Power of the pilot (tests, effects, cells, classes), of batches of draws and of samples, a further second axis."""


def _summarised(design: PowerDesign, pilot: Pilot, found: NDArray[np.float64]) -> DetectionPower:
    surface = point, batches, resampled = split_samples(found[..., 1:])
    variance = resampled.var(axis=1, ddof=1) + batches.var(axis=1, ddof=1) / batches.shape[1]
    effects, cells = np.array(design.effect_grid), np.array(design.cells_grid, dtype=np.float64)
    asked, wanted = design.cells_grid.index(design.cells), design.effect_grid.index(design.effect)
    tested_G = pilot.expressed_G[pilot.expressed_G >= design.expressed]
    n_class = np.bincount(classes_of(tested_G), minlength=len(EXPRESSED_BINS) - 1)
    there, every = np.flatnonzero(n_class), slice(None)
    by_class: Surface = (point[..., 1 + there], batches[..., 1 + there], resampled[..., 1 + there])
    nothing = Crossing(value=None, low=None, high=None)

    def limit(test: int, n: int, group: int) -> Crossing:
        return _crossing(design, effects, surface, test, (every, n, group))

    return DetectionPower(
        design=design,
        n_pilot=len(pilot),
        n_genes=len(tested_G),
        rule=pilot.rule,
        power=point,
        error=np.sqrt(variance),
        false=found[:, 0, :, :, 0],
        n_class=tuple(n_class.tolist()),
        limits={name: tuple(limit(test, n, 0) for n in range(len(cells))) for test, name in enumerate(TESTS)},
        class_limits={
            name: tuple(limit(test, asked, 1 + group) if n_class[group] else nothing for group in range(len(n_class)))
            for test, name in enumerate(TESTS)
        },
        cells_needed={
            name: tuple(_crossing(design, cells, surface, test, (one, every, 0)) for one in range(len(effects)))
            for test, name in enumerate(TESTS)
        },
        expression_needed={
            name: tuple(
                _crossing(design, _middles()[there], by_class, test, (wanted, n, every)) for n in range(len(cells))
            )
            for test, name in enumerate(TESTS)
        },
    )


def _crossing(
    design: PowerDesign, grid: NDArray[np.float64], surface: Surface, test: int, place: tuple[int | slice, ...]
) -> Crossing:
    """Along the one axis of effects, cells and classes that ``place`` leaves open."""
    point, batches, resampled = surface
    return crossing_interval(
        grid,
        point[test][place],
        batches[(test, slice(None), *place)],
        resampled[(test, slice(None), *place)],
        wanted=design.power,
        level=design.level,
    )


def _middles() -> NDArray[np.float64]:
    """Where each class of expression stands; that of the lowest, which begins at 0, at half its end."""
    low, high = np.array(EXPRESSED_BINS[:-1]), np.array(EXPRESSED_BINS[1:])
    return np.where(low > 0, np.sqrt(low * high), high / 2)
