"""Means and variances under interventions by simulation, with standard errors, where there is no closed form."""

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from simulators.scm.interventions import Do
from simulators.scm.scm import Scm

Moments = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Conditional mean, conditional variance, and standard error of the mean, (B, G) each."""


def do_moments(
    scm: Scm,
    perturbed_BG: NDArray[np.bool_],
    value_BG: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    n_particles: int,
) -> Moments:
    """Mean and variance of every gene under ``Do(perturbed = value)``, and the mean's standard error.

    All pairs share their noise. Its mean is known to be 0, so it is a control variate: the mean of a gene is the
    intercept of its regression on the noise, which leaves the error of its non-linear part alone.

    Parameters
    ----------
    scm : Scm
    perturbed_BG : bool, (B, G)
    value_BG : float64, (B, G)
        Values of the perturbed genes; others are not read.
    rng : numpy.random.Generator
    n_particles : int
        Cells to simulate for each pair; more than twice the genes.

    Returns
    -------
    mean_BG, variance_BG, standard_error_BG : float64, (B, G)
        Value, 0 and 0 at perturbed genes.

    Raises
    ------
    InputError
        Too few cells for the regression.
    """
    n_genes = scm.graph.n_genes
    if n_particles <= 2 * n_genes:
        raise InputError(f"n_particles is {n_particles}: it must be above twice the {n_genes} genes")
    noise_NG = scm.draw(n_particles, rng)
    basis_NF, triangle_FF = np.linalg.qr(np.column_stack([np.ones(n_particles), noise_NG]))
    # The weight of each cell in the intercept of a regression on (1, noise).
    weight_N = basis_NF @ np.linalg.inv(triangle_FF)[0].astype(np.float64, copy=False)
    mean_BG, variance_BG, error_BG = value_BG.copy(), np.zeros(value_BG.shape), np.zeros(value_BG.shape)
    for pair, perturbed_G in enumerate(perturbed_BG):
        action = Do(scm.graph.vocab.genes(np.flatnonzero(perturbed_G)), value_BG[pair, perturbed_G])
        free_G = ~perturbed_G
        cell_GN = scm.expression(noise_NG, action).T[free_G]
        mean_BG[pair, free_G] = cell_GN @ weight_N
        variance_BG[pair, free_G] = cell_GN.var(axis=1, ddof=1)
        residual_G = np.square(cell_GN).sum(axis=1) - np.square(cell_GN @ basis_NF).sum(axis=1)
        spare = n_particles - n_genes - 1
        error_BG[pair, free_G] = np.sqrt(residual_G.clip(0) / spare * (weight_N @ weight_N))
    return mean_BG, variance_BG, error_BG
