"""How a model reads perturbations that have names of their own: a token each, that every query is multiplied with.

A single token in a softmax has weight 1 whatever the query, so that all genes would receive the same of it. Here each
query's gene and the perturbation are multiplied feature by feature, and the sum over a cell's perturbations is added to
the query: gene by gene another answer from the first layer on, and one that does not depend on their order or padding.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from gpcp.core.perturbations import KINDS
from gpcp.model.embedding import VALUE_EMBEDDINGS

_SMALL = 0.02
"""Spread of what a token has of its own before any training."""


@final
class PerturbationTokens(nn.Module):
    """Tokens of perturbations, and what queries read of them.

    A token is the sum of what is learnt of the perturbation's kind, of the perturbation itself, and of its target's
    gene where that is one of the vocabulary. The last two begin near 0: a perturbation that training never shows is
    read as one of its kind, and its answer is near the mean response to these, not an arbitrary one.

    Parameters
    ----------
    perturbations : sequence of (int, int)
        Of each, the token of its gene, or -1, and its kind as a position in :data:`gpcp.core.perturbations.KINDS`.
    width : int
    are_queries : bool
        Whether the tokens are queries themselves, and nothing else reads them.
    """

    def __init__(self, perturbations: Sequence[tuple[int, int]], width: int, *, are_queries: bool = False) -> None:
        super().__init__()
        self.identity = nn.Embedding(len(perturbations), width)
        self.kind = nn.Embedding(len(KINDS), width)
        self.of_gene = nn.Linear(width, width, bias=False)
        self.dose = VALUE_EMBEDDINGS["identity_plus_product"](2, width)
        self.reading = None if are_queries else PerturbationReading(width)
        gene, kind = torch.tensor(perturbations, dtype=torch.int64).T
        self.gene: Tensor
        self.kind_of: Tensor
        self.register_buffer("gene", gene.clone(), persistent=False)
        self.register_buffer("kind_of", kind.clone(), persistent=False)
        with torch.no_grad():
            self.identity.weight.mul_(_SMALL)
            self.identity.weight[gene >= 0] = 0.0
            nn.init.normal_(self.of_gene.weight, std=_SMALL)
            self.kind.weight.mul_(0.1)

    def forward(self, applied_BA: Tensor, dose_BA: Tensor, gene_identity: nn.Embedding) -> Tensor:
        """The tokens of some cells' perturbations, (B, A, D); 0 where there is none.

        Parameters
        ----------
        applied_BA : int64, (B, A)
            Tokens, -1 where there is none.
        dose_BA : float, (B, A)
            NaN where not given.
        gene_identity : nn.Embedding
            Of the genes, from which targets that are genes take theirs.
        """
        some_BA = applied_BA >= 0
        token_BA = applied_BA.clamp(min=0)
        gene_BA = self.gene[token_BA]
        of_gene_BAD = torch.where((gene_BA >= 0)[..., None], self.of_gene(gene_identity(gene_BA.clamp(min=0))), 0.0)
        identity_BAD = self.identity(token_BA) + of_gene_BAD + self.kind(self.kind_of[token_BA])
        # Dropped before any arithmetic: NaN x 0 is NaN, in a gradient too.
        given_BA = torch.isfinite(dose_BA)
        dose_BAF = torch.stack((given_BA.to(dose_BA.dtype), torch.where(given_BA, dose_BA, 0.0)), dim=-1)
        return torch.where(some_BA[..., None], self.dose(identity_BAD, dose_BAF), 0.0)


@final
class PerturbationReading(nn.Module):
    """What a query reads of its cell's perturbations: the product of gene and perturbation, feature by feature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gene = nn.Linear(width, width, bias=False)
        self.perturbation = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, token_BAD: Tensor, identity_BQD: Tensor) -> Tensor:
        """For queries known by their genes, (B, Q, D); 0 where a cell has no perturbation."""
        return self.out(self.gene(identity_BQD) * self.perturbation(token_BAD.sum(dim=1))[:, None])
