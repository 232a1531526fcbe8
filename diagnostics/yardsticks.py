"""What ``diagnostics`` offers to ``gpcp``'s commands: the levels beside a loss, and the learning-rate ladder.

No dimension key: nothing here is an array.

To import this module is to register it; see :mod:`gpcp.offers`.
"""

from typing import Any

from diagnostics.checks.ladder import climbed
from diagnostics.checks.probe import Probe
from diagnostics.fitted_subject import fitted_subject
from diagnostics.loss_baselines import RidgePredictor, loss_baseline, squared_loss
from diagnostics.losses import errors_of
from gpcp.fit_config import FitConfig
from gpcp.model import GenePerturbationTransformer
from gpcp.model_config import ModelConfig
from gpcp.offers import ADVISERS, YARDSTICKS, Exact, RateAdvice
from gpcp.pairs import PairBatch, PairSource

MOST_RIDGE_GENES = 300
"""Ridge inverts a matrix of four times as many rows: more genes would take minutes."""


@YARDSTICKS.register("baseline")
def baseline(sample: PairBatch, held_out: PairBatch, exact: Exact | None) -> float:
    """Loss of the better of the mean change and ``mean - before``."""
    del exact
    return loss_baseline(sample, held_out).loss


@YARDSTICKS.register("ridge")
def ridge(sample: PairBatch, held_out: PairBatch, exact: Exact | None) -> float | None:
    """Loss of ridge on what a model is given; None where a gene is never scored, or of very many genes."""
    del exact
    if len(sample.vocab) > MOST_RIDGE_GENES or not sample.scored_BG.any(axis=0).all():
        return None
    return squared_loss(RidgePredictor.fit(sample), held_out)


@YARDSTICKS.register("Bayes risk")
def bayes_risk(sample: PairBatch, held_out: PairBatch, exact: Exact | None) -> float | None:
    """Loss of the exact answer; None where it is not known."""
    del sample
    if exact is None:
        return None
    answer: Any = exact(held_out)
    return errors_of(answer.mean_BG, held_out).loss


@ADVISERS.register("ladder")
def ladder(model: ModelConfig, fit: FitConfig, pairs: PairSource, seed: int) -> RateAdvice | None:
    """The cascade's learning-rate ladder; None where no rate lowers the loss within its few steps."""
    subject = fitted_subject(GenePerturbationTransformer(model, seed=seed), pairs, fit)
    found = climbed(Probe(subject, seed=seed))
    if not found.learns:
        return None
    losses = {rung.rate: None if rung.errors is None else rung.loss for rung in found.rungs}
    low, high = found.usable
    return RateAdvice(
        losses=losses,
        usable=(low, high),
        suggestion=found.suggestion,
        says=f"the learning-rate ladder ({found.n_steps} steps a rung) suggests {found.suggestion:.2g}; usable "
        f"{low:.2g} .. {high:.2g}",
    )
