"""What others would read from the same pairs: usual network inference, and the estimator that fits the regime.

Every baseline gives a matrix whose entry [i, j] speaks of i -> j and whose magnitude ranks. The usual methods pool
the cells before and after, as is done in practice, and do not know which genes were perturbed; an unmeasured value is
set to the mean of its gene. What the regime allows is read by :func:`classical`.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.covariances import forest_importance, shrunk_covariance, sparse_precision
from diagnostics.scoring.ridge import fit_ridge
from gpcp.core.errors import InputError, nearest
from gpcp.core.pairs import PairBatch
from simulators.scm.regimes import Regime, regime_of

FOREST_CELLS, FOREST_TREES = 1000, 50
"""GENIE3's budget: cells drawn, and trees for each gene. Less than .1 CPU seconds a gene."""


class NotApplicableError(Exception):
    """A baseline has no answer for these pairs; the message says why."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Estimate:
    """What a baseline says of the graph.

    Parameters
    ----------
    name : str
    score_GG : float64, (G, G), or None
        Diagonal 0; None where the baseline is not applicable.
    signed : bool
        The signs are estimates too; otherwise magnitudes alone mean something.
    summary : str
        What was done, or why it could not be.
    seconds : float
        Wall time.
    """

    name: str
    score_GG: NDArray[np.float64] | None
    signed: bool
    summary: str
    seconds: float


def pooled_cells(pairs: PairBatch) -> NDArray[np.float64]:
    """All cells before and after, float64 (N, G), scaled to mean 0 and variance 1; unmeasured and constant genes 0."""
    cell_NG = np.concatenate((pairs.before_BG, pairs.after_BG)).astype(np.float64)
    measured_NG = np.concatenate((pairs.measured_BG, pairs.measured_BG))
    n_G = np.maximum(measured_NG.sum(axis=0), 1)
    centred_NG = np.where(measured_NG, cell_NG - np.where(measured_NG, cell_NG, 0).sum(axis=0) / n_G, 0)
    sd_G = np.sqrt((centred_NG**2).sum(axis=0) / n_G)
    return centred_NG / np.where(sd_G > 1e-6, sd_G, np.inf)


def _partial_of_precision(precision_GG: NDArray[np.float64]) -> NDArray[np.float64]:
    root_G = np.sqrt(np.maximum(np.diag(precision_GG), 1e-300))
    partial_GG = -precision_GG / np.outer(root_G, root_G)
    np.fill_diagonal(partial_GG, 0.0)
    return partial_GG


def correlation(regime: Regime, pairs: PairBatch, rng: np.random.Generator) -> NDArray[np.float64]:
    """Pearson correlation of the pooled cells; target at best: the skeleton."""
    del regime, rng
    cell_NG = pooled_cells(pairs)
    correlation_GG = cell_NG.T @ cell_NG / len(cell_NG)
    np.fill_diagonal(correlation_GG, 0.0)
    return correlation_GG


def partial_correlation(regime: Regime, pairs: PairBatch, rng: np.random.Generator) -> NDArray[np.float64]:
    """Partial correlation of the pooled cells; target at best: the moral graph.

    From the pseudo-inverse of the covariance, or from that of Ledoit and Wolf where there are fewer than five
    cells for each gene.
    """
    del regime, rng
    cell_NG = pooled_cells(pairs)
    n_cells, n_genes = cell_NG.shape
    if n_cells >= 5 * n_genes:
        covariance_GG = cell_NG.T @ cell_NG / n_cells
        precision_GG = cast(NDArray[np.float64], np.linalg.pinv(covariance_GG, hermitian=True))
    else:
        precision_GG = np.linalg.inv(shrunk_covariance(cell_NG)).astype(np.float64)
    return _partial_of_precision(precision_GG)


def graphical_lasso(regime: Regime, pairs: PairBatch, rng: np.random.Generator) -> NDArray[np.float64]:
    """Partial correlation under an L1 penalty of ``sqrt(log G / C)``, the rate of the theory, on correlations.

    Raises
    ------
    NotApplicableError
        The solver did not converge or met a covariance that it cannot factor.
    """
    del regime, rng
    cell_NG = pooled_cells(pairs)
    n_cells, n_genes = cell_NG.shape
    correlation_GG = cell_NG.T @ cell_NG / n_cells
    np.fill_diagonal(correlation_GG, 1.0)
    try:
        precision_GG = sparse_precision(correlation_GG, penalty=float(np.sqrt(np.log(n_genes) / n_cells)))
    except ArithmeticError as trouble:
        raise NotApplicableError(f"the solver failed: {trouble}") from trouble
    return _partial_of_precision(precision_GG)


def ridge(regime: Regime, pairs: PairBatch, rng: np.random.Generator) -> NDArray[np.float64]:
    """Coefficients of ridge, in standardised units, penalty by generalised cross-validation.

    Matched: each gene on all others, over the pooled cells. Otherwise: each gene's value after on the given values
    (0 where nothing is perturbed), over the pairs that do not perturb it: total effects, blurred by what else was
    perturbed.
    """
    del rng
    n_genes = len(pairs.vocab)
    coefficient_GG = np.zeros((n_genes, n_genes))
    if regime == "matched":
        feature_NG = target_NG = pooled_cells(pairs)
        counts_NG = np.ones(target_NG.shape, dtype=np.bool_)
    else:
        sd_G = pairs.after_BG.std(axis=0, dtype=np.float64)
        scale_G = np.where(sd_G > 1e-6, sd_G, 1.0)
        feature_NG = np.where(pairs.perturbed_BG, pairs.after_BG, 0) / scale_G
        target_NG, counts_NG = pairs.after_BG / scale_G, pairs.scored_BG
    for j in range(n_genes):
        others = np.arange(n_genes) != j
        if counts_NG[:, j].any():
            fit = fit_ridge(feature_NG[:, others], target_NG[:, [j]], counts_NG[:, [j]])
            coefficient_GG[others, j] = fit.coefficient_FY[:, 0]
    return coefficient_GG


def genie3(regime: Regime, pairs: PairBatch, rng: np.random.Generator) -> NDArray[np.float64]:
    """Importance of gene i in a random forest that predicts gene j from all others (Huynh-Thu et al., 2010).

    Cells after in which j was perturbed are left out; at most :data:`FOREST_CELLS` cells, drawn by ``rng``.
    """
    del regime
    cell_NG = pooled_cells(pairs)
    perturbed_NG = np.concatenate((np.zeros_like(pairs.perturbed_BG), pairs.perturbed_BG))
    n_genes = len(pairs.vocab)
    importance_GG = np.zeros((n_genes, n_genes))
    seed_G = rng.integers(2**31, size=n_genes)
    for j in range(n_genes):
        others = np.arange(n_genes) != j
        usable = np.flatnonzero(~perturbed_NG[:, j])
        rows = rng.choice(usable, size=min(FOREST_CELLS, len(usable)), replace=False)
        importance_GG[others, j] = forest_importance(
            cell_NG[rows][:, others], cell_NG[rows, j], n_trees=FOREST_TREES, seed=int(seed_G[j])
        )
    return importance_GG


def _solved(x_BF: NDArray[np.float64], y_B: NDArray[np.float64]) -> NDArray[np.float64]:
    """The solution, (F,), of as many equations as unknowns, many times as fast; else that of least squares."""
    if len(x_BF) == x_BF.shape[1]:
        with suppress(np.linalg.LinAlgError):
            return np.linalg.solve(x_BF, y_B).astype(np.float64, copy=False)
    return np.linalg.lstsq(x_BF, y_B, rcond=None)[0].astype(np.float64, copy=False)


def classical(regime: Regime, pairs: PairBatch, rng: np.random.Generator) -> NDArray[np.float64]:
    """The estimator that the regime calls for; consistent in linear worlds, whatever the noise.

    ``matched``: partial correlation, whose support is the moral graph.

    ``counterfactual``: where j is not perturbed, ``delta_j = sum_i W_ij delta_i`` without any noise, because that of
    the two cells cancels: least squares on these pairs gives W exactly.

    ``interventional``: where j is not perturbed, ``x_j = c_j + sum_i W_ij x_i + e_j``. Least squares is biased, because
    children of j that are not perturbed contain ``e_j``. Which genes are perturbed, however, was drawn without looking
    at any noise, so the given values z_k (0 where k is not perturbed) are instruments: ``E[(z_k, 1) e_j] = 0`` gives as
    many equations as unknowns, ``W_j = (Z'X)^-1 Z'x_j``. In causal order ``E[z_k x_i]`` is triangular with the
    variances of the given values on its diagonal, so a solution exists. With one gene perturbed at a time it is the
    inverse of the total effects, with all but one least squares, and in between it uses every pair.

    Raises
    ------
    NotApplicableError
        A gene is unmeasured in some pair, or some gene is never perturbed while another is not.
    """
    if regime == "matched":
        return partial_correlation(regime, pairs, rng)
    if not pairs.measured_BG.all():
        gene = pairs.vocab.feature_id[int(np.argmin(pairs.measured_BG.all(axis=0)))]
        raise NotApplicableError(
            f"gene {gene} is unmeasured in some pairs: its parents cannot be distinguished from its noise"
        )
    n_genes = len(pairs.vocab)
    weight_GG = np.zeros((n_genes, n_genes))
    value_BG = (pairs.delta_BG if regime == "counterfactual" else pairs.after_BG).astype(np.float64)
    perturbed_BG = np.where(pairs.perturbed_BG, pairs.after_BG, 0).astype(np.float64)
    for j in range(n_genes):
        others = np.arange(n_genes) != j
        rows_B = ~pairs.perturbed_BG[:, j]
        never_G = ~pairs.perturbed_BG[rows_B].any(axis=0) & others
        if never_G.any():
            missing, gene = pairs.vocab.genes([int(np.argmax(never_G)), j])
            raise NotApplicableError(f"gene {missing} is never perturbed while {gene} is not: give more pairs")
        x_BG = value_BG[rows_B]
        if regime == "interventional":
            z_BG = perturbed_BG[rows_B]
            # The intercept is its own instrument: centring both sides takes it out. All genes at once, because whole
            # rows are copied many times as fast as all of their columns but one.
            product_GG = z_BG.T @ x_BG - np.outer(z_BG.sum(axis=0), x_BG.mean(axis=0))
            x_FF, y_F = product_GG[np.ix_(others, others)], product_GG[others, j]
            weight_GG[others, j] = _solved(x_FF, y_F)
        else:
            weight_GG[others, j] = _solved(x_BG[:, others], x_BG[:, j])
    return weight_GG


_Estimator = Callable[[Regime, PairBatch, np.random.Generator], NDArray[np.float64]]

BASELINES: Mapping[str, _Estimator] = MappingProxyType(
    {
        "correlation": correlation,
        "partial_correlation": partial_correlation,
        "graphical_lasso": graphical_lasso,
        "ridge": ridge,
        "genie3": genie3,
        "classical": classical,
    }
)
"""Baselines by name; each takes the regime, some pairs and a generator."""

UNSIGNED = frozenset({"genie3"})


def estimate(name: str, regime: str, pairs: PairBatch, *, rng: np.random.Generator) -> Estimate:
    """Run one baseline, catching what makes it inapplicable.

    Parameters
    ----------
    name : str
        One of :data:`BASELINES`.
    regime : str
        One of ``simulators.scm.regimes.REGIMES``; real pairs are ``matched``.
    pairs : PairBatch
        A sample of the regime.
    rng : Generator

    Raises
    ------
    InputError
        Unknown name or regime (the message names the nearest), or fewer than two pairs.
    """
    if name not in BASELINES:
        raise InputError(f"baseline {name!r} does not exist; {nearest(name, BASELINES)}")
    checked = regime_of(regime)
    if len(pairs) < 2:
        raise InputError(f"a baseline needs at least 2 pairs and got {len(pairs)}")
    start_s = time.perf_counter()
    try:
        score_GG = BASELINES[name](checked, pairs, rng)
        summary = f"{len(pairs)} pairs"
    except NotApplicableError as reason:
        score_GG, summary = None, str(reason)
    return Estimate(
        name=name,
        score_GG=score_GG,
        signed=name not in UNSIGNED,
        summary=summary,
        seconds=time.perf_counter() - start_s,
    )
