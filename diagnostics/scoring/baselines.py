"""Baseline predictors: some ignore the input, ridge uses the same information as a model.

A loss is the mean squared error over scored entries, all counting equally.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.ridge import fit_ridge
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab
from gpcp.core.predictors import Perturbation, control_of, perturbation_of

_Covariates = Mapping[str, NDArray[np.str_]]


def _mean_where(value_BG: NDArray[np.floating], counts_BG: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean over the rows that count; 0 for a gene without any, which is then never scored in these pairs."""
    sum_G = np.where(counts_BG, value_BG, 0).sum(axis=0, dtype=np.float64)
    return sum_G / np.maximum(counts_BG.sum(axis=0), 1)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NoChangePredictor:
    """The cell stays what it was."""

    vocab: GeneVocab

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: _Covariates | None = None
    ) -> NDArray[np.float32]:
        """The control cells, 0 where unmeasured."""
        del perturbation, covariates
        return np.where(np.isnan(control_BG), np.float32(0), control_BG)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeanPredictor:
    """Every cell ends at the mean: as a change, ``mean - before``.

    Parameters
    ----------
    vocab : GeneVocab
    mean_G : float64, (G,)
    """

    vocab: GeneVocab
    mean_G: NDArray[np.float64]

    @classmethod
    def fit(cls, pairs: PairBatch) -> "MeanPredictor":
        """With the means of ``after`` over the scored entries of some pairs."""
        return cls(vocab=pairs.vocab, mean_G=_mean_where(pairs.after_BG, pairs.scored_BG))

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: _Covariates | None = None
    ) -> NDArray[np.float32]:
        """The means, whatever the control."""
        del perturbation, covariates
        return np.broadcast_to(self.mean_G.astype(np.float32), control_BG.shape)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeanDeltaPredictor:
    """Every cell changes by the mean change.

    Parameters
    ----------
    vocab : GeneVocab
    delta_G : float64, (G,)
    """

    vocab: GeneVocab
    delta_G: NDArray[np.float64]

    @classmethod
    def fit(cls, pairs: PairBatch) -> "MeanDeltaPredictor":
        """With the mean changes over the scored entries of some pairs."""
        return cls(vocab=pairs.vocab, delta_G=_mean_where(pairs.delta_BG, pairs.scored_BG))

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: _Covariates | None = None
    ) -> NDArray[np.float32]:
        """The control cells plus the mean change, 0 where unmeasured."""
        del perturbation, covariates
        return np.where(np.isnan(control_BG), 0, control_BG + self.delta_G).astype(np.float32)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RidgePredictor:
    """Ridge on a model's input: before, which genes are perturbed, the given values, and before where perturbed.

    The last two span ``perturbed x delta``. An unmeasured gene of ``before`` is set to its mean. Of a screen's pairs
    the input is before, which perturbations the cell got, and their doses.

    Parameters
    ----------
    vocab : GeneVocab
    before_mean_G : float64, (G,)
    coefficient_FG : float64, (F, G)
        In the order before, perturbed, perturbed x value, perturbed x before; or before, each perturbation, its dose.
    intercept_G : float64, (G,)
    penalty_G : float64, (G,)
        Chosen by generalised cross-validation for each gene, see :mod:`diagnostics.scoring.ridge`.
    perturbations : PerturbationVocab, optional
        Those of a screen.
    """

    vocab: GeneVocab
    before_mean_G: NDArray[np.float64]
    coefficient_FG: NDArray[np.float64]
    intercept_G: NDArray[np.float64]
    penalty_G: NDArray[np.float64]
    perturbations: PerturbationVocab | None = None

    @classmethod
    def fit(cls, pairs: PairBatch) -> "RidgePredictor":
        """Fit each gene on the pairs that score it; (4 G)^2 multiplications for each scored entry.

        Raises
        ------
        InputError
            No pair scores some gene.
        """
        scored_BG = pairs.scored_BG
        if not scored_BG.any(axis=0).all():
            gene = pairs.vocab.feature_id[int(np.argmin(scored_BG.any(axis=0)))]
            raise InputError(f"no pair scores gene {gene}: leave it out or give more pairs")
        mean_G = _mean_where(pairs.before_BG, pairs.measured_BG)
        feature_BF = _features(control_of(pairs), perturbation_of(pairs), mean_G)
        fit = fit_ridge(feature_BF, pairs.after_BG, scored_BG)
        return cls(
            vocab=pairs.vocab,
            before_mean_G=mean_G,
            coefficient_FG=fit.coefficient_FY,
            intercept_G=fit.intercept_Y,
            penalty_G=fit.penalty_Y,
            perturbations=None if pairs.applied is None else pairs.applied.vocab,
        )

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: _Covariates | None = None
    ) -> NDArray[np.float32]:
        """Expected expression, float32 (B, G).

        Raises
        ------
        InputError
            A perturbation is not among those of the screen that it was fitted on.
        """
        del covariates
        if perturbation.applied is not None and self.perturbations is not None:
            perturbation = replace(perturbation, applied=perturbation.applied.within(self.perturbations))
        feature_BF = _features(control_BG, perturbation, self.before_mean_G)
        return (feature_BF @ self.coefficient_FG + self.intercept_G).astype(np.float32)


def _features(
    control_BG: NDArray[np.float32], perturbation: Perturbation, mean_G: NDArray[np.float64]
) -> NDArray[np.float64]:
    before_BG = np.where(np.isnan(control_BG), mean_G, control_BG)
    if perturbation.applied is not None:
        return np.hstack((before_BG, *applied_features(perturbation.applied)), dtype=np.float64)
    perturbed_BG = perturbation.perturbed_BG
    return np.hstack((before_BG, perturbed_BG, perturbation.target_BG, perturbed_BG * before_BG), dtype=np.float64)


def applied_features(applied: AppliedPerturbations) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Which perturbations each cell got, as 0 and 1, and the doses that are given; (B, perturbations) each."""
    row_E, place_E = np.nonzero(applied.token_BA >= 0)
    token_E, dose_E = applied.token_BA[row_E, place_E], applied.dose_BA[row_E, place_E]
    one, dose = np.zeros((len(applied), len(applied.vocab))), np.zeros((len(applied), len(applied.vocab)))
    one[row_E, token_E] = 1.0
    dose[row_E, token_E] = np.nan_to_num(dose_E)
    return one, dose
