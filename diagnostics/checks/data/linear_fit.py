"""The linear reference of the checks: ridge, and ridge with squares, compared with an input-free baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.engine.cell_ids import names_of, sides_of
from diagnostics.checks.engine.gains import Cells, Gain, gain_of, ratio_of
from diagnostics.checks.engine.probe import Probe
from diagnostics.scoring.baselines import MeanDeltaPredictor, MeanPredictor, applied_features
from diagnostics.scoring.errors import Errors, losses_of
from diagnostics.scoring.ridge import fit_ridge
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Perturbation, Predictor, control_of, perturbation_of

MOST_GENES = 40
"""Ridge takes (4 G)^2 multiplications a scored entry: of larger vocabularies a part is used."""

FEWEST_SCORED = 5
"""Pairs that must score a gene, in training and in evaluation, for it to be evaluated."""

N_JUDGED = 1_000
JUDGED_ENTRIES = 200_000
"""Held-out pairs, and entries (pairs x genes), on which a model or the exact answer is evaluated; at least 50."""

MEAN, CHANGE = "mean - x", "mean change"
"""The two input-free baselines: every cell ends at the mean; every cell changes by the mean change."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """The genes of a linear fit.

    Parameters
    ----------
    token_G : int64, (G,)
        In the vocabulary of the pairs: perturbed or scored.
    evaluated_G : bool, (G,)
        Scored in enough pairs to be evaluated. A gene that is always perturbed remains an input.
    """

    token_G: NDArray[np.int64]
    evaluated_G: NDArray[np.bool_]

    def of(self, pairs: PairBatch) -> PairBatch:
        """The pairs with these genes; entries of a gene that is not evaluated count as unmeasured."""
        part = pairs.genes(self.token_G)
        hidden_BG = part.scored_BG & ~self.evaluated_G
        if not hidden_BG.any():
            return part
        return replace(
            part,
            measured_BG=part.measured_BG & ~hidden_BG,
            before_BG=np.where(hidden_BG, np.float32(0), part.before_BG),
            after_BG=np.where(hidden_BG, np.float32(0), part.after_BG),
        )


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearFit:
    """The better of ridge and ridge with squares, fitted on training pairs, and its errors on unseen ones.

    Parameters
    ----------
    predictor : Predictor
    name : str
        ``"ridge"`` or ``"ridge with squares"``.
    part : Part
        Its genes.
    sample, held_out : PairBatch
        Of these genes.
    cells : Codes, Codes
        The held-out pairs' cells.
    nothing : Predictor
        The better of the mean and the mean change on the held-out pairs.
    nothing_name : str
        ``"mean - x"`` or ``"mean change"``.
    baseline : Errors
        Its errors there.
    free : float
        R2 of the change by ``mean - x``: 1/2 for independent cells, without anything learnt; negative where cells are
        alike.
    errors : Errors
        Of the predictor.
    """

    predictor: Predictor
    name: str
    part: Part
    sample: PairBatch
    held_out: PairBatch
    cells: Cells
    nothing: Predictor
    baseline_name: str
    baseline: Errors
    free: float
    errors: Errors

    @property
    def gain(self) -> Gain:
        """Reduction of the input-free baseline's loss by the predictor."""
        return self.without(self.baseline)

    def without(self, worse: Errors) -> Gain:
        """Reduction of another loss on the same pairs, as a fraction of the input-free baseline's loss."""
        return gain_of(worse, self.errors, self.baseline.loss, self.cells)

    def predicted(self, perturbed: Perturbation | None = None) -> NDArray[np.float32]:
        """Its predictions for the held-out pairs, (B, G), given another perturbation."""
        return self.predictor.predict(
            control_of(self.held_out), perturbation_of(self.held_out) if perturbed is None else perturbed
        )

    def rise_if(self, perturbed: Sequence[Perturbation]) -> Gain | None:
        """Increase of the loss given another perturbation, as a fraction of the baseline's loss; see :func:`rise`.

        The mean over several draws: one draw alone adds its own chance.
        """
        others = [self.predicted(one) for one in perturbed]
        return rise(self.held_out, perturbed, self.predicted(), others, self.baseline.loss, self.cells)


