"""What a statistician would learn from the pairs: ridge, and ridge on bent features, held against knowing nothing.

Dimension key: ``B`` pairs, ``G`` genes of the vocabulary or of a part of it, ``F`` features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.cell_names import names_of, sides_of
from diagnostics.checks.gains import Cells, Gain, gain_of
from diagnostics.checks.probe import Probe
from diagnostics.loss_baselines import MeanDeltaPredictor, MeanPredictor, RidgePredictor
from diagnostics.losses import Errors, errors_of, losses_of
from diagnostics.ridge import RidgeFit, fit_ridge
from gpcp.genes import GeneVocab
from gpcp.pairs import PairBatch
from gpcp.predictors import Perturbation, Predictor, control_of, perturbation_of

MOST_GENES = 40
"""Ridge takes (4 G)^2 multiplications a scored entry: of larger vocabularies a random part is asked."""

FEWEST_SCORED = 5
"""Pairs that must score a gene, on either side, for it to take part."""


N_JUDGED = 1_000
JUDGED_ENTRIES = 200_000
"""Held-out pairs, and entries (pairs x genes), of which a model or the exact answer is asked; 50 pairs at least."""

MEAN, CHANGE = "mean - x", "mean change"
"""The two answers of who knows nothing: every cell ends at the mean; every cell changes by the mean change."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearFit:
    """The better of ridge and bent ridge, fitted on training pairs, and its errors on unseen ones.

    Parameters
    ----------
    predictor : Predictor
    name : str
        ``"ridge"`` or ``"ridge with squares"``.
    token_G : int64, (G,)
        The genes asked, in the vocabulary of the pairs.
    sample, held_out : PairBatch
        Of the genes asked.
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
    token_G: NDArray[np.int64]
    sample: PairBatch
    held_out: PairBatch
    cells: Cells
    nothing: Predictor
    nothing_name: str
    baseline: Errors
    free: float
    errors: Errors

    @property
    def gain(self) -> Gain:
        """What the predictor takes off the loss of knowing nothing."""
        return self.without(self.baseline)

    def without(self, worse: Errors) -> Gain:
        """What the predictor takes off another loss on the same pairs, as a share of that of knowing nothing."""
        return gain_of(worse, self.errors, self.baseline.loss, self.cells)

    def errors_if(self, told: Perturbation) -> Errors:
        """The predictor's errors on the held-out pairs if something else were told."""
        return errors_of(self.predictor.predict(control_of(self.held_out), told), self.held_out)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BentPredictor:
    """Ridge on each gene's value before and told change, and their squares: what a dose does may have a middle.

    Parameters
    ----------
    vocab : GeneVocab
    mean_G : float64, (G,)
        Before, for unmeasured genes.
    fit : RidgeFit
    """

    vocab: GeneVocab
    mean_G: NDArray[np.float64]
    fit: RidgeFit

    @classmethod
    def fitted(cls, pairs: PairBatch) -> "BentPredictor":
        """On the pairs that score each gene; every gene is scored by one."""
        measured_BG = pairs.measured_BG
        sum_G = np.where(measured_BG, pairs.before_BG, 0).sum(axis=0, dtype=np.float64)
        mean_G = sum_G / np.maximum(measured_BG.sum(axis=0), 1)
        feature_BF = _bent(control_of(pairs), perturbation_of(pairs), mean_G)
        return cls(vocab=pairs.vocab, mean_G=mean_G, fit=fit_ridge(feature_BF, pairs.after_BG, pairs.scored_BG))

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        """Expected expression, float32 (B, G)."""
        del covariates
        feature_BF = _bent(control_BG, perturbation, self.mean_G)
        return (feature_BF @ self.fit.coefficient_FY + self.fit.intercept_Y).astype(np.float32)


def _bent(
    control_BG: NDArray[np.float32], perturbation: Perturbation, mean_G: NDArray[np.float64]
) -> NDArray[np.float64]:
    before_BG = np.where(np.isnan(control_BG), mean_G, control_BG).astype(np.float64)
    told_BG = perturbation.perturbed_BG
    # Unlike told x value and told x before apart, the change alone is centred where doses are: its square is a new
    # direction.
    delta_BG = np.where(told_BG, perturbation.target_BG - before_BG, 0.0)
    target_BG = perturbation.target_BG.astype(np.float64)
    squares = ((before_BG - mean_G) ** 2, target_BG**2, delta_BG**2)
    return np.hstack((before_BG, told_BG.astype(np.float64), target_BG, delta_BG, *squares))


def some_genes(pairs: PairBatch, token_G: NDArray[np.int64]) -> PairBatch:
    """The pairs with some of their genes; what is told of others is lost."""
    if len(token_G) == len(pairs.vocab):
        return pairs
    return PairBatch(
        vocab=GeneVocab(feature_id=pairs.vocab.genes(token_G)),
        before_BG=pairs.before_BG[:, token_G],
        after_BG=pairs.after_BG[:, token_G],
        measured_BG=pairs.measured_BG[:, token_G],
        perturbed_BG=pairs.perturbed_BG[:, token_G],
        before_id_B=pairs.before_id_B,
        after_id_B=pairs.after_id_B,
    )


def judged_pairs(probe: Probe) -> PairBatch:
    """The first held-out pairs, of all genes: what costs more than a linear fit is asked of fewer pairs."""
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
    token_G = _asked_genes(probe, sample, held_out)
    if not len(token_G):
        return None
    sample, held_out = some_genes(sample, token_G), some_genes(held_out, token_G)
    nothing: dict[str, Predictor] = {
        MEAN: MeanPredictor.fit(sample),
        CHANGE: MeanDeltaPredictor.fit(sample),
    }
    baselines = {name: losses_of(predictor, held_out) for name, predictor in nothing.items()}
    name = min(baselines, key=lambda name: baselines[name].loss)
    ridge = RidgePredictor.fit(sample)
    fit = LinearFit(
        predictor=ridge,
        name="ridge",
        token_G=token_G,
        sample=sample,
        held_out=held_out,
        cells=names_of(probe).codes(held_out),
        nothing=nothing[name],
        nothing_name=name,
        baseline=baselines[name],
        free=1 - baselines[MEAN].loss / baselines[CHANGE].loss if baselines[CHANGE].loss > 0 else 0.0,
        errors=losses_of(ridge, held_out),
    )
    # Squares are tried only where a straight line finds nothing: they cost, and add noise where it finds something.
    return fit if fit.gain.clear else _bent_if_better(fit)


def _bent_if_better(fit: LinearFit) -> LinearFit:
    bent = BentPredictor.fitted(fit.sample)
    errors = losses_of(bent, fit.held_out)
    if errors.loss >= fit.errors.loss:
        return fit
    return replace(fit, predictor=bent, name="ridge with squares", errors=errors)


def _asked_genes(probe: Probe, sample: PairBatch, held_out: PairBatch) -> NDArray[np.int64]:
    """Genes that are scored often enough on both sides; of many, those that are told most often, then any."""
    n_G = np.minimum(sample.scored_BG.sum(axis=0), held_out.scored_BG.sum(axis=0))
    token_G = np.flatnonzero(n_G >= FEWEST_SCORED).astype(np.int64)
    if len(token_G) <= MOST_GENES:
        return token_G
    # A part in which nothing is told would show no perturbation.
    told_G = sample.perturbed_BG[:, token_G].sum(axis=0) + probe.rng("part").random(len(token_G))
    return np.sort(token_G[np.argsort(-told_G, kind="stable")[:MOST_GENES]])
