"""Heads that answer with a distribution: a Gaussian, or a mixture of three.

Dimension key: ``B`` cells, ``P`` queries, ``L`` state tokens, ``D`` width, ``G`` genes, ``K`` components.

Their ``forward`` gives the mean. Trained by squared errors of it, they learn no spread; trained by likelihood
(``FitConfig(objective="likelihood")``) they do. Spreads are kept within :data:`LOG_SD_RANGE` of the gene's units by a
smooth bound: a likelihood without a floor grows without end where an answer is exact, and a hard floor has no gradient.
"""

from typing import final

import torch
from torch import Tensor, nn

from gpcp.distributions import Mixture
from gpcp.point_heads import PerGene, PerGeneMlp

LOG_SD_RANGE = 5.0
"""Spreads lie within ``exp(-5) .. exp(5)``, .0067 to 148, of the units that the model works in."""

N_COMPONENTS = 3


def bounded_log_sd(raw: Tensor) -> Tensor:
    """``R tanh(raw / R)``: the identity near 0, within -R .. R everywhere, with a gradient everywhere."""
    return LOG_SD_RANGE * (raw / LOG_SD_RANGE).tanh()


@final
class Gaussian(nn.Module):
    """The mean of :class:`gpcp.point_heads.PerGeneMlp`, and a log spread that is linear for every gene."""

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
