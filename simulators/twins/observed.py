"""What is taken from real cells for their twin: values by type, depth, counting noise, strength of correlation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError
from gpcp.core.random import stream
from gpcp.sources.in_memory import InMemoryCells, sample_cells

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FEWEST_CELLS = 20
"""Below, no share of anything can be estimated."""

_LEAST_LOST = 0.05
"""Less is within the error of the estimate."""

MOST_CELLS = 20_000
"""Cells of a larger source that are read: a random sample."""

_WHOLE = 0.02
"""Counts that went through float32 logarithms come back as whole numbers to within this share of themselves."""

_FEW, _FEWEST_COUNTS, _ODD = 20, 20, 0.05
"""Counts of 2 to so many are looked at; how many of them it takes; the share of them that may be no whole number."""

_LARGEST = 50.0
"""Of a logarithm: beyond, a value is no log1p of anything."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Context:
    """What is known of cells beyond the genes that a twin is made for.

    Parameters
    ----------
    unit_B : float64, (B,), or None
        The value of ``expm1`` that one count has in each cell; None where the values come from no counts.
    others_B : float64, (B,)
        Sum of the standardised values of all other genes.
    n_others : int
        How many these are.
    """

    unit_B: NDArray[np.float64] | None
    others_B: NDArray[np.float64]
    n_others: int


def context_of(held: InMemoryCells, genes: Sequence[str]) -> Context:
    """What cells show beside some of their genes, by the order of ``cell_id``."""
    value_BG = held.held.value_BG
    other_G = ~np.isin(np.array(held.index.vocab.feature_id), np.array(genes))
    n_cells = len(held)
    mean_G = np.asarray(value_BG.sum(axis=0), dtype=np.float64).reshape(-1) / n_cells
    square_G = np.asarray(value_BG.power(2).sum(axis=0), dtype=np.float64).reshape(-1) / n_cells
    sd_G = np.sqrt(np.maximum(square_G - mean_G**2, 0.0))
    weight_G = np.where(other_G & (sd_G > 1e-6), 1 / np.maximum(sd_G, 1e-6), 0.0)
    others_B = np.asarray(value_BG @ weight_G, dtype=np.float64) - float(mean_G @ weight_G)
    return Context(unit_B=units_of(held), others_B=others_B, n_others=int((weight_G > 0).sum()))


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """Some cells, and what is known of them beside their genes.

    Parameters
    ----------
    cells : CellBatch
    context : Context
    """

    cells: CellBatch
    context: Context


def sampled(source: CellSource | CellBatch, *, seed: int = 0, max_cells: int = MOST_CELLS) -> Sample:
    """Up to ``max_cells`` cells, drawn at random, and what is known beside their genes.

    Raises
    ------
    InputError
        There are fewer than :data:`FEWEST_CELLS`.
    """
    if isinstance(source, CellBatch):
        cells = source
        if len(cells) > max_cells:
            cells = cells.rows(np.sort(stream(seed, "cells of a twin").permutation(len(cells))[:max_cells]))
        alone = Context(unit_B=count_unit_B(cells.expression_BG), others_B=np.zeros(len(cells)), n_others=0)
        sample = Sample(cells=cells, context=alone)
    else:
        held = sample_cells(source, source.vocab.feature_id, max_cells=max_cells, seed=seed)
        batches = held.cells(batch_size=max(1, len(held)), seed=seed)
        cells = next(iter(batches))
        order_B = np.argsort(cells.cell_id_B)
        sample = Sample(cells=cells.rows(order_B), context=context_of(held, source.vocab.feature_id))
    if len(sample.cells) < FEWEST_CELLS:
        raise InputError(f"a twin needs at least {FEWEST_CELLS} cells, and there are {len(sample.cells)}")
    return sample