def rise(
    pairs: PairBatch, perturbed: Sequence[Perturbation], answer_BG: NDArray[np.floating],
    others: Sequence[NDArray[np.floating]], baseline: float, cells: Cells,
) -> Gain | None:  # fmt: skip
    """Increase of the loss from one set of predictions to others, over the entries that are perturbed in neither.

    The prediction for a perturbed gene is never scored, so that it may be anything; None where no entry is left.
    """
    usual_BG = (answer_BG - pairs.after_BG).astype(np.float64) ** 2
    worse_B, n_B = np.zeros(len(pairs)), np.zeros(len(pairs))
    for one, other_BG in zip(perturbed, others, strict=True):
        both_BG = pairs.scored_BG & ~one.targets_BG
        n_B += both_BG.sum(axis=1)
        worse_BG = (other_BG - pairs.after_BG).astype(np.float64) ** 2
        worse_B += np.where(both_BG, worse_BG - usual_BG, 0).sum(axis=1)
    return ratio_of(worse_B, n_B * baseline, cells) if n_B.any() else None


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RidgeOfPart:
    """Ridge on a model's inputs: before, which genes are perturbed, their values after, and their values before.

    Parameters
    ----------
    vocab : GeneVocab
    mean_G : float64, (G,)
        Before, for unmeasured genes.
    bent : bool
        With the squares of the deviation before, of the value after and of the change: a response to a dose may turn
        back.
    coefficient_FG : float64, (F, G)
    intercept_G : float64, (G,)
        0 at genes that no pair scores.
    """

    vocab: GeneVocab
    mean_G: NDArray[np.float64]
    bent: bool
    coefficient_FG: NDArray[np.float64]
    intercept_G: NDArray[np.float64]

    @classmethod
    def fitted(cls, pairs: PairBatch, *, bent: bool = False) -> "RidgeOfPart":
        """Each gene on the pairs that score it; penalties by generalised cross-validation."""
        measured_BG, scored_G = pairs.measured_BG, pairs.scored_BG.any(axis=0)
        sum_G = np.where(measured_BG, pairs.before_BG, 0).sum(axis=0, dtype=np.float64)
        mean_G = sum_G / np.maximum(measured_BG.sum(axis=0), 1)
        feature_BF = _features(control_of(pairs), perturbation_of(pairs), mean_G, bent=bent)
        fit = fit_ridge(feature_BF, pairs.after_BG[:, scored_G], pairs.scored_BG[:, scored_G])
        coefficient_FG = np.zeros((feature_BF.shape[1], len(pairs.vocab)))
        intercept_G = np.zeros(len(pairs.vocab))
        coefficient_FG[:, scored_G], intercept_G[scored_G] = fit.coefficient_FY, fit.intercept_Y
        return cls(vocab=pairs.vocab, mean_G=mean_G, bent=bent, coefficient_FG=coefficient_FG, intercept_G=intercept_G)

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        """Expected expression, float32 (B, G)."""
        del covariates
        feature_BF = _features(control_BG, perturbation, self.mean_G, bent=self.bent)
        return (feature_BF @ self.coefficient_FG + self.intercept_G).astype(np.float32)


def _features(
    control_BG: NDArray[np.float32], perturbation: Perturbation, mean_G: NDArray[np.float64], *, bent: bool
) -> NDArray[np.float64]:
    before_BG = np.where(np.isnan(control_BG), mean_G, control_BG).astype(np.float64)
    if perturbation.applied is not None:
        one_and_dose = applied_features(perturbation.applied)
        bend = ((before_BG - mean_G) ** 2,) if bent else ()
        return np.hstack((before_BG, *one_and_dose, *bend))
    perturbed_BG, target_BG = perturbation.perturbed_BG, perturbation.target_BG.astype(np.float64)
    straight = (before_BG, perturbed_BG.astype(np.float64), target_BG, perturbed_BG * before_BG)
    if not bent:
        return np.hstack(straight)
    delta_BG = np.where(perturbed_BG, target_BG - before_BG, 0.0)
    return np.hstack((*straight, (before_BG - mean_G) ** 2, target_BG**2, delta_BG**2))


