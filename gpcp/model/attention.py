"""Attention blocks over sets of gene tokens, in which a masked token can change nothing.

``attend_BK`` is True where a token counts. Where nothing counts, attention adds 0 (and finite gradients), which is
what ``scaled_dot_product_attention`` does on a row that is masked whole.
"""

from abc import ABC, abstractmethod
from typing import final

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from torch import Tensor, nn

from gpcp.core.registry import Registry

Maps = dict[str, Tensor]
"""Attention weights by the name of their layer, each (B, H, Q, K); filled where a caller asks for them."""

STATIC = ".static"
"""End of the name of weights that are no attention: of any sign, and adding up to anything."""

_SHORT = 48
"""On the CPU plain products beat the fused kernel below about this many tokens: 1.6x at 20, even at 50."""

NORMS: Registry[str] = Registry("norm")
for _name, _meaning in (
    ("none", "no normalisation"),
    ("pre", "LayerNorm before each sublayer, the residual stream untouched"),
    ("post", "LayerNorm after each sublayer's residual sum, as in the first transformer"),
):
    NORMS.register(_name)(_meaning)


@final
class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with separate projections for queries and for keys and values.

    With ``qk_norm`` queries and keys pass a LayerNorm before they meet: no token can outgrow the softmax, so that rates
    hold at which plain attention blows up. All heads share the norm, since LayerNorm over a head costs a fifth more.
    """

    def __init__(self, width: int, n_heads: int, *, qk_norm: bool) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(width) if qk_norm else nn.Identity()
        self.key_norm = nn.LayerNorm(width, bias=False) if qk_norm else nn.Identity()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, query_BQD: Tensor, memory_BKD: Tensor, attend_BK: Tensor | None) -> Tensor:
        """What each query gathers from the memory, (B, Q, D); ``attend_BK`` None means that every token counts."""
        query_BHQd, key_BHKd, value_BHKd = self._projected(query_BQD, memory_BKD)
        if memory_BKD.is_cpu and memory_BKD.shape[1] <= _SHORT:
            gathered_BHQd = _weights(query_BHQd, key_BHKd, attend_BK) @ value_BHKd
        else:
            attend = None if attend_BK is None else attend_BK[:, None, None, :]
            gathered_BHQd = F.scaled_dot_product_attention(query_BHQd, key_BHKd, value_BHKd, attn_mask=attend)
        return self.out(gathered_BHQd.transpose(1, 2).flatten(2))

    def weights(self, query_BQD: Tensor, memory_BKD: Tensor, attend_BK: Tensor | None) -> Tensor:
        """The weights that :meth:`forward` uses, (B, H, Q, K); 0 where masked."""
        query_BHQd, key_BHKd, _ = self._projected(query_BQD, memory_BKD)
        return _weights(query_BHQd, key_BHKd, attend_BK)

    def _projected(self, query_BQD: Tensor, memory_BKD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        key_BKD, value_BKD = self.key_value(memory_BKD).chunk(2, dim=-1)
        return (
            self._heads(self.query_norm(self.query(query_BQD))),
            self._heads(self.key_norm(key_BKD)),
            self._heads(value_BKD),
        )

    def _heads(self, token_BLD: Tensor) -> Tensor:
        n_cells, n_tokens, width = token_BLD.shape
        return token_BLD.view(n_cells, n_tokens, self.n_heads, width // self.n_heads).transpose(1, 2)


def _weights(query_BHQd: Tensor, key_BHKd: Tensor, attend_BK: Tensor | None) -> Tensor:
    logit_BHQK = (query_BHQd * query_BHQd.shape[-1] ** -0.5) @ key_BHKd.transpose(-1, -2)
    if attend_BK is None:
        return torch.softmax(logit_BHQK, dim=-1)
    masked = ~attend_BK[:, None, None, :]
    logit_BHQK = logit_BHQK.masked_fill(masked, torch.finfo(logit_BHQK.dtype).min)
    # A row that is masked whole would spread its weight evenly: it gets none.
    return torch.softmax(logit_BHQK, dim=-1).masked_fill(masked, 0.0)


class GeneMixing(nn.Module, ABC):
    """A sublayer in which tokens meet by which genes they are."""

    @abstractmethod
    def forward(self, token_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor) -> Tensor:
        """What each token gathers, (B, Q, D); ``gene_BQ`` may be one row for all pairs."""

    @abstractmethod
    def weights(self, token_BQD: Tensor, attend_BQ: Tensor | None, gene_BQ: Tensor, name: str) -> Maps:
        """The weights that :meth:`forward` uses by the name of their part, each (B, H, Q, K); 0 where masked.

        Those of softmax are called ``name``, and static ones ``name`` + :data:`STATIC`.
        """


@final
class Residual(nn.Module):
    """A sublayer with its norm, dropout and residual sum."""

    def __init__(self, sublayer: nn.Module, *, width: int, norm: str, dropout: float) -> None:
        super().__init__()
        self.sublayer = sublayer
        self.norm_name = norm
        self.norm = nn.Identity() if norm == "none" else nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        token_BLD: Tensor,
        memory_BKD: Tensor | None = None,
        attend_BK: Tensor | None = None,
        maps: Maps | None = None,
        name: str = "",
        gene_BL: Tensor | None = None,
    ) -> Tensor:
        """Add the output of the sublayer, (B, L, D); an attention sublayer without memory attends to its own tokens."""
        inner_BLD = self.norm(token_BLD) if self.norm_name == "pre" else token_BLD
        if isinstance(self.sublayer, MultiHeadAttention):
            attended_BKD = inner_BLD if memory_BKD is None else memory_BKD
            if maps is not None:
                maps[name] = self.sublayer.weights(inner_BLD, attended_BKD, attend_BK)
            update_BLD = self.sublayer(inner_BLD, attended_BKD, attend_BK)
        elif isinstance(self.sublayer, GeneMixing):
            assert gene_BL is not None, "tokens meet by their genes"
            if maps is not None:
                maps |= self.sublayer.weights(inner_BLD, attend_BK, gene_BL, name)
            update_BLD = self.sublayer(inner_BLD, attend_BK, gene_BL)
        else:
            update_BLD = self.sublayer(inner_BLD)
        summed_BLD = token_BLD + self.dropout(update_BLD)
        return self.norm(summed_BLD) if self.norm_name == "post" else summed_BLD


def feed_forward(width: int, ratio: int) -> nn.Module:
    """The token-wise sublayer: linear, GELU, linear."""
    return nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))