def units_of(held: InMemoryCells) -> NDArray[np.float64] | None:
    """The worth of a count in each cell, by the order of ``cell_id``, (B,).

    By the totals where they are known, else by the smallest value of the cell over all genes that are held.
    """
    total_B = held.index.total_B
    if total_B is not None and np.isfinite(total_B).all() and (total_B > 0).any():
        # A cell without any count has the usual unit: nothing is read by it.
        usual = float(np.median(total_B[total_B > 0]))
        return 1e6 / np.where(total_B > 0, total_B, usual)
    return count_unit_B(held.held.value_BG)


def codes_of(cells: CellBatch, name: str) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Names of a covariate and the code of each cell (B,); one name for all where the cells do not have it."""
    if name not in cells.covariates:
        return np.array(["all"]), np.zeros(len(cells), dtype=np.int64)
    names, code_B = np.unique(cells.covariates[name], return_inverse=True)
    return names, code_B.reshape(-1).astype(np.int64)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moments:
    """Means and spreads of the measured values, over all cells and around the mean of each type.

    Parameters
    ----------
    mean_type_G : float64, (type, G)
        Mean of each type; the mean over all cells where it measured none.
    within_G : float64, (G,)
        Standard deviation around the type's mean; 1 where a gene does not vary.
    offset_type_G : float64, (type, G)
        Mean of the type less the mean over all cells, in ``within_G``, shrunk by what chance alone would give.
    standard_BG : float64, (B, G)
        Values less their type's mean in ``within_G``; 0 where unmeasured.
    """

    mean_type_G: NDArray[np.float64]
    within_G: NDArray[np.float64]
    offset_type_G: NDArray[np.float64]
    standard_BG: NDArray[np.float64]


def moments_of(cells: CellBatch, type_B: NDArray[np.int64], n_types: int) -> Moments:
    """The moments of some cells by type."""
    value_BG, measured_BG = cells.expression_BG.astype(np.float64), cells.measured_BG
    member_type_B = (np.arange(n_types)[:, None] == type_B).astype(np.float64)
    n_type_G: NDArray[np.float64] = member_type_B @ measured_BG.astype(np.float64)
    n_G = np.maximum(measured_BG.sum(axis=0), 1)
    mean_G = value_BG.sum(axis=0) / n_G
    sum_type_G: NDArray[np.float64] = member_type_B @ value_BG
    mean_type_G = np.where(n_type_G > 0, sum_type_G / np.maximum(n_type_G, 1), mean_G)
    residual_BG = np.where(measured_BG, value_BG - mean_type_G[type_B], 0.0)
    n_free_G = np.maximum(n_G - (n_type_G > 0).sum(axis=0), 1)
    within_G = np.sqrt((residual_BG**2).sum(axis=0) / n_free_G)
    within_G[within_G < 1e-9] = 1.0
    offset_type_G = (mean_type_G - mean_G) / within_G
    # A type's mean of n cells varies by 1 / n in these units: what is no larger than that is chance.
    by_chance_type = np.divide(1.0, n_type_G, out=np.zeros_like(n_type_G), where=n_type_G > 0).sum(axis=1)
    square_type = (offset_type_G**2).sum(axis=1)
    kept_type = np.clip(1 - by_chance_type / np.maximum(square_type, 1e-12), 0.0, 1.0)
    return Moments(
        mean_type_G=mean_type_G,
        within_G=within_G,
        offset_type_G=offset_type_G * kept_type[:, None],
        standard_BG=residual_BG / within_G,
    )


def count_unit_B(value_BG: "NDArray[np.float32] | csr_array") -> NDArray[np.float64] | None:
    """The value of ``expm1`` that one count has in each cell, (B,); None where the values come from no counts.

    The smallest positive value of a cell is taken for one count; the others must then be whole numbers of it.
    """
    from scipy.sparse import csr_array

    stored = csr_array(value_BG)
    value_E = stored.data.astype(np.float64)
    if not len(value_E) or (value_E < 0).any():
        return None
    linear_E = np.expm1(np.minimum(value_E, _LARGEST))
    row_E = np.repeat(np.arange(stored.shape[0]), np.diff(stored.indptr))
    unit_B = np.full(stored.shape[0], np.inf)
    np.minimum.at(unit_B, row_E[linear_E > 0], linear_E[linear_E > 0])
    known_B = np.isfinite(unit_B)
    if not known_B.any():
        return None
    unit_B[~known_B] = np.median(unit_B[known_B])
    count_E = linear_E / unit_B[row_E]
    whole_E = np.rint(count_E)
    few_E = (whole_E > 1) & (whole_E <= _FEW)
    if few_E.sum() < _FEWEST_COUNTS:
        return None
    off_E = np.abs(count_E - whole_E)[few_E] > _WHOLE * whole_E[few_E]
    return unit_B if off_E.mean() < _ODD else None


def counting_share_G(cells: CellBatch, type_B: NDArray[np.int64], unit_B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each gene's variance within a type that Poisson counting makes, (G,), 0 .. 1.

    In ``expm1`` units a count's variance is its mean times the unit of its cell.
    """
    linear_BG = np.expm1(np.minimum(cells.expression_BG.astype(np.float64), _LARGEST))
    n_G = np.maximum(cells.measured_BG.sum(axis=0), 1)
    poisson_G = (linear_BG * unit_B[:, None]).sum(axis=0) / n_G
    total_G = np.zeros(len(cells.vocab))
    for code in np.unique(type_B):
        of_type_B = type_B == code
        values_BG, measured_BG = linear_BG[of_type_B], cells.measured_BG[of_type_B]
        mean_G = values_BG.sum(axis=0) / np.maximum(measured_BG.sum(axis=0), 1)
        total_G += (np.where(measured_BG, values_BG - mean_G, 0.0) ** 2).sum(axis=0)
    return np.clip(poisson_G / np.maximum(total_G / n_G, 1e-300), 0.0, 1.0)


