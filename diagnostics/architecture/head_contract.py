"""What every head promises, asked of any head by its name: ours, and those that others register.

Dimension key: ``B`` cells, ``P`` queries, ``L`` state tokens, ``D`` width, ``G`` genes.

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
"""Below the number of genes and above it: a rank that hangs on either shows."""

_SLACK = 1e-12


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Asked:
    """A head with generic weights, and cells to ask it about: the last two queries of each are padding."""

    name: str
    reads: str
    head: Any
    query_BPD: Tensor
    attend_BP: Tensor
    token_BL: Tensor

    def answer(self, query_BPD: Tensor | None = None, attend_BP: Tensor | None = None) -> Tensor:
        """Answers, (B, L), to these cells' queries or to others."""
        query_BPD = self.query_BPD if query_BPD is None else query_BPD
        attend_BP = self.attend_BP if attend_BP is None else attend_BP
        return self.head(query_BPD, attend_BP, self.token_BL.expand(len(query_BPD), -1))

    @property
    def counts_BL(self) -> Tensor:
        """Places whose answer means something: those of queries, or all where queries are pooled."""
        return self.attend_BP if self.reads == "own" else torch.ones_like(self.attend_BP)


Promise = Callable[[_Asked], str | None]


def broken_promises(name: str) -> list[str]:
    """What a head does not keep of what every head promises, one sentence each; empty for a good one.

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
        return ["it has no rank: say how many numbers its answers can carry (gpcp.model.heads.registry.Head)"]
    rng = stream(0, "head contract", name)
    attend_BP = torch.ones((_CELLS, _GENES), dtype=torch.bool)
    attend_BP[:, -2:] = False
    asked = _Asked(
        name=name,
        reads=reads,
        head=generic_head(name, _GENES, _WIDTH),
        query_BPD=torch.as_tensor(rng.standard_normal((_CELLS, _GENES, _WIDTH))),
        attend_BP=attend_BP,
        token_BL=torch.as_tensor(rng.permutation(_GENES))[None],
    )
    return [broken for promise in PROMISES for broken in [promise(asked)] if broken]


def _shape_and_dtype(asked: _Asked) -> str | None:
    for dtype in (torch.float32, torch.float64):
        head: nn.Module = HEADS[asked.name][1](_GENES, _WIDTH).to(dtype)
        answer_BL = head(asked.query_BPD.to(dtype), asked.attend_BP, asked.token_BL)
        if answer_BL.shape != (_CELLS, _GENES):
            return f"it answers with shape {tuple(answer_BL.shape)}, expected {(_CELLS, _GENES)}"
        if answer_BL.dtype != dtype:
            return f"asked in {dtype} it answers in {answer_BL.dtype}"
        if not answer_BL.isfinite().all():
            return "its first answers are not finite"
    return None


def _gradients(asked: _Asked) -> str | None:
    _, factory = HEADS[asked.name]
    # At its own first weights, not at generic ones: what begins at 0 behind a 0 never learns.
    head = factory(_GENES, _WIDTH).double()
    given = (asked.query_BPD, asked.attend_BP, asked.token_BL)
    said: list[Tensor] = [head(*given)]
    if isinstance(head, DistributionHead):
        said += list(head.distribution(*given).parameters)
    rng = stream(0, "weights of answers", asked.name)
    total = torch.stack([(one * torch.as_tensor(rng.standard_normal(tuple(one.shape)))).sum() for one in said]).sum()
    named: dict[str, nn.Parameter] = dict(cast("nn.Module", head).named_parameters())
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    moved = [one is not None and bool((one != 0).any()) for one in cast("tuple[Tensor | None, ...]", found)]
    silent = [name for name, one in zip(named, moved, strict=True) if not one]
    return f"these parameters get no gradient: {', '.join(silent)}" if silent else None


def _padding(asked: _Asked) -> str | None:
    outcomes: list[tuple[Tensor, list[Tensor]]] = []
    parameters = list(asked.head.parameters())
    for value in (0.0, 1e3, -1e3):
        query_BPD = torch.where(asked.attend_BP[..., None], asked.query_BPD, value)
        answer_BL = asked.answer(query_BPD)[asked.counts_BL]
        found = torch.autograd.grad((answer_BL**2).sum(), parameters, allow_unused=True)
        gradients = cast("tuple[Tensor | None, ...]", found)
        outcomes.append((answer_BL.detach(), [one for one in gradients if one is not None]))
    (usual_BL, usual), *others = outcomes
    for answer_BL, gradients in others:
        if not torch.allclose(answer_BL, usual_BL, rtol=_SLACK, atol=_SLACK):
            return "what stands at places that are no query changes answers"
        same = (torch.allclose(*both, rtol=_SLACK, atol=_SLACK) for both in zip(gradients, usual, strict=True))
        if not all(same):
            return "what stands at places that are no query changes gradients"
    return None


def _order_of_genes(asked: _Asked) -> str | None:
    order_L = torch.as_tensor(stream(0, "order", asked.name).permutation(_GENES))
    moved = _Asked(
        name=asked.name,
        reads=asked.reads,
        head=asked.head,
        query_BPD=asked.query_BPD[:, order_L],
        attend_BP=asked.attend_BP[:, order_L],
        token_BL=asked.token_BL[:, order_L],
    )
    expected_BL = asked.answer()[:, order_L]
    same = torch.allclose(moved.answer()[moved.counts_BL], expected_BL[moved.counts_BL], rtol=_SLACK, atol=_SLACK)
    return None if same else "genes in another order get other answers"


def _each_cell_by_itself(asked: _Asked) -> str | None:
    whole_BL = asked.answer()
    for row in range(_CELLS):
        alone_BL = asked.answer(asked.query_BPD[row : row + 1], asked.attend_BP[row : row + 1])
        counts_BL = asked.counts_BL[row : row + 1]
        if not torch.allclose(alone_BL[counts_BL], whole_BL[row : row + 1][counts_BL], rtol=_SLACK, atol=_SLACK):
            return "a cell's answer depends on the other cells of its batch"
    return None


def _gene_by_gene(asked: _Asked) -> str | None:
    usual_BL = asked.answer()
    for place in range(_GENES - 2):
        query_BPD = asked.query_BPD.clone()
        query_BPD[:, place] += 1.0
        moved_BL = (asked.answer(query_BPD) - usual_BL).abs() > _SLACK
        others = moved_BL[:, [one for one in range(_GENES - 2) if one != place]]
        if not bool(moved_BL[:, place].all()):
            return "a gene's answer does not depend on its query"
        if asked.reads == "own" and bool(others.any()):
            return "it reads 'own', and a gene's query moves another gene's answer"
    return None


def _rank(asked: _Asked) -> str | None:
    for width in _WIDTHS:
        made: Any = HEADS[asked.name][1](_GENES, width)
        measured = output_rank(asked.name, _GENES, width)
        if made.rank != measured:
            return f"with {_GENES} genes and width {width} it states the rank {made.rank}; measured: {measured}"
    return None


def _mean_of_distribution(asked: _Asked) -> str | None:
    if not isinstance(asked.head, DistributionHead):
        return None
    said = asked.head.distribution(asked.query_BPD, asked.attend_BP, asked.token_BL)
    if not torch.allclose(said.mean_BL, asked.answer(), rtol=_SLACK, atol=_SLACK):
        return "its answer is not the mean of its distribution"
    positive = bool((said.variance_BL > 0).all()) and bool(said.variance_BL.isfinite().all())
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
"""In this order; each gives a sentence where it is broken."""
