"""Checks of what a training step reads: the targets, each pair's own one, and each pair's perturbation.

Two steps at one draw of random numbers, on pairs that differ in one thing, are compared to the bit: what a step reads
shows in its gradients or in what it reports. No assumption is made about what it lowers.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import NO_OWN_STEP, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.optimiser.one_step import Step, gap, habits_of, one_step, other_answers
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import AppliedPerturbations

_MOST_UNREAD = 0.25
"""Share of the pairs whose perturbation a step may leave out on purpose, as training without a condition does."""

_DRAWS = 2

_ROUNDING = 1e-4
"""Part of a gradient, and of a loss, that single precision may leave between sums in two orders."""


@check(
    "GP210",
    "loss.reads_target",
    "Does the training step read the cell after?",
    cause="bug", kind="exact", needs=("model", "optimizer"),
)  # fmt: skip
def reads_target(probe: Probe) -> CheckResult:
    """With other values to predict, a step has other gradients or reports another loss."""
    if lacking := _not_comparable(probe):
        return lacking
    reads = _apart(one_step(probe), one_step(probe, pairs=other_answers(probe)))
    return verdict(
        good=reads,
        message="other targets change what the training step does" if reads
        else "other values of the cell after change neither the training step's gradients nor what it reports",
        next_step="look at what the loss compares the prediction with, at which of several losses is returned, and at "
        "what backward() is called on",
        statistic=float(reads), null=0.0, tolerance=0.0, n=len(probe.few),
    )  # fmt: skip


@check(
    "GP211",
    "loss.own_target",
    "Does the training step hold each pair's prediction against its own target?",
    cause="bug", kind="exact", needs=("model", "optimizer"), explained_by=("loss.reads_target",),
)  # fmt: skip
def own_target(probe: Probe) -> CheckResult:
    """With the cells after exchanged between pairs of different perturbations, a step does something else."""
    if lacking := _not_comparable(probe):
        return lacking
    if probe.subject.intent.set_size > 1:
        return CheckResult(outcome="not_applicable", message="cells are answered in sets, whose order means nothing")
    exchanged = _exchanged(probe.few)
    if exchanged is None:
        return CheckResult(outcome="not_applicable", message="no two pairs have different perturbations and targets")
    # Not to the bit: sums over the same numbers in another order are rounded otherwise.
    reads = _apart(one_step(probe), one_step(probe, pairs=exchanged), slack=_ROUNDING)
    return verdict(
        good=reads,
        message="a target exchanged for another pair's changes what the training step does" if reads
        else "the training step does the same if pairs of different perturbations exchange their targets",
        next_step="look at the shapes in the loss: (pairs, 1) minus (pairs,) is (pairs, pairs), and every prediction "
        "is held against every target; distributions may be compared within one perturbation only",
        statistic=float(reads), null=0.0, tolerance=0.0, n=len(probe.few),
    )  # fmt: skip


@check(
    "GP212",
    "loss.reads_perturbation",
    "Does each pair's perturbation reach the training step?",
    cause="bug", kind="exact", needs=("pairs", "model", "optimizer"),
    explained_by=(
        "architecture.reads_perturbation", "architecture.reads_which", "architecture.perturbation_reaches_others",
    ),
)  # fmt: skip
def reads_perturbation(probe: Probe) -> CheckResult:
    """With another perturbation for one pair, a step does something else; pair by pair, under some draws."""
    if lacking := _not_comparable(probe):
        return lacking
    n_asked, n_unread = 0, 0
    for draw in range(_DRAWS if habits_of(probe).random else 1):
        usual = one_step(probe, draw=draw)
        for pairs in _perturbed_one_by_one(probe):
            n_asked += 1
            n_unread += not _apart(usual, one_step(probe, draw=draw, pairs=pairs))
    if not n_asked:
        return CheckResult(outcome="not_applicable", message="no pair can be given another pair's perturbation")
    share = n_unread / n_asked
    return verdict(
        good=share < _MOST_UNREAD,
        message=f"another perturbation changes what the training step does for {n_asked - n_unread} of {n_asked} pairs"
        if share < _MOST_UNREAD
        else f"for {n_unread} of {n_asked} pairs another perturbation changes nothing in the training step: it is not "
        "given to the model",
        next_step="look at what the step or the collation leaves out: a subset of genes without the perturbed one, an "
        "index of 0 that stands for padding, names that are not found",
        statistic=share, null=0.0, tolerance=_MOST_UNREAD, n=n_asked,
    )  # fmt: skip


def _not_comparable(probe: Probe) -> CheckResult | None:
    if probe.subject.training_step is None:
        return NO_OWN_STEP
    if not habits_of(probe).repeatable:
        return CheckResult(outcome="not_applicable", message="two steps at one draw of random numbers differ")
    return None


def _apart(one: Step, other: Step, *, slack: float = 0.0) -> bool:
    """Whether two steps differ in a gradient or in what they report: by a single bit, or by more than ``slack``."""
    if gap(one.reported, other.reported) > slack and one.reported != other.reported:
        return True
    for mine, others in zip(one.gradient, other.gradient, strict=True):
        if (mine is None) != (others is None):
            return True
        if mine is None or others is None:
            continue
        mine, others = mine.nan_to_num(), others.nan_to_num()
        size, apart = (float(one.square().sum()) ** 0.5 for one in (mine, mine - others))
        if not torch.equal(mine, others) and apart > slack * size:
            return True
    return False


def _exchanged(pairs: PairBatch) -> PairBatch | None:
    """The values after handed on among pairs, gene by gene, where perturbations differ; None where there are no such.

    What a perturbed gene is set to stays: it says the perturbation.
    """
    what_Bx = pairs.perturbed_BG if pairs.applied is None else pairs.applied.token_BA
    same_BB = (what_Bx[:, None] == what_Bx[None]).all(axis=2)
    if same_BB.all():
        return None
    after_BG, differs_BG = pairs.after_BG.copy(), np.zeros(pairs.after_BG.shape, dtype=bool)
    for gene in range(after_BG.shape[1]):
        free = np.flatnonzero(pairs.scored_BG[:, gene])
        taken = np.roll(free, 1)
        after_BG[free, gene] = pairs.after_BG[taken, gene]
        differs_BG[free, gene] = ~same_BB[free, taken]
    return replace(pairs, after_BG=after_BG) if (differs_BG & (after_BG != pairs.after_BG)).any() else None


def _perturbed_one_by_one(probe: Probe) -> Iterator[PairBatch]:
    """The few pairs, each time with the perturbation of one of them exchanged for a different one."""
    pairs = probe.few
    if pairs.applied is not None:
        yield from _named_one_by_one(pairs, pairs.applied)
        return
    for row in range(len(pairs)):
        differs_B = (pairs.perturbed_BG != pairs.perturbed_BG[row]).any(axis=1)
        others = np.flatnonzero(differs_B & pairs.perturbed_BG.any(axis=1))
        if not len(others) or not pairs.perturbed_BG[row].any():
            continue
        perturbed_BG = pairs.perturbed_BG.copy()
        perturbed_BG[row] = pairs.perturbed_BG[others[0]] & pairs.measured_BG[row]
        # The cell after stays: a step may score every gene.
        yield replace(pairs, perturbed_BG=perturbed_BG)


def _named_one_by_one(pairs: PairBatch, applied: AppliedPerturbations) -> Iterator[PairBatch]:
    tokens = applied.tokens()
    for row, own in enumerate(tokens):
        others = [number for number, some in enumerate(tokens) if some and some != own]
        if own and others:
            from_B = np.arange(len(pairs))
            from_B[row] = others[0]
            yield pairs.perturbed_by(applied.rows(from_B))
