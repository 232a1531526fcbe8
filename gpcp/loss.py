"""The masked loss: squared errors of scored genes only, weighted by entry or by pair.

Dimension key: ``B`` pairs, ``L`` state tokens.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

PairWeight = Literal["entry", "pair"]
PAIR_WEIGHTS: tuple[PairWeight, ...] = get_args(PairWeight)


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
        genes. Where nearly all genes are told few are left to score, and by entry those pairs, the ones that show
        the direct relations, hardly count.

    Returns
    -------
    Tensor, Tensor
        Scalars; both 0 where nothing is scored.
    """
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0) ** 2
    if weight == "entry":
        return error_BL.sum(), scored_BL.sum().to(error_BL.dtype)
    n_scored_B = scored_BL.sum(dim=1)
    mean_B = error_BL.sum(dim=1) / n_scored_B.clamp(min=1)
    return mean_B.sum(), (n_scored_B > 0).sum().to(error_BL.dtype)


def masked_loss(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor, weight: PairWeight = "entry") -> Tensor:
    """Mean squared error over what is scored, a scalar; 0 where nothing is. See :func:`loss_terms`."""
    total, n = loss_terms(prediction_BL, after_BL, scored_BL, weight)
    return total / n.clamp(min=1)
