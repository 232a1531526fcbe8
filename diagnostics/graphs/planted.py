"""Recovery of a graph planted into real cells: at which doses and numbers of cells classical estimators find it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs.rankings import average_precision
from gpcp.core.errors import InputError
from gpcp.core.intervals import Interval, mean_interval
from gpcp.core.random import generator, seed_of
from simulators.spike_ins.planted_graph import planted_graph
from simulators.spike_ins.real_cells import RealCells
from simulators.spike_ins.screen import SpikeDesign, SpikedScreen, spiked_screen

READ_OUTS = ("welch", "ridge")
"""Size of Welch's t of each target and gene; size of the coefficients of a ridge regression on the targets."""

_RIDGE = 10.0
"""Penalty, in cells: a coefficient is the difference of means, shrunk by ``n / (n + 10)``."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GraphDesign:
    """Planted graphs that are to be found.

    Parameters
    ----------
    doses : tuple of float
        Sizes of the natural-logarithmic fold change of a target; targets fall.
    n_cells : tuple of int
        Cells of a target.
    n_targets : int
    n_repeats : int
        Graphs and draws of cells.
    found : float
        AUPRC of total effects from which a graph counts as found.
    level : float
        Of the intervals.

    Raises
    ------
    InputError
        A number lies outside its range.
    """

    doses: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    n_cells: tuple[int, ...] = (25, 50, 100, 200, 400)
    n_targets: int = 10
    n_repeats: int = 8
    found: float = 0.5
    level: float = 0.9

    def __post_init__(self) -> None:
        if not self.doses or min(self.doses) <= 0 or not self.n_cells or min(self.n_cells) < 3:
            raise InputError("doses above 0 and 3 cells or more are needed")
        if self.n_targets < 1 or self.n_repeats < 2:
            raise InputError("at least one target and two repeats are needed")
        if not 0 < self.found < 1:
            raise InputError(f"found is {self.found:g}: it must lie between 0 and 1")


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GraphRecovery:
    """How well planted graphs are found.

    Parameters
    ----------
    design : GraphDesign
    auprc : mapping of read-out to Intervals
        By (dose, cells), of the total effects of the targets, over repeats.
    chance : float
        Mean share of the pairs of target and gene that have an effect: what a score without information gets.
    """

    design: GraphDesign
    auprc: Mapping[str, Mapping[tuple[float, int], Interval]]
    chance: float

    def rows(self) -> list[dict[str, Any]]:
        """The curves as a tidy table."""
        return [
            {"read_out": name, "dose": dose, "cells": n, "auprc": one.value, "low": one.low, "high": one.high}
            for name, by in self.auprc.items()
            for (dose, n), one in by.items()
        ]

    def smallest_dose(self, read_out: str, n: int) -> float | None:
        """The smallest dose of the grid at which the graph is found, with the whole interval; None where at none."""
        found = [dose for dose in self.design.doses if self.auprc[read_out][dose, n].low >= self.design.found]
        return min(found, default=None)


def graph_recovery(
    cells: RealCells,
    design: GraphDesign | None = None,
    *,
    seed: int = 0,
    kept: Mapping[tuple[float, int], Mapping[str, list[float]]] | None = None,
    keep: Callable[[tuple[float, int], Mapping[str, list[float]]], None] | None = None,
) -> GraphRecovery:
    """Plant graphs into real cells as screens, and score what classical estimators read out of them.

    Cells are drawn with replacement, so that screens may be larger than the pilot. Controls are as many as the pilot's
    cells.

    Raises
    ------
    InputError
        Fewer genes are measured than there are targets.
    """
    design = GraphDesign() if design is None else design
    known = dict(kept or {})
    for dose in design.doses:
        for n in design.n_cells:
            if (dose, n) in known:
                continue
            known[dose, n] = _scores(cells, design, dose, n, seed)
            if keep is not None:
                keep((dose, n), known[dose, n])
    chance = float(np.mean([one for found in known.values() for one in found["chance"]]))
    auprc = {
        name: {at: mean_interval(found[name], level=design.level) for at, found in known.items()} for name in READ_OUTS
    }
    return GraphRecovery(design=design, auprc=auprc, chance=chance)


def _scores(cells: RealCells, design: GraphDesign, dose: float, n: int, seed: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in (*READ_OUTS, "chance")}
    for repeat in range(design.n_repeats):
        # The graph and the targets of a repeat are the same at every dose and number of cells.
        one = seed_of(seed, "planted graph power", repeat)
        graph = planted_graph(cells.vocab, seed=one)
        rng = generator("planted graph power", seed, repeat, repr(dose), n)
        row_N = rng.integers(len(cells), size=design.n_targets * n + len(cells))
        spike = SpikeDesign(n_targets=design.n_targets, cells_per_target=n, dose=-dose)
        screen = spiked_screen(cells.rows(row_N), graph, spike, seed=one)
        true, scored = _truth(screen)
        for name, score in zip(READ_OUTS, _read_out(screen), strict=True):
            found[name].append(average_precision(score[scored], true[scored]))
        found["chance"].append(float(true[scored].mean()))
    return found


def _truth(screen: SpikedScreen) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which genes a target acts on, directly or not, and which pairs are scored: not the target itself."""
    own = np.zeros(screen.effect_target_G.shape, dtype=np.bool_)
    own[np.arange(len(screen.targets)), screen.cells.vocab.tokens(screen.targets)] = True
    return (screen.effect_target_G != 0) & ~own, ~own


def _read_out(screen: SpikedScreen) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    value_NG = _values(screen.cells)
    group = np.where(screen.target_N < 0, len(screen.targets), screen.target_N)
    n_groups = len(screen.targets) + 1
    n_of = np.bincount(group, minlength=n_groups)[:, None]
    hot = (group[None] == np.arange(n_groups)[:, None]).astype(np.float64)
    mean = hot @ value_NG / n_of
    variance = np.maximum(hot @ value_NG**2 / n_of - mean**2, 0.0) * n_of / np.maximum(n_of - 1, 1)
    difference = np.abs(mean[:-1] - mean[-1])
    error = np.sqrt(variance[:-1] / n_of[:-1] + variance[-1] / n_of[-1])
    t = np.where(error > 0, difference / np.where(error > 0, error, 1.0), 0.0)
    return t, difference * n_of[:-1] / (n_of[:-1] + _RIDGE)


def _values(cells: RealCells) -> NDArray[np.float64]:
    if cells.count_NG is None or cells.total_N is None:
        return cells.value_NG.astype(np.float64)
    scale_N = np.median(cells.total_N) / np.maximum(cells.total_N, 1.0)
    return np.log1p(cells.count_NG * scale_N[:, None])
