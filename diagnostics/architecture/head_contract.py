"""The contract of output heads, checked for any registered head by its name.

For a head of one's own::

    HEADS.register("mine")(("own", Mine))
    assert broken_promises("mine") == []
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from diagnostics.architecture.head_rank import generic_head, output_rank
from gpcp.core.random import stream
from gpcp.model.heads.registry import HEADS, DistributionHead, Head

_GENES, _WIDTH, _CELLS = 6, 4, 5
_WIDTHS = (_WIDTH, 9)
"""Below the number of genes and above it, so that a rank that depends on either is seen."""

_SLACK = 1e-12


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Case:
    """A head with generic weights, and cells to predict: the last two queries of each are padding."""

    name: str
    reads: str
    head: Any
    query_BQD: Tensor
    attend_BQ: Tensor
    token_BL: Tensor

    def answer(self, query_BQD: Tensor | None = None, attend_BQ: Tensor | None = None) -> Tensor:
        """Predictions, (B, L), for these cells' queries or for others."""
        query_BQD = self.query_BQD if query_BQD is None else query_BQD
        attend_BQ = self.attend_BQ if attend_BQ is None else attend_BQ
        return self.head(query_BQD, attend_BQ, self.token_BL.expand(len(query_BQD), -1))

    @property
    def counts_BL(self) -> Tensor:
        """Positions whose prediction counts: those of queries, or all where queries are pooled."""
        return self.attend_BQ if self.reads == "own" else torch.ones_like(self.attend_BQ)


Promise = Callable[[_Case], str | None]


def broken_promises(name: str) -> list[str]:
    """The parts of the heads' contract that a head breaks, one sentence each; empty for a good one.

    Parameters
    ----------
    name : str
        Under which it is registered in :data:`gpcp.model.heads.registry.HEADS`.

    Raises
    ------
    InputError
        There is no such head.
    """
    reads, factory = HEADS[name]
    if not isinstance(factory(_GENES, _WIDTH), Head):
        return ["it has no rank: declare the rank of its predictions (gpcp.model.heads.registry.Head)"]
    rng = stream(0, "head contract", name)
    attend_BQ = torch.ones((_CELLS, _GENES), dtype=torch.bool)
    attend_BQ[:, -2:] = False
    case = _Case(
        name=name,
        reads=reads,
        head=generic_head(name, _GENES, _WIDTH),
        query_BQD=torch.as_tensor(rng.standard_normal((_CELLS, _GENES, _WIDTH))),
        attend_BQ=attend_BQ,
        token_BL=torch.as_tensor(rng.permutation(_GENES))[None],
    )
    return [broken for promise in PROMISES for broken in [promise(case)] if broken]


def _shape_and_dtype(case: _Case) -> str | None:
    for dtype in (torch.float32, torch.float64):
        head: nn.Module = HEADS[case.name][1](_GENES, _WIDTH).to(dtype)
        answer_BL = head(case.query_BQD.to(dtype), case.attend_BQ, case.token_BL)
        if answer_BL.shape != (_CELLS, _GENES):
            return f"it predicts with shape {tuple(answer_BL.shape)}, expected {(_CELLS, _GENES)}"
        if answer_BL.dtype != dtype:
            return f"called in {dtype} it predicts in {answer_BL.dtype}"
        if not answer_BL.isfinite().all():
            return "its first predictions are not finite"
    return None


def _gradients(case: _Case) -> str | None:
    _, factory = HEADS[case.name]
    # At its own first weights, not at generic ones: what begins at 0 behind a 0 never learns.
    head = factory(_GENES, _WIDTH).double()
    given = (case.query_BQD, case.attend_BQ, case.token_BL)
    outputs: list[Tensor] = [head(*given)]
    if isinstance(head, DistributionHead):
        outputs += list(head.distribution(*given).parameters)
    rng = stream(0, "weights of answers", case.name)
    total = torch.stack([(one * torch.as_tensor(rng.standard_normal(tuple(one.shape)))).sum() for one in outputs]).sum()
    named: dict[str, nn.Parameter] = dict(cast("nn.Module", head).named_parameters())
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    moved = [one is not None and bool((one != 0).any()) for one in cast("tuple[Tensor | None, ...]", found)]
    silent = [name for name, one in zip(named, moved, strict=True) if not one]
    return f"these parameters get no gradient: {', '.join(silent)}" if silent else None


