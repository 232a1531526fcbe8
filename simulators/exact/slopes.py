"""How the exact answer for one gene changes with each given value, where that has a closed form.

Under interventions a given value acts along the paths that other given values leave open; in linear Gaussian matched
pairs it acts by the regression on all given values. Where all other genes are given, only the gene's own equation is
left, in any world.
"""

import numpy as np
from numpy.typing import NDArray

from simulators.exact.conditioning import LinearForm, given_perturbed, linear_form
from simulators.exact.equations import Equations
from simulators.scm.regimes import Regime
from simulators.scm.scm import Scm

_Array = NDArray[np.float64]

_HALF_STEP = 1e-4
"""Of the central difference of one equation: its error is about 1e-8 of the third derivative."""


def exact_slopes(
    scm: Scm, regime: Regime, perturbed_BG: NDArray[np.bool_], value_BG: _Array, gene_B: NDArray[np.int64]
) -> _Array | None:
    """Derivative of the conditional mean of each row's gene in each given value of the row.

    Parameters
    ----------
    scm : Scm
    regime : {"matched", "counterfactual", "interventional"}
    perturbed_BG : bool, (B, G)
    value_BG : float64, (B, G)
        Values of the perturbed genes.
    gene_B : int64, (B,)
        The gene asked about; where it is perturbed itself its slopes are 0.

    Returns
    -------
    float64, (B, G), or None
        0 where no value is given; None where there is no closed form.
    """
    linear = scm.mechanism.name == "linear"
    asked_B = ~np.take_along_axis(perturbed_BG, gene_B[:, None], axis=1)[:, 0]
    if regime == "matched":
        closed = linear and scm.noise.name == "gaussian"
        slope_BG = _by_regression(linear_form(scm), perturbed_BG, gene_B) if closed else None
    elif linear:
        slope_BG = _along_paths(linear_form(scm), scm.graph.order, perturbed_BG, gene_B)
    else:
        alone = bool((perturbed_BG.sum(axis=1) + asked_B == perturbed_BG.shape[1]).all())
        slope_BG = _of_equation(scm, value_BG, gene_B) if alone else None
    return None if slope_BG is None else np.where(perturbed_BG & asked_B[:, None], slope_BG, 0.0)


def _by_regression(form: LinearForm, perturbed_BG: NDArray[np.bool_], gene_B: NDArray[np.int64]) -> _Array:
    """``-K_UU^-1 K_UT``, the row of the gene asked about."""
    precision_GG = form.precision_GG()
    slope_BG = np.empty(perturbed_BG.shape)
    for pairs, _, cov_bGG in given_perturbed(form, perturbed_BG, np.zeros(perturbed_BG.shape)):
        cov_bG = cov_bGG[np.arange(len(pairs)), gene_B[pairs]] * ~perturbed_BG[pairs]
        slope_BG[pairs] = -cov_bG @ precision_GG
    return slope_BG


def _along_paths(
    form: LinearForm, order_G: NDArray[np.int64], perturbed_BG: NDArray[np.bool_], gene_B: NDArray[np.int64]
) -> _Array:
    """Column of ``(I - W diag(keep))^-1`` of the gene asked about, from it back to its ancestors."""
    kept_GB = ~perturbed_BG.T
    slope_GB = np.zeros(kept_GB.shape)
    slope_GB[gene_B, np.arange(len(gene_B))] = 1.0
    for gene in map(int, order_G[::-1]):
        through_B = np.where(kept_GB[gene], slope_GB[gene], 0.0)
        for parent in np.flatnonzero(form.weight_GG[:, gene]):
            slope_GB[parent] += form.weight_GG[parent, gene] * through_B
    return slope_GB.T


def _of_equation(scm: Scm, value_BG: _Array, gene_B: NDArray[np.int64]) -> _Array:
    """Slopes of each row's own equation in its parents."""
    equations = Equations(scm)
    slope_BG = np.zeros(value_BG.shape)
    for gene in np.unique(gene_B).tolist():
        rows = np.flatnonzero(gene_B == gene)
        parents = scm.graph.parents(gene).tolist()
        features: list[_Array] = [np.empty(0)] * value_BG.shape[1]
        for parent in parents:
            features[parent] = equations.feature(parent, value_BG[rows, parent])
        for parent in parents:
            sides = [
                equations.natural(
                    gene,
                    [
                        *features[:parent],
                        equations.feature(parent, value_BG[rows, parent] + step),
                        *features[parent + 1 :],
                    ],
                    rows.shape,
                )
                for step in (_HALF_STEP, -_HALF_STEP)
            ]
            slope_BG[rows, parent] = (sides[0] - sides[1]) / (2 * _HALF_STEP)
    return slope_BG
