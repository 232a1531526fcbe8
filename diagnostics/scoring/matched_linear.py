"""The best linear answer to a matched pair of real cells, from means and covariances of the training cells.

Two cells of a type are independent given the type. Who knows the type gains nothing from ``before``, and the best
linear answer is ``E[x_U | x_T]`` under the type's own mean and covariance. Who does not know it, as a model does not,
reads it off ``before``: with ``W`` the covariance within types and ``V`` that of the type means,

    after | before:   mean = m + (before - m) (W + V)^-1 V,   cov = W + V - V (W + V)^-1 V,

and the given values then condition this law in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.covariances import shrunk_covariance
from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Perturbation
from simulators.exact.conditioning import LinearForm, given_perturbed
from simulators.exact.laws import Law

_Covariates = Mapping[str, NDArray[np.str_]]


def within_types(cells: CellBatch) -> tuple[NDArray[np.str_], NDArray[np.int64], NDArray[np.float64]]:
    """Names of the types (type,), type of each cell (B,), and the mean cell of each type (type, G).

    Raises
    ------
    InputError
        The cells have no ``cell_type``, or a gene is unmeasured in one of them.
    """
    if "cell_type" not in cells.covariates:
        raise InputError("the cells have no covariate cell_type: name its column when the source is made")
    if not cells.measured_BG.all():
        cell, gene = (int(i) for i in np.argwhere(~cells.measured_BG)[0])
        raise InputError(
            f"gene {cells.vocab.feature_id[gene]} is unmeasured in cell {int(cells.cell_id_B[cell])}: covariances "
            "need genes that are measured in every cell; "
            "diagnostics.scoring.real_cells.choose_panel picks such genes"
        )
    types, code_B = np.unique(cells.covariates["cell_type"], return_inverse=True)
    member_type_B = (np.arange(len(types))[:, None] == code_B).astype(np.float64)
    mean_type_G = member_type_B @ cells.expression_BG.astype(np.float64) / member_type_B.sum(axis=1, keepdims=True)
    return types, code_B.astype(np.int64), mean_type_G


def shrunk_within(residual_BG: NDArray[np.float64], vocab: GeneVocab) -> NDArray[np.float64]:
    """Covariance (G, G) of residuals of mean 0, its *correlations* shrunk as Ledoit and Wolf (2004) do.

    Shrunk towards the genes' own variances, that is, so that a gene of large variance does not lend it to others.

    Raises
    ------
    InputError
        A gene does not vary.
    """
    sd_G = np.sqrt((residual_BG**2).mean(axis=0))
    constant_G = sd_G < 1e-6
    if constant_G.any():
        gene = vocab.feature_id[int(constant_G.argmax())]
        raise InputError(f"gene {gene} does not vary within any cell type of the training cells: leave it out")
    return shrunk_covariance(residual_BG / sd_G) * np.outer(sd_G, sd_G)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TypeMeanPredictor:
    """Every cell ends at the mean of its type: as a change, ``mean of the type - before``.

    Parameters
    ----------
    vocab : GeneVocab
    mean_of : mapping of str to float64 (G,)
        By cell type.
    """

    vocab: GeneVocab
    mean_of: Mapping[str, NDArray[np.float64]]

    @classmethod
    def fit(cls, cells: CellBatch) -> "TypeMeanPredictor":
        """With the means of the training cells; errors as :func:`within_types`."""
        types, _, mean_type_G = within_types(cells)
        return cls(vocab=cells.vocab, mean_of=dict(zip(types.tolist(), mean_type_G, strict=True)))

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: _Covariates | None = None
    ) -> NDArray[np.float32]:
        """The mean of each cell's type, whatever is perturbed; needs the covariate ``cell_type``."""
        del perturbation
        predicted_BG = np.empty(control_BG.shape, dtype=np.float32)
        for cell_type, rows in _rows_by_type(covariates, self.mean_of):
            predicted_BG[rows] = self.mean_of[cell_type]
        return predicted_BG


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TypeLinearPredictor:
    """The best linear answer for who knows the cell type.

    Parameters
    ----------
    vocab : GeneVocab
    law_of : mapping of str to Law
        Mean and covariance of each cell type.
    """

    vocab: GeneVocab
    law_of: Mapping[str, Law]

    @classmethod
    def fit(cls, cells: CellBatch) -> "TypeLinearPredictor":
        """With the means of each type, and covariances between the type's own and that of all types.

        The covariance of a type of ``n`` cells is ``n / (n + 2 G)`` its own and for the rest that within all types
        together, each shrunk as :func:`shrunk_within`: about two cells for each gene before a type is believed.

        Raises
        ------
        InputError
            As :func:`within_types` and :func:`shrunk_within`.
        """
        types, code_B, mean_type_G = within_types(cells)
        residual_BG = cells.expression_BG - mean_type_G[code_B]
        pooled_GG = shrunk_within(residual_BG, cells.vocab)
        sd_G = np.sqrt(np.diagonal(pooled_GG))
        law_of: dict[str, Law] = {}
        for code, cell_type in enumerate(types.tolist()):
            own_BG = residual_BG[code_B == code]
            trust = len(own_BG) / (len(own_BG) + 2 * len(sd_G))
            # A single cell is its own mean: it says nothing of a covariance.
            own_GG = shrunk_covariance(own_BG / sd_G) * np.outer(sd_G, sd_G) if len(own_BG) > 1 else pooled_GG
            cov_GG = trust * own_GG + (1 - trust) * pooled_GG
            law_of[cell_type] = Law(vocab=cells.vocab, mean_G=mean_type_G[code], cov_GG=(cov_GG + cov_GG.T) / 2)
        return cls(vocab=cells.vocab, law_of=law_of)

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: _Covariates | None = None
    ) -> NDArray[np.float32]:
        """``E[x_U | x_T]`` under the law of each cell's type; needs the covariate ``cell_type``."""
        predicted_BG = np.empty(control_BG.shape, dtype=np.float32)
        for cell_type, rows in _rows_by_type(covariates, self.law_of):
            law = self.law_of[cell_type]
            perturbed_BG, target_BG = perturbation.perturbed_BG[rows], perturbation.target_BG[rows]
            predicted_BG[rows] = given(
                law.cov_GG, np.broadcast_to(law.mean_G, target_BG.shape), perturbed_BG, target_BG
            )
        return predicted_BG


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairLinearPredictor:
    """The best linear answer from a model's input: the cell before and the perturbation.

    Parameters
    ----------
    vocab : GeneVocab
    mean_G : float64, (G,)
        Of all cells.
    pull_GG : float64, (G, G)
        ``(W + V)^-1 V``: how a deviation before returns after; the module gives the formula.
    cov_GG : float64, (G, G)
        Of the cell after, given the cell before.
    """

    vocab: GeneVocab
    mean_G: NDArray[np.float64]
    pull_GG: NDArray[np.float64]
    cov_GG: NDArray[np.float64]

    @classmethod
    def fit(cls, cells: CellBatch) -> "PairLinearPredictor":
        """With the covariance within all types together and that of the type means, weighted by cells.

        Types are used here, to separate the two covariances, and are not asked for by :meth:`predict`.

        Raises
        ------
        InputError
            As :func:`within_types` and :func:`shrunk_within`.
        """
        types, code_B, mean_type_G = within_types(cells)
        within_GG = shrunk_within(cells.expression_BG - mean_type_G[code_B], cells.vocab)
        share_type = np.bincount(code_B, minlength=len(types)) / len(cells)
        mean_G = share_type @ mean_type_G
        deviation_type_G = mean_type_G - mean_G
        between_GG = (deviation_type_G * share_type[:, None]).T @ deviation_type_G
        pull_GG = np.linalg.solve(within_GG + between_GG, between_GG).astype(np.float64, copy=False)
        cov_GG = within_GG + between_GG - between_GG @ pull_GG
        return cls(vocab=cells.vocab, mean_G=mean_G, pull_GG=pull_GG, cov_GG=(cov_GG + cov_GG.T) / 2)

    def predict(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, covariates: _Covariates | None = None
    ) -> NDArray[np.float32]:
        """``E[after | before, perturbation]``; an unmeasured gene of ``before`` is set to its mean."""
        del covariates
        deviation_BG = np.where(np.isnan(control_BG), 0.0, control_BG - self.mean_G)
        mean_BG = self.mean_G + deviation_BG @ self.pull_GG
        return given(self.cov_GG, mean_BG, perturbation.perturbed_BG, perturbation.target_BG).astype(np.float32)


