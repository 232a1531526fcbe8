"""The Bayes predictor of each regime and its risk: the best possible predictions, the ceilings of all scores.

========================  ===========================  ==========================================
regime                    exact (standard error 0)     Monte Carlo with its standard error
========================  ===========================  ==========================================
matched                   linear and Gaussian          otherwise
counterfactual            always                       never
interventional            linear, any noise            otherwise
========================  ===========================  ==========================================

Counterfactual answers recover the noise of ``before``, which pairs store as float32: relative errors of about 1e-7
stay, and grow with the inverse of a gene's own noise. Their conditional variance is 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Perturbation, control_of, perturbation_of
from gpcp.core.random import generator
from simulators.exact.conditioning import LinearForm, diagonal, given_perturbed, linear_form, under_do
from simulators.exact.monte_carlo import Moments, do_moments
from simulators.exact.particles import matched_moments
from simulators.exact.quadrature import one_unperturbed_moments
from simulators.exact.slopes import exact_slopes
from simulators.scm.interventions import DoCells
from simulators.scm.regimes import Regime, regime_of
from simulators.scm.scm import Scm

N_PARTICLES = 1_024
"""Default number of simulated cells (interventional) or particles (matched) for each pair."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BayesAnswer:
    """Conditional mean and variance of every gene after, given all that the regime lets one know.

    Parameters
    ----------
    mean_BG : float64, (B, G)
        The prediction with the least expected squared error; the given value at perturbed genes.
    variance_BG : float64, (B, G)
        The squared error that it must expect; 0 at perturbed genes.
    standard_error_BG : float64, (B, G)
        Of ``mean_BG``; 0 where it is exact.

    Raises
    ------
    InputError
        Shapes or dtypes differ.
    """

    mean_BG: NDArray[np.float64]
    variance_BG: NDArray[np.float64]
    standard_error_BG: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("mean_BG", "variance_BG", "standard_error_BG"):
            array_BG: NDArray[np.float64] = getattr(self, name)
            check_array("BayesAnswer", name, array_BG, self.mean_BG.shape, np.float64)
            object.__setattr__(self, name, read_only(array_BG))

    def risk(self, scored_BG: NDArray[np.bool_]) -> float:
        """Expected squared error over the scored entries, all counting equally; NaN if there is none."""
        return float(self.variance_BG[scored_BG].mean()) if scored_BG.any() else float("nan")


def is_exact(scm: Scm, regime: Regime) -> bool:
    """Whether :func:`bayes` is exact for any pairs of a regime: the table of this module."""
    linear = scm.mechanism.name == "linear"
    return regime == "counterfactual" or (linear and (regime == "interventional" or scm.noise.name == "gaussian"))


def bayes(
    scm: Scm,
    regime: Regime,
    pairs: PairBatch,
    *,
    rng: np.random.Generator | None = None,
    n_particles: int = N_PARTICLES,
) -> BayesAnswer:
    """Conditional mean and variance of ``after`` for each pair.

    Parameters
    ----------
    scm : Scm
        The world that made the pairs.
    regime : {"matched", "counterfactual", "interventional"}
    pairs : PairBatch
        Unmeasured genes are left out of what is known, which is exact in the matched regime and changes nothing in
        the interventional one.
    rng : numpy.random.Generator, optional
        Needed for Monte Carlo answers only; see the module's table.
    n_particles : int
        For Monte Carlo answers, the number for each pair; the standard error falls with its root.

    Raises
    ------
    InputError
        The regime does not exist; the pairs are of other genes; ``rng`` is missing where it is needed; a
        counterfactual pair has an unmeasured gene (its noise cannot be known); or perturbed values that the world
        cannot produce.
    """
    if pairs.vocab != scm.graph.vocab:
        raise InputError("bayes got pairs of other genes than the world's: give the pairs of this world")
    return _answer(scm, regime_of(regime), control_of(pairs), perturbation_of(pairs), rng, n_particles)


@final
class BayesPredictor:
    """The exact answer as a ``gpcp.core.predictors.Predictor``: the ceiling that any model is held against.

    Parameters
    ----------
    scm : Scm
    regime : {"matched", "counterfactual", "interventional"}
    seed : int
        For Monte Carlo answers; each call starts from it anew, so that equal questions get equal answers.
    n_particles : int
        See :func:`bayes`.

    Raises
    ------
    InputError
        The regime does not exist.
    """

    def __init__(self, scm: Scm, regime: Regime, *, seed: int = 0, n_particles: int = N_PARTICLES) -> None:
        self._scm = scm
        self._regime: Regime = regime_of(regime)
        self._seed = seed
        self._n_particles = n_particles

    @property
    def vocab(self) -> GeneVocab:
        """The world's genes."""
        return self._scm.graph.vocab

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        """Conditional mean of each cell after, float32 (B, G); see :func:`bayes` for errors.

        Covariates are not read: a world has one type of cell.
        """
        del covariates
        shape = (len(perturbation), len(self.vocab))
        check_array("BayesPredictor", "control_BG", control_BG, shape, np.float32)
        rng = generator("bayes", self._seed)
        if self._regime == "interventional":
            return _means_under_do(self._scm, perturbation, rng, self._n_particles).astype(np.float32)
        answer = _answer(self._scm, self._regime, control_BG, perturbation, rng, self._n_particles)
        return answer.mean_BG.astype(np.float32)

    def slopes(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, gene_B: NDArray[np.int64]
    ) -> NDArray[np.float64] | None:
        """See :class:`gpcp.core.predictors.GivesSlopes`; None where there is no closed form."""
        shape = (len(perturbation), len(self.vocab))
        check_array("BayesPredictor", "control_BG", control_BG, shape, np.float32)
        value_BG = perturbation.target_BG.astype(np.float64)
        return exact_slopes(self._scm, self._regime, perturbation.perturbed_BG, value_BG, gene_B)