def lost_share_G(cells: CellBatch, type_B: NDArray[np.int64], unit_B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each gene's counts that were lost whatever their size, (G,): zeros that counting does not explain.

    Beyond those of a negative binomial with the mean and variance of the counts of a type (Svensson 2020: droplet data
    have hardly any). A lower bound: lost counts widen that negative binomial, too.
    """
    count_BG = np.expm1(np.minimum(cells.expression_BG.astype(np.float64), _LARGEST)) / unit_B[:, None]
    excess_G, n_G = np.zeros(len(cells.vocab)), np.zeros(len(cells.vocab))
    for code in np.unique(type_B):
        rows_B = type_B == code
        of_type_BG, measured_BG = count_BG[rows_B], cells.measured_BG[rows_B]
        m_G = np.maximum(measured_BG.sum(axis=0), 1)
        mean_G = of_type_BG.sum(axis=0) / m_G
        variance_G = (np.where(measured_BG, of_type_BG - mean_G, 0.0) ** 2).sum(axis=0) / m_G
        size_G = mean_G**2 / np.maximum(variance_G - mean_G, 1e-9)
        none_G = np.exp(-size_G * np.log1p(mean_G / np.maximum(size_G, 1e-12)))
        zero_G = (measured_BG & (of_type_BG < 0.5)).sum(axis=0) / m_G
        excess_G += m_G * np.clip((zero_G - none_G) / np.maximum(1 - none_G, 1e-9), 0.0, 1.0)
        n_G += m_G
    share_G = excess_G / np.maximum(n_G, 1)
    return np.where(share_G > _LEAST_LOST, share_G, 0.0)


def passed_G(cells: CellBatch, lost_G: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the variance of each gene's values that lost counts leave to the others, (G,).

    With ``p`` lost, and mean ``m`` and variance ``v`` of those that are not, ``(1 - p) v / (v + p m^2)``.
    """
    value_BG = cells.expression_BG.astype(np.float64)
    kept_BG = cells.measured_BG & (value_BG > 0)
    n_G = np.maximum(kept_BG.sum(axis=0), 1)
    mean_G = np.where(kept_BG, value_BG, 0.0).sum(axis=0) / n_G
    variance_G = (np.where(kept_BG, value_BG - mean_G, 0.0) ** 2).sum(axis=0) / n_G
    share_G = (1 - lost_G) * variance_G / np.maximum(variance_G + lost_G * mean_G**2, 1e-12)
    return np.where(lost_G > 0, share_G, 1.0)


def depth_loading_G(
    cells: CellBatch, standard_BG: NDArray[np.float64], type_B: NDArray[np.int64], context: Context
) -> NDArray[np.float64]:
    """Correlation of each gene with the mean of all *other* genes of its cell, in standard deviations, (G,).

    Depth moves all genes one way, whether it was not taken away or taken away twice; what else does so counts for it.
    """
    others_B = context.others_B.copy()
    for code in np.unique(type_B):
        others_B[type_B == code] -= others_B[type_B == code].mean()
    n_others_BG = context.n_others + cells.measured_BG.sum(axis=1, keepdims=True) - cells.measured_BG
    others_BG = (others_B[:, None] + standard_BG.sum(axis=1, keepdims=True) - standard_BG) / np.maximum(n_others_BG, 1)
    others_BG -= others_BG.mean(axis=0)
    sd_G = others_BG.std(axis=0) * np.maximum(standard_BG.std(axis=0), 1e-9)
    covariance_G = (others_BG * standard_BG).mean(axis=0)
    return np.where(sd_G > 1e-12, covariance_G / np.maximum(sd_G, 1e-12), 0.0)


def correlations_GG(standard_BG: NDArray[np.float64], measured_BG: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Correlation of genes over the cells that measure both, (G, G); 0 where there are none."""
    n_GG = measured_BG.astype(np.float64).T @ measured_BG.astype(np.float64)
    square_GG = (standard_BG**2).T @ measured_BG.astype(np.float64)
    product_GG = standard_BG.T @ standard_BG
    scale_GG = np.sqrt(square_GG * square_GG.T)
    return np.where((scale_GG > 0) & (n_GG > 2), product_GG / np.maximum(scale_GG, 1e-300), 0.0)


def mean_square(correlation_GG: NDArray[np.float64]) -> float:
    """Mean square of the entries off the diagonal."""
    n = len(correlation_GG)
    return float((correlation_GG**2).sum() - (np.diag(correlation_GG) ** 2).sum()) / max(1, n * (n - 1))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Strength:
    """How strongly genes of one type go together.

    Parameters
    ----------
    mean_square : float
        Of the correlations within types, less what cells shuffled gene by gene show.
    by_chance : float
        What they show.
    z : float
        The excess over chance in standard errors of chance.
    """

    mean_square: float
    by_chance: float
    z: float


def strength_of(
    standard_BG: NDArray[np.float64],
    measured_BG: NDArray[np.bool_],
    type_B: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    n_shuffles: int = 8,
) -> Strength:
    """The strength beside that of the same values with each gene shuffled over the cells of a type."""
    found = mean_square(correlations_GG(standard_BG, measured_BG))
    chance: list[float] = []
    for _ in range(n_shuffles if standard_BG.size < 2e6 else 2):
        shuffled_BG = standard_BG.copy()
        for code in np.unique(type_B):
            rows = np.flatnonzero(type_B == code)
            shuffled_BG[rows] = rng.permuted(standard_BG[rows], axis=0)
        chance.append(mean_square(correlations_GG(shuffled_BG, measured_BG)))
    mean = float(np.mean(chance))
    # Squares of so many correlations of chance alone: each has mean 1/n and standard deviation sqrt(2)/n.
    n_pairs = max(1, standard_BG.shape[1] * (standard_BG.shape[1] - 1) / 2)
    error = max(float(np.std(chance, ddof=1)), mean * float(np.sqrt(2 / n_pairs)))
    return Strength(mean_square=max(found - mean, 0.0), by_chance=mean, z=(found - mean) / max(error, 1e-300))
