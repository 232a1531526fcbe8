"""Gain of the best linear predictor on unseen cells, and the smallest gain that would have been detected.

*Baseline*: the better, on held-out pairs, of the mean change and of ``mean - before``.
*Gain*: share of the baseline's loss that a linear predictor takes away. Part of it is free: ``before`` alone, all its
genes together, predicts how it will regress to the mean of its type.
*Gain of the perturbation*: share of the loss of the best unperturbed predictor (a baseline, or the best linear one
from ``before`` alone) that the best linear predictor with the perturbation removes. Only this is about genes that vary
together, and by it pairs are judged.

Training and held-out cells are different cells. The linear law needs genes that vary and are measured in every cell,
ridge any that are scored; the others are left at the mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.baselines import MeanDeltaPredictor, MeanPredictor, RidgePredictor
from diagnostics.scoring.errors import Errors, errors_of, losses_of, predictions
from diagnostics.scoring.matched_linear import PairLinearPredictor
from gpcp.core.errors import InputError
from gpcp.core.intervals import LEVEL, Interval, bootstrap
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.core.predictors import Perturbation, control_of
from gpcp.core.random import stream
from gpcp.sources.in_memory import InMemoryCells
from gpcp.sources.index import Labels
from gpcp.sources.sparse import SparseCells

HELD_OUT_SHARE = 0.3
MOST_TRAINING_PAIRS = 8_000
BEFORE_ALONE = "linear, before alone"
POWER = 0.8
"""With which the smallest gain that could have been seen would have been."""

MOST_RIDGE_WORK = 1.5e11
"""Multiplications, ``pairs (4 G)^2 G``: about half a minute on one core."""

MakePairs = Callable[[InMemoryCells], PairSource]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LinearGain:
    """Losses on held-out pairs and what linear predictors gain on them.

    Parameters
    ----------
    baseline : str
        Which was the better.
    loss_of : mapping of str to float
        ``no change``, ``mean change``, ``mean``, and each linear predictor by name.
    gain_of : mapping of str to Interval
        Of each linear predictor, share of the baseline's loss; intervals hold for all of them at once.
    unperturbed : str
        The best predictor without the perturbation.
    perturbed_gain_of : mapping of str to Interval
        Of each linear predictor with the perturbation, share of the loss of ``unperturbed``; simultaneous intervals.
    best : str or None
        The one with the highest lower end of the latter; None where none could be fitted.
    smallest_visible : float
        Gain of the perturbation that would have been seen with probability .8; infinite where none could be fitted.
    n_held_out, n_training : int
        Pairs.
    summary : str
        What was left out.
    """

    baseline: str
    loss_of: dict[str, float]
    gain_of: dict[str, Interval]
    unperturbed: str
    perturbed_gain_of: dict[str, Interval]
    best: str | None
    smallest_visible: float
    n_held_out: int
    n_training: int
    summary: str

    @property
    def gain(self) -> Interval | None:
        """That of the best over the baseline."""
        return None if self.best is None else self.gain_of[self.best]

    @property
    def perturbed_gain(self) -> Interval | None:
        """That of the best over the best without the perturbation."""
        return None if self.best is None else self.perturbed_gain_of[self.best]

    @property
    def seen(self) -> bool:
        """Whether a linear model can learn from the perturbation: the interval of its gain lies above 0."""
        return self.perturbed_gain is not None and self.perturbed_gain.above(0)


def linear_gain(cells: InMemoryCells, make_pairs: MakePairs, *, max_pairs: int, seed: int) -> LinearGain:
    """Split the cells, pair both sides, fit on one and measure on the other.

    Parameters
    ----------
    cells : SampledCells
    make_pairs : callable
        Pairs the cells given, as the pairs under audit are made.
    max_pairs : int
        Held out, at most.
    seed : int

    Raises
    ------
    InputError
        A side makes no pair, or no held-out entry is scored.
    """
    held_B = _held_out(cells, seed)
    training_cells = cells.rows(np.flatnonzero(~held_B))
    training = _passes(make_pairs(training_cells), MOST_TRAINING_PAIRS, seed, most_passes=8)
    held_out = _passes(make_pairs(cells.rows(np.flatnonzero(held_B))), max_pairs, seed, most_passes=1)
    if not training.scored_BG.any():
        raise InputError(
            "no entry of the training pairs is scored: each gene measured in both is perturbed; perturb fewer"
        )
    input_free = {
        "mean change": losses_of(MeanDeltaPredictor.fit(training), held_out),
        "mean": losses_of(MeanPredictor.fit(training), held_out),
    }
    baseline = min(input_free, key=lambda name: input_free[name].loss)
    base = input_free[baseline]
    fitted, summary = _linear(training_cells, training, held_out)
    no_change = errors_of(held_out.before_BG, held_out)
    losses = {"no change": no_change, **input_free, **fitted}
    perturbed = {name: errors for name, errors in fitted.items() if name != BEFORE_ALONE}
    answers = {name: losses[name] for name in (baseline, BEFORE_ALONE) if name in losses}
    unperturbed = min(answers, key=lambda name: answers[name].loss)
    perturbed_gain_of = _gains(answers[unperturbed], perturbed, seed)
    best = max(perturbed_gain_of, key=lambda name: perturbed_gain_of[name].low, default=None)
    return LinearGain(
        baseline=baseline,
        loss_of={name: errors.loss for name, errors in losses.items()},
        gain_of=_gains(base, fitted, seed),
        unperturbed=unperturbed,
        perturbed_gain_of=perturbed_gain_of,
        best=best,
        smallest_visible=smallest_visible(answers[unperturbed], list(perturbed.values())),
        n_held_out=len(held_out),
        n_training=len(training),
        summary=summary,
    )


def _held_out(cells: InMemoryCells, seed: int) -> NDArray[np.bool_]:
    """Cells that are held out: a share of each cell type, where types are known."""
    from diagnostics.audit.partners import key_codes

    names = [name for name in ("cell_type",) if name in cells.index.covariates]
    type_B = key_codes(cells.index, names)
    number_B = stream(seed, "audit", "held out").random(len(cells))
    order_B = np.lexsort((number_B, type_B))
    n_of_type = np.bincount(type_B)
    rank_B = np.empty(len(cells), dtype=np.int64)
    rank_B[order_B] = np.arange(len(cells)) - np.repeat(np.cumsum(n_of_type) - n_of_type, n_of_type)
    return rank_B < np.rint(HELD_OUT_SHARE * n_of_type)[type_B]


def _passes(source: PairSource, n_pairs: int, seed: int, *, most_passes: int) -> PairBatch:
    """Pairs of one pass, or of several: the same cells in other pairs, good for fitting and not for errors."""
    parts: list[PairBatch] = []
    n_found = 0
    for one in range(most_passes):
        for batch in source.pairs(batch_size=1024, seed=seed + one):
            parts.append(batch.rows(slice(n_pairs - n_found)))
            n_found += len(parts[-1])
            if n_found == n_pairs:
                return concatenate(parts)
        if not n_found:
            raise InputError("training and held-out cells are too few to make pairs on both sides: give more cells")
    return concatenate(parts)


def _gains(base: Errors, fitted: dict[str, Errors], seed: int) -> dict[str, Interval]:
    """Share of the baseline's loss that each takes away; Bonferroni over them."""
    if not fitted:
        return {}
    sums = [base.sum_B, *(errors.sum_B for errors in fitted.values())]
    found = bootstrap(
        np.column_stack(sums),
        lambda total: 1 - total[:, 1:] / np.maximum(total[:, :1], 1e-300),
        stream(seed, "audit", "gain"),
        level=1 - (1 - LEVEL) / len(fitted),
    )
    return dict(zip(fitted, found, strict=True))


