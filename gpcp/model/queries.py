"""Query forms: which genes are queries of the decoder, and what each query carries of the perturbation.

The author's text leaves open whether all genes or only the perturbed ones are queries, so both forms exist. The
position of each query among the state tokens is kept, since values and identities are looked up there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gpcp.core.registry import Registry
from gpcp.model.batch import ModelBatch


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Queries:
    """The queries of a batch.

    Parameters
    ----------
    place_BQ : int64, (B, Q) or None
        Position of each query among the state tokens; None where query i is state token i.
    attend_BQ : bool, (B, Q)
        True where the query is one, not padding.
    """

    place_BQ: Tensor | None
    attend_BQ: Tensor

    def take(self, value_BL: Tensor) -> Tensor:
        """Values at the queries' positions, (B, Q)."""
        if self.place_BQ is None:
            return value_BL
        return value_BL.expand(len(self.place_BQ), -1).gather(1, self.place_BQ)


QueryForm = Callable[[ModelBatch], Queries]
QUERY_FORMS: Registry[QueryForm] = Registry("query form")


@QUERY_FORMS.register("all_genes")
def all_genes(batch: ModelBatch) -> Queries:
    """Every measured gene is a query, so that each gene asks for its own answer."""
    return Queries(place_BQ=None, attend_BQ=batch.measured_BL)


@QUERY_FORMS.register("perturbed_genes")
def perturbed_genes(batch: ModelBatch) -> Queries:
    """Only perturbed genes are queries, packed to the largest number in any pair; one of padding where none is."""
    most = max(1, int(batch.perturbed_BL.sum(dim=1).amax())) if len(batch) else 1
    place_BQ = torch.argsort((~batch.perturbed_BL).to(torch.uint8), dim=1, stable=True)[:, :most]
    return Queries(place_BQ=place_BQ, attend_BQ=batch.perturbed_BL.gather(1, place_BQ))


QueryFeatures = Callable[[Tensor, Tensor, Tensor], Tensor]
QUERY_FEATURES: Registry[tuple[int, QueryFeatures]] = Registry("query features")
"""How many features a query has, and the function of (before, target, perturbed) that gives them."""


def _delta(before_BL: Tensor, target_BL: Tensor, perturbed_BL: Tensor) -> Tensor:
    return (perturbed_BL * (target_BL - before_BL))[..., None]


def _delta_and_state(before_BL: Tensor, target_BL: Tensor, perturbed_BL: Tensor) -> Tensor:
    # Target and delta differ by before, but before is known at every gene and the target only where perturbed: in
    # pairs with fresh noise the target is what counts, in counterfactual ones the delta.
    return torch.stack(
        (perturbed_BL, perturbed_BL * target_BL, perturbed_BL * (target_BL - before_BL), before_BL), dim=-1
    )


QUERY_FEATURES.register("delta")((1, _delta))
QUERY_FEATURES.register("delta_and_state")((4, _delta_and_state))
