"""The masked losses: squared errors, or log densities, of scored genes only, weighted by entry or by pair."""

from typing import Literal, get_args

import torch
from torch import Tensor

from gpcp.model.heads.distribution import Mixture

PairWeight = Literal["entry", "pair"]
PAIR_WEIGHTS: tuple[PairWeight, ...] = get_args(PairWeight)
Objective = Literal["squared", "likelihood"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


def loss_terms(
    prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor, weight: PairWeight = "entry"
) -> tuple[Tensor, Tensor]:
    """Weighted sum of squared errors, and the sum of weights: their ratio is the mean squared error.

    Parameters
    ----------
    prediction_BL, after_BL : float, (B, L)
        What stands where nothing is scored, NaN included, changes neither value nor gradient.
    scored_BL : bool, (B, L)
    weight : "entry" or "pair"
        ``"entry"`` counts every scored gene alike. ``"pair"`` counts every pair alike: the mean over its scored
        genes. Where nearly all genes are perturbed few are left to score, and by entry those pairs, the ones that show
        the direct relations, hardly count.

    Returns
    -------
    Tensor, Tensor
        Scalars; both 0 where nothing is scored.
    """
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0) ** 2
    return _weighted(error_BL, scored_BL, weight)


def masked_loss(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor, weight: PairWeight = "entry") -> Tensor:
    """Mean squared error over what is scored, a scalar; 0 where nothing is. See :func:`loss_terms`."""
    total, n = loss_terms(prediction_BL, after_BL, scored_BL, weight)
    return total / n.clamp(min=1)


def masked_nll(distribution: Mixture, after_BL: Tensor, scored_BL: Tensor, weight: PairWeight = "entry") -> Tensor:
    """Mean negative log density over what is scored, in nats, a scalar; 0 where nothing is scored.

    Parameters
    ----------
    distribution : Mixture
        At every position (B, L). Values where nothing is scored change neither loss nor gradient.
    after_BL, scored_BL, weight
        As for :func:`loss_terms`.
    """
    # Both are replaced before any arithmetic: the gradient of a NaN that a mask drops afterwards is NaN.
    density_BL = distribution.only(scored_BL).log_density(torch.where(scored_BL, after_BL, 0.0))
    total, n = _weighted(torch.where(scored_BL, -density_BL, 0.0), scored_BL, weight)
    return total / n.clamp(min=1)


def _weighted(term_BL: Tensor, scored_BL: Tensor, weight: PairWeight) -> tuple[Tensor, Tensor]:
    """Weighted sum of terms that are 0 where nothing is scored, and the sum of weights."""
    if weight == "entry":
        return term_BL.sum(), scored_BL.sum().to(term_BL.dtype)
    n_scored_B = scored_BL.sum(dim=1)
    mean_B = term_BL.sum(dim=1) / n_scored_B.clamp(min=1)
    return mean_B.sum(), (n_scored_B > 0).sum().to(term_BL.dtype)
