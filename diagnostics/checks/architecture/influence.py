"""Checks gene by gene of which gene reaches the prediction for which other, by expression and by perturbation.

That some gene reaches some other shows in one number and hides a triangle, which a causal mask leaves, and a gene that
is masked out everywhere. Every gene is varied in a row of its own, until each has been seen to reach every other: under
several cells and draws of generic weights, since a ReLU can be silent under one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.checks.engine.batches import able_positions, at, drawn_values, invented, perturbed, set_before
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import shown, verdict
from diagnostics.checks.engine.intent import BY_NAME
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.model.batch import ModelBatch

_ENTRIES = 65_536
"""Entries (rows x genes) of a question: with more genes, as many of them as fit are varied."""

_ROUNDS, _SILENT_ROUNDS = 9, 3
"""Cells and draws of weights; and those after which a question that no gene answers is given up."""

_SLACK = {torch.float64: 1e-9, torch.float32: 1e-4}
_MOST = 0.95
"""Share of the paths between the other genes from which on a gene without any is not like the others: where a graph
says who reaches whom, some genes reach nobody."""

_TRIANGLE = 0.9
"""Share of the paths on one side of the diagonal that a triangle has."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Paths:
    """Which gene was seen to reach which prediction.

    Parameters
    ----------
    reach_GG, asked_GG : bool, (genes varied, all genes)
        Seen to change; looked at.
    varied : int64, (genes varied,)
        Positions of the genes varied.
    ids : tuple of str
        Of all positions.
    """

    reach_GG: NDArray[np.bool_]
    asked_GG: NDArray[np.bool_]
    varied: NDArray[np.int64]
    ids: tuple[str, ...]

    def finding(self) -> tuple[str, str] | None:
        """What is wrong, and what to look for; None where nothing is."""
        asked = self.asked_GG
        column_G = np.arange(len(self.ids))
        later_GG: NDArray[np.bool_] = asked & np.greater.outer(-self.varied, -column_G)
        earlier_GG: NDArray[np.bool_] = asked & np.greater.outer(self.varied, column_G)
        for one_GG, other_GG, order in ((later_GG, earlier_GG, "after"), (earlier_GG, later_GG, "before")):
            if len(self.varied) > 3 and not self.reach_GG[other_GG].any() and _share(self.reach_GG, one_GG) > _TRIANGLE:
                return (
                    f"a gene reaches only the genes that stand {order} it in the batch: the paths form a triangle",
                    "look for a causal mask (is_causal, generate_square_subsequent_mask, torch.tril): genes have no "
                    "order",
                )
        size = self._block_size()
        if size:
            return (
                f"the genes fall into {len(self.ids) // size} blocks of {size}, one after another, and no path leads "
                "from one block to another",
                "look for a view or reshape where a transpose is needed, as in the split of an attention's heads: "
                "(cells, genes, dim) is to become (cells, genes, heads, dim / heads) and then to be transposed",
            )
        for axis, what in ((1, "leads from"), (0, "leads to")):
            silent = self._without(axis)
            if len(silent):
                return (
                    f"no path {what} {len(silent)} of {len(self.ids)} genes: {self._named(silent)}",
                    "look for a mask, an index or a list of genes that leaves these out, edges of a graph that are "
                    "missing or point the other way (self-loops, source and target), and for an embedding or a row "
                    "of weights of theirs that is not used",
                )
        return None

    def _block_size(self) -> int:
        """Genes of a block, where genes reach those of their own block of equal size alone, and nearly all of them."""
        n_genes = len(self.ids)
        if len(self.varied) < n_genes:
            return 0
        gene_G = np.arange(n_genes)
        for size in (one for one in range(2, n_genes // 2 + 1) if n_genes % one == 0):
            own_GG: NDArray[np.bool_] = np.equal.outer(gene_G // size, gene_G // size) & self.asked_GG
            if not self.reach_GG[self.asked_GG & ~own_GG].any() and _share(self.reach_GG, own_GG) > _TRIANGLE:
                return size
        return 0

    def _without(self, axis: int) -> NDArray[np.int64]:
        """Positions of the genes without a path where the others have most of theirs."""
        n_asked, n_reach = self.asked_GG.sum(axis=axis), (self.reach_GG & self.asked_GG).sum(axis=axis)
        silent = np.flatnonzero((n_asked > 0) & (n_reach == 0))
        others = (n_asked > 0) & (n_reach > 0)
        if not len(silent) or not others.any() or 2 * len(silent) > len(n_asked):
            return silent[:0]
        # Paths to or from the silent ones are no measure of the others.
        dense = float((n_reach[others] / np.maximum(n_asked[others] - len(silent), 1)).mean())
        if dense < _MOST:
            return silent[:0]
        return self.varied[silent] if axis == 1 else silent

    def _named(self, positions: NDArray[np.int64]) -> str:
        return shown([self.ids[int(one)] for one in positions])


def _share(reach_GG: NDArray[np.bool_], among_GG: NDArray[np.bool_]) -> float:
    return float(reach_GG[among_GG].mean()) if among_GG.any() else 0.0


@check(
    "GP326",
    "architecture.expression_paths",
    "Does every gene's expression reach the predictions for others, whatever their order?",
    cause="bug", kind="exact", needs=("model",),
    explained_by=("architecture.reads_other_genes", "architecture.other_cells"),
)  # fmt: skip
def expression_paths(probe: Probe) -> CheckResult:
    """Each gene gets another value; the predictions for all others are looked at one by one."""
    return _judged(probe, "expression", _by_expression(probe))


@check(
    "GP327",
    "architecture.perturbation_paths",
    "Does every gene's perturbation reach the predictions for others, whatever their order?",
    cause="bug", kind="exact", needs=("model",),
    explained_by=(
        "architecture.perturbation_reaches_others", "architecture.expression_paths", "architecture.other_cells"
    ),
)  # fmt: skip
def perturbation_paths(probe: Probe) -> CheckResult:
    """Each gene is perturbed or not; the predictions for all others are looked at one by one."""
    if probe.subject.perturbations is not None:
        return CheckResult(outcome="not_applicable", message=BY_NAME)
    return _judged(probe, "perturbation", _by_perturbation(probe))


Question = tuple[ModelBatch, ModelBatch, NDArray[np.int64]]
"""Two batches that differ in one gene a row, and its position."""


def _judged(probe: Probe, what: str, questions: Iterator[Question]) -> CheckResult:
    found = _paths(probe, questions)
    if found is None:
        return CheckResult(outcome="not_applicable", message=f"no gene's {what} was seen to reach another gene")
    fault, n = found.finding(), int(found.asked_GG.sum())
    share = _share(found.reach_GG, found.asked_GG)
    message = f"by {what}, {fault[0]}" if fault else f"{len(found.varied)} genes reach others by {what}"
    if not fault and share < 1:
        message += f": {share:.0%} of the paths from gene to gene exist"
    return verdict(
        good=fault is None, message=message, next_step=fault[1] if fault else "",
        statistic=share, null=1.0, tolerance=_MOST, n=n,
    )  # fmt: skip


def _paths(probe: Probe, questions: Iterator[Question]) -> Paths | None:
    """Paths seen until all have been, or the questions end; None where there are none, or too few genes."""
    seen: Paths | None = None
    for turn, (one, other, varied) in enumerate(questions):
        if one.before_BL.shape[1] < 3:
            return None
        model = probe.generic(turn % 3)
        answer_BL, other_BL = probe.answer(one, model), probe.answer(other, model)
        scale = float(torch.cat((answer_BL, other_BL)).nan_to_num(posinf=0, neginf=0).abs().max())
        moved_BL = (answer_BL - other_BL).abs() > _SLACK.get(answer_BL.dtype, 1e-2) * scale
        asked_BL = one.scored_BL & other.scored_BL & ~at(one, varied)
        reach_GG, asked_GG = (value.cpu().numpy() for value in (moved_BL & asked_BL, asked_BL))
        if seen is None:
            ids = tuple(probe.vocab.feature_id[int(token)] for token in one.token_BL[0])
            seen = Paths(reach_GG=reach_GG, asked_GG=asked_GG, varied=varied, ids=ids)
        else:
            seen = replace(seen, reach_GG=seen.reach_GG | reach_GG, asked_GG=seen.asked_GG | asked_GG)
        if seen.reach_GG[seen.asked_GG].all() or (turn >= _SILENT_ROUNDS and not seen.reach_GG.any()):
            break
    return seen if seen is not None and seen.reach_GG.any() else None


def _varied(probe: Probe, n_positions: int, allowed: NDArray[np.int64]) -> NDArray[np.int64]:
    n_rows = min(len(allowed), max(8, _ENTRIES // n_positions))
    return np.sort(probe.rng("paths").permutation(allowed)[:n_rows])


def _cell(probe: Probe, turn: int, *, p_perturbed: float) -> tuple[ModelBatch, NDArray[np.int64]]:
    """As many rows as genes are varied, of the same genes in every turn, and the positions varied."""
    first = invented(probe, "paths")
    n_positions = first.before_BL.shape[1]
    varied = _varied(probe, n_positions, np.arange(n_positions) if p_perturbed else able_positions(probe, first))
    batch = invented(probe, f"paths {turn}", p_perturbed=p_perturbed, n_pairs=len(varied))
    rows_B = torch.arange(len(varied), device=batch.before_BL.device)
    return replace(batch.rows(rows_B), token_BL=first.token_BL), varied


def _by_expression(probe: Probe) -> Iterator[Question]:
    for turn in range(_ROUNDS):
        batch, varied = _cell(probe, turn, p_perturbed=1 / 3)
        own_BL = at(batch, varied)
        # A gene is varied where it is not perturbed; its row keeps another one that is.
        able = able_positions(probe, batch)
        next_B = able[(np.searchsorted(able, varied, side="right") + turn) % len(able)]
        next_BL = at(batch, next_B)
        lone_B1 = (batch.perturbed_BL & ~own_BL).sum(dim=1, keepdim=True) == 0
        batch = replace(batch, perturbed_BL=(batch.perturbed_BL | (next_BL & lone_B1)) & ~own_BL)
        yield batch, set_before(batch, own_BL, _drawn(probe, batch, turn)), varied


def _by_perturbation(probe: Probe) -> Iterator[Question]:
    lo, hi = probe.value_range
    for turn in range(_ROUNDS):
        batch, varied = _cell(probe, turn, p_perturbed=0.0)
        yield batch, perturbed(batch, varied, np.full(len(varied), (hi, lo)[turn % 2])), varied


def _drawn(probe: Probe, batch: ModelBatch, turn: int) -> Tensor:
    return torch.as_tensor(drawn_values(probe, tuple(batch.before_BL.shape), probe.rng("paths", "values", turn)))
