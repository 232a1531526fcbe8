"""Heads that predict a distribution of expression: a Gaussian, or a mixture of three.

Their ``forward`` gives the mean. Trained by squared errors of it, they learn no spread; trained by likelihood
(``FitConfig(objective="likelihood")``) they do. Spreads are kept within :data:`LOG_SD_RANGE` of the gene's units by a
smooth bound: a likelihood without a floor grows without end where an answer is exact, and a hard floor has no gradient.

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
    """A mixture of Gaussians at every position.

    Parameters
    ----------
    logit_BLM : float, (B, L, M)
        Weights up to a factor: their softmax over ``K``.
    mean_BLM : float, (B, L, M)
        Of each component.
    log_sd_BLM : float, (B, L, M)
        Logarithm of each component's standard deviation.

    Raises
    ------
    InputError
        Shapes disagree.
    """

    logit_BLM: Tensor
    mean_BLM: Tensor
    log_sd_BLM: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.mean_BLM.shape)
        for name in ("logit_BLM", "mean_BLM", "log_sd_BLM"):
            found_BLM: Tensor = getattr(self, name)
            if tuple(found_BLM.shape) != shape:
                raise InputError(
                    f"Mixture.{name} has shape {tuple(found_BLM.shape)}, expected that of its means {shape}"
                )
            object.__setattr__(self, name, found_BLM.float() if found_BLM.dtype.itemsize < 4 else found_BLM)

    @property
    def parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log spreads, each (B, L, M)."""
        return self.logit_BLM, self.mean_BLM, self.log_sd_BLM

    @property
    def weight_BLM(self) -> Tensor:
        """Of each component, (B, L, M); they sum to 1."""
        return self.logit_BLM.softmax(dim=-1)

    @property
    def mean_BL(self) -> Tensor:
        """Expected value, (B, L)."""
        return (self.weight_BLM * self.mean_BLM).sum(dim=-1)

    @property
    def variance_BL(self) -> Tensor:
        """Within components and between them, (B, L)."""
        between_BLM = (self.mean_BLM - self.mean_BL[..., None]) ** 2
        return (self.weight_BLM * ((2 * self.log_sd_BLM).exp() + between_BLM)).sum(dim=-1)

    def log_density(self, value_BL: Tensor) -> Tensor:
        """Natural logarithm of the density at ``value_BL``, (B, L)."""
        score_BLM = (value_BL[..., None] - self.mean_BLM) * (-self.log_sd_BLM).exp()
        component_BLM = -0.5 * score_BLM**2 - self.log_sd_BLM - _HALF_LOG_2PI
        return (self.logit_BLM.log_softmax(dim=-1) + component_BLM).logsumexp(dim=-1)

    def in_units(self, scale_BL: Tensor, shift_BL: Tensor) -> "Mixture":
        """Of ``shift + scale x value``; scales are above 0."""
        return Mixture(
            logit_BLM=self.logit_BLM,
            mean_BLM=shift_BL[..., None] + scale_BL[..., None] * self.mean_BLM,
            log_sd_BLM=self.log_sd_BLM + scale_BL.log()[..., None],
        )

    def only(self, counts_BL: Tensor) -> "Mixture":
        """The same where ``counts_BL``, a standard Gaussian elsewhere, through which no gradient flows."""
        counts_BL1 = counts_BL[..., None]
        return Mixture(
            logit_BLM=torch.where(counts_BL1, self.logit_BLM, 0.0),
            mean_BLM=torch.where(counts_BL1, self.mean_BLM, 0.0),
            log_sd_BLM=torch.where(counts_BL1, self.log_sd_BLM, 0.0),
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

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expected expression, (B, L)."""
        return self.mean(decoded_BQD, attend_BQ, token_BL)

    def distribution(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Mixture:
        """One component."""
        mean_BL = self.mean(decoded_BQD, attend_BQ, token_BL)
        log_sd_BL = bounded_log_sd(self.log_sd(decoded_BQD, attend_BQ, token_BL))
        return Mixture(
            logit_BLM=torch.zeros_like(mean_BL)[..., None],
            mean_BLM=mean_BL[..., None],
            log_sd_BLM=log_sd_BL[..., None],
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

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expected expression, (B, L)."""
        return self.distribution(decoded_BQD, attend_BQ, token_BL).mean_BL.to(decoded_BQD.dtype)

    def distribution(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Mixture:
        """Three components."""

        def every(maps_M: nn.ModuleList) -> Tensor:
            return torch.stack([own(decoded_BQD, attend_BQ, token_BL) for own in maps_M], dim=-1)

        centre_BL = self.centre(decoded_BQD, attend_BQ, token_BL)
        return Mixture(
            logit_BLM=every(self.logit),
            mean_BLM=centre_BL[..., None] + every(self.apart),
            log_sd_BLM=bounded_log_sd(every(self.log_sd)),
        )


def _maps(n_genes: int, width: int) -> nn.ModuleList:
    """One linear map a component."""
    return nn.ModuleList(PerGene(n_genes, width) for _ in range(N_COMPONENTS))
