"""What scores of means do not show: collapse onto one answer, cell-to-cell spread, and distance between samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import Scale, ScreenData, Split
from diagnostics.audit.evaluation.emission import TOTAL
from diagnostics.audit.evaluation.predictions import Groups

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
    """

    collapse: float
    spread: float
    energy: float


def shape_of(screen: ScreenData, split: Split, groups: Groups) -> Shape:
    """The shape of an answer against the cells of a screen, mean over contexts."""
    ratios: list[tuple[float, float]] = []
    distances: list[float] = []
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
            distances.append(energy_distance(_spaced(mine[one], n), _spaced(real[one], n)))
    collapse, spread = np.mean(ratios, axis=0)
    return Shape(collapse=float(collapse), spread=float(spread), energy=float(np.mean(distances)))


def moments(cells: Mapping[str, NDArray[np.float64]], labels: Sequence[str]) -> tuple[float, float]:
    """Variance between the means of perturbations without their sampling noise, and within; summed over genes."""
    mean_label_G = np.array([cells[one].mean(axis=0) for one in labels])
    variance_label_G = np.array([cells[one].var(axis=0) for one in labels])
    n_label = np.array([len(cells[one]) for one in labels])[:, None]
    between_G = mean_label_G.var(axis=0, ddof=1) - (variance_label_G / n_label).mean(axis=0)
    return float(between_G.sum()), float(variance_label_G.mean(axis=0).sum())


def _spaced(cell_BG: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return cell_BG[np.linspace(0, len(cell_BG) - 1, n).astype(np.int64)]


def energy_distance(first_BG: NDArray[np.float64], second_BG: NDArray[np.float64]) -> float:
    """``2 E|x - y| - E|x - x'| - E|y - y'|`` over all pairs, a cell with itself included, as losses have it."""
    from scipy.spatial.distance import cdist

    between = float(cdist(first_BG, second_BG).mean())
    return 2 * between - float(cdist(first_BG, first_BG).mean()) - float(cdist(second_BG, second_BG).mean())


def log_cells(cell_BG: NDArray[Any], scale: Scale) -> NDArray[np.float64]:
    """Cells on a logarithmic scale, float64 (B, G)."""
    value_BG = np.asarray(cell_BG, dtype=np.float64)
    if scale == "log":
        return value_BG
    return np.log1p(value_BG * (TOTAL / np.maximum(value_BG.sum(axis=1, keepdims=True), 1)))
