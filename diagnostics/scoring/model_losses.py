"""A model's held-out loss beside the reference losses on the same pairs."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.scoring.errors import Errors, errors_of, predictions
from diagnostics.scoring.levels import Levels
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor
from simulators.exact.bayes import BayesAnswer


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ModelLosses:
    """A model's errors on held-out pairs, and the levels to read them against.

    Parameters
    ----------
    model : Errors
    levels : Levels
    bayes_risk_expected : float or None
        What the law expects of the exact answer's loss; None where the world is not known.
    answer_spread_ratio : float or None
        Spread of the model's answers within a cell relative to the exact ones.
    """

    model: Errors
    levels: Levels
    bayes_risk_expected: float | None
    answer_spread_ratio: float | None

    def fields(self) -> dict[str, Any]:
        """The fields of a :class:`diagnostics.results.run_record.RunRecord` about losses."""
        levels = self.levels
        return {
            "loss": self.model.loss,
            "loss_se": self.model.standard_error,
            "mean_delta_loss": levels.mean_delta.loss,
            "mean_loss": levels.mean.loss,
            "baseline_loss": levels.baseline,
            "ridge_loss": None if levels.ridge is None else levels.ridge.loss,
            "best_linear_loss": None if levels.linear is None else levels.reference,
            "bayes_risk": levels.bayes_risk,
            "bayes_risk_exact": self.bayes_risk_expected,
            "bayes_is_exact": levels.bayes_is_exact,
            "leak_z": None if levels.exact is None else self.model.below(levels.exact.errors),
            "skill": levels.skill(self.model.loss),
            "ridge_skill": None if levels.ridge is None else levels.skill(levels.ridge.loss),
            "answer_spread_ratio": self.answer_spread_ratio,
        }


def model_losses(
    model: Predictor, held_out: PairBatch, levels: Levels, *, exact: BayesAnswer | None = None
) -> ModelLosses:
    """Measure a model, beside the levels on the same pairs and the exact answer to them if it is given."""
    predicted_BG = predictions(model, held_out)
    return ModelLosses(
        model=errors_of(predicted_BG, held_out),
        levels=levels,
        bayes_risk_expected=None if exact is None else exact.risk(held_out.scored_BG),
        answer_spread_ratio=None if exact is None else _spread_ratio(predicted_BG, exact.mean_BG, held_out.scored_BG),
    )


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
