"""Exact predictions in a linear world, for many pairs at once that each have their own perturbed genes.

Every pair has its own set of perturbed genes, so its own matrix to invert. Instead of cutting a matrix of another
size out for each, perturbed genes are masked to the identity: all have one size, and numpy inverts them as one stack.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

_CHUNK_ENTRIES = 1_000_000
"""Entries of a stack of matrices that is held at a time: 8 MB."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearForm:
    """A linear world: ``x = offset + x W + sd * e``, in the units of expression.

    Parameters
    ----------
    weight_GG : float64, (G, G)
        ``weight_GG[i, j] != 0`` iff ``i -> j``; acyclic.
    offset_G, noise_sd_G : float64, (G,)
    """

    weight_GG: NDArray[np.float64]
    offset_G: NDArray[np.float64]
    noise_sd_G: NDArray[np.float64]

    def mean_G(self) -> NDArray[np.float64]:
        """Mean of the untouched population, (G,)."""
        mean_G = np.linalg.solve((np.eye(len(self.offset_G)) - self.weight_GG).T, self.offset_G)
        return mean_G.astype(np.float64, copy=False)

    def precision_GG(self) -> NDArray[np.float64]:
        """Inverse of the untouched population's covariance, (G, G): ``(I - W) diag(sd)^-2 (I - W)'``."""
        scaled_GG = (np.eye(len(self.offset_G)) - self.weight_GG) / self.noise_sd_G
        return scaled_GG @ scaled_GG.T


def given_perturbed(
    form: LinearForm, perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.floating]
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
    """Mean and covariance of the unperturbed genes given the perturbed ones, exact for Gaussian noise.

    With the precision ``K`` of the population, ``cov(x_U | x_T) = K_UU^-1`` and
    ``E[x_U | x_T] = mean_U - K_UU^-1 K_UT (x_T - mean_T)``. A gene that is neither perturbed
    nor asked for counts as unperturbed.

    Parameters
    ----------
    form : LinearForm
    perturbed_BG : bool, (B, G)
    value_BG : float, (B, G)
        Values of the perturbed genes; others are not read.

    Yields
    ------
    pairs : slice
    mean_BG : float64, (B, G)
        Of these pairs; the value at perturbed genes.
    cov_BGG : float64, (B, G, G)
        Of these pairs; at perturbed genes the identity's rows and columns.
    """
    mean_G, precision_GG = form.mean_G(), form.precision_GG()
    for pairs in chunks(len(perturbed_BG), len(mean_G) ** 2, _CHUNK_ENTRIES):
        perturbed_bG = perturbed_BG[pairs]
        unperturbed_bG = (~perturbed_bG).astype(np.float64)
        masked_bGG = precision_GG * (unperturbed_bG[:, :, None] * unperturbed_bG[:, None, :])
        diagonal(masked_bGG)[perturbed_bG] = 1.0
        cov_bGG = np.linalg.inv(masked_bGG).astype(np.float64, copy=False)
        excess_bG = np.where(perturbed_bG, value_BG[pairs] - mean_G, 0.0)
        pull_bG = (excess_bG @ precision_GG) * unperturbed_bG
        shift_bG = np.matmul(cov_bGG, pull_bG[:, :, None])[:, :, 0]
        yield pairs, np.where(perturbed_bG, value_BG[pairs], mean_G - shift_bG), cov_bGG


def under_do(
    form: LinearForm, perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of every gene under ``Do(perturbed = value)``, exact for noise of any shape; (B, G) each.

    ``x = (keep * (offset + sd * e) + perturbed * value) T`` with ``T = (I - W diag(keep))^-1``, as in
    :mod:`simulators.exact.laws`. Parameters as in :func:`given_perturbed`.
    """
    n_pairs, n_genes = perturbed_BG.shape
    mean_BG, variance_BG = np.empty((n_pairs, n_genes)), np.empty((n_pairs, n_genes))
    identity_GG = np.eye(n_genes)
    for pairs in chunks(n_pairs, n_genes**2, _CHUNK_ENTRIES):
        perturbed_bG = perturbed_BG[pairs]
        keep_bG = (~perturbed_bG).astype(np.float64)
        total_bGG = np.linalg.inv(identity_GG - form.weight_GG * keep_bG[:, None, :])
        source_bG = np.where(perturbed_bG, value_BG[pairs], form.offset_G)
        mean_BG[pairs] = np.matmul(source_bG[:, None, :], total_bGG)[:, 0, :]
        noise_variance_bG = keep_bG * form.noise_sd_G**2
        variance_BG[pairs] = np.matmul(noise_variance_bG[:, None, :], total_bGG**2)[:, 0, :]
    mean_BG[perturbed_BG] = value_BG[perturbed_BG]
    variance_BG[perturbed_BG] = 0.0
    return mean_BG, variance_BG


def diagonal(matrix_BGG: NDArray[np.float64]) -> NDArray[np.float64]:
    """Writable view of the diagonals of a stack of matrices, (B, G)."""
    return np.einsum("bgg->bg", matrix_BGG)


def chunks(n_pairs: int, entries_each: int, entries_at_once: int) -> Iterator[slice]:
    """Slices that cover ``n_pairs`` with at most ``entries_at_once`` entries each, but at least one pair."""
    step = max(1, entries_at_once // entries_each)
    for start in range(0, n_pairs, step):
        yield slice(start, min(start + step, n_pairs))
