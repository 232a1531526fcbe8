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

    def limit(self, test: str) -> Crossing:
        """The smallest effect that a test finds with ``design.cells`` cells."""
        return self.limits[test][self.design.cells_grid.index(self.design.cells)]

    def needed(self, test: str) -> Crossing:
        """The cells that a test needs for ``design.effect``."""
        return self.cells_needed[test][self.design.effect_grid.index(self.design.effect)]

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


def _summarised(design: PowerDesign, pilot: Pilot, surface: NDArray[np.float64]) -> DetectionPower:
    false, (point, batches, resampled) = surface[:, 0, :, :, 0], split_samples(surface[..., 1:])
    variance = resampled.var(axis=1, ddof=1) + batches.var(axis=1, ddof=1) / batches.shape[1]
    effects = np.array(design.effect_grid)
    cells = np.array(design.cells_grid, dtype=np.float64)

    def limits(test: int, n: int, group: int) -> Crossing:
        return crossing_interval(
            effects,
            point[test, :, n, group],
            batches[test, :, :, n, group],
            resampled[test, :, :, n, group],
            wanted=design.power,
            level=design.level,
        )

    def needed(test: int, effect: int) -> Crossing:
        return crossing_interval(
            cells,
            point[test, effect, :, 0],
            batches[test, :, effect, :, 0],
            resampled[test, :, effect, :, 0],
            wanted=design.power,
            level=design.level,
        )

    asked = design.cells_grid.index(design.cells)
    tested_G = pilot.expressed_G[pilot.expressed_G >= design.expressed]
    n_class = np.bincount(classes_of(tested_G), minlength=len(EXPRESSED_BINS) - 1)
    nothing = Crossing(value=None, low=None, high=None)
    return DetectionPower(
        design=design,
        n_pilot=len(pilot),
        n_genes=len(tested_G),
        rule=pilot.rule,
        power=point,
        error=np.sqrt(variance),
        false=false,
        n_class=tuple(n_class.tolist()),
        limits={name: tuple(limits(test, n, 0) for n in range(len(cells))) for test, name in enumerate(TESTS)},
        class_limits={
            name: tuple(limits(test, asked, 1 + group) if n_class[group] else nothing for group in range(len(n_class)))
            for test, name in enumerate(TESTS)
        },
        cells_needed={name: tuple(needed(test, n) for n in range(len(effects))) for test, name in enumerate(TESTS)},
    )
