"""What passes between the queries of a set of genes: softmax attention, weights of each pair of genes, or both.

Static weights are learnt for each pair of genes and do not depend on what the cell holds, so that one layer is a step
along a learnt graph; gone through several times it carries a change along paths of that length. They are begun near 0,
as in gMLP's spatial unit (Liu et al. 2021), and are close to the random synthesizer of Tay et al. (2020) without its
softmax. They tie a model to its vocabulary: genes x genes numbers for each head.
"""

from typing import final

import torch
from torch import Tensor, nn

from gpcp.core.registry import Registry
from gpcp.model.attention import STATIC, GeneMixing, Maps, MultiHeadAttention

_SCALE = 0.2
"""Weights are this multiple of their parameter. Adam moves every parameter by its rate, whatever its gradient: a weight
between two genes, of which thousands add up, is to move by a fifth of what a projection does."""

_FIRST = 0.03
"""Size of a row of first weights: a change reaches other genes at once, and that is little beside what is learnt."""

MIXINGS: Registry[str] = Registry("query mixing")
for _name, _meaning in (
    ("softmax", "scaled dot-product attention"),
    ("static", "weights learnt for each pair of genes"),
    ("both", "the sum of the two"),
):
    MIXINGS.register(_name)(_meaning)


@final
class StaticMixing(GeneMixing):
    """Values of the queries, summed with weights of each pair of genes and each head."""

    def __init__(self, n_genes: int, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.weight_HGG = nn.Parameter(torch.empty(n_heads, n_genes, n_genes))
        nn.init.normal_(self.weight_HGG, std=_FIRST / _SCALE / n_genes**0.5)

    def forward(self, token_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor) -> Tensor:
        """What each query gathers from the others and itself, (B, Q, D); a masked one gives nothing.

        ``gene_BQ`` may be one row for all pairs.
        """
        value_BQD = self.value(token_BQD)
        if attend_BQ is not None:
            value_BQD = value_BQD.masked_fill(~attend_BQ[..., None], 0.0)
        if len(gene_BQ) == 1:
            mixed_BQD = self._mixed(self._weight(gene_BQ[0]), value_BQD)
        else:
            # Each pair measures genes of its own: all are spread to their places among the genes, mixed and taken back.
            place_BQD = gene_BQ[..., None].expand_as(value_BQD)
            n_genes = self.weight_HGG.shape[-1]
            spread_BGD = value_BQD.new_zeros(len(value_BQD), n_genes, value_BQD.shape[-1])
            spread_BGD = spread_BGD.scatter_add(1, place_BQD, value_BQD)
            mixed_BQD = self._mixed(_SCALE * self.weight_HGG, spread_BGD).gather(1, place_BQD)
        return self.out(mixed_BQD)

    def weights(self, token_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor, name: str) -> Maps:
        """The weights that :meth:`forward` uses, (B, H, Q, K); 0 where masked."""
        weight_BHQK = (_SCALE * self.weight_HGG)[:, gene_BQ[:, :, None], gene_BQ[:, None, :]].transpose(0, 1)
        weight_BHQK = weight_BHQK.expand(len(token_BQD), -1, -1, -1)
        masked_BQ = None if attend_BQ is None else ~attend_BQ[:, None, None, :]
        return {name + STATIC: weight_BHQK if masked_BQ is None else weight_BHQK.masked_fill(masked_BQ, 0.0)}

    def _weight(self, gene_Q: Tensor) -> Tensor:
        n_genes = self.weight_HGG.shape[-1]
        if len(gene_Q) == n_genes and bool((gene_Q == torch.arange(n_genes, device=gene_Q.device)).all()):
            return _SCALE * self.weight_HGG
        return _SCALE * self.weight_HGG[:, gene_Q[:, None], gene_Q]

    def _mixed(self, weight_HQK: Tensor, value_BKD: Tensor) -> Tensor:
        """One product for each head over all pairs, (B, Q, D)."""
        n_pairs, n_keys, width = value_BKD.shape
        value_HKx = (
            value_BKD.view(n_pairs, n_keys, self.n_heads, -1).permute(2, 1, 0, 3).reshape(self.n_heads, n_keys, -1)
        )
        mixed_HQx = weight_HQK @ value_HKx
        mixed_HQBd = mixed_HQx.view(self.n_heads, -1, n_pairs, width // self.n_heads)
        return mixed_HQBd.permute(2, 1, 0, 3).reshape(n_pairs, -1, width)


@final
class BothMixing(GeneMixing):
    """The sum of softmax attention and of static weights, each with values of its own."""

    def __init__(self, n_genes: int, width: int, n_heads: int, *, qk_norm: bool) -> None:
        super().__init__()
        self.softmax = MultiHeadAttention(width, n_heads, qk_norm=qk_norm)
        self.static = StaticMixing(n_genes, width, n_heads)

    def forward(self, token_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor) -> Tensor:
        """What each query gathers by both, (B, Q, D)."""
        return self.softmax(token_BQD, token_BQD, attend_BQ) + self.static(token_BQD, attend_BQ, gene_BQ)

    def weights(self, token_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor, name: str) -> Maps:
        """The weights of both, each (B, H, Q, K); 0 where masked."""
        attention = {name: self.softmax.weights(token_BQD, token_BQD, attend_BQ)}
        return attention | self.static.weights(token_BQD, attend_BQ, gene_BQ, name)


def query_mixing(
    kind: str, n_genes: int, width: int, n_heads: int, *, qk_norm: bool
) -> MultiHeadAttention | GeneMixing:
    """The sublayer that one of :data:`MIXINGS` names."""
    if kind == "softmax":
        return MultiHeadAttention(width, n_heads, qk_norm=qk_norm)
    if kind == "static":
        return StaticMixing(n_genes, width, n_heads)
    return BothMixing(n_genes, width, n_heads, qk_norm=qk_norm)
