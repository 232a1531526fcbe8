"""How many pairs the theory asks for before a graph of G genes can be read: the statistician's, in closed form.

Dimension key: ``B`` pairs, ``G`` genes.

In a linear world the statistician's estimate of an entry is Gaussian about the truth for many pairs, with a variance
``v / n``. The largest of ``m`` such entries that are no edges is about ``sqrt(2 ln 2m)`` standard errors in size
(Cramér, Mathematical Methods of Statistics, 1946, chapter 28: the largest of 2m standard Gaussians), so an edge of
size w stands above all of them once ``n = 2 ln(2m) v / w^2``. What is said is the n at which nine edges of ten do: the
AUPRC is then .9 or more. With G genes m is about G^2, and n grows as log G as long as edges keep their size; the sizes
of a world's effects, and its variances, bring the rest.
"""

import math

import numpy as np
from numpy.typing import NDArray

from diagnostics.graph_scores import target_graph
from diagnostics.readings import TARGET_OF
from gpcp.pairs import PairBatch
from simulators.laws import law_of
from simulators.worlds import World

RECALL = 0.9
"""Share of the edges that stand above all that are none."""


def theory_pairs(made: World, regime: str, sample: PairBatch) -> float | None:
    """The number of pairs by the rule of this module.

    ``counterfactual``: noise cancels, so that every gene is a linear system of G - 1 unknowns, which needs as many
    pairs that do not tell it: ``(G - 1) / P(untold)``.

    ``interventional``: the instruments' estimate ``(Z'X)^-1 Z'y`` over the pairs that do not tell gene j has the
    covariance ``sd_j^2 / n_j (M^-1 S M^-T)`` with ``M = E[z x']`` and ``S = E[z z']`` (Wooldridge, Econometric
    Analysis of Cross Section and Panel Data, 2010, chapter 5), the moments taken from ``sample``.

    ``matched``: Fisher's z of a partial correlation r given the G - 2 others has the variance ``1 / (C - G - 1)`` for
    C cells (Anderson, Introduction to Multivariate Statistical Analysis, 2003, section 4.3), two cells a pair.

    Parameters
    ----------
    made : World
    regime : str
    sample : PairBatch
        Many pairs of the regime, for their moments.

    Returns
    -------
    float or None
        None where the mechanism is not linear, where nothing of this holds, or where there is no edge.
    """
    true_GG = target_graph(made.graph, TARGET_OF[regime])
    if made.scm.mechanism.name != "linear" or not true_GG.any():
        return None
    n_genes = made.graph.n_genes
    if regime == "counterfactual":
        return float((n_genes - 1) / (~sample.perturbed_BG).mean(axis=0).min())
    off_GG = ~np.eye(n_genes, dtype=np.bool_)
    if regime == "interventional":
        weight_GG, _, sd_G = made.scm.linear_form()
        size, none = np.abs(weight_GG[true_GG]), _instrument_variance(sd_G, sample)[off_GG & ~true_GG]
        return 2 * math.log(2 * max(1, len(none))) * _mean(none) / _weak(size) ** 2
    size = np.arctanh(np.abs(_partial_GG(made)[true_GG]))
    n_none = int((off_GG & ~true_GG).sum()) // 2
    return (n_genes + 1 + 2 * math.log(2 * max(1, n_none)) / _weak(size) ** 2) / 2


def _weak(size: NDArray[np.floating]) -> float:
    """The size that a share :data:`RECALL` of the edges has."""
    return float(np.quantile(size, 1 - RECALL))


def _mean(value: NDArray[np.floating]) -> float:
    return float(value.mean()) if len(value) else 0.0


def _instrument_variance(sd_G: NDArray[np.float64], sample: PairBatch) -> NDArray[np.float64]:
    """``n`` times the variance of every entry of the instruments' estimate, (G, G); 0 on the diagonal."""
    n_genes = len(sd_G)
    variance_GG = np.zeros((n_genes, n_genes))
    told_BG = np.where(sample.perturbed_BG, sample.after_BG, 0).astype(np.float64)
    after_BG = sample.after_BG.astype(np.float64)
    for j in range(n_genes):
        others_G = np.arange(n_genes) != j
        rows_B = ~sample.perturbed_BG[:, j]
        z_BG, x_BG = told_BG[rows_B][:, others_G], after_BG[rows_B][:, others_G]
        n = len(z_BG)
        inverse_GG = np.linalg.inv(z_BG.T @ (x_BG - x_BG.mean(axis=0)) / n)
        spread_GG = inverse_GG @ (z_BG.T @ z_BG / n) @ inverse_GG.T
        variance_GG[others_G, j] = sd_G[j] ** 2 * np.diag(spread_GG) / rows_B.mean()
    return variance_GG


def _partial_GG(made: World) -> NDArray[np.float64]:
    precision_GG = np.linalg.inv(law_of(made.scm).cov_GG)
    root_G = np.sqrt(np.diag(precision_GG))
    partial_GG = -precision_GG / np.outer(root_G, root_G)
    np.fill_diagonal(partial_GG, 0.0)
    return partial_GG
