"""The check that held-out pairs are of the training pairs' kind: a ridge learnt from training carries over to them.

The ridge is fitted on a part of the training pairs. What it misses on the rest of them is what it should miss on
held-out pairs; where it misses more, the usual mistakes (another order of genes, other units, cells exchanged) are
taken back one by one, and the one that restores its error is named.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import numpy as np
from scipy.stats import ks_2samp

from diagnostics.checks.data.gene_order import order_of, reordered
from diagnostics.checks.data.linear_fit import RidgeOfPart, part_of
from diagnostics.checks.data.marginals import (
    FAR,
    RESCALED,
    RESTORED,
    Marginals,
    change_of,
    factors_G,
    typical,
)
from diagnostics.checks.data.passes import pair_codes
from diagnostics.checks.data.transforms import Bools, Floats
from diagnostics.checks.engine.cell_ids import CellNames, Sides, own_held_out
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.gains import SMALLEST, Gain, gain_of, sum_error
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from diagnostics.scoring.baselines import MeanDeltaPredictor, MeanPredictor
from diagnostics.scoring.errors import Errors, losses_of
from gpcp.core.pairs import PairBatch

FEWEST_PAIRS = 100
"""Pairs that the fit, and each of the two evaluations, rest on."""

ALIKE = 1.15
"""Ratio of the errors on held-out and on unseen training pairs that is of no interest."""

APART = 1.3
"""Ratio from which on pairs of the same distributions hold other relations."""

_NEAR = 0.35
"""Distance of distributions, in standard deviations, within which they are alike."""

_LEAST = 0.01
"""Share of the baseline's loss that no ratio of errors resolves: pairs without noise are predicted exactly."""

_SHIFTED = 0.12
"""Distance from which on a change of units is looked for."""

_EXCHANGED = 0.1
"""Kolmogorov's distance of perturbed genes' values before from those after that distinguishes the two."""

_KEPT = 0.25
"""Share of the gain on unseen training pairs that held-out pairs keep, whatever cells they are of."""

_RELATED = 0.05
"""Correlation of a gene's values before and after from which on the two cells of a pair are related."""

NEW_GENES = "held-out pairs perturb genes that no training pair does, and a linear model cannot guess their effects"

Repair: TypeAlias = "tuple[str, PairBatch]"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Carried:
    """A ridge from a part of the training pairs, on the rest of them and on held-out pairs.

    Parameters
    ----------
    missed : callable
        Its errors, and the better input-free baseline's, on some pairs of all genes.
    unseen : PairBatch
        Training pairs that it has not seen.
    names : CellNames
        How cells are recognised.
    own, own_baseline : Errors
        On those.
    """

    missed: Callable[[PairBatch], tuple[Errors, Errors]]
    unseen: PairBatch
    names: CellNames
    own: Errors
    own_baseline: Errors

    def gain(self, errors: Errors, baseline: Errors, pairs: PairBatch) -> Gain:
        """Reduction of the baseline's loss."""
        return gain_of(baseline, errors, baseline.loss, self.names.codes(pairs))

    def ratio(self, errors: Errors, pairs: PairBatch) -> Gain:
        """Of a loss to that on unseen training pairs, with the error of both."""
        one = _relative_error(errors, self.names, pairs)
        other = _relative_error(self.own, self.names, self.unseen)
        value = self.times(errors)
        return Gain(value=value, error=value * float(np.hypot(one, other)))

    def times(self, errors: Errors) -> float:
        """A loss in losses on unseen training pairs, each with a hundredth of the input-free baseline's added."""
        least = max(_LEAST * self.own_baseline.loss, 1e-12)
        return (errors.loss + least) / (self.own.loss + least)


def _relative_error(errors: Errors, names: CellNames, pairs: PairBatch) -> float:
    spread = sum_error(errors.sum_B - errors.loss * errors.n_B, names.codes(pairs))
    return spread / max(float(errors.sum_B.sum()), 1e-300)


def different(pairs: PairBatch) -> PairBatch:
    """Each pair once: a short source is passed several times."""
    _, first_N = np.unique(pair_codes(pairs), return_index=True)
    return pairs.rows(np.sort(first_N))


def carried_over(probe: Probe) -> Carried | None:
    """The ridge and its error on unseen training pairs; None where there are too few of them."""
    return probe.once("carried over", _carried_over)


