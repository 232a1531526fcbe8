"""Exact predictions in a linear world, for many pairs at once that each have their own perturbed genes.

Given values are conditioned on by a matrix that each set of perturbed genes has for itself. Instead of cutting a matrix
of another size out for each, perturbed genes are masked to the identity: all have one size, and numpy inverts them as
one stack. Interventions need no inverse: they are followed through the graph.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from simulators.scm.scm import Scm

_CHUNK_ENTRIES = 1_000_000
"""Entries of a stack of matrices that is held at a time: 8 MB."""

_NOISE_ENTRIES = 4_000_000
"""Weights of noises that are held at a time, 32 MB: with fewer, few pairs share the walk through the edges."""


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


def linear_form(scm: Scm) -> LinearForm:
    """A linear world's own form; :class:`InputError` for any other."""
    weight_GG, offset_G, noise_sd_G = scm.linear_form()
    return LinearForm(weight_GG=weight_GG, offset_G=offset_G, noise_sd_G=noise_sd_G)


def given_perturbed(
    form: LinearForm, perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.floating]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """Mean and covariance of the unperturbed genes given the perturbed ones, exact for Gaussian noise.

    With the precision ``K`` of the population, ``cov(x_U | x_T) = K_UU^-1`` and
    ``E[x_U | x_T] = mean_U - K_UU^-1 K_UT (x_T - mean_T)``. A gene that is neither perturbed
    nor asked for counts as unperturbed. Pairs that perturb the same genes share an inverse.

    Parameters
    ----------
    form : LinearForm
    perturbed_BG : bool, (B, G)
    value_BG : float, (B, G)
        Values of the perturbed genes; others are not read.

    Yields
    ------
    pairs : int64, (b,)
        Each pair once, those that perturb the same genes one after the other.
    mean_BG : float64, (b, G)
        Of these pairs; the value at perturbed genes.
    cov_BGG : float64, (b, G, G)
        Of these pairs; at perturbed genes the identity's rows and columns.
    """
    mean_G, precision_GG = form.mean_G(), form.precision_GG()
    by_set_B = np.lexsort(np.packbits(perturbed_BG, axis=1).T)
    for some in chunks(len(perturbed_BG), len(mean_G) ** 2, _CHUNK_ENTRIES):
        pairs = by_set_B[some]
        perturbed_bG = perturbed_BG[pairs]
        begins_b = np.append(True, (perturbed_bG[1:] != perturbed_bG[:-1]).any(axis=1))
        unperturbed_bG = (~perturbed_bG).astype(np.float64)
        unperturbed_sG = unperturbed_bG[begins_b]
        masked_sGG = precision_GG * (unperturbed_sG[:, :, None] * unperturbed_sG[:, None, :])
        diagonal(masked_sGG)[perturbed_bG[begins_b]] = 1.0
        cov_sGG = np.linalg.inv(masked_sGG).astype(np.float64, copy=False)
        cov_bGG = cov_sGG if begins_b.all() else cov_sGG[np.cumsum(begins_b) - 1]
        excess_bG = np.where(perturbed_bG, value_BG[pairs] - mean_G, 0.0)
        pull_bG = (excess_bG @ precision_GG) * unperturbed_bG
        shift_bG = np.matmul(cov_bGG, pull_bG[:, :, None])[:, :, 0]
        yield pairs, np.where(perturbed_bG, value_BG[pairs], mean_G - shift_bG), cov_bGG


def under_do(
    form: LinearForm, order_G: NDArray[np.int64], perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of every gene under ``Do(perturbed = value)``, exact for noise of any shape; (B, G) each.

    Gene by gene in causal order, ``x_j = keep_j (offset_j + sum_p w_pj x_p + sd_j e_j) + perturbed_j value_j`` is
    followed as a mean and as the weights of all noises in it: one product for each edge, where an inverse of
    ``I - W diag(keep)`` for each pair would cost the cube of the genes.

    Parameters
    ----------
    form : LinearForm
    order_G : int64, (G,)
        Genes, each behind its parents.
    perturbed_BG, value_BG
        As in :func:`given_perturbed`.
    """
    n_pairs, n_genes = perturbed_BG.shape
    mean_BG, variance_BG = np.empty((n_pairs, n_genes)), np.zeros((n_pairs, n_genes))
    parents = [np.flatnonzero(form.weight_GG[:, gene]) for gene in range(n_genes)]
    for pairs in chunks(n_pairs, n_genes**2, _NOISE_ENTRIES):
        kept_Gb = np.ascontiguousarray(~perturbed_BG[pairs].T)
        mean_Gb = np.where(kept_Gb, form.offset_G[:, None], value_BG[pairs].T).astype(np.float64, copy=False)
        of_noise_GbG = np.zeros((n_genes, kept_Gb.shape[1], n_genes))
        for gene in map(int, order_G):
            kept_b, of_noise_bG = kept_Gb[gene], of_noise_GbG[gene]
            for parent in parents[gene]:
                weight = form.weight_GG[parent, gene]
                mean_Gb[gene] += weight * np.where(kept_b, mean_Gb[parent], 0.0)
                of_noise_bG += weight * of_noise_GbG[parent]
            of_noise_bG[:, gene] = form.noise_sd_G[gene]
            of_noise_bG *= kept_b[:, None]
            variance_BG[pairs, gene] = np.einsum("bg,bg->b", of_noise_bG, of_noise_bG)
        mean_BG[pairs] = mean_Gb.T
    return mean_BG, variance_BG


def diagonal(matrix_BGG: NDArray[np.float64]) -> NDArray[np.float64]:
    """Writable view of the diagonals of a stack of matrices, (B, G)."""
    return np.einsum("bgg->bg", matrix_BGG)


def chunks(n_pairs: int, entries_each: int, entries_at_once: int) -> Iterator[slice]:
    """Slices that cover ``n_pairs`` with at most ``entries_at_once`` entries each, but at least one pair."""
    step = max(1, entries_at_once // entries_each)
    for start in range(0, n_pairs, step):
        yield slice(start, min(start + step, n_pairs))
