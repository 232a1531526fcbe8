"""What packages above offer to commands of gpcp: yardsticks for a loss, and advice on a learning rate.

No dimension key: nothing here is an array.

Who has something to offer is found by :mod:`gpcp.plugins`, in the group ``gpcp.yardsticks``.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, final

from gpcp.fit_config import FitConfig
from gpcp.model_config import ModelConfig
from gpcp.pairs import PairBatch, PairSource
from gpcp.registry import Registry

Exact: TypeAlias = Callable[[PairBatch], Any]
Yardstick: TypeAlias = Callable[[PairBatch, PairBatch, Exact | None], float | None]
"""From training pairs, held-out pairs and the exact answer, where there is one, to a loss on the held-out pairs."""


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
    says : str
    """

    losses: Mapping[float, float | None]
    usable: tuple[float, float]
    suggestion: float
    says: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RateAdvice":
        """The way back from :meth:`to_json`."""
        losses = {float(rate): loss for rate, loss in value["losses"].items()}
        low, high = value["usable"]
        return cls(losses=losses, usable=(low, high), suggestion=value["suggestion"], says=value["says"])

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types."""
        losses = {repr(rate): loss for rate, loss in self.losses.items()}
        return {**asdict(self), "losses": losses, "usable": list(self.usable)}


Adviser: TypeAlias = Callable[[ModelConfig, FitConfig, PairSource, int], RateAdvice | None]
"""From a model, a training, pairs and a seed to advice; None where nothing is to be said."""

YARDSTICKS: Registry[Yardstick] = Registry("yardstick")
"""By the names under which a table shows the losses; ``"baseline"`` knows nothing, ``"Bayes risk"`` all."""

ADVISERS: Registry[Adviser] = Registry("adviser on learning rates")


def levels_of(sample: PairBatch, held_out: PairBatch, exact: Exact | None) -> dict[str, float]:
    """What every yardstick says, where it says something."""
    found = {name: YARDSTICKS[name](sample, held_out, exact) for name in YARDSTICKS}
    return {name: loss for name, loss in found.items() if loss is not None}
