"""The order of genes in which some cells agree with others: by each gene's distribution and its correlations."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, quadratic_assignment

from diagnostics.checks.data.marginals import Marginals
from diagnostics.checks.data.transforms import Floats
from gpcp.core.pairs import PairBatch

MOST_GENES = 300
"""Genes up to which their order is looked for: matching correlations takes many seconds beyond."""

_N_STARTS = 4


def order_of(right: PairBatch, found: PairBatch, rng: np.random.Generator) -> NDArray[np.int64] | None:
    """Columns of ``found`` in the order of ``right``, int64 (G,), by the cells before; None where it is the order.

    The order in which both correlation matrices, and both sets of distributions, agree best: a quadratic assignment by
    the algorithm of Vogelstein et al. (2015), from the best match of distributions and from random starts, and then by
    exchanges of two genes.
    """
    n_genes = len(right.vocab)
    if not 3 <= n_genes <= MOST_GENES or min(len(right), len(found)) < n_genes:
        return None
    right_GG, found_GG = (_correlations(pairs) for pairs in (right, found))
    cost_GG = _unlike(*(Marginals.of(pairs.before_BG, pairs.measured_BG) for pairs in (right, found)))
    by_values_G = linear_sum_assignment(cost_GG)[1]
    best_G, least = np.arange(n_genes), _misfit(right_GG, found_GG, cost_GG, np.arange(n_genes))
    starts: list[Floats | None] = [np.eye(n_genes)[by_values_G], np.eye(n_genes), None]
    starts += [_doubly_stochastic(n_genes, rng) for _ in range(_N_STARTS)]
    for start in starts:
        # The product with positive entries added keeps rows and columns summing to one.
        first = "barycenter" if start is None else 0.5 * start + 0.5 / n_genes
        answer = quadratic_assignment(right_GG, found_GG, options={"maximize": True, "P0": first, "rng": rng})
        order_G = _exchanged(right_GG, found_GG, cost_GG, np.asarray(answer.col_ind))
        misfit = _misfit(right_GG, found_GG, cost_GG, order_G)
        if misfit < 0.98 * least:
            best_G, least = order_G, misfit
    return None if np.array_equal(best_G, np.arange(n_genes)) else best_G.astype(np.int64)


def _correlations(pairs: PairBatch) -> Floats:
    """Of the cells before, (G, G); entries that were not measured count as the mean; 0 on the diagonal."""
    n_G = np.maximum(pairs.measured_BG.sum(axis=0), 1)
    mean_G = pairs.before_BG.sum(axis=0, dtype=np.float64) / n_G
    centred_BG = np.where(pairs.measured_BG, pairs.before_BG - mean_G, 0.0)
    norm_G = np.sqrt((centred_BG**2).sum(axis=0))
    scaled_BG = centred_BG / np.where(norm_G > 0, norm_G, 1.0)
    found_GG = scaled_BG.T @ scaled_BG
    np.fill_diagonal(found_GG, 0.0)
    return found_GG


def _unlike(right: Marginals, found: Marginals) -> Floats:
    """Squared distance of every two genes' distributions, (G, G); unknown ones are alike."""
    scale = float(np.median(right.spread_G))
    gap_NGG = right.quantile_NG[:, :, None] - found.quantile_NG[:, None, :]
    return np.nan_to_num((gap_NGG**2).mean(axis=0)) / scale**2


def _misfit(right_GG: Floats, found_GG: Floats, cost_GG: Floats, order_G: NDArray[np.integer]) -> float:
    together = float(((right_GG - found_GG[np.ix_(order_G, order_G)]) ** 2).sum())
    return together + float(np.minimum(cost_GG, 1.0)[np.arange(len(order_G)), order_G].sum())


def _exchanged(
    right_GG: Floats, found_GG: Floats, cost_GG: Floats, order_G: NDArray[np.integer]
) -> NDArray[np.integer]:
    """Exchanges of two genes while they lower the misfit, for at most a few rounds."""
    if len(order_G) > 60:
        return order_G
    order_G, least = order_G.copy(), _misfit(right_GG, found_GG, cost_GG, order_G)
    for _ in range(3):
        before = least
        for one in range(len(order_G)):
            for other in range(one):
                order_G[[one, other]] = order_G[[other, one]]
                misfit = _misfit(right_GG, found_GG, cost_GG, order_G)
                if misfit < least:
                    least = misfit
                else:
                    order_G[[one, other]] = order_G[[other, one]]
        if least == before:
            break
    return order_G


def _doubly_stochastic(n_genes: int, rng: np.random.Generator) -> Floats:
    """Rows and columns sum to one (Sinkhorn)."""
    found_GG = rng.random((n_genes, n_genes))
    for _ in range(50):
        found_GG /= found_GG.sum(axis=1, keepdims=True)
        found_GG /= found_GG.sum(axis=0, keepdims=True)
    return found_GG


def reordered(pairs: PairBatch, order_G: NDArray[np.int64], *, perturbed: bool) -> PairBatch:
    """The pairs with their values in another order, under the same names; the perturbed genes too, or as they are."""
    perturbed_BG = pairs.perturbed_BG[:, order_G] if perturbed else pairs.perturbed_BG
    measured_BG = pairs.measured_BG[:, order_G]
    moved = PairBatch(
        vocab=pairs.vocab,
        before_BG=pairs.before_BG[:, order_G],
        after_BG=pairs.after_BG[:, order_G],
        measured_BG=measured_BG,
        perturbed_BG=perturbed_BG & measured_BG,
        before_id_B=pairs.before_id_B,
        after_id_B=pairs.after_id_B,
    )
    return moved if pairs.applied is None else moved.perturbed_by(pairs.applied)


def reordered_but_changes(pairs: PairBatch, order_G: NDArray[np.int64]) -> PairBatch:
    """The same where the change of a perturbed gene is given, under its right name: it is added to the right value.

    Where the wrong column held that sum, nothing is known of the cell after: it counts as unmeasured.
    """
    moved = reordered(pairs, order_G, perturbed=True)
    known_BG = moved.measured_BG & (~moved.perturbed_BG | pairs.perturbed_BG)
    perturbed_BG = pairs.perturbed_BG & known_BG
    change_BG = np.where(perturbed_BG, pairs.after_BG - pairs.before_BG, 0)
    after_BG = np.where(perturbed_BG, moved.before_BG + change_BG, moved.after_BG)
    before_BG, after_BG = (
        np.where(known_BG, value_BG, 0).astype(np.float32) for value_BG in (moved.before_BG, after_BG)
    )
    return replace(moved, before_BG=before_BG, after_BG=after_BG, measured_BG=known_BG, perturbed_BG=perturbed_BG)
