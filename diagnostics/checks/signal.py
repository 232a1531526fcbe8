"""Whether the pairs hold anything to learn: ridge on what a model is told, against knowing nothing, on unseen pairs.

Dimension key: ``B`` pairs, ``G`` genes of the vocabulary or of a part of it.

What matters is asked one thing at a time, by taking it away from the fitted ridge on unseen pairs: everything that is
told; *which* genes are told, their doses kept; how much, the genes kept. Shuffling all at once would not see labels
that had been shuffled alone.

The fault is that what was taken away mattered less than :data:`SMALLEST` of the baseline's loss, and ``p`` the
probability of a gain as small as the one seen if the true gain were that smallest one (one-sided, normal, over pairs).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc, sqrt
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.check import ALPHA, Finding, check
from diagnostics.checks.probe import Probe
from diagnostics.loss_baselines import MeanDeltaPredictor, MeanPredictor, RidgePredictor
from diagnostics.losses import Errors, errors_of, losses_of
from gpcp.genes import GeneVocab
from gpcp.pairs import PairBatch
from gpcp.predictors import Perturbation, control_of, perturbation_of

SMALLEST = 0.01
"""The smallest share of the baseline's loss that is worth a model: below it there is nothing to learn."""

MOST_GENES = 40
"""Ridge takes (4 G)^2 multiplications a scored entry: of larger vocabularies a random part is asked."""

_CLEAR = 3.0
"""Standard errors above 0 that make a gain clear."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearFit:
    """Ridge on training pairs, and its errors on unseen ones.

    Parameters
    ----------
    ridge : RidgePredictor
    held_out : PairBatch
        Of the genes asked.
    baseline, errors : Errors
        Of the better of the mean and the mean change, and of ridge.
    """

    ridge: RidgePredictor
    held_out: PairBatch
    baseline: Errors
    errors: Errors


def some_genes(pairs: PairBatch, token_G: NDArray[np.int64]) -> PairBatch:
    """The pairs with some of their genes; what is told of others is lost."""
    return PairBatch(
        vocab=GeneVocab(feature_id=pairs.vocab.genes(token_G)),
        before_BG=pairs.before_BG[:, token_G],
        after_BG=pairs.after_BG[:, token_G],
        measured_BG=pairs.measured_BG[:, token_G],
        perturbed_BG=pairs.perturbed_BG[:, token_G],
        before_id_B=pairs.before_id_B,
        after_id_B=pairs.after_id_B,
    )


def linear_fit(probe: Probe) -> LinearFit:
    """Fit ridge on the sample; see :class:`LinearFit`."""
    sample, held_out = probe.sample, probe.held_out
    token_G = np.flatnonzero(sample.scored_BG.any(axis=0) & held_out.scored_BG.any(axis=0)).astype(np.int64)
    if len(token_G) > MOST_GENES:
        # Genes that are told in some pair come first: a part in which nothing is told would show no perturbation.
        told_G = sample.perturbed_BG[:, token_G].sum(axis=0) + probe.rng("part").random(len(token_G))
        token_G = np.sort(token_G[np.argsort(-told_G, kind="stable")[:MOST_GENES]])
    if len(token_G) < len(sample.vocab):
        sample, held_out = some_genes(sample, token_G), some_genes(held_out, token_G)
    ridge = RidgePredictor.fit(sample)
    nothing = [losses_of(one.fit(sample), held_out) for one in (MeanPredictor, MeanDeltaPredictor)]
    return LinearFit(
        ridge=ridge,
        held_out=held_out,
        baseline=min(nothing, key=lambda errors: errors.loss),
        errors=losses_of(ridge, held_out),
    )


def gain_of(worse: Errors, better: Errors, baseline: float) -> tuple[float, float]:
    """By how much the second loss lies below the first, and its standard error, as shares of a baseline's loss."""
    difference_B = worse.sum_B - better.sum_B
    n = better.n_B.sum()
    gain = difference_B.sum() / n
    residual_B = difference_B - better.n_B * gain
    return float(gain / baseline), float(np.sqrt((residual_B**2).sum()) / n / baseline)


