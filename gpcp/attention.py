"""Attention blocks over sets of gene tokens, in which a masked token can change nothing.

Dimension key: ``B`` cells, ``L`` tokens of one set, ``Q`` querying and ``K`` attended tokens of two, ``H`` heads,
``D`` width.

``attend_BK`` is True where a token counts. Where nothing counts, attention adds 0 (and finite gradients), which is
what ``scaled_dot_product_attention`` does on a row that is masked whole.
"""

from typing import final

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own name for it)
from torch import Tensor, nn

from gpcp.registry import Registry

Maps = dict[str, Tensor]
"""Attention weights by the name of their layer, each (B, H, Q, K); filled where a caller asks for them."""

NORMS: Registry[str] = Registry("norm")
for _name, _meaning in (
    ("none", "no normalisation"),
    ("pre", "LayerNorm before each sublayer, the residual stream untouched"),
    ("post", "LayerNorm after each sublayer's residual sum, as in the first transformer"),
):
    NORMS.register(_name)(_meaning)


@final
class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with separate projections for queries and for keys and values."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, query_BQD: Tensor, memory_BKD: Tensor, attend_BK: Tensor | None) -> Tensor:
        """What each query gathers from the memory, (B, Q, D); ``attend_BK`` None means that every token counts."""
        n_cells, n_queries, width = query_BQD.shape
        query_BHQd, key_BHKd, value_BHKd = self._projected(query_BQD, memory_BKD)
        attend = None if attend_BK is None else attend_BK[:, None, None, :]
        gathered_BHQd = F.scaled_dot_product_attention(query_BHQd, key_BHKd, value_BHKd, attn_mask=attend)
        return self.out(gathered_BHQd.transpose(1, 2).reshape(n_cells, n_queries, width))

    def weights(self, query_BQD: Tensor, memory_BKD: Tensor, attend_BK: Tensor | None) -> Tensor:
        """The weights that :meth:`forward` uses, (B, H, Q, K); 0 where masked."""
        query_BHQd, key_BHKd, _ = self._projected(query_BQD, memory_BKD)
        logit_BHQK = query_BHQd @ key_BHKd.transpose(-1, -2) * query_BHQd.shape[-1] ** -0.5
        if attend_BK is None:
            return torch.softmax(logit_BHQK, dim=-1)
        masked = ~attend_BK[:, None, None, :]
        logit_BHQK = logit_BHQK.masked_fill(masked, torch.finfo(logit_BHQK.dtype).min)
        return torch.softmax(logit_BHQK, dim=-1).masked_fill(masked, 0.0)

    def _projected(self, query_BQD: Tensor, memory_BKD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query_BHQd = self.query(query_BQD).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
        key_BHKd, value_BHKd = (
            self.key_value(memory_BKD).unflatten(-1, (2, self.n_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        )
        return query_BHQd, key_BHKd, value_BHKd


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
    ) -> Tensor:
        """Add what the sublayer says, (B, L, D); an attention sublayer without memory attends to its own tokens."""
        inner_BLD = self.norm(token_BLD) if self.norm_name == "pre" else token_BLD
        if isinstance(self.sublayer, MultiHeadAttention):
            attended_BKD = inner_BLD if memory_BKD is None else memory_BKD
            if maps is not None:
                maps[name] = self.sublayer.weights(inner_BLD, attended_BKD, attend_BK)
            said_BLD = self.sublayer(inner_BLD, attended_BKD, attend_BK)
        else:
            said_BLD = self.sublayer(inner_BLD)
        summed_BLD = token_BLD + self.dropout(said_BLD)
        return self.norm(summed_BLD) if self.norm_name == "post" else summed_BLD


def feed_forward(width: int, ratio: int) -> nn.Module:
    """The token-wise sublayer: linear, GELU, linear."""
    return nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))