def smallest_visible(unperturbed: Errors, perturbed: Sequence[Errors]) -> float:
    """The smallest gain that would have been seen with probability .8, as a share of the loss.

    With ``z = z_{1 - a / 2} + z_.8`` the larger of two numbers: ``z`` standard errors of the gains that were measured;
    and ``4 z^2 / n`` for ``n`` scored entries. A predictor that gains the share ``g`` of the loss ``L`` shifts
    predictions by ``d`` of mean square ``g L``, and its gain, the mean of ``2 e d - d^2`` with residuals ``e`` of
    variance ``L``, has the standard error ``2 L sqrt(g / n)``: seen where ``g L > z 2 L sqrt(g / n)``. The second
    number matters where a predictor was shrunk to ignoring its inputs, so that its gain is 0 without error.

    Parameters
    ----------
    unperturbed : Errors
    perturbed : sequence of Errors
        On the same pairs; the level is divided among them. None give infinity.
    """
    if not perturbed:
        return float("inf")
    normal = NormalDist()
    z = normal.inv_cdf(1 - (1 - LEVEL) / len(perturbed) / 2) + normal.inv_cdf(POWER)
    total = unperturbed.sum_B.sum()
    errors = [0.0]
    for one in perturbed:
        gained_P = unperturbed.sum_B - one.sum_B
        errors.append(float(np.sqrt(((gained_P - gained_P.sum() / total * unperturbed.sum_B) ** 2).sum()) / total))
    return max(z * max(errors), 4 * z**2 / float(unperturbed.n_B.sum()))


