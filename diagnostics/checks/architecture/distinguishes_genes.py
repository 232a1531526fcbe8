"""Checks that the model distinguishes perturbed genes from each other, and reads each of several.

One cell, in which all genes evaluated have one value; in each row another is perturbed. Two genes whose rows agree at
all third genes are one gene to the model, as they are where tokens wrap around a table that is too short.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.checks.engine.batches import able_positions, at, invented, perturbed
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import deviation, verdict
from diagnostics.checks.engine.intent import BY_NAME
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.model.batch import TENSORS, ModelBatch

MOST_GENES = 24
_SLACK = 1e-9


@check(
    "GP324",
    "architecture.distinguishes_genes",
    "Is a perturbed gene distinguished from every other?",
    cause="bug", kind="exact", needs=("model",),
    explained_by=(
        "architecture.perturbation_reaches_others", "architecture.reads_perturbation", "architecture.reads_which",
        "architecture.range", "architecture.expression_paths", "architecture.perturbation_paths",
    ),
)  # fmt: skip
def distinguishes_genes(probe: Probe) -> CheckResult:
    """No two perturbed genes give the same predictions for all others, under each of three draws of generic weights."""
    if probe.subject.perturbations is not None:
        return CheckResult(outcome="not_applicable", message=BY_NAME)
    if probe.exact_dtype != torch.float64:
        return CheckResult(
            outcome="not_applicable", message="one gene's part in a prediction is lost in single precision"
        )
    batch, position_B = _one_cell(probe)
    n_genes = len(position_B)
    if batch.before_BL.shape[1] < 3 or n_genes < 2:
        return CheckResult(outcome="not_applicable", message="it takes three genes to distinguish two by a third")
    same_BB = _twins(
        probe, perturbed(batch, position_B, np.full(n_genes, probe.value_range[1])), batch, position_B
    )  # fmt: skip
    n_twins, n_pairs = int(same_BB.sum()), n_genes * (n_genes - 1) // 2
    ids = [probe.vocab.feature_id[int(token)] for token in batch.token_BL.cpu().numpy()[0][position_B]]
    named = [f"{ids[one]} and {ids[other]}" for one, other in np.argwhere(same_BB)[:2]]
    message = f"{n_genes} genes are distinguished when they are perturbed"
    if n_twins:
        message = f"{n_twins} of {n_pairs} pairs of genes are one gene to the model when perturbed: {', '.join(named)}"
    if n_twins == n_pairs:
        message = f"all {n_genes} genes are one gene to the model when perturbed: their identity is lost on the way"
    return verdict(
        good=not n_twins, message=message,
        next_step="give each token its gene's identity beside its values, keep it past the attention by a residual "
        "path, and look for a mean or maximum over genes that takes the perturbation alone"
        if n_twins == n_pairs
        else "look for tokens that wrap around or are clipped, an embedding table shorter than the vocabulary, "
        "and ids or symbols that map to one entry",
        statistic=n_twins / n_pairs, null=0.0, tolerance=0.0, n=n_pairs,
    )  # fmt: skip


def _one_cell(probe: Probe) -> tuple[ModelBatch, NDArray[np.int64]]:
    """One cell in every row, and the positions of the genes evaluated, which share a value a quarter below the top."""
    drawn = invented(probe, "told apart", n_pairs=1)
    drawn = drawn.rows(torch.zeros(1, dtype=torch.int64, device=drawn.before_BL.device))
    position_B = np.sort(probe.rng("told apart").permutation(able_positions(probe, drawn))[:MOST_GENES])
    lo, hi = probe.value_range
    value_BL = drawn.before_BL.clone()
    value_BL[:, torch.as_tensor(position_B, device=value_BL.device)] = 0.25 * lo + 0.75 * hi
    one = replace(drawn, before_BL=value_BL)
    wide = {name: getattr(one, name).expand(len(position_B), -1).clone() for name in TENSORS if name != "token_BL"}
    row_B = None if one.row_B is None else one.row_B.expand(len(position_B))
    return replace(one, **wide, row_B=row_B), position_B


def _twins(
    probe: Probe, batch: ModelBatch, usual: ModelBatch, position_B: NDArray[np.int64]
) -> NDArray[np.bool_]:  # fmt: skip
    """Pairs of rows that agree at all third genes under every draw of weights, each once, bool (B, B).

    Not rows that change no third gene, beside the usual cell: genes without an edge in a graph are no one gene.
    """
    rows, size = np.arange(len(position_B)), probe.subject.intent.set_size
    # Cells that are answered together have one perturbation.
    in_sets = batch.rows(torch.arange(len(rows), device=batch.before_BL.device).repeat_interleave(size))
    same_BB = np.triu(np.ones((len(rows), len(rows)), dtype=np.bool_), k=1)
    of_usual = usual.rows(torch.arange(len(rows), device=batch.before_BL.device).repeat_interleave(size))
    reaches_B = np.zeros(len(rows), dtype=np.bool_)
    for draw in range(3):
        answer_BL = probe.answer(in_sets, probe.generic(draw))[::size].double().cpu().numpy()
        slack = _SLACK * float(np.abs(answer_BL[np.isfinite(answer_BL)]).max(initial=0.0))
        usual_BL = probe.answer(of_usual, probe.generic(draw))[::size].double().cpu().numpy()
        moved_BL = np.abs(answer_BL - usual_BL)
        moved_BL[rows, position_B] = 0
        reaches_B |= moved_BL.max(axis=1) > slack
        gap_BBL = np.abs(answer_BL[:, None] - answer_BL[None])
        # The two genes themselves are left out: one of them is perturbed in one row, the other in the other.
        gap_BBL[rows, :, position_B] = 0
        gap_BBL[:, rows, position_B] = 0
        same_BB &= gap_BBL.max(axis=2) <= slack
        if not same_BB.any():
            break
    return same_BB & reaches_B[:, None] & reaches_B[None] if reaches_B.any() else same_BB


@check(
    "GP325",
    "architecture.reads_every_perturbation",
    "Of several perturbed genes, is each one read?",
    cause="bug", kind="exact", needs=("model",),
    explained_by=(
        "architecture.perturbation_reaches_others", "architecture.reads_dose", "architecture.reads_perturbation"),
)  # fmt: skip
def reads_every_perturbation(probe: Probe) -> CheckResult:
    """Beside others one perturbed gene goes up or down a little: in every pair another gene's prediction must change.

    A model that reads the largest change alone, or the first, predicts single perturbations rightly.
    """
    most = probe.most_perturbed
    if most == 1:
        return CheckResult(outcome="not_applicable", message="a pair has one perturbed gene at most")
    batch = invented(probe, "several told", p_perturbed=1 / 2, most_perturbed=None if most is None else most - 1)
    rng, (lo, hi) = probe.rng("several told"), probe.value_range
    others_B = batch.perturbed_BL.sum(dim=1).cpu().numpy()
    if batch.before_BL.shape[1] < 4 or others_B.min() < 1:
        return CheckResult(outcome="not_applicable", message="it takes two perturbed genes and another to predict")
    able = able_positions(probe, batch)
    position_B = able[rng.integers(len(able), size=len(batch))]
    where_BL = batch.measured_BL & ~batch.perturbed_BL & ~at(batch, position_B)
    before_B = batch.before_BL.cpu().numpy()[np.arange(len(batch)), position_B]
    up, down = (perturbed(batch, position_B, before_B + share * (hi - lo)) for share in (0.05, -0.05))
    if probe.subject.intent.given == "identity":
        # Without a dose it is perturbed or not.
        down = replace(batch, perturbed_BL=batch.perturbed_BL & ~at(batch, position_B))
    evaluated_B = where_BL.any(dim=1)
    ignored_B = evaluated_B.clone()
    for draw in range(3):
        model = probe.generic(draw)
        moved = [deviation(*both) for both in _rows(probe, up, down, model, where_BL)]
        ignored_B &= torch.tensor([one.equal for one in moved], device=ignored_B.device)
        if not bool(ignored_B.any()):
            break
    n, n_ignored = int(evaluated_B.sum()), int(ignored_B.sum())
    return verdict(
        good=n_ignored <= n / 4,
        message=f"in {n_ignored} of {n} pairs with several perturbed genes, one of them affects no prediction",
        next_step="look for a maximum, a sort or an index that keeps one of the perturbed genes",
        statistic=n_ignored / max(n, 1), null=0.0, tolerance=0.25, n=n,
    )  # fmt: skip


def _rows(
    probe: Probe, one: ModelBatch, other: ModelBatch, model: nn.Module, where_BL: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """The predictions for two batches row by row, at some positions."""
    one_BL, other_BL = probe.answer(one, model), probe.answer(other, model)
    return ((a[where], b[where]) for a, b, where in zip(one_BL, other_BL, where_BL, strict=True))
