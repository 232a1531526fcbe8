"""Value embeddings: modules that combine a gene's identity and its numbers into one token.

A state token has one number, its expression; a query has those of :data:`gpcp.model.queries.QUERY_FEATURES`. Every
value embedding is built from ``(n_features, width)`` and called with ``(identity_BLD, value_BLF)``.
"""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from gpcp.core.registry import Registry

ValueEmbedding = Callable[[int, int], nn.Module]
VALUE_EMBEDDINGS: Registry[ValueEmbedding] = Registry("value embedding")


@VALUE_EMBEDDINGS.register("product")
@final
class Product(nn.Module):
    """The author's: the identity times the value, ``e_g * v``.

    Where the value is 0 the token is 0 whatever the gene: its identity is lost. With several numbers each has its
    own learnt direction, ``e_g * (v W)``.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.direction = nn.Linear(n_features, width, bias=False) if n_features > 1 else None

    def forward(self, identity_BLD: Tensor, value_BLF: Tensor) -> Tensor:
        """Embed, (B, L, D)."""
        return identity_BLD * (value_BLF if self.direction is None else self.direction(value_BLF))


@VALUE_EMBEDDINGS.register("identity_plus_product")
@final
class IdentityPlusProduct(nn.Module):
    """``e_g + e_g * (v W)``: the product, with the identity kept at value 0."""

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.direction = nn.Linear(n_features, width, bias=False)

    def forward(self, identity_BLD: Tensor, value_BLF: Tensor) -> Tensor:
        """Embed, (B, L, D)."""
        return identity_BLD + identity_BLD * self.direction(value_BLF)


@VALUE_EMBEDDINGS.register("identity_plus_mlp")
@final
class IdentityPlusMlp(nn.Module):
    """``e_g + v W + MLP(v)``: identity and value add up, and the first block learns what their meeting means."""

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, width)
        self.mlp = nn.Sequential(nn.Linear(n_features, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, identity_BLD: Tensor, value_BLF: Tensor) -> Tensor:
        """Embed, (B, L, D)."""
        return identity_BLD + self.linear(value_BLF) + self.mlp(value_BLF)


@VALUE_EMBEDDINGS.register("concatenation")
@final
class Concatenation(nn.Module):
    """``[e_g, v] W``: identity and value side by side, mixed by one linear map."""

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width + n_features, width)

    def forward(self, identity_BLD: Tensor, value_BLF: Tensor) -> Tensor:
        """Embed, (B, L, D)."""
        n_cells = len(value_BLF)
        return self.mix(torch.cat((identity_BLD.expand(n_cells, -1, -1), value_BLF), dim=-1))
