"""Number of pairs that the classical estimator needs to recover a graph of G genes, to leading order.

In a linear world the classical estimate of an entry is Gaussian about the truth for many pairs, with a variance
``v / n``. The largest of ``m`` such entries that are no edges is about ``sqrt(2 ln 2m)`` standard errors in size
(Cramér, Mathematical Methods of Statistics, 1946, chapter 28: the largest of 2m standard Gaussians), so an edge of
size w stands above all of them once ``n = 2 ln(2m) v / w^2``. What is said is the n at which nine edges of ten do: the
AUPRC is then about .9. To it come the pairs that the unknowns use up, which are of the order of G.

With G genes m is about G^2. Where edges keep their size, the first part grows as log G and the second as G.
"""

import math

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs.evaluate import TARGET_OF
from diagnostics.graphs.scores import target_graph
from gpcp.core.pairs import PairBatch
from simulators.exact.laws import law_of
from simulators.worlds import World

RECALL = 0.9
"""Share of the edges that stand above all that are none."""


def theory_pairs(made: World, regime: str, sample: PairBatch) -> float | None:
    """The number of pairs by the rule of this module.

    ``counterfactual``: noise cancels, so that every gene is a linear system of G - 1 unknowns, which needs as many
    pairs that do not perturb it: ``(G - 1) / P(unperturbed)``.

    ``interventional``: see :func:`instrument_variance` for v, and :func:`used_up` for what the unknowns use up.

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
        None where the mechanism is not linear, so that nothing of this holds, or where there is no edge.
    """
    true_GG = target_graph(made.graph, TARGET_OF[regime])
    if made.scm.mechanism.name != "linear" or not true_GG.any():
        return None
    n_genes = made.graph.n_genes
    if regime == "counterfactual":
        return float((n_genes - 1) / (~sample.perturbed_BG).mean(axis=0).min())
    none_GG = ~np.eye(n_genes, dtype=np.bool_) & ~true_GG
    if regime == "interventional":
        weight_GG, _, sd_G = made.scm.linear_form()
        v = instrument_variance(sd_G, sample)[none_GG]
        mean = float(v.mean()) if len(v) else 0.0
        return used_up(sample) + _above(len(v)) * mean / _weak(np.abs(weight_GG[true_GG])) ** 2
    size = np.arctanh(np.abs(_partial_GG(made)[true_GG]))
    return (n_genes + 1 + _above(int(none_GG.sum()) // 2) / _weak(size) ** 2) / 2


def instrument_variance(sd_G: NDArray[np.float64], sample: PairBatch) -> NDArray[np.float64]:
    """``n`` times the variance of every entry of the instruments' estimate for many pairs, (G, G); diagonal 0.

    ``W_j = (Z'X)^-1 Z'y`` over the ``n P(unperturbed)`` pairs that do not perturb gene j has the covariance
    ``sd_j^2 Q / (n P(unperturbed))`` with ``Q = M^-1 S M^-T``, ``M = E[z x']`` and ``S = E[z z']`` (Wooldridge,
    Econometric Analysis of Cross Section and Panel Data, 2010, chapter 5).

    Parameters
    ----------
    sd_G : float64, (G,)
        Of the noise.
    sample : PairBatch
        Many pairs of the interventional regime, for the moments.
    """
    n_genes = len(sd_G)
    variance_GG = np.zeros((n_genes, n_genes))
    for j in range(n_genes):
        spread_FF, _, p_unperturbed = _moments(sample, j)
        variance_GG[np.arange(n_genes) != j, j] = sd_G[j] ** 2 * np.diag(spread_FF) / p_unperturbed
    return variance_GG


def used_up(sample: PairBatch) -> float:
    """Pairs that are used up before the instruments' estimate has a variance: the mean over genes.

    With few pairs ``Z'X / n`` is itself noisy: ``M (I + E)``, where the rows of E have the covariance Q and its columns
    that of u, the part of x that the given values do not explain, divided by the pairs left beside G - 1 unknowns. The
    circle that holds the eigenvalues of such a matrix has the squared radius ``r^2 = tr(Q cov u) / (n' - G + 1)``, and
    the mean square of ``(I + E)^-1`` is ``1 / (1 - r^2)`` (Ginibre, 1965; Chalker and Mehlig, 1998). The variance
    is then ``sd^2 Q / (n' - (G - 1) - tr(Q cov u))``, as if so many pairs were missing.
    """
    n_genes = len(sample.vocab)
    used: list[float] = []
    for j in range(n_genes):
        spread_FF, unexplained_FF, p_unperturbed = _moments(sample, j)
        used.append((n_genes - 1 + float(np.trace(spread_FF @ unexplained_FF))) / p_unperturbed)
    return float(np.mean(used))


def _moments(sample: PairBatch, j: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Q and the covariance of u, (F, F) each, over the pairs that do not perturb gene j, and the share of these."""
    others_G = np.arange(len(sample.vocab)) != j
    rows_B = ~sample.perturbed_BG[:, j]
    x_BF = sample.after_BG[rows_B][:, others_G].astype(np.float64)
    z_BF = np.where(sample.perturbed_BG[rows_B][:, others_G], x_BF, 0)
    x_BF = x_BF - x_BF.mean(axis=0)
    m_FF = np.asarray(z_BF.T @ x_BF / len(z_BF), dtype=np.float64)
    s_FF = np.asarray(z_BF.T @ z_BF / len(z_BF), dtype=np.float64)
    inverse_FF = np.asarray(np.linalg.inv(m_FF), dtype=np.float64)
    explained_FF = np.asarray(np.linalg.solve(s_FF, m_FF), dtype=np.float64)
    u_BF = x_BF - z_BF @ explained_FF
    return inverse_FF @ s_FF @ inverse_FF.T, u_BF.T @ u_BF / len(u_BF), float(rows_B.mean())


def _above(n_none: int) -> float:
    """Square of the size, in standard errors, of the largest of so many entries that are no edges."""
    return 2 * math.log(2 * max(1, n_none))


def _weak(size: NDArray[np.floating]) -> float:
    """The size that a share :data:`RECALL` of the edges has."""
    return float(np.quantile(size, 1 - RECALL))


def _partial_GG(made: World) -> NDArray[np.float64]:
    precision_GG = np.linalg.inv(law_of(made.scm).cov_GG)
    root_G = np.sqrt(np.diag(precision_GG))
    partial_GG = -precision_GG / np.outer(root_G, root_G)
    np.fill_diagonal(partial_GG, 0.0)
    return partial_GG