def given(
    cov_GG: NDArray[np.float64],
    mean_BG: NDArray[np.float64],
    perturbed_BG: NDArray[np.bool_],
    value_BG: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Mean of every gene given the perturbed ones, float64 (B, G); each pair has its own mean and perturbed genes.

    Any covariance is that of a linear world in which each gene depends on those before it: with the precision
    ``K = U U'`` and ``U`` upper triangular, ``sd = 1 / diag(U)`` and ``W = I - U diag(sd)``. So the exact answers of
    :mod:`simulators.exact.conditioning` serve real cells, too.
    """
    precision_GG = np.linalg.inv(cov_GG)
    # Cholesky gives a lower triangle: with the order of the genes reversed before and after, it is the upper one.
    upper_GG = np.linalg.cholesky(precision_GG[::-1, ::-1])[::-1, ::-1]
    noise_sd_G = 1 / np.diagonal(upper_GG)
    form = LinearForm(
        weight_GG=np.eye(len(cov_GG)) - upper_GG * noise_sd_G, offset_G=np.zeros(len(cov_GG)), noise_sd_G=noise_sd_G
    )
    answer_BG = np.empty(mean_BG.shape)
    for pairs, excess_BG, _ in given_perturbed(form, perturbed_BG, value_BG - mean_BG):
        answer_BG[pairs] = mean_BG[pairs] + excess_BG
    return answer_BG


def _rows_by_type(covariates: _Covariates | None, known: Mapping[str, object]) -> list[tuple[str, NDArray[np.int64]]]:
    """Each cell type that occurs, with its rows."""
    if covariates is None or "cell_type" not in covariates:
        raise InputError("this predictor goes by cell type: pass covariates with cell_type, one for each cell")
    type_B = covariates["cell_type"]
    names: list[str] = np.unique(type_B).tolist()
    for name in names:
        if name not in known:
            raise InputError(f"cell type {name!r} was not among the training cells; {nearest(name, known)}")
    return [(name, np.flatnonzero(type_B == name).astype(np.int64)) for name in names]
