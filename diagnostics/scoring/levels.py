"""Reference losses on held-out pairs: input-free baselines, linear predictors, the Bayes risk, and the way between."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from diagnostics.scoring.baselines import MeanDeltaPredictor, MeanPredictor, RidgePredictor
from diagnostics.scoring.errors import Errors, errors_of, losses_of
from gpcp.core.html import html_table
from gpcp.core.pairs import PairBatch
from gpcp.core.skill import skill
from simulators.exact.bayes import BayesAnswer

MOST_RIDGE_GENES = 300
"""Ridge inverts a matrix of four times as many rows: more genes would take minutes."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ExactLoss:
    """Loss of the exact answer on some pairs, and what Monte Carlo adds to it.

    Parameters
    ----------
    errors : Errors
        Squared errors of the exact answer as it was computed.
    simulation : Errors or None
        Squares of its standard errors, whose mean is what Monte Carlo adds to the loss; None in closed form.
    """

    errors: Errors
    simulation: Errors | None

    @property
    def noise(self) -> float:
        """Mean square of the answer's standard error over the scored entries; 0 in closed form."""
        return 0.0 if self.simulation is None else self.simulation.loss

    @property
    def risk(self) -> float:
        """The loss without the error of the simulation."""
        return self.errors.loss - self.noise

    def first(self, n: int) -> "ExactLoss":
        """The same on the first ``n`` pairs."""
        return ExactLoss(
            errors=self.errors.first(n), simulation=None if self.simulation is None else self.simulation.first(n)
        )


def exact_loss(answer: BayesAnswer, pairs: PairBatch) -> ExactLoss:
    """Loss of the exact answer to some pairs."""
    scored_BG = pairs.scored_BG
    square_BG = np.where(scored_BG, answer.standard_error_BG, 0.0) ** 2
    simulation = Errors(sum_B=square_BG.sum(axis=1), n_B=scored_BG.sum(axis=1).astype(np.int64))
    return ExactLoss(errors=errors_of(answer.mean_BG, pairs), simulation=simulation if square_BG.any() else None)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Levels:
    """Losses on the same held-out pairs that a model's loss is read against.

    Parameters
    ----------
    mean_delta, mean : Errors
        Of the mean change and of ``mean - before``, which both ignore the input.
    ridge : Errors or None
        Of ridge regression; None where a gene is never scored or there are more than :data:`MOST_RIDGE_GENES`.
    exact : ExactLoss or None
        None where the world is not known.
    type_mean, linear : Errors or None
        Of real cells: of ``mean of the cell type - before``, which ignores the rest of the input, and of the linear
        predictor from the covariances of the training cells.
    """

    mean_delta: Errors
    mean: Errors
    ridge: Errors | None
    exact: ExactLoss | None
    type_mean: Errors | None = None
    linear: Errors | None = None

    @property
    def baseline(self) -> float:
        """The lowest of the input-free losses."""
        return min(self._input_free().values())

    @property
    def baseline_name(self) -> str:
        """``"mean delta"``, ``"mean - x"`` or ``"mean of the type - x"``, whichever is lowest."""
        losses = self._input_free()
        return min(losses, key=lambda name: losses[name])

    def _input_free(self) -> dict[str, float]:
        losses = {"mean delta": self.mean_delta.loss, "mean - x": self.mean.loss}
        return losses if self.type_mean is None else losses | {"mean of the type - x": self.type_mean.loss}

    @property
    def reference(self) -> float | None:
        """The lower loss of ridge and the linear predictor; None where neither was fitted."""
        return min((one.loss for one in (self.ridge, self.linear) if one is not None), default=None)

    @property
    def reference_name(self) -> str:
        """``"ridge"``, or ``"best linear"`` where there is another to be better than."""
        return "ridge" if self.linear is None else "best linear"

    @property
    def bayes_risk(self) -> float | None:
        """Loss of the exact answer without the error of its simulation; None where the world is not known."""
        return None if self.exact is None else self.exact.risk

    @property
    def bayes_is_exact(self) -> bool:
        """Whether the exact answer is known, and in closed form."""
        return self.exact is not None and self.exact.simulation is None

    @property
    def best(self) -> float | None:
        """The Bayes risk where it is known, else :attr:`reference`."""
        return self.reference if self.exact is None else self.exact.risk

    def skill(self, loss: float | None) -> float | None:
        """0 at the baseline, 1 at the Bayes risk; None where nothing can be learnt (:mod:`gpcp.core.skill`)."""
        return skill(loss, baseline=self.baseline, best=self.bayes_risk)

    def share_of_linear(self, loss: float | None) -> float | None:
        """Where no Bayes risk is known: 0 at the baseline, 1 at :attr:`reference`, which a model can pass."""
        return None if self.exact is not None else skill(loss, baseline=self.baseline, best=self.reference)

    def of_way(self, loss: float | None) -> float | None:
        """Share of the way from the baseline to :attr:`best`: skill, or the share of the way to the best linear one."""
        return skill(loss, baseline=self.baseline, best=self.best)

    def won(self, before: float | None, after: float | None) -> float | None:
        """By how much the second loss is further on that way than the first; None where either has no place on it."""
        if before is None or after is None or self.best is None or self.of_way(before) is None:
            return None
        return (before - after) / (self.baseline - self.best)

    def first(self, n: int) -> "Levels":
        """The levels on the first ``n`` pairs."""
        return Levels(
            mean_delta=self.mean_delta.first(n),
            mean=self.mean.first(n),
            ridge=None if self.ridge is None else self.ridge.first(n),
            exact=None if self.exact is None else self.exact.first(n),
            type_mean=None if self.type_mean is None else self.type_mean.first(n),
            linear=None if self.linear is None else self.linear.first(n),
        )

    def named(self) -> dict[str, float]:
        """The losses that are known, as they are shown: ``baseline``, ``ridge`` or ``best linear``, ``Bayes risk``."""
        losses = {"baseline": self.baseline, self.reference_name: self.reference, "Bayes risk": self.bayes_risk}
        return {name: loss for name, loss in losses.items() if loss is not None}

    def _repr_html_(self) -> str:
        return html_table("Levels: losses on the same held-out pairs", list(self.named().items()))

    def to_json(self) -> dict[str, Any]:
        """Baseline, reference and Bayes risk as JSON's types."""
        return {
            "baseline": self.baseline,
            "baseline_name": self.baseline_name,
            "reference": self.reference,
            "bayes_risk": self.bayes_risk,
            "bayes_is_exact": self.bayes_is_exact,
        }


def levels_of(
    sample: PairBatch, held_out: PairBatch, *, exact: BayesAnswer | None = None, ridge_on: PairBatch | None
) -> Levels:
    """Measure the reference losses.

    Parameters
    ----------
    sample : PairBatch
        Training pairs, which the baselines take their means from.
    held_out : PairBatch
        Pairs that every loss is measured on.
    exact : BayesAnswer, optional
        The exact answer to ``held_out``.
    ridge_on : PairBatch or None
        Pairs that ridge is fitted on; None leaves it out.
    """
    return Levels(
        mean_delta=losses_of(MeanDeltaPredictor.fit(sample), held_out),
        mean=losses_of(MeanPredictor.fit(sample), held_out),
        ridge=None if ridge_on is None else _ridge(ridge_on, held_out),
        exact=None if exact is None else exact_loss(exact, held_out),
    )


def _ridge(sample: PairBatch, held_out: PairBatch) -> Errors | None:
    if len(sample.vocab) > MOST_RIDGE_GENES or not sample.scored_BG.any(axis=0).all():
        return None
    return losses_of(RidgePredictor.fit(sample), held_out)
