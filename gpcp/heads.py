"""Output heads: from the decoder's tokens to one expression a gene.

Dimension key: ``B`` cells, ``P`` queries, ``L`` state tokens, ``D`` width, ``G`` genes of the vocabulary.

Every head is a module built from ``(n_genes, width)`` and called with the decoded queries, the mask of those that
are queries, and the gene of each place whose expression is wanted. ``reads`` says which queries a head can answer
from: ``"own"`` needs one query for every gene, ``"pooled"`` takes any set of them.
"""

from collections.abc import Callable
from typing import Literal, final

import torch
from torch import Tensor, nn

from gpcp.registry import Registry

Reads = Literal["own", "pooled"]
HeadFactory = Callable[[int, int], nn.Module]
HEADS: Registry[tuple[Reads, HeadFactory]] = Registry("head")


@final
class Linear(nn.Module):
    """The author's ``out`` over one query a gene: the same linear map for every gene."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        del n_genes
        self.linear = nn.Linear(width, 1)

    def forward(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        del attend_BP, token_BL
        return self.linear(decoded_BPD)[..., 0]


@final
class Mlp(nn.Module):
    """The same two-layer network for every gene."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        del n_genes
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        del attend_BP, token_BL
        return self.mlp(decoded_BPD)[..., 0]


@final
class PerGene(nn.Module):
    """A linear map of its own for every gene: no gene has to find out who it is before it can learn."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.weight_GD = nn.Parameter(torch.empty(n_genes, width))
        self.bias_G = nn.Parameter(torch.zeros(n_genes))
        # A tenth of the usual spread: the first predictions are near the mean, whatever the gene.
        nn.init.normal_(self.weight_GD, std=0.1 * width**-0.5)

    def forward(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        del attend_BP
        return (decoded_BPD * self.weight_GD[token_BL]).sum(dim=-1) + self.bias_G[token_BL]


@final
class PerGeneMlp(nn.Module):
    """The sum of :class:`PerGene` and :class:`Mlp`: linear where genes differ, non-linear where they are alike."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.own = PerGene(n_genes, width)
        self.shared = Mlp(n_genes, width)

    def forward(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        return self.own(decoded_BPD, attend_BP, token_BL) + self.shared(decoded_BPD, attend_BP, token_BL)


@final
class Pooled(nn.Module):
    """The author's ``out`` where only perturbed genes are queries: their mean, mapped to all genes at once."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, n_genes)

    def forward(self, decoded_BPD: Tensor, attend_BP: Tensor, token_BL: Tensor) -> Tensor:
        """Expression, (B, L)."""
        counted_BP1 = attend_BP[..., None].to(decoded_BPD.dtype)
        pooled_BD = (decoded_BPD * counted_BP1).sum(dim=1) / counted_BP1.sum(dim=1).clamp(min=1)
        return self.linear(pooled_BD).gather(1, token_BL.expand(len(pooled_BD), -1))


HEADS.register("linear")(("own", Linear))
HEADS.register("mlp")(("own", Mlp))
HEADS.register("per_gene")(("own", PerGene))
HEADS.register("per_gene_mlp")(("own", PerGeneMlp))
HEADS.register("pooled")(("pooled", Pooled))
