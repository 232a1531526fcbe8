"""Distances between two samples of cells as losses have them: energy, MMD and Sinkhorn; none is 0 for the truth."""

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float64]

BLUR = 0.05
"""Entropic regularisation of :func:`sinkhorn_divergence`, in units of the median cost of the two samples together."""

_MOST_ITERATIONS = 200
_CLOSE = 1e-5
"""Change of a potential, in units of the regularisation, below which an iteration has converged."""


def energy_distance(first_BG: NDArray[np.floating], second_BG: NDArray[np.floating]) -> float:
    """``2 E|x - y| - E|x - x'| - E|y - y'|`` over all pairs, a cell with itself included, as losses have it."""
    from scipy.spatial.distance import cdist

    between = float(cdist(first_BG, second_BG).mean())
    return 2 * between - float(cdist(first_BG, first_BG).mean()) - float(cdist(second_BG, second_BG).mean())


def mmd(first_BG: Cells, second_BG: Cells) -> float:
    """Squared maximum mean discrepancy with a Gaussian kernel, over all pairs, a cell with itself included [1]_.

    The kernel's width is the median distance between different cells of both samples; 0 where that is 0.

    References
    ----------
    .. [1] A. Gretton et al. (2012), A kernel two-sample test.
    """
    from scipy.spatial.distance import cdist, pdist

    width = float(np.median(pdist(np.concatenate((first_BG, second_BG)))))
    if width == 0:
        return 0.0

    def kernel(one_BG: Cells, other_BG: Cells) -> float:
        return float(np.exp(-cdist(one_BG, other_BG, "sqeuclidean") / (2 * width**2)).mean())

    return kernel(first_BG, first_BG) + kernel(second_BG, second_BG) - 2 * kernel(first_BG, second_BG)


def sinkhorn_divergence(first_BG: Cells, second_BG: Cells, *, blur: float = BLUR) -> float:
    """Entropic transport cost for ``|x - y|^2 / 2``, less half of each sample's cost to itself [1]_.

    Parameters
    ----------
    first_BG, second_BG : float64, (B, G)
    blur : float
        Regularisation, in units of the median cost between different cells of both samples.

    References
    ----------
    .. [1] J. Feydy et al. (2019), Interpolating between optimal transport and MMD using Sinkhorn divergences.
    """
    from scipy.spatial.distance import cdist, pdist

    epsilon = blur * float(np.median(pdist(np.concatenate((first_BG, second_BG)), "sqeuclidean"))) / 2
    if epsilon == 0:
        # More than half of all pairs are the same cell: without regularisation there is the distance of the means.
        return float(((first_BG.mean(axis=0) - second_BG.mean(axis=0)) ** 2).sum()) / 2

    between = _transport(cdist(first_BG, second_BG, "sqeuclidean") / 2, epsilon)
    within = [
        _transport_to_itself(cdist(one_BG, one_BG, "sqeuclidean") / 2, epsilon) for one_BG in (first_BG, second_BG)
    ]
    return between - (within[0] + within[1]) / 2


def _transport(cost_BB: NDArray[np.float64], epsilon: float) -> float:
    """The value of the dual of entropic transport between uniform samples, by Sinkhorn's iteration."""
    from scipy.special import logsumexp

    n, m = cost_BB.shape
    scaled_BB = -cost_BB / epsilon
    left_B, right_B = np.zeros(n), np.zeros(m)
    for _ in range(_MOST_ITERATIONS):
        before_B = left_B
        left_B = np.log(m) - logsumexp(scaled_BB + right_B, axis=1)
        right_B = np.log(n) - logsumexp(scaled_BB + left_B[:, None], axis=0)
        if np.abs(left_B - before_B).max() < _CLOSE:
            break
    return epsilon * float(left_B.mean() + right_B.mean())


def _transport_to_itself(cost_BB: NDArray[np.float64], epsilon: float) -> float:
    """As :func:`_transport`, where both potentials are one: averaged steps converge in a few."""
    from scipy.special import logsumexp

    n = len(cost_BB)
    scaled_BB = -cost_BB / epsilon
    both_B = np.zeros(n)
    for _ in range(_MOST_ITERATIONS):
        before_B = both_B
        both_B = (both_B + np.log(n) - logsumexp(scaled_BB + both_B, axis=1)) / 2
        if np.abs(both_B - before_B).max() < _CLOSE:
            break
    return 2 * epsilon * float(both_B.mean())
