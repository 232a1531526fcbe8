"""``Mixture``: what a distribution head says of every place; one of one component is a Gaussian.

Dimension key: ``B`` cells, ``L`` places, ``K`` components.

Everything is kept as logarithms of what must be positive, and densities are added by logsumexp, so that no weight,
spread or distance overflows or vanishes. Half precision is left behind before any of that arithmetic.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gpcp.errors import InputError

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mixture:
    """A mixture of Gaussians at every place.

    Parameters
    ----------
    logit_BLK : float, (B, L, K)
        Weights up to a factor: their softmax over ``K``.
    mean_BLK : float, (B, L, K)
        Of each component.
    log_sd_BLK : float, (B, L, K)
        Logarithm of each component's standard deviation.

    Raises
    ------
    InputError
        Shapes disagree.
    """

    logit_BLK: Tensor
    mean_BLK: Tensor
    log_sd_BLK: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.mean_BLK.shape)
        for name in ("logit_BLK", "mean_BLK", "log_sd_BLK"):
            found_BLK: Tensor = getattr(self, name)
            if tuple(found_BLK.shape) != shape:
                raise InputError(
                    f"Mixture.{name} has shape {tuple(found_BLK.shape)}, expected that of its means {shape}"
                )
            object.__setattr__(self, name, found_BLK.float() if found_BLK.dtype.itemsize < 4 else found_BLK)

    @property
    def parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log spreads, each (B, L, K)."""
        return self.logit_BLK, self.mean_BLK, self.log_sd_BLK

    @property
    def weight_BLK(self) -> Tensor:
        """Of each component, (B, L, K); they sum to 1."""
        return self.logit_BLK.softmax(dim=-1)

    @property
    def mean_BL(self) -> Tensor:
        """Expected value, (B, L)."""
        return (self.weight_BLK * self.mean_BLK).sum(dim=-1)

    @property
    def variance_BL(self) -> Tensor:
        """Within components and between them, (B, L)."""
        between_BLK = (self.mean_BLK - self.mean_BL[..., None]) ** 2
        return (self.weight_BLK * ((2 * self.log_sd_BLK).exp() + between_BLK)).sum(dim=-1)

    def log_density(self, value_BL: Tensor) -> Tensor:
        """Natural logarithm of the density at ``value_BL``, (B, L)."""
        score_BLK = (value_BL[..., None] - self.mean_BLK) * (-self.log_sd_BLK).exp()
        component_BLK = -0.5 * score_BLK**2 - self.log_sd_BLK - _HALF_LOG_2PI
        return (self.logit_BLK.log_softmax(dim=-1) + component_BLK).logsumexp(dim=-1)

    def in_units(self, scale_BL: Tensor, shift_BL: Tensor) -> "Mixture":
        """Of ``shift + scale x value``; scales are above 0."""
        return Mixture(
            logit_BLK=self.logit_BLK,
            mean_BLK=shift_BL[..., None] + scale_BL[..., None] * self.mean_BLK,
            log_sd_BLK=self.log_sd_BLK + scale_BL.log()[..., None],
        )

    def only(self, counts_BL: Tensor) -> "Mixture":
        """The same where ``counts_BL``, a standard Gaussian elsewhere, through which no gradient flows."""
        counts_BL1 = counts_BL[..., None]
        return Mixture(
            logit_BLK=torch.where(counts_BL1, self.logit_BLK, 0.0),
            mean_BLK=torch.where(counts_BL1, self.mean_BLK, 0.0),
            log_sd_BLK=torch.where(counts_BL1, self.log_sd_BLK, 0.0),
        )
