"""What stands beside a sweep: the losses to compare with, and what a learning-rate range test recommends."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, final

from diagnostics.checks.engine.fitted_subject import fitted_subject
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.learning_rate import run_range_test
from diagnostics.scoring.levels import levels_of
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from simulators.exact.bayes import BayesAnswer

Exact: TypeAlias = Callable[[PairBatch], BayesAnswer]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RateAdvice:
    """What short trainings say of the learning rate.

    Parameters
    ----------
    losses : mapping of float to float or None
        After a few steps at each rate; None where the training blew up.
    usable : (float, float)
        The lowest and the highest rate that win much of what the best one wins.
    suggestion : float
    summary : str
    """

    losses: Mapping[float, float | None]
    usable: tuple[float, float]
    suggestion: float
    summary: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RateAdvice":
        """The way back from :meth:`to_json`."""
        losses = {float(rate): loss for rate, loss in value["losses"].items()}
        low, high = value["usable"]
        return cls(losses=losses, usable=(low, high), suggestion=value["suggestion"], summary=value["summary"])

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types."""
        losses = {repr(rate): loss for rate, loss in self.losses.items()}
        return {**asdict(self), "losses": losses, "usable": list(self.usable)}


def named_losses(sample: PairBatch, held_out: PairBatch, exact: Exact | None) -> dict[str, float]:
    """The reference losses on held-out pairs that are known; see :meth:`diagnostics.scoring.levels.Levels.named`."""
    answer = None if exact is None else exact(held_out)
    return levels_of(sample, held_out, exact=answer, ridge_on=sample).named()


def advise(model: ModelConfig, fit: FitConfig, pairs: PairSource, seed: int) -> RateAdvice | None:
    """The checks' learning-rate range test; None where no rate lowers the loss within its few steps."""
    subject = fitted_subject(GenePerturbationTransformer(model, seed=seed), pairs, fit)
    found = run_range_test(Probe(subject, seed=seed))
    if not found.learns:
        return None
    losses = {point.rate: None if point.errors is None else point.loss for point in found.points}
    low, high = found.usable
    return RateAdvice(
        losses=losses,
        usable=(low, high),
        suggestion=found.suggestion,
        summary=f"the learning-rate range test ({found.n_steps} steps a rate) suggests {found.suggestion:.2g}; usable "
        f"{low:.2g} .. {high:.2g}",
    )
