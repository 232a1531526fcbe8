"""What passes between the queries of a set of genes: softmax attention, weights of each pair of genes, or both.

Static weights are learnt for each pair of genes and do not depend on what the cell holds, so that one layer is a step
along a learnt graph; gone through several times it carries a change along paths of that length. They are begun near 0,
as in gMLP's spatial unit (Liu et al. 2021), and are close to the random synthesizer of Tay et al. (2020) without its
softmax, which ``static_softmax`` puts back. They tie a model to its vocabulary: genes x genes numbers for each head.
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
    ("static_softmax", "the same, above 0 and with sum 1 over the genes that are measured"),
    ("both", "the sum of the two"),
):
    MIXINGS.register(_name)(_meaning)


@final
class StaticMixing(GeneMixing):
    """Values of the queries, summed with weights of each pair of genes and each head.

    Parameters
    ----------
    n_genes, width, n_heads : int
    normalised : bool
        Weights are the softmax of what is learnt, as in attention, over the genes that are measured.
    """

    def __init__(self, n_genes: int, width: int, n_heads: int, *, normalised: bool = False) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.normalised = normalised
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.weight_HGG = nn.Parameter(torch.empty(n_heads, n_genes, n_genes))
        nn.init.normal_(self.weight_HGG, std=_FIRST / _SCALE / n_genes**0.5)

    def forward(self, token_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor) -> Tensor:
        """What each query gathers from the others and itself, (B, Q, D); a masked one gives nothing.

        ``gene_BQ`` may be one row for all pairs.
        """
        masked_BQ1 = None if attend_BQ is None else ~attend_BQ[..., None]
        value_BQD = self.value(token_BQD)
        mixed_BQD = self._gathered(value_BQD, masked_BQ1, gene_BQ)
        if self.normalised:
            norm_BQH = self._gathered(torch.ones_like(value_BQD[..., : self.n_heads]), masked_BQ1, gene_BQ)
            # Where no gene counts nothing is gathered, and 0 stays 0.
            norm_BQH = norm_BQH.clamp(min=torch.finfo(norm_BQH.dtype).tiny)
            mixed_BQD = mixed_BQD / norm_BQH.repeat_interleave(value_BQD.shape[-1] // self.n_heads, dim=-1)
        return self.out(mixed_BQD)

    def weights(self, token_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor, name: str) -> Maps:
        """The weights that :meth:`forward` uses, (B, H, Q, K); 0 where masked."""
        weight_BHQK = self._weight()[:, gene_BQ[:, :, None], gene_BQ[:, None, :]].transpose(0, 1)
        weight_BHQK = weight_BHQK.expand(len(token_BQD), -1, -1, -1)
        if attend_BQ is not None:
            weight_BHQK = weight_BHQK.masked_fill(~attend_BQ[:, None, None, :], 0.0)
        if self.normalised:
            sum_BHQ1 = weight_BHQK.sum(dim=-1, keepdim=True)
            weight_BHQK = weight_BHQK / sum_BHQ1.clamp(min=torch.finfo(sum_BHQ1.dtype).tiny)
        return {name + STATIC: weight_BHQK}

    def _weight(self) -> Tensor:
        if not self.normalised:
            return _SCALE * self.weight_HGG
        return torch.exp(self.weight_HGG - self.weight_HGG.detach().amax(dim=-1, keepdim=True))

    def _gathered(self, value_BQD: Tensor, masked_BQ1: Tensor | None, gene_BQ: Tensor) -> Tensor:
        """Sums over the genes that are measured, (B, Q, D)."""
        weight_HGG, n_genes = self._weight(), self.weight_HGG.shape[-1]
        if masked_BQ1 is not None:
            value_BQD = value_BQD.masked_fill(masked_BQ1, 0.0)
        if len(gene_BQ) == 1:
            gene_Q = gene_BQ[0]
            whole = len(gene_Q) == n_genes and bool((gene_Q == torch.arange(n_genes, device=gene_Q.device)).all())
            return self._mixed(weight_HGG if whole else weight_HGG[:, gene_Q[:, None], gene_Q], value_BQD)
        # Each pair measures genes of its own: all are spread to their places among the genes, mixed and taken back.
        place_BQD = gene_BQ[..., None].expand_as(value_BQD)
        spread_BGD = value_BQD.new_zeros(len(value_BQD), n_genes, value_BQD.shape[-1])
        spread_BGD = spread_BGD.scatter_add(1, place_BQD, value_BQD)
        return self._mixed(weight_HGG, spread_BGD).gather(1, place_BQD)

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
    if kind in {"static", "static_softmax"}:
        return StaticMixing(n_genes, width, n_heads, normalised=kind == "static_softmax")
    return BothMixing(n_genes, width, n_heads, qk_norm=qk_norm)
