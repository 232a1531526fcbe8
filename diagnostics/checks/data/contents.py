"""Checks of the pairs' contents: units, genes that never vary, entries that are always 0, copies of the target."""

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.checks.data.linear_fit import linear_fit
from diagnostics.checks.data.signal import of_another_pair
from diagnostics.checks.data.units import LARGEST_LOG_LOG, member_units, units_in_words
from diagnostics.checks.engine.cell_ids import own_held_out, too_few_cells
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.gains import decided, ratio_of
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from diagnostics.scoring.errors import errors_of
from gpcp.sources.h5ad.kinds import LARGEST_LOG

ENOUGH_SCORED = 20
"""Pairs that score a gene before it is called constant."""

FEWEST_LABELS = 3
"""Different perturbations in held-out pairs that make one alone in training pairs a fault."""

MOST_CONSTANT = 0.01
"""Share of the scored entries that may be of genes that never move."""

UNPERTURBED_THRESHOLD, UNPERTURBED_LIMIT = 0.05, 0.5
"""Shares of pairs without a perturbed, or without a scored, gene: more than controls and sparse cells make up; most."""

SILENT_THRESHOLD, SILENT_LIMIT = 0.5, 0.8
"""Shares of scored entries that are 0 in both cells: most of the loss is about silent genes; nearly all of it."""

LEFT_OVER = 1e-3
"""Share of the cells' own variance that must be left once ``before`` is known and the perturbation is not."""


