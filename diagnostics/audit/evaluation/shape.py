"""What scores of means do not show: collapse onto one answer, cell-to-cell spread, and distance between samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import Scale, ScreenData, Split
from diagnostics.audit.evaluation.emission import TOTAL
from diagnostics.audit.evaluation.predictions import Groups
from diagnostics.scoring.distances import energy_distance, mmd, sinkhorn_divergence

SET_SIZE = 64
"""Cells of each of the two sets between which the energy distance is taken, where there are as many."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Three numbers of one answer, on log1p of counts scaled to 10,000 or on the screen's logarithms.

    Parameters
    ----------
    collapse : float
        Variance across perturbations of the predicted means over that of the screen's, sampling noise taken off both:
        1 where perturbations differ as they should, 0 where all have one answer; NaN where the screen shows no
        variance beyond noise.
    spread : float
        Variance between cells of one perturbation over that of the screen; 0 where all cells are the same.
    energy : float
        Energy distance between :data:`SET_SIZE` predicted and as many real cells, mean over perturbations. It is not 0
        for the truth: the exact sampler's is its finite-sample floor.
    mmd, sinkhorn : float
        The same of the squared maximum mean discrepancy and the Sinkhorn divergence.
    """

    collapse: float
    spread: float
    energy: float
    mmd: float
    sinkhorn: float


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """Distances of the truth to itself: real cells of a perturbation and as many others of it.

    Parameters
    ----------
    energy, mmd, sinkhorn : float
        Mean over perturbations.
    n : int
        Cells of each of the two sets, where perturbations have as many; the distances of answers are of
        :data:`SET_SIZE` cells, and those of fewer are larger.
    """

    energy: float
    mmd: float
    sinkhorn: float
    n: int


def floor_of(screen: ScreenData, split: Split) -> Floor | None:
    """What the distances are of the truth; None where no test perturbation has 4 cells."""
    found: list[tuple[float, float, float]] = []
    most = 0
    for context in screen.contexts:
        for one in screen.in_context(context, split.test):
            real_BG = log_cells(screen.X_BG[screen.rows(one, context)].toarray(), screen.scale)
            n = min(SET_SIZE, len(real_BG) // 2)
            if n < 2:
                continue
            # Every other cell: neighbours in a file may be of one batch.
            found.append(_distances(_spaced(real_BG[::2], n), _spaced(real_BG[1::2], n)))
            most = max(most, n)
    if not found:
        return None
    energy, mean_discrepancy, sinkhorn = np.mean(found, axis=0).tolist()
    return Floor(energy=energy, mmd=mean_discrepancy, sinkhorn=sinkhorn, n=most)


def shape_of(screen: ScreenData, split: Split, groups: Groups) -> Shape:
    """The shape of an answer against the cells of a screen, mean over contexts."""
    ratios: list[tuple[float, float]] = []
    distances: list[tuple[float, float, float]] = []
    for context in screen.contexts:
        labels = screen.in_context(context, split.test)
        real = {one: log_cells(screen.X_BG[screen.rows(one, context)].toarray(), screen.scale) for one in labels}
        mine = {one: log_cells(groups[one, context], screen.scale) for one in labels}
        (between, within), (real_between, real_within) = moments(mine, labels), moments(real, labels)
        collapse = between / real_between if real_between > 0 else np.nan
        ratios.append((collapse, within / real_within if real_within > 0 else np.nan))
        for one in labels:
            n = min(SET_SIZE, len(mine[one]), len(real[one]))
            # Evenly spaced: neighbours in a file may be of one batch.
            distances.append(_distances(_spaced(mine[one], n), _spaced(real[one], n)))
    collapse, spread = np.mean(ratios, axis=0)
    energy, mean_discrepancy, sinkhorn = np.mean(distances, axis=0).tolist()
    return Shape(collapse=float(collapse), spread=float(spread), energy=energy, mmd=mean_discrepancy, sinkhorn=sinkhorn)


def _distances(first_BG: NDArray[np.float64], second_BG: NDArray[np.float64]) -> tuple[float, float, float]:
    return energy_distance(first_BG, second_BG), mmd(first_BG, second_BG), sinkhorn_divergence(first_BG, second_BG)


def moments(cells: Mapping[str, NDArray[np.float64]], labels: Sequence[str]) -> tuple[float, float]:
    """Variance between the means of perturbations without their sampling noise, and within; summed over genes."""
    mean_label_G = np.array([cells[one].mean(axis=0) for one in labels])
    variance_label_G = np.array([cells[one].var(axis=0) for one in labels])
    n_label = np.array([len(cells[one]) for one in labels])[:, None]
    between_G = mean_label_G.var(axis=0, ddof=1) - (variance_label_G / n_label).mean(axis=0)
    return float(between_G.sum()), float(variance_label_G.mean(axis=0).sum())


def _spaced(cell_BG: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return cell_BG[np.linspace(0, len(cell_BG) - 1, n).astype(np.int64)]


def log_cells(cell_BG: NDArray[Any], scale: Scale) -> NDArray[np.float64]:
    """Cells on a logarithmic scale, float64 (B, G)."""
    value_BG = np.asarray(cell_BG, dtype=np.float64)
    if scale == "log":
        return value_BG
    return np.log1p(value_BG * (TOTAL / np.maximum(value_BG.sum(axis=1, keepdims=True), 1)))
