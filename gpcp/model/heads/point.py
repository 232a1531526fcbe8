"""Heads that predict one number a gene, the mean of its expression, from the decoder's tokens.

:mod:`gpcp.model.heads.registry` registers these, and describes what every head takes, gives and promises.
"""

from typing import final

import torch
from torch import Tensor, nn


def pooled_queries(decoded_BQD: Tensor, attend_BQ: Tensor) -> Tensor:
    """Mean of each cell's queries, (B, D); 0 where a cell has none."""
    # Decided by a mask and not by a product, which would let an infinite padding through as NaN.
    kept_BQD = torch.where(attend_BQ[..., None], decoded_BQD, 0.0)
    return kept_BQD.sum(dim=1) / attend_BQ.sum(dim=1, keepdim=True).clamp(min=1).to(decoded_BQD.dtype)


@final
class Linear(nn.Module):
    """The author's ``out`` over one query a gene: the same linear map for every gene."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.n_genes = n_genes
        self.linear = nn.Linear(width, 1)

    @property
    def rank(self) -> int:
        """Every gene has an answer of its own."""
        return self.n_genes

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        del attend_BQ, token_BL
        return self.linear(decoded_BQD)[..., 0]


@final
class Mlp(nn.Module):
    """The same two-layer network for every gene."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.n_genes = n_genes
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    @property
    def rank(self) -> int:
        """Every gene has an answer of its own."""
        return self.n_genes

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        del attend_BQ, token_BL
        return self.mlp(decoded_BQD)[..., 0]


@final
class PerGene(nn.Module):
    """A linear map of its own for every gene, so that no gene's identity has to be learnt first."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.n_genes = n_genes
        self.weight_GD = nn.Parameter(torch.empty(n_genes, width))
        self.bias_G = nn.Parameter(torch.zeros(n_genes))
        # A tenth of the usual spread: the first predictions are near the mean, whatever the gene.
        nn.init.normal_(self.weight_GD, std=0.1 * width**-0.5)

    @property
    def rank(self) -> int:
        """Every gene has an answer of its own."""
        return self.n_genes

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        del attend_BQ
        return (decoded_BQD * self.weight_GD[token_BL]).sum(dim=-1) + self.bias_G[token_BL]


@final
class PerGeneMlp(nn.Module):
    """The sum of :class:`PerGene` and :class:`Mlp`: linear where genes differ, non-linear where they are alike."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.n_genes = n_genes
        self.own = PerGene(n_genes, width)
        self.shared = Mlp(n_genes, width)

    @property
    def rank(self) -> int:
        """Every gene has an answer of its own."""
        return self.n_genes

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        return self.own(decoded_BQD, attend_BQ, token_BL) + self.shared(decoded_BQD, attend_BQ, token_BL)


@final
class Pooled(nn.Module):
    """The author's ``out`` where only perturbed genes are queries: their mean, mapped to all genes at once."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, n_genes)

    @property
    def rank(self) -> int:
        """All answers are one linear map of ``width`` numbers."""
        return min(self.linear.in_features, self.linear.out_features)

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        pooled_BD = pooled_queries(decoded_BQD, attend_BQ)
        return self.linear(pooled_BD).gather(1, token_BL.expand(len(pooled_BD), -1))


@final
class PooledScalar(nn.Module):
    """The known bottleneck: the mean query squeezed to one number, from which each gene's answer is an affine map.

    All answers lie on one line, whatever the weights: how strongly something happened can be said, but not what.
    Here to be compared with, and to be recognised in models that end so; not to be used.
    """

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, 1)
        self.slope_G = nn.Parameter(torch.empty(n_genes))
        self.bias_G = nn.Parameter(torch.zeros(n_genes))
        # As in PerGene, the first answers are near the mean. At 0 neither factor would ever get a gradient.
        nn.init.normal_(self.slope_G, std=0.1)

    @property
    def rank(self) -> int:
        """The rank is 1."""
        return 1

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        number_B1 = self.squeeze(pooled_queries(decoded_BQD, attend_BQ))
        return number_B1 * self.slope_G[token_BL] + self.bias_G[token_BL]


@final
class Bilinear(nn.Module):
    """A gene's vector times a shared matrix times the gene's own query: :class:`PerGene` with shared factors.

    Each gene reads its query in a direction of its own, ``e_g M``; the matrix is learnt from all genes together.
    """

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.n_genes = n_genes
        self.gene_GD = nn.Parameter(torch.empty(n_genes, width))
        self.matrix = nn.Linear(width, width, bias=False)
        self.bias_G = nn.Parameter(torch.zeros(n_genes))
        nn.init.normal_(self.gene_GD)
        # Directions e_g M have the spread that PerGene's weights begin with: .1 / sqrt(width).
        nn.init.normal_(self.matrix.weight, std=0.1 / width)

    @property
    def rank(self) -> int:
        """Every gene has an answer of its own."""
        return self.n_genes

    def forward(self, decoded_BQD: Tensor, attend_BQ: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        del attend_BQ
        return (self.gene_GD[token_BL] * self.matrix(decoded_BQD)).sum(dim=-1) + self.bias_G[token_BL]