def _padding(case: _Case) -> str | None:
    outcomes: list[tuple[Tensor, list[Tensor]]] = []
    parameters = list(case.head.parameters())
    for value in (0.0, 1e3, -1e3):
        query_BQD = torch.where(case.attend_BQ[..., None], case.query_BQD, value)
        answer_BL = case.answer(query_BQD)[case.counts_BL]
        found = torch.autograd.grad((answer_BL**2).sum(), parameters, allow_unused=True)
        gradients = cast("tuple[Tensor | None, ...]", found)
        outcomes.append((answer_BL.detach(), [one for one in gradients if one is not None]))
    (usual_BL, usual), *others = outcomes
    for answer_BL, gradients in others:
        if not torch.allclose(answer_BL, usual_BL, rtol=_SLACK, atol=_SLACK):
            return "what is stored at positions that are no query changes predictions"
        same = (torch.allclose(*both, rtol=_SLACK, atol=_SLACK) for both in zip(gradients, usual, strict=True))
        if not all(same):
            return "what is stored at positions that are no query changes gradients"
    return None


def _order_of_genes(case: _Case) -> str | None:
    order_L = torch.as_tensor(stream(0, "order", case.name).permutation(_GENES))
    moved = _Case(
        name=case.name,
        reads=case.reads,
        head=case.head,
        query_BQD=case.query_BQD[:, order_L],
        attend_BQ=case.attend_BQ[:, order_L],
        token_BL=case.token_BL[:, order_L],
    )
    expected_BL = case.answer()[:, order_L]
    same = torch.allclose(moved.answer()[moved.counts_BL], expected_BL[moved.counts_BL], rtol=_SLACK, atol=_SLACK)
    return None if same else "genes in another order get other predictions"


def _each_cell_by_itself(case: _Case) -> str | None:
    whole_BL = case.answer()
    for row in range(_CELLS):
        alone_BL = case.answer(case.query_BQD[row : row + 1], case.attend_BQ[row : row + 1])
        counts_BL = case.counts_BL[row : row + 1]
        if not torch.allclose(alone_BL[counts_BL], whole_BL[row : row + 1][counts_BL], rtol=_SLACK, atol=_SLACK):
            return "a cell's prediction depends on the other cells of its batch"
    return None


def _gene_by_gene(case: _Case) -> str | None:
    usual_BL = case.answer()
    for position in range(_GENES - 2):
        query_BQD = case.query_BQD.clone()
        query_BQD[:, position] += 1.0
        moved_BL = (case.answer(query_BQD) - usual_BL).abs() > _SLACK
        others = moved_BL[:, [one for one in range(_GENES - 2) if one != position]]
        if not bool(moved_BL[:, position].all()):
            return "a gene's prediction does not depend on its query"
        if case.reads == "own" and bool(others.any()):
            return "it reads 'own', and a gene's query changes another gene's prediction"
    return None


def _rank(case: _Case) -> str | None:
    for width in _WIDTHS:
        made: Any = HEADS[case.name][1](_GENES, width)
        measured = output_rank(case.name, _GENES, width)
        if made.rank != measured:
            return f"with {_GENES} genes and width {width} it states the rank {made.rank}; measured: {measured}"
    return None


def _mean_of_distribution(case: _Case) -> str | None:
    if not isinstance(case.head, DistributionHead):
        return None
    outputs = case.head.distribution(case.query_BQD, case.attend_BQ, case.token_BL)
    if not torch.allclose(outputs.mean_BL, case.answer(), rtol=_SLACK, atol=_SLACK):
        return "its prediction is not the mean of its distribution"
    positive = bool((outputs.variance_BL > 0).all()) and bool(outputs.variance_BL.isfinite().all())
    return None if positive else "its distribution has a variance that is 0 or not finite"


PROMISES: tuple[Promise, ...] = (
    _shape_and_dtype,
    _gradients,
    _padding,
    _order_of_genes,
    _each_cell_by_itself,
    _gene_by_gene,
    _rank,
    _mean_of_distribution,
)
"""In this order; each returns a sentence where it is broken."""
