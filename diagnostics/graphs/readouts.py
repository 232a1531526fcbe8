"""Read an effect matrix out of any ``Predictor``, by asking it what would happen.

``effect_GG[i, j]`` is the effect of i on j, per unit by which i is set to change. *Total*: nothing else is held, so
the change has run through the whole network; its diagonal is 1. *Direct*: every other gene is held; its diagonal is
0. *Partial*: a partial correlation, symmetric and without units. In the matched regime "held" means known, so direct
effects are regression coefficients there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs.implied_law import implied_partial
from gpcp.core.errors import InputError, nearest
from gpcp.core.predictors import GivesSlopes, Perturbation, Predictor

Covariates = Mapping[str, NDArray[np.str_]]
Effect = Literal["total", "direct", "partial"]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Question:
    """What every call of one read-out shares; NaN where a control is unmeasured or nothing can be perturbed."""

    control_BG: NDArray[np.float32]
    perturbed_BG: NDArray[np.float32]
    covariates: Covariates | None
    batch_size: int

    def first(self, n: int | None) -> "_Question":
        few = None if self.covariates is None else {name: value_B[:n] for name, value_B in self.covariates.items()}
        return replace(self, control_BG=self.control_BG[:n], perturbed_BG=self.perturbed_BG[:n], covariates=few)


def _question(
    predictor: Predictor,
    control_BG: NDArray[np.floating],
    perturbed_BG: NDArray[np.floating] | None,
    covariates: Covariates | None,
    batch_size: int,
) -> _Question:
    n_genes = len(predictor.vocab)
    if control_BG.ndim != 2 or control_BG.shape[1] != n_genes or not len(control_BG):
        raise InputError(f"control_BG has shape {control_BG.shape}, expected (cells, {n_genes})")
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}: it must be at least 1")
    # The values of another cell, as a pair of independent cells would have them.
    held_BG = np.roll(control_BG, -1, axis=0) if perturbed_BG is None else perturbed_BG
    if held_BG.shape != control_BG.shape:
        raise InputError(f"told_BG has shape {held_BG.shape}, expected that of control_BG, {control_BG.shape}")
    return _Question(
        control_BG=control_BG.astype(np.float32),
        perturbed_BG=held_BG.astype(np.float32),
        covariates=covariates,
        batch_size=batch_size,
    )


def _slope(
    predictor: Predictor,
    question: _Question,
    perturbed_variant_BG: NDArray[np.bool_],
    centre_variant_BG: NDArray[np.float32],
    shift_variant_BG: NDArray[np.float32] | np.float32,
    width: np.float32,
) -> NDArray[np.float64]:
    """Central differences (variant, B, G): what ``centre + shift`` gives less ``centre - shift``, over 2 width."""
    n_variants, n_cells, n_genes = perturbed_variant_BG.shape
    target_side_variant_BG = np.stack((centre_variant_BG + shift_variant_BG, centre_variant_BG - shift_variant_BG))
    target_BG = np.where(perturbed_variant_BG, target_side_variant_BG, np.float32(0)).reshape(-1, n_genes)
    covariates = question.covariates
    n_copies = 2 * n_variants
    predicted = predictor.predict(
        np.tile(question.control_BG, (n_copies, 1)),
        Perturbation(perturbed_BG=np.tile(perturbed_variant_BG.reshape(-1, n_genes), (2, 1)), target_BG=target_BG),
        None if covariates is None else {name: np.tile(value_B, n_copies) for name, value_B in covariates.items()},
    )
    upper_variant_BG, lower_variant_BG = predicted.reshape(2, n_variants, n_cells, n_genes).astype(np.float64)
    return (upper_variant_BG - lower_variant_BG) / (2 * float(width))


def _mean_over_cells(sum_GG: NDArray[np.float64], n_GG: NDArray[np.int64], predictor: Predictor) -> NDArray[np.float64]:
    if (n_GG == 0).any():
        first, second = predictor.vocab.genes([int(token) for token in np.argwhere(n_GG == 0)[0]])
        raise InputError(f"no control cell can perturb {first} and see {second}: give cells that measure both")
    return sum_GG / n_GG


def _chunks(n: int, question: _Question) -> list[NDArray[np.int64]]:
    """Positions 0 .. n - 1 in runs that fill one call, each position asking every cell twice."""
    size = max(1, question.batch_size // (2 * len(question.control_BG)))
    return [np.arange(start, min(start + size, n)) for start in range(0, n, size)]


def _checked_step(name: str, step: float) -> np.float32:
    if not (np.isfinite(step) and step > 0):
        raise InputError(f"{name} is {step}: it must be a positive number, in the units of expression")
    return np.float32(step)


def single_gene_response(
    predictor: Predictor,
    control_BG: NDArray[np.floating],
    *,
    dose: float,
    covariates: Covariates | None = None,
    batch_size: int = 4096,
) -> NDArray[np.float64]:
    """Total effects: perturb one gene alone, ``dose`` above and below its mean over the control cells.

    Parameters
    ----------
    predictor : Predictor
    control_BG : float, (B, G)
        Cells before, NaN where unmeasured.
    dose : float
        In the units of expression.
    covariates : mapping of str to (B,) arrays of str, optional
    batch_size : int
        Most rows in one call of ``predict``; ``2 G B`` rows are asked in all.

    Returns
    -------
    float64, (G, G)
        Mean over cells of ``(prediction at +dose - prediction at -dose) / (2 dose)``; the diagonal is 1.

    Raises
    ------
    InputError
        Wrong shape, a dose that is not positive, or two genes that no cell measures together.
    """
    question = _question(predictor, control_BG, None, covariates, batch_size)
    width = _checked_step("dose", dose)
    measured_BG = np.isfinite(question.control_BG)
    n_genes = measured_BG.shape[1]
    self_GG = np.eye(n_genes, dtype=np.bool_)
    n_GG = measured_BG.T.astype(np.int64) @ measured_BG.astype(np.int64) + self_GG
    centre_G = np.where(measured_BG, question.control_BG, 0).sum(axis=0) / np.maximum(measured_BG.sum(axis=0), 1)
    sum_GG = np.zeros((n_genes, n_genes))
    for chunk in _chunks(n_genes, question):
        perturbed_variant_BG = self_GG[chunk][:, None, :] & measured_BG
        centre_variant_BG = np.broadcast_to(centre_G.astype(np.float32), perturbed_variant_BG.shape)
        slope_variant_BG = _slope(predictor, question, perturbed_variant_BG, centre_variant_BG, width, width)
        counts_variant_BG = measured_BG[:, chunk].T[:, :, None] & measured_BG
        sum_GG[chunk] = np.where(counts_variant_BG, slope_variant_BG, 0).sum(axis=1)
    total_GG = _mean_over_cells(sum_GG, n_GG, predictor)
    np.fill_diagonal(total_GG, 1.0)
    return total_GG


def all_but_one(
    predictor: Predictor,
    control_BG: NDArray[np.floating],
    *,
    step: float,
    perturbed_BG: NDArray[np.floating] | None = None,
    covariates: Covariates | None = None,
    batch_size: int = 4096,
    n_differences: int | None = None,
) -> NDArray[np.float64]:
    """Direct effects: perturb every gene but j, and change one given value at a time.

    Parameters
    ----------
    predictor : Predictor
    control_BG : float, (B, G)
        Cells before, NaN where unmeasured.
    step : float
        Half the width of the central difference, in the units of expression; not used where the predictor gives its
        slopes (:class:`gpcp.core.predictors.GivesSlopes`), which are those at the given values.
    perturbed_BG : float, (B, G), optional
        The values given, NaN where none can be; by default each cell is given those of the next one, as in a pair of
        independent cells.
    covariates : mapping of str to (B,) arrays of str, optional
    batch_size : int
        Most rows in one call; ``2 G (G - 1) B`` rows are asked in all, or ``G B`` slopes.
    n_differences : int, optional
        Only so many cells, the first, where the predictor gives no slopes: differences take ``2 G`` times as many rows.

    Returns
    -------
    float64, (G, G)
        [i, j]: mean over cells of the slope of j's prediction in the value given for i; the diagonal is 0.

    Raises
    ------
    InputError
        Wrong shape, a step that is not positive, or two genes that no cell measures together.
    """
    question = _question(predictor, control_BG, perturbed_BG, covariates, batch_size)
    width = _checked_step("step", step)
    if covariates is None and isinstance(predictor, GivesSlopes):
        direct_GG = _by_slopes(predictor, predictor, question)
        if direct_GG is not None:
            return direct_GG
    question = question.first(n_differences)
    seen_BG = np.isfinite(question.control_BG)
    can_perturb_BG = seen_BG & np.isfinite(question.perturbed_BG)
    value_BG = np.where(can_perturb_BG, question.perturbed_BG, 0)
    n_genes = seen_BG.shape[1]
    self_GG = np.eye(n_genes, dtype=np.bool_)
    # Every (i, j) with i != j, those of one j together: their perturbed genes are the same.
    of_j, of_i = np.nonzero(~self_GG)
    sum_GG = np.zeros((n_genes, n_genes))
    n_GG = self_GG.astype(np.int64)
    for chunk in _chunks(len(of_j), question):
        i, j = of_i[chunk], of_j[chunk]
        perturbed_variant_BG = can_perturb_BG & ~self_GG[j][:, None, :]
        shift_variant_BG = self_GG[i][:, None, :] * width
        slope_variant_BG = _slope(predictor, question, perturbed_variant_BG, value_BG, shift_variant_BG, width)
        counts_variant_B = (can_perturb_BG[:, i] & seen_BG[:, j]).T
        sum_GG[i, j] = np.where(counts_variant_B, slope_variant_BG[np.arange(len(chunk)), :, j], 0).sum(axis=1)
        n_GG[i, j] = counts_variant_B.sum(axis=1)
    return _mean_over_cells(sum_GG, n_GG, predictor)


def _by_slopes(predictor: Predictor, slopes: GivesSlopes, question: _Question) -> NDArray[np.float64] | None:
    """:func:`all_but_one` by slopes, where the predictor gives them: a row for each gene and cell."""
    seen_BG = np.isfinite(question.control_BG)
    can_perturb_BG = seen_BG & np.isfinite(question.perturbed_BG)
    value_BG = np.where(can_perturb_BG, question.perturbed_BG, np.float32(0))
    n_cells, n_genes = seen_BG.shape
    self_GG = np.eye(n_genes, dtype=np.bool_)
    sum_GG = np.zeros((n_genes, n_genes))
    for j in _chunks(n_genes, question):
        perturbed_BG = (can_perturb_BG & ~self_GG[j][:, None, :]).reshape(-1, n_genes)
        asked = Perturbation(
            perturbed_BG=perturbed_BG, target_BG=np.where(perturbed_BG, np.tile(value_BG, (len(j), 1)), np.float32(0))
        )
        slope_BG = slopes.slopes(np.tile(question.control_BG, (len(j), 1)), asked, np.repeat(j, n_cells))
        if slope_BG is None:
            return None
        counts_variant_BG = can_perturb_BG & seen_BG[:, j].T[:, :, None]
        sum_GG[:, j] = np.where(counts_variant_BG, slope_BG.reshape(counts_variant_BG.shape), 0).sum(axis=1).T
    np.fill_diagonal(sum_GG, 0.0)
    n_GG = can_perturb_BG.T.astype(np.int64) @ seen_BG.astype(np.int64)
    return _mean_over_cells(sum_GG, n_GG | self_GG, predictor)


def invert_total(total_GG: NDArray[np.floating], *, max_condition: float = 1e6) -> NDArray[np.float64]:
    """Direct effects from total ones: ``W = I - T^-1``, without any regularisation.

    Parameters
    ----------
    total_GG : float, (G, G)
        Its diagonal is taken to be 1.
    max_condition : float
        Largest condition number of T (2-norm) at which the inverse is trusted. Errors of T grow by up to this factor.

    Returns
    -------
    float64, (G, G)
        The diagonal is 0: what noise leaves there says nothing about another gene.

    Raises
    ------
    InputError
        An entry is not finite, or T is too nearly singular.
    """
    unit_GG = total_GG.astype(np.float64)
    np.fill_diagonal(unit_GG, 1.0)
    if not np.isfinite(unit_GG).all():
        raise InputError("total_GG holds values that are not finite: no direct effects follow from it")
    condition = float(np.linalg.cond(unit_GG))
    if not condition <= max_condition:
        raise InputError(
            f"total_GG has condition number {condition:.2g}, above {max_condition:.2g}: its inverse would be noise; "
            "read direct effects with all_but_one instead"
        )
    direct_GG = np.eye(len(unit_GG)) - np.linalg.inv(unit_GG)
    np.fill_diagonal(direct_GG, 0.0)
    return direct_GG


def partial_from_coefficients(coefficient_GG: NDArray[np.floating]) -> NDArray[np.float64]:
    """Partial correlations from the regressions of each gene on all others.

    With precision matrix P, the coefficient of i in the prediction of j is ``b_ij = -P_ij / P_jj``, so that
    ``b_ij b_ji = P_ij^2 / (P_ii P_jj)``, the squared partial correlation: exact for the exact law, and free of units.
    Where the two disagree in sign the estimate contradicts itself and becomes 0.

    Parameters
    ----------
    coefficient_GG : float, (G, G)
        [i, j]: coefficient of i in the prediction of j.

    Returns
    -------
    float64, (G, G)
        Symmetric, with diagonal 0; magnitudes above 1 can come from an estimate only.
    """
    product_GG = (coefficient_GG * coefficient_GG.T).astype(np.float64)
    partial_GG = np.sign(coefficient_GG) * np.sqrt(np.maximum(product_GG, 0.0))
    np.fill_diagonal(partial_GG, 0.0)
    return partial_GG


READ_OUTS: Mapping[str, Effect] = MappingProxyType(
    {
        "single_gene": "total",
        "single_gene_inverted": "direct",
        "all_but_one": "direct",
        "all_but_one_partial": "partial",
        "implied_partial": "partial",
    }
)
"""The read-outs that need nothing but ``predict``, and what their numbers mean; those of a torch model are in
:mod:`diagnostics.graphs.model_internals`."""


def read_out(
    name: str,
    predictor: Predictor,
    control_BG: NDArray[np.floating],
    *,
    dose: float = 1.0,
    step: float = 0.5,
    perturbed_BG: NDArray[np.floating] | None = None,
    covariates: Covariates | None = None,
    batch_size: int = 4096,
    rng: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Effect matrix (G, G) by a read-out's name, one of :data:`READ_OUTS`; parameters as in the functions above.

    ``rng`` draws the questions of ``implied_partial`` (:mod:`diagnostics.graphs.implied_law`) and is needed there
    alone.

    Raises
    ------
    InputError
        There is no such read-out (the message names the nearest), or as the functions above.
    """
    if name not in READ_OUTS:
        raise InputError(f"read-out {name!r} does not exist; {nearest(name, READ_OUTS)}")
    if name == "implied_partial":
        if rng is None:
            raise InputError("read-out 'implied_partial' asks random questions: give rng")
        return implied_partial(predictor, control_BG, rng=rng)
    if name in {"single_gene", "single_gene_inverted"}:
        total_GG = single_gene_response(predictor, control_BG, dose=dose, covariates=covariates, batch_size=batch_size)
        return total_GG if name == "single_gene" else invert_total(total_GG)
    direct_GG = all_but_one(
        predictor, control_BG, step=step, perturbed_BG=perturbed_BG, covariates=covariates, batch_size=batch_size
    )
    return direct_GG if name == "all_but_one" else partial_from_coefficients(direct_GG)
