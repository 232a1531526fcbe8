"""Where a model's held-out loss stands: between the baselines that know nothing and the Bayes risk, beside ridge.

Dimension key: ``B`` pairs, ``G`` genes.

All of it on the same held-out pairs, so that differences are paired and *skill* follows from the losses shown.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.baselines import MeanDeltaPredictor, MeanPredictor, RidgePredictor
from diagnostics.scoring.errors import Errors, errors_of, losses_of, predictions
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor
from simulators.exact.bayes import BayesAnswer


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Standing:
    """Errors on the held-out pairs, and the exact answer where there is one.

    Parameters
    ----------
    model, ridge, mean_delta, mean : Errors
    bayes : Errors or None
        Of the exact answer; None where the world is not known.
    bayes_risk, bayes_risk_exact : float or None
        The exact answer's loss on these pairs, and its expectation from the law.
    bayes_is_exact : bool
        In closed form rather than by Monte Carlo.
    answer_spread_ratio : float or None
        Spread of the model's answers within a cell relative to the exact ones.
    """

    model: Errors
    ridge: Errors
    mean_delta: Errors
    mean: Errors
    bayes: Errors | None
    bayes_risk: float | None
    bayes_risk_exact: float | None
    bayes_is_exact: bool
    answer_spread_ratio: float | None

    @property
    def baseline(self) -> float:
        """The better of the two losses that know nothing."""
        return min(self.mean_delta.loss, self.mean.loss)

    @property
    def best(self) -> float:
        """The Bayes risk where it is known, else the loss of ridge."""
        return self.ridge.loss if self.bayes_risk is None else self.bayes_risk

    def skill_of(self, errors: Errors) -> float | None:
        """*Skill* of a loss; None where no Bayes risk is known, or where it is not below the baseline."""
        if self.bayes_risk is None or not self.baseline > self.bayes_risk:
            return None
        return (self.baseline - errors.loss) / (self.baseline - self.bayes_risk)

    def on_first(self, n: int) -> dict[str, float]:
        """Baseline, ridge and, where known, Bayes risk on the first ``n`` pairs, for a curve measured there."""
        found = {
            "baseline": min(self.mean_delta.first(n).loss, self.mean.first(n).loss),
            "ridge": self.ridge.first(n).loss,
        }
        return found if self.bayes is None else found | {"bayes": self.bayes.first(n).loss}

    def fields(self) -> dict[str, Any]:
        """The part of a :class:`diagnostics.results.run_record.RunRecord` that speaks of losses."""
        return {
            "loss": self.model.loss,
            "loss_se": self.model.standard_error,
            "mean_delta_loss": self.mean_delta.loss,
            "mean_loss": self.mean.loss,
            "baseline_loss": self.baseline,
            "ridge_loss": self.ridge.loss,
            "best_linear_loss": None,
            "bayes_risk": self.bayes_risk,
            "bayes_risk_exact": self.bayes_risk_exact,
            "bayes_is_exact": self.bayes_is_exact,
            "leak_z": None if self.bayes is None else self.model.below(self.bayes),
            "skill": self.skill_of(self.model),
            "ridge_skill": self.skill_of(self.ridge),
            "answer_spread_ratio": self.answer_spread_ratio,
        }


def standing_of(
    model: Predictor, *, sample: PairBatch, held_out: PairBatch, exact: BayesAnswer | None = None
) -> Standing:
    """Measure a model, the baselines fitted on ``sample``, and the exact answer to ``held_out`` if it is given."""
    predicted_BG = predictions(model, held_out)
    bayes = None if exact is None else errors_of(exact.mean_BG, held_out)
    return Standing(
        model=errors_of(predicted_BG, held_out),
        ridge=losses_of(RidgePredictor.fit(sample), held_out),
        mean_delta=losses_of(MeanDeltaPredictor.fit(sample), held_out),
        mean=losses_of(MeanPredictor.fit(sample), held_out),
        bayes=bayes,
        bayes_risk=None if exact is None or bayes is None else bayes.loss - _noise_of(exact, held_out.scored_BG),
        bayes_risk_exact=None if exact is None else exact.risk(held_out.scored_BG),
        bayes_is_exact=exact is not None and not exact.standard_error_BG.any(),
        answer_spread_ratio=None if exact is None else _spread_ratio(predicted_BG, exact.mean_BG, held_out.scored_BG),
    )


def _noise_of(exact: BayesAnswer, scored_BG: NDArray[np.bool_]) -> float:
    """What the Monte Carlo error of the exact answer adds to its loss; 0 in closed form."""
    return float((exact.standard_error_BG[scored_BG] ** 2).mean())


def _spread_ratio(
    predicted_BG: NDArray[np.floating], exact_BG: NDArray[np.floating], scored_BG: NDArray[np.bool_]
) -> float | None:
    exact = _spread(exact_BG, scored_BG)
    return _spread(predicted_BG, scored_BG) / exact if exact > 0 else None


def _spread(value_BG: NDArray[np.floating], scored_BG: NDArray[np.bool_]) -> float:
    """Root mean variance of the values at a pair's scored genes."""
    value_BG = np.where(scored_BG, value_BG, 0).astype(np.float64)
    n_B1 = np.maximum(scored_BG.sum(axis=1, keepdims=True), 1)
    centred_BG = np.where(scored_BG, value_BG - value_BG.sum(axis=1, keepdims=True) / n_B1, 0)
    return float(np.sqrt((centred_BG**2).sum() / scored_BG.sum()))
