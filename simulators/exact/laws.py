"""The exact law of a linear world: mean and covariance of its cells under any intervention.

With ``x_j = keep_j * (sum_i x_i W[i, j] + offset_j + sd_j e_j) + add_j``, where ``keep`` and ``add`` are the
intervention's (1 and 0 where it leaves a gene alone) and ``e`` has mean 0 and variance 1:

    x = (keep * offset + add + keep * sd * e) T,    T = (I - W diag(keep))^-1,
    mean = (keep * offset + add) T,                 cov = T' diag(keep * sd)^2 T.

Mean and covariance hold for noise of any shape; conditioning is exact for Gaussian noise only, and refused otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from simulators.scm.interventions import Intervention, affine
from simulators.scm.scm import Scm

Tokens = Sequence[int] | NDArray[np.integer]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Regression:
    """The best linear predictor of some genes from others: ``x_Q = intercept_Q + x_known @ coefficient_known_Q``.

    Parameters
    ----------
    coefficient_known_Q : float64, (known, Q)
    intercept_Q : float64, (Q,)
    residual_cov_QQ : float64, (Q, Q)
        Covariance of the residual; for a Gaussian law that of ``x_Q`` given any ``x_known``.
    """

    coefficient_known_Q: NDArray[np.float64]
    intercept_Q: NDArray[np.float64]
    residual_cov_QQ: NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Law:
    """Mean and covariance of a population of cells, in the units of expression.

    Parameters
    ----------
    vocab : GeneVocab
        The genes that the law is of.
    mean_G : float64, (G,)
    cov_GG : float64, (G, G)
        Symmetric; a gene that an intervention holds fixed has row and column 0.
    gaussian : bool
        True where the population is normally distributed, so that conditioning is exact.

    Raises
    ------
    InputError
        Wrong shape or dtype, a value that is not finite, or a covariance that is not symmetric.
    """

    vocab: GeneVocab
    mean_G: NDArray[np.float64]
    cov_GG: NDArray[np.float64]
    gaussian: bool = True

    def __post_init__(self) -> None:
        n_genes = len(self.vocab)
        check_array("Law", "mean_G", self.mean_G, (n_genes,), np.float64)
        check_array("Law", "cov_GG", self.cov_GG, (n_genes, n_genes), np.float64)
        if not (np.isfinite(self.mean_G).all() and np.isfinite(self.cov_GG).all()):
            raise InputError("Law.mean_G or Law.cov_GG is not finite: give finite moments")
        asymmetric_GG = np.abs(self.cov_GG - self.cov_GG.T) > 1e-9 * (1 + np.abs(self.cov_GG))
        if asymmetric_GG.any():
            i, j = (int(token) for token in np.argwhere(asymmetric_GG)[0])
            raise InputError(
                f"Law.cov_GG is not symmetric at genes {self.vocab.feature_id[i]} and {self.vocab.feature_id[j]}: "
                f"{self.cov_GG[i, j]} and {self.cov_GG[j, i]}"
            )
        object.__setattr__(self, "mean_G", read_only(self.mean_G))
        object.__setattr__(self, "cov_GG", read_only(self.cov_GG))

    def marginal(self, tokens: Tokens) -> "Law":
        """The law of some genes alone, in the order given.

        Raises
        ------
        InputError
            A token is outside the vocabulary or occurs twice, or there is none.
        """
        kept_Q = _checked("tokens", tokens, self.vocab)
        return Law(
            vocab=GeneVocab(feature_id=self.vocab.genes(kept_Q)),
            mean_G=self.mean_G[kept_Q],
            cov_GG=self.cov_GG[np.ix_(kept_Q, kept_Q)],
            gaussian=self.gaussian,
        )

    def regress(self, targets: Tokens, on: Tokens) -> Regression:
        """The best linear predictor of ``targets`` from ``on``, for a law of any shape.

        ``coefficient = cov_known^-1 cov_known_Q``, ``residual_cov = cov_QQ - cov_Q_known coefficient`` (Schur).

        Raises
        ------
        InputError
            As :meth:`marginal`, or a gene of ``on`` is constant or a linear combination of others of ``on``.
        """
        target_Q, known = _checked("targets", targets, self.vocab), _checked("on", on, self.vocab)
        cov_known, cov_known_Q = self.cov_GG[np.ix_(known, known)], self.cov_GG[np.ix_(known, target_Q)]
        self._check_regular(known, cov_known)
        coefficient_known_Q = np.linalg.solve(cov_known, cov_known_Q).astype(np.float64, copy=False)
        residual_cov_QQ = self.cov_GG[np.ix_(target_Q, target_Q)] - cov_known_Q.T @ coefficient_known_Q
        return Regression(
            coefficient_known_Q=coefficient_known_Q,
            intercept_Q=self.mean_G[target_Q] - self.mean_G[known] @ coefficient_known_Q,
            residual_cov_QQ=(residual_cov_QQ + residual_cov_QQ.T) / 2,
        )

    def condition(self, tokens: Tokens, values: Sequence[float] | NDArray[np.floating]) -> "Law":
        """The law of the other genes, in their order, once ``tokens`` are seen at ``values``.

        Raises
        ------
        InputError
            As :meth:`regress`; or the law is not Gaussian; or there are not as many finite values as tokens; or no
            gene is left.
        """
        if not self.gaussian:
            raise InputError(
                "Law.condition is exact for a Gaussian law only and this one is not: take Law.regress for the best "
                "linear predictor, or simulators.exact.bayes.bayes for the conditional mean"
            )
        known = _checked("tokens", tokens, self.vocab)
        value_known = np.asarray(values, dtype=np.float64)
        if value_known.shape != known.shape or not np.isfinite(value_known).all():
            raise InputError(
                f"Law.condition got {len(known)} tokens and values {value_known}: give one finite value for each token"
            )
        rest_Q = np.setdiff1d(np.arange(len(self.vocab)), known)
        if not len(rest_Q):
            raise InputError("Law.condition was given every gene: leave at least one to have a law of")
        regression = self.regress(rest_Q, known)
        return Law(
            vocab=GeneVocab(feature_id=self.vocab.genes(rest_Q)),
            mean_G=regression.intercept_Q + value_known @ regression.coefficient_known_Q,
            cov_GG=regression.residual_cov_QQ,
        )

    def _check_regular(self, known: NDArray[np.int64], cov_known: NDArray[np.float64]) -> None:
        variance_known = np.diagonal(cov_known)
        constant_known = variance_known <= 1e-12 * max(float(np.diagonal(self.cov_GG).max()), 1e-300)
        if constant_known.any():
            gene = self.vocab.feature_id[int(known[int(np.argmax(constant_known))])]
            raise InputError(f"gene {gene} is constant under this law: leave it out of the genes that are known")
        scale_known = np.sqrt(variance_known)
        if np.linalg.eigvalsh(cov_known / np.outer(scale_known, scale_known))[0] < 1e-12:
            raise InputError(
                f"the known genes {', '.join(self.vocab.genes(known[:5]))}{', ...' if len(known) > 5 else ''} are "
                "linearly dependent under this law: leave some out"
            )


def total_effect_GG(scm: Scm) -> NDArray[np.float64]:
    """Total effects ``T = (I - W)^-1`` of a linear world, float64 (G, G), in the units of expression.

    ``T[i, j]`` is the change of gene ``j`` for each unit by which gene ``i`` is forced up; ``T[i, i] = 1``.

    Raises
    ------
    InputError
        The world is not linear.
    """
    weight_GG, _, _ = scm.linear_form()
    return np.linalg.inv(np.eye(len(weight_GG)) - weight_GG).astype(np.float64, copy=False)


def law_of(scm: Scm, intervention: Intervention | None = None) -> Law:
    """Exact mean and covariance of a linear world's cells, untouched or under an intervention.

    Parameters
    ----------
    scm : Scm
        A linear world with noise of any shape.
    intervention : Do, Shift, KnockDown or None

    Returns
    -------
    Law
        Of all genes; the formula is in the module's docstring.

    Raises
    ------
    InputError
        The world is not linear, or the intervention names a gene that it does not have or is not one for all cells.
    """
    weight_GG, offset_G, noise_sd_G = scm.linear_form()
    keep_G, add_G = affine(intervention, scm.graph.vocab)
    total_GG = np.linalg.inv(np.eye(len(weight_GG)) - weight_GG * keep_G)
    spread_GG = (keep_G * noise_sd_G)[:, None] * total_GG
    return Law(
        vocab=scm.graph.vocab,
        mean_G=(keep_G * offset_G + add_G) @ total_GG,
        cov_GG=spread_GG.T @ spread_GG,
        gaussian=scm.noise.name == "gaussian",
    )


def _checked(name: str, tokens: Tokens, vocab: GeneVocab) -> NDArray[np.int64]:
    """Tokens as an array, each within the vocabulary and once; at least one."""
    checked = np.asarray(tokens, dtype=np.int64).reshape(-1)
    if not len(checked):
        raise InputError(f"{name} is empty: name at least one gene")
    genes = vocab.genes(checked)
    if len(set(genes)) < len(genes):
        twice = next(gene for gene in genes if genes.count(gene) > 1)
        raise InputError(f"{name} names gene {twice} twice: name each gene once")
    return checked