def _linear(cells: InMemoryCells, training: PairBatch, held_out: PairBatch) -> tuple[dict[str, Errors], str]:
    """Errors of each linear predictor, and what was left out; genes that it cannot use are left to the mean."""
    held, n_all = cells.held, len(cells.vocab)
    scored_G = training.scored_BG.any(axis=0)
    varies_G = scored_G & _varies(cells)
    complete_G = varies_G & held.index.measured_SG[np.unique(held.index.set_B)].all(axis=0)
    fitted: dict[str, Errors] = {}
    summary: list[str] = []
    if varies_G.sum() < 2:
        return fitted, f"{int(varies_G.sum())} of {n_all} genes vary: no linear predictor is fitted"
    law_G, ridge_G = np.flatnonzero(complete_G), np.flatnonzero(varies_G)
    if len(law_G) >= 2:
        known = cells.genes([held.vocab.feature_id[token] for token in law_G])
        law = PairLinearPredictor.fit(_typed(known).dense())
        kept = held_out.genes(law_G)
        nothing = Perturbation(
            perturbed_BG=np.zeros(kept.perturbed_BG.shape, dtype=np.bool_),
            target_BG=np.zeros(kept.before_BG.shape, dtype=np.float32),
        )
        fitted[BEFORE_ALONE] = _whole(law.predict(control_of(kept), nothing), held_out, law_G, training)
        fitted["linear, before and perturbed"] = _whole(predictions(law, kept), held_out, law_G, training)
    if len(law_G) < n_all:
        summary.append(f"the linear law leaves {n_all - len(law_G)} of {n_all} genes at the mean")
    if 16 * len(training) * float(len(ridge_G)) ** 3 <= MOST_RIDGE_WORK:
        ridge = RidgePredictor.fit(training.genes(ridge_G))
        predicted_PG = predictions(ridge, held_out.genes(ridge_G))
        fitted["ridge, before and perturbed"] = _whole(predicted_PG, held_out, ridge_G, training)
    else:
        summary.append(f"{len(ridge_G)} genes are too many for ridge here")
    return fitted, "; ".join(summary)


def _whole(
    predicted_PG: NDArray[np.float32],
    held_out: PairBatch,
    token_G: NDArray[np.int64],
    training: PairBatch,
) -> Errors:
    """Errors over all genes: of some as predicted, of the others those of the training pairs' mean."""
    all_PG = predictions(MeanPredictor.fit(training), held_out).copy()
    all_PG[:, token_G] = predicted_PG
    return errors_of(all_PG, held_out)


def _varies(cells: InMemoryCells) -> NDArray[np.bool_]:
    """Genes that vary within cell types; within all cells where types are not known."""
    typed = _typed(cells)
    code_B = typed.index.labels("cell_type").code_B
    value_BG = typed.value_BG.toarray().astype(np.float64)
    n_of_type = np.maximum(np.bincount(code_B), 1)
    is_of_type = (np.arange(len(n_of_type))[:, None] == code_B).astype(np.float64)
    residual_BG = value_BG - ((is_of_type @ value_BG) / n_of_type[:, None])[code_B]
    return np.sqrt((residual_BG**2).mean(axis=0)) > 1e-5


def _typed(cells: InMemoryCells) -> SparseCells:
    """The cells with a type: one for all where the source gives none."""
    index = cells.index
    if "cell_type" in index.covariates:
        return cells.held
    one = Labels(names=np.array(["all"]), code_B=np.zeros(len(index), dtype=np.int32))
    return SparseCells(
        index=replace(index, covariates={**index.covariates, "cell_type": one}),
        value_BG=cells.held.value_BG,
    )