@check(
    "GP112",
    "data.units",
    "Are the values log1p(TPM), or in a world's own units?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def units(probe: Probe) -> CheckResult:
    """Counts, values without logarithm, a log of a log, and two cells in two units are recognised by their values."""
    before, after = member_units(probe.sample)
    lowest, highest = min(before.lowest, after.lowest), max(before.highest, after.highest)
    words = units_in_words(before, after)
    if not words and None in (before.twice, after.twice):
        return CheckResult(
            outcome="inconclusive",
            message=f"no value is above {highest:.3g}: scaled by hand, or logarithms of logarithms, which end at "
            f"{LARGEST_LOG_LOG:.2g}",
            next_step="state which, and take one logarithm only", statistic=highest, n=len(probe.sample),
        )  # fmt: skip
    own = "a world's own units" if lowest < 0 else "logarithms"
    if after.kind == "counts" and before.kind in ("counts", "log") and _counted(probe):
        return CheckResult(
            outcome="pass", message=f"{words}, as a likelihood of counts takes them",
            next_step="if training lowers a squared error, give log1p of counts per million",
            statistic=highest, tolerance=highest, n=len(probe.sample),
        )  # fmt: skip
    return verdict(
        good=not words,
        message=words or f"values lie within {lowest:.3g} .. {highest:.3g}, as those in {own} may",
        next_step="give log1p of counts per million, taken once, for both cells: the squared error of counts is that "
        "of a few highly expressed genes, and a second logarithm flattens differences",
        statistic=highest, tolerance=LARGEST_LOG, n=len(probe.sample),
    )  # fmt: skip


@check(
    "GP113",
    "data.perturbs_and_scores",
    "Does every pair have a perturbed gene and a scored gene?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def perturbs_and_scores(probe: Probe) -> CheckResult:
    """A pair without a perturbed gene cannot be predicted; one without a scored gene adds nothing to the loss."""
    pairs = probe.sample
    unperturbed = float((~pairs.perturbs_B).mean())
    unscored = float((~pairs.scored_BG.any(axis=1)).mean())
    worst = max(unperturbed, unscored)
    if constant := _constant_label(probe):
        return CheckResult(
            outcome="fail", message=constant, statistic=1.0, tolerance=UNPERTURBED_LIMIT, n=len(pairs),
            next_step="look at where labels are joined to the pairs: a merge or a fill gave all of them one label",
        )  # fmt: skip
    message = f"{unperturbed:.1%} of {len(pairs)} pairs have no perturbed gene, {unscored:.1%} no scored gene"
    next_step = (
        "look at how perturbed genes are chosen: one at least, and not all measured ones; a perturbed gene outside the "
        "panel cannot be given to the model"
    )
    if pairs.perturbed_BG.all():
        message = f"in all {len(pairs)} pairs every gene is perturbed"
        next_step = "look for rows of flags that are one and the same list, as [[0] * n_genes] * n_cells makes them"
    if UNPERTURBED_THRESHOLD < worst <= UNPERTURBED_LIMIT:
        return CheckResult(
            outcome="inconclusive", next_step=next_step,
            message=f"{message}: right for controls that are meant, else of no use",
            statistic=worst, tolerance=UNPERTURBED_LIMIT, n=len(pairs),
        )  # fmt: skip
    return verdict(
        good=worst <= UNPERTURBED_LIMIT, message=message, next_step=next_step,
        statistic=worst, tolerance=UNPERTURBED_LIMIT, n=len(pairs),
    )  # fmt: skip


def _counted(probe: Probe) -> bool:
    """Whether a model's loss may be one of counts: it is not given, or it is no squared error."""
    subject, rng = probe.subject, probe.rng("counted")
    if subject.loss is None:
        return subject.model is not None
    ratios: list[float] = []
    for _ in range(2):
        prediction_BL, after_BL = (torch.as_tensor(rng.integers(1, 20, size=(4, 3))).float() for _ in range(2))
        try:
            loss = subject.loss(prediction_BL, after_BL, torch.ones_like(after_BL, dtype=torch.bool))
        except Exception:
            return False
        ratios.append(float(loss) / float(((prediction_BL - after_BL) ** 2).mean()))
    return abs(ratios[0] - ratios[1]) > 1e-3 * abs(ratios[0])


def _constant_label(probe: Probe) -> str:
    """That all training pairs are given one perturbation, in words, where held-out pairs are given several."""
    if not own_held_out(probe):
        return ""
    one, other = (np.unique(pairs.perturbed_BG, axis=0) for pairs in (probe.sample, probe.held_out))
    if len(one) > 1 or len(other) < FEWEST_LABELS or len(probe.sample) < ENOUGH_SCORED:
        return ""
    names = " and ".join(np.asarray(probe.vocab.feature_id)[one[0]]) or "nothing perturbed"
    return f"all training pairs are given one perturbation ({names}), held-out pairs {len(other)} different ones"


@check(
    "GP114",
    "data.constant_genes",
    "Does every scored gene vary?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def constant_genes(probe: Probe) -> CheckResult:
    """Genes that end at one and the same value in every pair that scores them."""
    pairs = probe.sample
    scored_BG, n_G = pairs.scored_BG, pairs.scored_BG.sum(axis=0)
    highest_G = np.where(scored_BG, pairs.after_BG, -np.inf).max(axis=0)
    lowest_G = np.where(scored_BG, pairs.after_BG, np.inf).min(axis=0)
    constant_G = (n_G >= ENOUGH_SCORED) & (highest_G - lowest_G <= 1e-6 * np.maximum(np.abs(highest_G), 1e-6))
    share = float(n_G[constant_G].sum() / max(1, n_G.sum()))
    if share > MOST_CONSTANT and (few := too_few_cells(probe)) is not None:
        return few
    names = _some_names(pairs.vocab.feature_id, constant_G)
    zeros = int((constant_G & (highest_G == 0)).sum())
    return verdict(
        good=share <= MOST_CONSTANT,
        message=f"{int(constant_G.sum())} of {int((n_G > 0).sum())} scored genes never vary{names}: {share:.1%} "
        f"of what "
        f"is scored{f', {zeros} of them always 0' if zeros else ''}"
        if constant_G.any()
        else f"all {int((n_G > 0).sum())} scored genes vary",
        next_step="leave them out: gpcp select-genes chooses genes that are expressed",
        statistic=share, tolerance=MOST_CONSTANT, n=len(pairs),
    )  # fmt: skip


def _some_names(feature_id: tuple[str, ...], which_G: NDArray[np.bool_]) -> str:
    named = [feature_id[int(gene)] for gene in np.flatnonzero(which_G)[:3]]
    more = ", ..." if which_G.sum() > len(named) else ""
    return f" ({', '.join(named)}{more})" if named else ""


@check(
    "GP115",
    "data.silent",
    "Is the loss about genes that are expressed?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def silent(probe: Probe) -> CheckResult:
    """Scored entries that are 0 in both cells: there is nothing that could change."""
    pairs = probe.sample
    neither_BG = pairs.scored_BG & (pairs.before_BG == 0) & (pairs.after_BG == 0)
    share = float(neither_BG.sum() / max(1, pairs.scored_BG.sum()))
    if share > SILENT_LIMIT and (few := too_few_cells(probe)) is not None:
        return few
    message = f"{share:.0%} of the scored entries are 0 in both cells"
    next_step = "choose expressed genes: gpcp select-genes"
    if SILENT_THRESHOLD < share <= SILENT_LIMIT:
        return CheckResult(
            outcome="inconclusive", message=f"{message}: most of the loss is about silent genes", next_step=next_step,
            statistic=share, tolerance=SILENT_LIMIT, n=len(pairs),
        )  # fmt: skip
    return verdict(
        good=share <= SILENT_LIMIT, message=message + (": nearly all of the loss is about "
        "nothing" * (share > SILENT_LIMIT)),
        next_step=next_step, statistic=share, tolerance=SILENT_LIMIT, n=len(pairs),
    )  # fmt: skip


@check(
    "GP116",
    "data.change",
    "Does anything that is scored change between the two cells?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def change(probe: Probe) -> CheckResult:
    """Before equal to after wherever it is scored: a copy, or cells that respond to nothing."""
    pairs = probe.sample
    scored_BG = pairs.scored_BG & ((pairs.before_BG != 0) | (pairs.after_BG != 0))
    n = int(scored_BG.sum())
    if not n:
        return CheckResult(outcome="not_applicable", message="every scored entry is 0 in both cells, or none is scored")
    same = float((scored_BG & (pairs.before_BG == pairs.after_BG)).sum() / n)
    return verdict(
        good=same <= 1 - LEFT_OVER,
        message=f"{same:.1%} of {n} scored entries that are not 0 in both cells are the same before and after",
        next_step="look for a target that was copied to the cell before, or for a cell paired with itself",
        statistic=same, tolerance=1 - LEFT_OVER, n=len(pairs),
    )  # fmt: skip


@check(
    "GP117",
    "data.copied_answer",
    "Is something left to predict once the cell before is known?",
    cause="data", kind="statistical", needs=("pairs",), explained_by=("data.change",),
)  # fmt: skip
def copied_answer(probe: Probe) -> CheckResult:
    """What ridge leaves unexplained on unseen pairs if it is given another pair's perturbation.

    As a share of the variance of the cells after about their genes' means. In no regime does the cell before alone
    determine the cell after: cells of fresh noise differ, and those of the same noise differ by their perturbation.
    """
    fit = linear_fit(probe)
    if fit is None:
        return CheckResult(outcome="not_applicable", message="no gene is scored in more than a handful of pairs")
    pairs = fit.held_out
    scored_BG = pairs.scored_BG
    mean_G = np.where(scored_BG, pairs.after_BG, 0).sum(axis=0, dtype=np.float64) / np.maximum(scored_BG.sum(axis=0), 1)
    spread_B = np.where(scored_BG, (pairs.after_BG - mean_G) ** 2, 0).sum(axis=1)
    if not spread_B.sum() > 0:
        return CheckResult(outcome="not_applicable", message="nothing that is scored varies after")
    perturbed = of_another_pair(pairs, probe.rng("copied answer"))
    left_B = errors_of(fit.predicted(perturbed), pairs).sum_B
    left = ratio_of(left_B, spread_B, fit.cells)
    return decided(
        left.p_below(LEFT_OVER),
        healthy=f"the cell before alone leaves {left.value:.1%} of the variance after unexplained",
        faulty=f"the cell before alone explains all but {left.value:.2%} of the variance after, perturbed or not: it "
        "holds the target",
        next_step="look for values of the cell after in the cell before: columns copied, joined or imputed together",
        statistic=left.value, null=LEFT_OVER, n=len(pairs),
    )  # fmt: skip