def _carried_over(probe: Probe) -> Carried | None:
    sample = different(probe.sample)
    names = CellNames.of(sample)
    codes = np.concatenate(names.codes(sample))
    sides = Sides(names=names, apart=len(np.unique(codes)) < len(codes))
    n_fitted = 3 * len(sample) // 4
    fitted, unseen = sample.rows(slice(0, n_fitted)), sample.rows(slice(n_fitted, None))
    if sides.apart:
        fitted, unseen = sides.training(sample), sides.held_out(sample)
    if min(len(fitted), len(unseen)) < FEWEST_PAIRS:
        return None
    part = part_of(probe, fitted, unseen)
    if part is None:
        return None
    inner = part.of(fitted)
    ridge, baselines = RidgeOfPart.fitted(inner), (MeanPredictor.fit(inner), MeanDeltaPredictor.fit(inner))

    def missed(pairs: PairBatch) -> tuple[Errors, Errors]:
        own = part.of(pairs)
        return losses_of(ridge, own), min((losses_of(one, own) for one in baselines), key=lambda one: one.loss)

    own, own_baseline = missed(unseen)
    return Carried(missed=missed, unseen=unseen, names=names, own=own, own_baseline=own_baseline)


@check(
    "GP127",
    "data.held_out",
    "Do held-out pairs follow what training pairs do?",
    cause="data", kind="statistical", needs=("pairs",), explained_by=("data.units",),
)  # fmt: skip
def held_out(probe: Probe) -> CheckResult:
    """Distributions, and the error of a ridge from training pairs, on held-out against unseen training pairs."""
    if not own_held_out(probe):
        return CheckResult(outcome="not_applicable", message="held-out pairs are other passes over the training pairs")
    carried = carried_over(probe)
    pairs = different(probe.held_out)
    if carried is None or len(pairs) < FEWEST_PAIRS:
        return CheckResult(outcome="not_applicable", message=f"fewer than {FEWEST_PAIRS} pairs on either side")
    errors, baseline = carried.missed(pairs)
    ratio, gain = carried.ratio(errors, pairs), carried.gain(errors, baseline, pairs)
    own_gain = carried.gain(carried.own, carried.own_baseline, carried.unseen)
    shown = f"a ridge from training pairs misses {ratio.value:.3g} times as much on held-out pairs as on unseen "
    shown += f"training pairs (it gains {gain.value:.0%} and {own_gain.value:.0%} of the baseline's loss)"
    p, faulty = _by_values(probe) or _by_error(probe, carried, ratio, gain, own_gain)
    if p < ALPHA and NEW_GENES in faulty:
        return CheckResult(outcome="inconclusive", message=f"{faulty}: {shown}", statistic=ratio.value, n=len(pairs))
    fault = p < ALPHA
    return CheckResult(
        outcome="fail" if fault else "pass", message=f"{faulty}: {shown}" if fault else shown,
        next_step="take held-out pairs through the same code as training pairs, from the same files on: one order of "
        "genes, one normalisation, both cells and the perturbation picked by one index" if fault else "",
        statistic=ratio.value, null=1.0, p=p, n=len(pairs),
    )  # fmt: skip


def _by_values(probe: Probe) -> tuple[float, str] | None:
    """A change of units of both cells or of one, or cells that are exchanged, and the probability of it by chance."""
    right, found = probe.sample, probe.held_out
    both = [_law(pairs, "before", pairs.measured_BG) for pairs in (right, found)]
    after = [_law(pairs, "after", pairs.measured_BG) for pairs in (right, found)]
    for words, laws in (("", both), ("before ", both), ("after ", after)):
        change = change_of(*laws)
        if change is None or typical(laws[0].distance_G(laws[1])) < _SHIFTED:
            continue
        if not words and typical(after[0].distance_G(after[1], change[1])) > _NEAR / 2:
            continue
        gene = int(np.nanargmax(laws[0].distance_G(laws[1])))
        cells = "after" if words == "after " else "before"
        p = ks_p(right, found, gene, cells)
        held = change[0].format("those of training pairs")
        return len(right.vocab) * p, f"values {words}of held-out pairs are {held}"
    p = exchanged_p(right, found)
    return None if p is None else (p, "the cells before and after of held-out pairs are exchanged")