def _answer(
    scm: Scm,
    regime: Regime,
    control_BG: NDArray[np.float32],
    perturbation: Perturbation,
    rng: np.random.Generator | None,
    n_particles: int,
) -> BayesAnswer:
    perturbed_BG = perturbation.perturbed_BG
    value_BG = perturbation.target_BG.astype(np.float64)
    if regime == "counterfactual":
        return _exact(_resimulated(scm, control_BG, perturbed_BG, value_BG), np.zeros(value_BG.shape))
    linear = scm.mechanism.name == "linear"
    if regime == "interventional" and linear:
        return _exact(*under_do(linear_form(scm), scm.graph.order, perturbed_BG, value_BG))
    if regime == "matched" and linear and scm.noise.name == "gaussian":
        return _conditioned(linear_form(scm), perturbed_BG, value_BG)
    if rng is None:
        raise InputError(
            f"the {regime} regime of a world with {scm.mechanism.name} mechanism and {scm.noise.name} noise has no "
            "closed form: give rng for a Monte Carlo answer"
        )
    moments = do_moments if regime == "interventional" else _matched_moments
    mean_BG, variance_BG, standard_error_BG = moments(scm, perturbed_BG, value_BG, rng=rng, n_particles=n_particles)
    return BayesAnswer(mean_BG=mean_BG, variance_BG=variance_BG, standard_error_BG=standard_error_BG)


def _means_under_do(
    scm: Scm, perturbation: Perturbation, rng: np.random.Generator, n_particles: int
) -> NDArray[np.float64]:
    """Means alone, float64 (B, G): those of cells without noise, where no gene answers to a noise but by a line.

    So it is in linear worlds, and wherever one gene is left; other rows are simulated, equal ones once.
    """
    perturbed_BG, value_BG = perturbation.perturbed_BG, perturbation.target_BG.astype(np.float64)
    mean_BG = np.array(scm.expression(np.zeros(value_BG.shape), DoCells(perturbed_BG, value_BG)))
    if scm.mechanism.name == "linear":
        return mean_BG
    curved_B = np.flatnonzero((~perturbed_BG).sum(axis=1) > 1)
    if len(curved_B):
        asked = np.column_stack((perturbed_BG[curved_B], value_BG[curved_B]))
        _, first_s, set_b = np.unique(asked, axis=0, return_index=True, return_inverse=True)
        rows_s = curved_B[first_s]
        found_sG, _, _ = do_moments(scm, perturbed_BG[rows_s], value_BG[rows_s], rng=rng, n_particles=n_particles)
        mean_BG[curved_B] = found_sG[set_b]
    return mean_BG


def _matched_moments(
    scm: Scm,
    perturbed_BG: NDArray[np.bool_],
    value_BG: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    n_particles: int,
) -> Moments:
    """By quadrature where one gene is unperturbed, by particles where more are."""
    n_unperturbed_B = (~perturbed_BG).sum(axis=1)
    moments: Moments = (value_BG.copy(), np.zeros(value_BG.shape), np.zeros(value_BG.shape))
    one_B, more_B = np.flatnonzero(n_unperturbed_B == 1), np.flatnonzero(n_unperturbed_B > 1)
    found = one_unperturbed_moments(scm, perturbed_BG[one_B], value_BG[one_B])
    for moment_BG, found_bG in zip(moments, found, strict=True):
        moment_BG[one_B] = found_bG
    found = matched_moments(scm, perturbed_BG[more_B], value_BG[more_B], rng=rng, n_particles=n_particles)
    for moment_BG, found_bG in zip(moments, found, strict=True):
        moment_BG[more_B] = found_bG
    return moments


def _exact(mean_BG: NDArray[np.float64], variance_BG: NDArray[np.float64]) -> BayesAnswer:
    return BayesAnswer(mean_BG=mean_BG, variance_BG=variance_BG, standard_error_BG=np.zeros(mean_BG.shape))


def _conditioned(form: LinearForm, perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.float64]) -> BayesAnswer:
    mean_BG, variance_BG = np.empty(value_BG.shape), np.empty(value_BG.shape)
    for pairs, mean_bG, cov_bGG in given_perturbed(form, perturbed_BG, value_BG):
        mean_BG[pairs] = mean_bG
        variance_BG[pairs] = np.where(perturbed_BG[pairs], 0.0, diagonal(cov_bGG))
    return _exact(mean_BG, variance_BG)


def _resimulated(
    scm: Scm, control_BG: NDArray[np.float32], perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Abduction, action, prediction: the noise of ``before``, acted on, and simulated again."""
    if not np.isfinite(control_BG).all():
        pair, gene = (int(i) for i in np.argwhere(~np.isfinite(control_BG))[0])
        raise InputError(
            f"gene {scm.graph.vocab.feature_id[gene]} of pair {pair} is unmeasured: the counterfactual of a cell is "
            "identified only if all of its genes are measured; leave such pairs out or take another regime"
        )
    return np.ascontiguousarray(scm.expression(scm.noise_of(control_BG), DoCells(perturbed_BG, value_BG)))
