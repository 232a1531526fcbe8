"""Quadrature for the matched regime with all genes but one perturbed, in any world: one integral on a grid.

``p(x_u | the rest)`` is proportional to ``p(x_u | its parents)`` times ``p(x_c | its parents)`` for each child ``c``:
no other equation has ``x_u`` in it. Unlike particles the grid is smooth in the perturbed values, which finite
differences need.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from simulators.exact.conditioning import chunks
from simulators.exact.equations import Equations
from simulators.exact.monte_carlo import Moments
from simulators.scm.scm import Scm

_Array = NDArray[np.float64]

_COARSE, _FINE = 513, 2_049
"""Points of the grids that search for the density's mass, and of the one that integrates it."""

_REACH = 12.0
"""The first grid reaches this many standard deviations of the gene's own noise: beyond lie less than 1e-6 of it."""

_DEPTH = 45.0
"""Densities below ``exp(-45)`` of the peak are cut off."""

_LOOKS = 6
"""Times that the interval is adjusted."""

_CHUNK_ENTRIES = 65_536


def one_unperturbed_moments(scm: Scm, perturbed_BG: NDArray[np.bool_], value_BG: _Array) -> Moments:
    """Mean and variance of the unperturbed gene of each pair given all others, and the mean's error.

    Parameters
    ----------
    scm : Scm
    perturbed_BG : bool, (B, G)
        All but one of each row.
    value_BG : float64, (B, G)
        Values of the perturbed genes; others are not read.

    Returns
    -------
    mean_BG, variance_BG, standard_error_BG : float64, (B, G)
        Value, 0 and 0 at perturbed genes. The error is that of the grid, not of chance: how far the mean moves when
        every second point is left out.

    Raises
    ------
    InputError
        The perturbed values of a pair have density 0 in this world.
    """
    equations = Equations(scm)
    moments: Moments = (value_BG.copy(), np.zeros(value_BG.shape), np.zeros(value_BG.shape))
    unperturbed_B = np.argmin(perturbed_BG, axis=1)
    for gene in np.unique(unperturbed_B).tolist():
        of_gene_B = np.flatnonzero(unperturbed_B == gene)
        for part in chunks(len(of_gene_B), _FINE, _CHUNK_ENTRIES):
            pairs = of_gene_B[part]
            density = _Conditional(equations, gene, value_BG[pairs])
            low_B, high_B = density.support(pairs)
            point_B_grid: _Array = np.linspace(low_B, high_B, _FINE, axis=1)
            weight_B_grid = np.exp(density.log_at(point_B_grid, below_peak=True))
            mean_B = _mean(point_B_grid, weight_B_grid)
            moments[0][pairs, gene] = mean_B
            moments[1][pairs, gene] = _mean((point_B_grid - mean_B[:, None]) ** 2, weight_B_grid)
            moments[2][pairs, gene] = np.abs(mean_B - _mean(point_B_grid[:, ::2], weight_B_grid[:, ::2]))
    return moments


def _mean(value_B_grid: _Array, weight_B_grid: _Array) -> _Array:
    return (value_B_grid * weight_B_grid).sum(axis=1) / weight_B_grid.sum(axis=1)


@final
class _Conditional:
    """``log p(x_u | the rest)`` up to a constant, for pairs that share the unperturbed gene."""

    def __init__(self, equations: Equations, gene: int, value_BG: _Array) -> None:
        graph = equations.scm.graph
        self._equations, self._gene = equations, gene
        self._value_BG = value_BG
        # The unperturbed gene's feature is computed for each grid; a 0 holds its place until then.
        perturbed_BG = value_BG.copy()
        perturbed_BG[:, gene] = 0.0
        self._features = [equations.feature(one, perturbed_BG[:, one, None]) for one in range(graph.n_genes)]
        self._children = np.flatnonzero(graph.adjacency_GG[gene]).tolist()
        self._natural_B1 = equations.natural(gene, self._features, (len(value_BG), 1))

    def log_at(self, point_B_grid: _Array, *, below_peak: bool = False) -> _Array:
        """Logarithm of the density, (B, grid); ``below_peak`` relative to the largest of each row."""
        features = list(self._features)
        features[self._gene] = self._equations.feature(self._gene, point_B_grid)
        log_B_grid = self._equations.log_density(self._gene, point_B_grid, self._natural_B1)
        for child in self._children:
            natural_B_grid = self._equations.natural(child, features, point_B_grid.shape)
            log_B_grid = log_B_grid + self._equations.log_density(child, self._value_BG[:, child, None], natural_B_grid)
        return log_B_grid - log_B_grid.max(axis=1, keepdims=True) if below_peak else log_B_grid

    def support(self, pairs: NDArray[np.integer]) -> tuple[_Array, _Array]:
        """Ends of the interval outside of which the density is negligible, (B,) each."""
        reach = _REACH * self._equations.noise_sd_G[self._gene]
        low_B, high_B = self._natural_B1[:, 0] - reach, self._natural_B1[:, 0] + reach
        n_points = _COARSE
        for _ in range(_LOOKS):
            log_B_grid = self.log_at(np.linspace(low_B, high_B, n_points, axis=1))
            peak_B: _Array = log_B_grid.max(axis=1)
            if np.isfinite(peak_B).all():
                low_B, high_B = _nearer(low_B, high_B, log_B_grid > peak_B[:, None] - _DEPTH)
                n_points = _COARSE
            elif n_points == _COARSE:
                n_points = 32 * _COARSE  # noise with edges can leave an interval narrower than the grid
            else:
                pair = int(pairs[int(np.argmin(np.isfinite(peak_B)))])
                raise InputError(
                    f"the perturbed values of pair {pair} have density 0 in this world of "
                    f"{self._equations.scm.noise.name} noise: give values that it can have"
                )
        return low_B, high_B


def _nearer(low_B: _Array, high_B: _Array, near_B_grid: NDArray[np.bool_]) -> tuple[_Array, _Array]:
    """The interval shrunk to the points with mass and one beyond; grown by half where an end has mass."""
    last = near_B_grid.shape[1] - 1
    width_B = high_B - low_B
    first_B, last_B = near_B_grid.argmax(axis=1), last - near_B_grid[:, ::-1].argmax(axis=1)
    before_B = np.where(near_B_grid[:, 0], -0.5, (first_B - 1) / last)
    behind_B = np.where(near_B_grid[:, -1], -0.5, (last - 1 - last_B) / last)
    return low_B + before_B * width_B, high_B - behind_B * width_B