def _law(pairs: PairBatch, cells: str, mask_BG: Bools) -> Marginals:
    return Marginals.of(pairs.before_BG if cells == "before" else pairs.after_BG, mask_BG)


def ks_p(right: PairBatch, found: PairBatch, gene: int, cells: str) -> float:
    """Probability of two such samples of one gene's values if they were of one law (Kolmogorov and Smirnov)."""
    one, other = (
        (pairs.before_BG if cells == "before" else pairs.after_BG)[pairs.measured_BG[:, gene], gene]
        for pairs in (right, found)
    )
    return float(ks_2samp(one, other).pvalue)


def exchanged_p(right: PairBatch, found: PairBatch) -> float | None:
    """Where perturbed genes' values before and after agree with training only if exchanged; None where they need not.

    Over all perturbed genes together, each standardised by the cells before in training.
    """
    mean_G = right.before_BG.mean(axis=0)
    scale_G = np.maximum(right.before_BG.std(axis=0), 1e-6)
    before, after, other_before, other_after = (
        ((value_BG - mean_G) / scale_G)[pairs.perturbed_BG]
        for pairs in (right, found)
        for value_BG in (pairs.before_BG, pairs.after_BG)
    )
    if min(len(before), len(other_before)) < FEWEST_PAIRS:
        return None
    usual = [ks_2samp(before, other_before), ks_2samp(after, other_after)]
    turned = [ks_2samp(before, other_after), ks_2samp(after, other_before)]
    least, most = min(one.statistic for one in usual), max(one.statistic for one in turned)
    if least < _EXCHANGED or most > RESTORED * least:
        return None
    return 2 * float(max(one.pvalue for one in usual))


def _by_error(probe: Probe, carried: Carried, ratio: Gain, gain: Gain, own_gain: Gain) -> tuple[float, str]:
    """The probability of such errors in healthy pairs, and what is wrong with these."""
    lost = own_gain.clear and own_gain.value > SMALLEST
    p_lost = gain.p_below(max(SMALLEST, _KEPT * own_gain.value)) if lost else 1.0
    p_more = min(1.0, 2 * min(ratio.p_above(ALIKE), ratio.p_below(1 / ALIKE)))
    if min(p_lost, p_more) >= ALPHA / 2:
        return min(1.0, 2 * min(p_lost, p_more)), ""
    words = _restored(probe, carried, ratio)
    if words:
        return 2 * min(p_lost, p_more), words
    laws = {
        cells: tuple(_law(pairs, cells, pairs.measured_BG) for pairs in (probe.sample, probe.held_out))
        for cells in ("before", "after")
    }
    if _new_genes(probe):
        return 2 * p_lost, NEW_GENES
    far = max(typical(right.distance_G(found)) for right, found in laws.values())
    numbers = [float(pairs.perturbed_BG.sum(axis=1).mean()) for pairs in (probe.sample, probe.held_out)]
    p = min(1.0, 2 * min(p_lost, ratio.p_above(APART)))
    # Combinations of perturbations that are seen alone in training are another design, not another relation.
    if far < _NEAR and abs(numbers[0] - numbers[1]) < 0.1 * max(numbers):
        return p, f"genes are distributed as in training, but {_unrelated(carried, probe.held_out)}"
    return 2 * p_lost, f"what is learnt from training pairs does not carry over: {_in_words(probe, laws)}"


def _unrelated(carried: Carried, pairs: PairBatch) -> str:
    """Whether it is cells or perturbations that belong to other pairs: by how alike the two cells of a pair are."""
    own, other = (_alike(one) for one in (carried.unseen, pairs))
    if own < _RELATED or own / 5 < other < own / 2:
        return "what goes with what is not: perturbations, or cells, of held-out pairs belong to other pairs"
    if other > own / 2:
        return "perturbations of held-out pairs belong to other pairs"
    return "pairs are misaligned: the cells before and after of held-out pairs belong to different pairs"


