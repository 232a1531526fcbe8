"""Heads that answer with a distribution: a Gaussian, or a mixture of three.

Dimension key: ``B`` cells, ``P`` queries, ``L`` state tokens, ``D`` width, ``G`` genes, ``K`` components.

Their ``forward`` gives the mean. Trained by squared errors of it, they learn no spread; trained by likelihood
(``FitConfig(objective="likelihood")``) they do. Spreads are kept within :data:`LOG_SD_RANGE` of the gene's units by a
smooth bound: a likelihood without a floor grows without end where an answer is exact, and a hard floor has no gradient.

``Mixture``: what a distribution head says of every place; one of one component is a Gaussian.

Dimension key: ``B`` cells, ``L`` places, ``K`` components.

Everything is kept as logarithms of what must be positive, and densities are added by logsumexp, so that no weight,
spread or distance overflows or vanishes. Half precision is left behind before any of that arithmetic.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from gpcp.core.errors import InputError
from gpcp.model.heads.point import PerGene, PerGeneMlp

LOG_SD_RANGE = 5.0
"""Spreads lie within ``exp(-5) .. exp(5)``, .0067 to 148, of the units that the model works in."""

N_COMPONENTS = 3


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


def bounded_log_sd(raw: Tensor) -> Tensor:
    """``R tanh(raw / R)``: the identity near 0, within -R .. R everywhere, with a gradient everywhere."""
    return LOG_SD_RANGE * (raw / LOG_SD_RANGE).tanh()


@final
class Gaussian(nn.Module):
    """The mean of :class:`gpcp.model.heads.point.PerGeneMlp`, and a log spread that is linear for every gene."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.mean = PerGeneMlp(n_genes, width)
        self.log_sd = PerGene(n_genes, width)

    @property
    def rank(self) -> int:
        """Every gene has an answer of its own."""
        return self.mean.rank

    def forward(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Tensor:
        """Expected expression, (B, L)."""
        return self.mean(decoded_BPD, attend_BP, token_BL)

    def distribution(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Mixture:
        """One component."""
        mean_BL = self.mean(decoded_BPD, attend_BP, token_BL)
        log_sd_BL = bounded_log_sd(self.log_sd(decoded_BPD, attend_BP, token_BL))
        return Mixture(
            logit_BLK=torch.zeros_like(mean_BL)[..., None],
            mean_BLK=mean_BL[..., None],
            log_sd_BLK=log_sd_BL[..., None],
        )


@final
class GaussianMixture(nn.Module):
    """Three components for every gene: weights, distances from a common centre, and log spreads are linear maps."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.centre = PerGeneMlp(n_genes, width)
        self.logit = _maps(n_genes, width)
        self.apart = _maps(n_genes, width)
        self.log_sd = _maps(n_genes, width)
        # Components that begin alike stay alike: they get the same gradients. Half a unit apart, their mean is 0.
        for number, own in enumerate(self.apart):
            assert isinstance(own, PerGene)
            nn.init.constant_(own.bias_G, 0.5 * (number - (N_COMPONENTS - 1) / 2))

    @property
    def rank(self) -> int:
        """Every gene has an answer of its own."""
        return self.centre.rank

    def forward(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Tensor:
        """Expected expression, (B, L)."""
        return self.distribution(decoded_BPD, attend_BP, token_BL).mean_BL.to(decoded_BPD.dtype)

    def distribution(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Mixture:
        """Three components."""

        def every(maps_K: nn.ModuleList) -> Tensor:
            return torch.stack([own(decoded_BPD, attend_BP, token_BL) for own in maps_K], dim=-1)

        centre_BL = self.centre(decoded_BPD, attend_BP, token_BL)
        return Mixture(
            logit_BLK=every(self.logit),
            mean_BLK=centre_BL[..., None] + every(self.apart),
            log_sd_BLK=bounded_log_sd(every(self.log_sd)),
        )


def _maps(n_genes: int, width: int) -> nn.ModuleList:
    """One linear map a component."""
    return nn.ModuleList(PerGene(n_genes, width) for _ in range(N_COMPONENTS))
