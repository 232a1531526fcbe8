"""The check that held-out pairs are of the training pairs' kind: a ridge learnt from training carries over to them.

The ridge is fitted on a part of the training pairs. What it misses on the rest of them is what it should miss on
held-out pairs; where it misses more, the usual mistakes (another order of genes, other units, cells exchanged) are
taken back one by one, and the one that restores its error is named.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from scipy.stats import ks_2samp

from diagnostics.checks.data.held_out.carried import FEWEST_PAIRS, Carried, carried_over
from diagnostics.checks.data.held_out.gene_order import order_of, reordered, reordered_but_changes
from diagnostics.checks.data.held_out.relation import other_perturbations, unrelated
from diagnostics.checks.data.marginals import (
    FAR,
    RESCALED,
    RESTORED,
    Marginals,
    change_of,
    factors_G,
    typical,
)
from diagnostics.checks.data.passes import different
from diagnostics.checks.data.signal import NEW_GENES, new_genes
from diagnostics.checks.data.transforms import Bools, Floats
from diagnostics.checks.engine.cell_ids import own_held_out
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.gains import SMALLEST, Gain
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch

NEW_COMBINATIONS = "held-out pairs combine perturbations as no training pair does, and effects need not add up"

ALIKE = 1.15
"""Ratio of the errors on held-out and on unseen training pairs that is of no interest."""

APART = 1.3
"""Ratio from which on pairs of the same distributions hold other relations."""

_NEAR = 0.35
"""Distance of distributions, in standard deviations, within which they are alike."""

ALL_PERTURBED, MUCH_MORE = 0.8, 0.25
"""Share of the genes perturbed in training that held-out pairs perturb; gain that they have more on their own."""

WIDER = 1.5
"""Ratio of the median gene's spreads that is said."""

_SHIFTED = 0.12
"""Distance from which on a change of units is looked for."""

_EXCHANGED = 0.1
"""Kolmogorov's distance of perturbed genes' values before from those after that distinguishes the two."""

_KEPT = 0.25
"""Share of the gain on unseen training pairs that held-out pairs keep, whatever cells they are of."""

Repair: TypeAlias = "tuple[str, PairBatch]"


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
    if p >= ALPHA / 2:
        p, faulty = min((p, faulty), _only_held_out(probe, carried, pairs, own_gain))
    if p < ALPHA and faulty in (NEW_GENES, NEW_COMBINATIONS):
        return CheckResult(outcome="inconclusive", message=f"{faulty}: {shown}", statistic=ratio.value, n=len(pairs))
    fault = p < ALPHA
    return CheckResult(
        outcome="fail" if fault else "pass", message=f"{faulty}: {shown}" if fault else shown,
        next_step="whichever side is wrong, take training and held-out pairs through the same code: one order of "
        "genes, one vocabulary of perturbations (no encoder fitted on each by itself), one normalisation, both cells "
        "and the perturbation picked by one index"
        if fault else "",
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
        p = min(1.0, len(right.vocab) * ks_p(right, found, gene, cells))
        held = change[0].format("those of training pairs")
        return p, f"values {words}of held-out pairs are {held}"
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
    return min(1.0, 2 * float(max(one.pvalue for one in usual)))


def _by_error(probe: Probe, carried: Carried, ratio: Gain, gain: Gain, own_gain: Gain) -> tuple[float, str]:
    """The probability of such errors in healthy pairs, and what is wrong with these."""
    lost = own_gain.clear and own_gain.value > SMALLEST
    p_lost = gain.p_below(max(SMALLEST, _KEPT * own_gain.value)) if lost else 1.0
    p_more = min(1.0, 2 * min(ratio.p_above(ALIKE), ratio.p_below(1 / ALIKE)))
    if min(p_lost, p_more) >= ALPHA / 2:
        return min(1.0, 2 * min(p_lost, p_more)), ""
    words = _restored(probe, carried, ratio) if own_gain.clear else ""
    if words:
        return min(1.0, 2 * min(p_lost, p_more)), words
    laws = {
        cells: tuple(_law(pairs, cells, pairs.measured_BG) for pairs in (probe.sample, probe.held_out))
        for cells in ("before", "after")
    }
    if _new_combinations(probe):
        return min(1.0, 2 * p_lost), NEW_COMBINATIONS
    if new_genes(probe):
        return min(1.0, 2 * p_lost), NEW_GENES
    # The cells after are what is in question: where those before are alike, they may differ for that alone.
    far = typical(laws["before"][0].distance_G(laws["before"][1]))
    numbers = [float(pairs.perturbed_BG.sum(axis=1).mean()) for pairs in (probe.sample, probe.held_out)]
    p = min(1.0, 2 * min(p_lost, ratio.p_above(APART)))
    # Combinations of perturbations that are seen alone in training are another design, not another relation.
    if far < _NEAR and abs(numbers[0] - numbers[1]) < 0.1 * max(numbers):
        return p, f"genes are distributed as in training, but {unrelated(carried, probe.held_out)}"
    return min(1.0, 2 * p_lost), f"what is learnt from training pairs does not carry over: {_in_words(probe, laws)}"


def _new_combinations(probe: Probe) -> bool:
    """Whether most held-out pairs have several perturbed genes, in a combination that no training pair has."""
    known = {one.tobytes() for one in probe.sample.perturbed_BG}
    several = probe.held_out.perturbed_BG[probe.held_out.perturbed_BG.sum(axis=1) > 1]
    new = sum(one.tobytes() not in known for one in several)
    return new > len(probe.held_out) / 4


def _only_held_out(probe: Probe, carried: Carried, pairs: PairBatch, own_gain: Gain) -> tuple[float, str]:
    """Held-out pairs from which more can be learnt than from training pairs, though they are no more, nor simpler."""
    known_G, own_G = (one.perturbed_BG.any(axis=0) for one in (carried.unseen, pairs))
    if len(pairs) < 2 * FEWEST_PAIRS or (known_G & own_G).sum() < ALL_PERTURBED * known_G.sum():
        return 1.0, ""
    unseen = pairs.rows(slice(1, None, 2))
    errors, baseline = carried.learnt(pairs.rows(slice(0, 3 * len(probe.sample) // 2, 2)), unseen)
    gain = carried.gain(errors, baseline, unseen)
    more = Gain(value=gain.value - max(own_gain.value, 0.0), error=float(np.hypot(gain.error, own_gain.error)))
    return more.p_above(MUCH_MORE), f"genes are distributed as in training, but {unrelated(carried, pairs)}"


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
        words = f"{words}, under the right names of perturbed genes"
        yield words, reordered(found, order_G, perturbed=False)
        yield words, reordered_but_changes(found, order_G)
    yield from other_perturbations(found)


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
    right, found = laws[cells]
    spread = float(np.median(found.spread_G / right.spread_G))
    if max(spread, 1 / spread) > WIDER:
        return f"values {cells} are spread {spread:.2g} times as widely in held-out pairs as in training"
    most = f"values {cells} differ most in {name}, by {far[cells][gene]:.2g} standard deviations"
    return f"{most}, and in {n_far} genes by more than one"