def judged(gain: float, error: float, *, what: str, matters: str, next_step: str, n: int) -> Finding:
    """A gain held against :data:`SMALLEST`: too small beyond chance, clear, or neither."""
    p = 0.5 * erfc((SMALLEST - gain) / (error * sqrt(2))) if error > 0 else float(gain >= SMALLEST)
    clear = gain > _CLEAR * error and gain > 0
    outcome = "fail" if p < ALPHA else "pass" if clear else "inconclusive"
    shown = f"{what} {gain:.1%} +- {error:.1%} of the loss of knowing nothing"
    says = {
        "fail": f"{shown}: less than {SMALLEST:.0%}, beyond chance; {matters}",
        "pass": shown,
        "inconclusive": f"{shown}: too few pairs to tell it from nothing or from {SMALLEST:.0%}",
    }[outcome]
    return Finding(
        outcome=outcome,
        says=says,
        next_step="" if outcome == "pass" else next_step,
        statistic=gain,
        null=SMALLEST,
        p=min(1.0, max(0.0, p)),
        smallest_effect=_CLEAR * error if outcome == "inconclusive" else None,
        n=n,
    )


@check(
    "data.signal",
    "Do the pairs hold anything that a linear model can learn?",
    cause="data",
    kind="statistical",
    needs=("pairs",),
)
def signal(probe: Probe) -> Finding:
    """Ridge on before and all that is told, against the better of the mean and the mean change."""
    fit = probe.once("linear fit", linear_fit)
    gain, error = gain_of(fit.baseline, fit.errors, fit.baseline.loss)
    return judged(
        gain,
        error,
        what="ridge on all that the model is told gains",
        matters="no linear model can learn from these pairs",
        next_step="look at the pairs before the model: python -m diagnostics.audit_pairs says what their differences "
        "are made of; more pairs, another gene panel, or pairs that share more",
        n=len(fit.held_out),
    )


@check(
    "data.perturbation",
    "Does what is told of the perturbation carry information?",
    cause="data",
    kind="statistical",
    needs=("pairs",),
    explained_by=("data.signal",),
)
def perturbation(probe: Probe) -> Finding:
    """Each pair is told what belongs to another pair."""
    return _without(
        probe,
        _of_another_pair,
        what="being told of its own perturbation rather than another pair's is worth",
        matters="what is told has nothing to do with what happens",
        next_step="check that perturbations are joined to their own cells: an index that was shuffled or sorted "
        "on one side only looks like this",
    )


@check(
    "data.identity",
    "Does it matter which genes are perturbed?",
    cause="data",
    kind="statistical",
    needs=("pairs",),
    explained_by=("data.signal", "data.perturbation"),
)
def identity(probe: Probe) -> Finding:
    """The told genes' labels are shuffled within each pair, their doses kept."""
    return _without(
        probe,
        _other_genes,
        what="knowing which genes are told, doses being known, is worth",
        matters="the labels of the perturbed genes say nothing",
        next_step="check the gene order between the perturbation's labels and the expression columns",
    )


def _without(probe: Probe, taken: "Taken", *, what: str, matters: str, next_step: str) -> Finding:
    fit = probe.once("linear fit", linear_fit)
    if not fit.held_out.perturbed_BG.any():
        return Finding(outcome="not_applicable", says="no gene is told in any pair", n=len(fit.held_out))
    shown = taken(fit.held_out, probe.rng("taken", what))
    predicted_BG = fit.ridge.predict(control_of(fit.held_out), shown)
    gain, error = gain_of(errors_of(predicted_BG, fit.held_out), fit.errors, fit.baseline.loss)
    return judged(gain, error, what=what, matters=matters, next_step=next_step, n=len(fit.held_out))


Taken = Callable[[PairBatch, np.random.Generator], Perturbation]


def _of_another_pair(pairs: PairBatch, rng: np.random.Generator) -> Perturbation:
    """What is told, moved to the next pair of a random order: no pair keeps its own."""
    told = perturbation_of(pairs)
    order_B = rng.permutation(len(pairs))
    from_B = np.empty_like(order_B)
    from_B[order_B] = np.roll(order_B, 1)
    return Perturbation(perturbed_BG=told.perturbed_BG[from_B], target_BG=told.target_BG[from_B])


def _other_genes(pairs: PairBatch, rng: np.random.Generator) -> Perturbation:
    """Each pair's told changes, told of randomly permuted genes; a target is before plus the change."""
    n_genes = len(pairs.vocab)
    order_BG = rng.permuted(np.tile(np.arange(n_genes), (len(pairs), 1)), axis=1)
    told_BG = np.take_along_axis(pairs.perturbed_BG, order_BG, axis=1) & pairs.measured_BG
    dose_BG = np.take_along_axis(np.where(pairs.perturbed_BG, pairs.delta_BG, np.float32(0)), order_BG, axis=1)
    return Perturbation(
        perturbed_BG=told_BG, target_BG=np.where(told_BG, pairs.before_BG + dose_BG, np.float32(0)).astype(np.float32)
    )