def _alike(pairs: PairBatch) -> float:
    """Correlation of scored values before and after within genes, in the median gene."""
    scored_BG, n_G = pairs.scored_BG, np.maximum(pairs.scored_BG.sum(axis=0), 1)
    before_BG, after_BG = (
        np.where(scored_BG, value_BG - np.where(scored_BG, value_BG, 0).sum(axis=0) / n_G, 0.0)
        for value_BG in (pairs.before_BG, pairs.after_BG)
    )
    size_G = np.sqrt((before_BG**2).sum(axis=0) * (after_BG**2).sum(axis=0))
    return float(np.median((before_BG * after_BG).sum(axis=0) / np.where(size_G > 0, size_G, 1.0)))


def _new_genes(probe: Probe) -> bool:
    """Whether most held-out pairs perturb a gene that training does not."""
    known_G = probe.sample.perturbed_BG.any(axis=0)
    return float((probe.held_out.perturbed_BG & ~known_G).any(axis=1).mean()) > 0.5


def _restored(probe: Probe, carried: Carried, ratio: Gain) -> str:
    """What taken back restores the error, in words; ``""`` where nothing does."""
    usual = carried.own_baseline.loss
    best, least = "", 0.35 * max(abs(np.log(ratio.value)), np.log(ALIKE))
    for words, pairs in _repairs(probe):
        errors, baseline = carried.missed(pairs)
        left = abs(np.log(carried.times(errors)))
        # What makes all values small makes errors small: the baseline's must stay what it is in training.
        if left < least and 0.5 < baseline.loss / usual < 2:
            best, least = words, left
    return best


def _repairs(probe: Probe) -> Iterator[Repair]:
    """What may have been done to held-out pairs, and the pairs without it."""
    right, found = probe.sample, probe.held_out
    yield from _some_genes(right, found)
    order_G = order_of(right, found, probe.rng("gene order"))
    if order_G is not None:
        moved = np.flatnonzero(order_G != np.arange(len(order_G)))
        names = found.vocab.feature_id
        example = f"column {names[order_G[moved[0]]]} holds {names[moved[0]]}"
        words = f"the genes of held-out pairs are in another order ({len(moved)} of {len(order_G)}; {example})"
        yield words, reordered(found, order_G, perturbed=True)
        yield f"{words}, under the right names of perturbed genes", reordered(found, order_G, perturbed=False)


def _some_genes(right: PairBatch, found: PairBatch) -> Iterator[Repair]:
    """Another scale in some of the genes."""
    laws = [_law(pairs, "before", pairs.measured_BG) for pairs in (right, found)]
    factor_G = factors_G(*laws)
    known_G = np.isfinite(factor_G)
    factor_G = np.where(known_G, factor_G, 1.0)
    far_G, left_G = laws[0].distance_G(laws[1]), laws[0].distance_G(laws[1], lambda value_NG: value_NG / factor_G)
    scaled_G = known_G & (np.abs(np.log(np.abs(factor_G))) > np.log(RESCALED)) & (left_G < RESTORED * far_G)
    if scaled_G.any():
        which = np.flatnonzero(scaled_G)
        names = ", ".join(f"{found.vocab.feature_id[gene]} (times {factor_G[gene]:.3g})" for gene in which[:3])
        more = ", ..." if len(which) > 3 else ""
        scale_G = np.where(scaled_G, factor_G, 1.0)
        genes = "one gene is" if len(which) == 1 else f"{len(which)} genes are"
        words = f"{genes} on another scale in held-out pairs than in training: {names}{more}"
        yield words, _valued(found, lambda value_BG: value_BG / scale_G)


def _valued(pairs: PairBatch, change: Callable[[np.ndarray], Floats]) -> PairBatch:
    """The pairs with both cells' values changed."""

    def changed(value_BG: np.ndarray) -> np.ndarray:
        return np.where(pairs.measured_BG, change(value_BG), 0).astype(np.float32)

    return replace(pairs, before_BG=changed(pairs.before_BG), after_BG=changed(pairs.after_BG))


def _in_words(probe: Probe, laws: Mapping[str, Sequence[Marginals]]) -> str:
    """In which genes the two differ most."""
    far = {cells: np.nan_to_num(right.distance_G(found)) for cells, (right, found) in laws.items()}
    cells = max(far, key=lambda cells: float(far[cells].max()))
    gene = int(far[cells].argmax())
    name, n_far = probe.vocab.feature_id[gene], int((far[cells] > FAR).sum())
    most = f"values {cells} differ most in {name}, by {far[cells][gene]:.2g} standard deviations"
    return f"{most}, and in {n_far} genes by more than one"