def features_of(pairs: PairBatch) -> NDArray[np.float64]:
    """What ridge is given of some pairs, (B, features)."""
    n_G = np.maximum(pairs.measured_BG.sum(axis=0), 1)
    mean_G = np.where(pairs.measured_BG, pairs.before_BG, 0).sum(axis=0, dtype=np.float64) / n_G
    return _features(control_of(pairs), perturbation_of(pairs), mean_G, bent=False)


def judged_pairs(probe: Probe) -> PairBatch:
    """The first held-out pairs, of all genes: what costs more than a linear fit is evaluated on fewer pairs."""
    n_pairs = max(50, min(N_JUDGED, JUDGED_ENTRIES // len(probe.vocab)))
    return sides_of(probe).held_out(probe.held_out).rows(slice(0, n_pairs))


def linear_fit(probe: Probe) -> LinearFit | None:
    """The fit that the checks of one subject share; None where too few pairs score anything.

    Where one source serves for training and for judging and gives the same cells again, cells are split.
    """
    return probe.once("linear fit", _fitted)


def _fitted(probe: Probe) -> LinearFit | None:
    sides = sides_of(probe)
    sample, held_out = sides.training(probe.sample), sides.held_out(probe.held_out)
    part = part_of(probe, sample, held_out)
    if part is None:
        return None
    sample, held_out = part.of(sample), part.of(held_out)
    nothing: dict[str, Predictor] = {MEAN: MeanPredictor.fit(sample), CHANGE: MeanDeltaPredictor.fit(sample)}
    baselines = {name: losses_of(predictor, held_out) for name, predictor in nothing.items()}
    name = min(baselines, key=lambda name: baselines[name].loss)
    ridge = RidgeOfPart.fitted(sample)
    fit = LinearFit(
        predictor=ridge,
        name="ridge",
        part=part,
        sample=sample,
        held_out=held_out,
        cells=names_of(probe).codes(held_out),
        nothing=nothing[name],
        baseline_name=name,
        baseline=baselines[name],
        free=1 - baselines[MEAN].loss / baselines[CHANGE].loss if baselines[CHANGE].loss > 0 else 0.0,
        errors=losses_of(ridge, held_out),
    )
    # Squares are tried only where a straight line finds nothing: they cost, and add noise where it finds something.
    return fit if fit.gain.clear else _with_squares_if_better(fit)


def _with_squares_if_better(fit: LinearFit) -> LinearFit:
    bent = RidgeOfPart.fitted(fit.sample, bent=True)
    errors = losses_of(bent, fit.held_out)
    if errors.loss >= fit.errors.loss:
        return fit
    return replace(fit, predictor=bent, name="ridge with squares", errors=errors)


def part_of(probe: Probe, sample: PairBatch, held_out: PairBatch) -> Part | None:
    """All genes that are perturbed or scored; of many, the most often perturbed and scored, half and half."""
    perturbed_G = sample.perturbed_BG.sum(axis=0)
    n_G = np.minimum(sample.scored_BG.sum(axis=0), held_out.scored_BG.sum(axis=0))
    chosen_G = (perturbed_G > 0) | (n_G >= FEWEST_SCORED)
    if chosen_G.sum() > MOST_GENES:
        # Equal numbers in an order of their own.
        chance_G = probe.rng("part").random(len(chosen_G))
        by_perturbed = np.argsort(-(perturbed_G + chance_G), kind="stable")[: MOST_GENES // 2]
        chosen_G = np.zeros(len(chosen_G), dtype=np.bool_)
        chosen_G[by_perturbed] = True
        by_scored = np.argsort(-(np.where(chosen_G, -1.0, n_G + chance_G)), kind="stable")
        chosen_G[by_scored[: MOST_GENES - len(by_perturbed)]] = True
    token_G = np.flatnonzero(chosen_G).astype(np.int64)
    evaluated_G = n_G[token_G] >= FEWEST_SCORED
    return Part(token_G=token_G, evaluated_G=evaluated_G) if evaluated_G.any() else None
