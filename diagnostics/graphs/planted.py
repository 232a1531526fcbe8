"""Recovery of a graph planted into real cells: at which doses and numbers of cells estimators and models find it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs.rankings import average_precision
from gpcp.core.errors import InputError
from gpcp.core.intervals import Interval, mean_interval
from gpcp.core.progress import OnProgress, no_progress
from gpcp.core.random import generator, seed_of
from simulators.spike_ins.planted_graph import planted_graph
from simulators.spike_ins.real_cells import RealCells
from simulators.spike_ins.screen import SpikeDesign, SpikedScreen, spiked_screen

READ_OUTS = ("welch", "ridge")
"""Size of Welch's t of each target and gene; size of the coefficients of a ridge regression on the targets."""

ReadOut = Callable[[SpikedScreen, int], NDArray[np.float64]]
"""Given a screen and a seed: how strongly each target seems to act on each gene, float64 (targets, G)."""

Place = tuple[float, int, int]
"""Dose, cells of a target, and number of the repeat."""

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
    n_genes : int or None
        Plant on so many genes, those that most cells express; None for all.
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
    n_genes: int | None = None
    found: float = 0.5
    level: float = 0.9

    def __post_init__(self) -> None:
        if not self.doses or min(self.doses) <= 0 or not self.n_cells or min(self.n_cells) < 3:
            raise InputError("doses above 0 and 3 cells or more are needed")
        if self.n_targets < 1 or self.n_repeats < 2:
            raise InputError("at least one target and two repeats are needed")
        if self.n_genes is not None and self.n_genes <= self.n_targets:
            raise InputError(f"n_genes is {self.n_genes}: more than the {self.n_targets} targets are needed")
        if not 0 < self.found < 1:
            raise InputError(f"found is {self.found:g}: it must lie between 0 and 1")

    @property
    def every(self) -> tuple[Place, ...]:
        """All screens that are made."""
        return tuple(product(self.doses, self.n_cells, range(self.n_repeats)))


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
    more: Mapping[str, ReadOut] | None = None,
    on_progress: OnProgress = no_progress,
) -> GraphRecovery:
    """Plant graphs into real cells as screens, and score what estimators read out of them.

    Cells are drawn with replacement, so that screens may be larger than the pilot. Controls are as many as the pilot's
    cells.

    Parameters
    ----------
    cells : RealCells
    design : GraphDesign, optional
    seed : int
    more : mapping of name to read-out, optional
        Asked of the same screens beside :data:`READ_OUTS`; of a model:
        :class:`diagnostics.commands.power.model.ModelReadOut`.
    on_progress : callable

    Raises
    ------
    InputError
        Fewer genes are measured than there are targets, or a name is taken.
    """
    design = GraphDesign() if design is None else design
    panel, found = panel_of(cells, design), dict[Place, Mapping[str, float]]()
    for number, place in enumerate(design.every):
        found[place] = scores_at(panel, design, place, seed=seed, more=more or {})
        on_progress(number + 1, len(design.every))
    return recovery_of(design, found)


def panel_of(cells: RealCells, design: GraphDesign) -> RealCells:
    """The cells with the genes that the design plants on.

    Raises
    ------
    InputError
        There are fewer genes.
    """
    if design.n_genes is None or design.n_genes == len(cells.vocab):
        return cells
    if design.n_genes > len(cells.vocab):
        raise InputError(f"n_genes is {design.n_genes}, and the cells have {len(cells.vocab)} genes: lower it")
    share_G = (cells.value_NG != 0).mean(axis=0) - 1.0 * ~cells.measured_NG.all(axis=0)
    return cells.of_genes(np.sort(np.argsort(-share_G, kind="stable")[: design.n_genes]))


def scores_at(
    cells: RealCells, design: GraphDesign, place: Place, *, seed: int, more: Mapping[str, ReadOut]
) -> dict[str, float]:
    """AUPRC of every read-out of one screen, and ``chance``.

    Raises
    ------
    InputError
        A name of ``more`` is taken, or as :func:`graph_recovery`.
    """
    if taken := {*READ_OUTS, "chance"} & {*more}:
        raise InputError(f"{taken.pop()!r} is the name of an estimator: call the other one differently")
    dose, n, repeat = place
    # The graph and the targets of a repeat are the same at every dose and number of cells.
    one = seed_of(seed, "planted graph power", repeat)
    graph = planted_graph(cells.vocab, seed=one)
    rng = generator("planted graph power", seed, repeat, repr(dose), n)
    row_N = rng.integers(len(cells), size=design.n_targets * n + len(cells))
    spike = SpikeDesign(n_targets=design.n_targets, cells_per_target=n, dose=-dose)
    screen = spiked_screen(cells.rows(row_N), graph, spike, seed=one)
    true, scored = _truth(screen)
    scores = dict(zip(READ_OUTS, _read_out(screen), strict=True))
    scores |= {name: read_out(screen, one) for name, read_out in more.items()}
    found = {name: average_precision(score[scored], true[scored]) for name, score in scores.items()}
    return found | {"chance": float(true[scored].mean())}


def recovery_of(design: GraphDesign, found: Mapping[Place, Mapping[str, float]]) -> GraphRecovery:
    """The scores of all screens as intervals over repeats."""
    names = [name for name in found[design.every[0]] if name != "chance"]
    auprc = {
        name: {
            (dose, n): mean_interval(
                [found[dose, n, repeat][name] for repeat in range(design.n_repeats)], level=design.level
            )
            for dose, n in product(design.doses, design.n_cells)
        }
        for name in names
    }
    chance = float(np.mean([one["chance"] for one in found.values()]))
    return GraphRecovery(design=design, auprc=auprc, chance=chance)


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
