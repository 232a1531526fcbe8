"""``FitConfig``, the settings of a training, and ``FitResult``, its history; both with their JSON."""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

from gpcp.core.errors import InputError, nearest
from gpcp.core.files import write_json
from gpcp.training.loss import OBJECTIVES, PAIR_WEIGHTS, Objective, PairWeight

StopReason = Literal["finished", "early", "diverged"]
Precision = Literal["32-true", "64-true", "bf16-mixed", "bf16-true", "16-mixed"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FitConfig:
    """Settings of :func:`gpcp.training.fit.fit`.

    Parameters
    ----------
    n_steps, batch_size : int
        Updates, and pairs an update.
    learning_rate : float
        Reached linearly over ``warmup_steps``, then lowered along a half cosine to 0.
    warmup_steps : int
    weight_decay, beta2 : float
        Of AdamW.
    gradient_clip : float or None
        Largest norm of the whole gradient.
    pair_weight : "entry" or "pair"
        What the training loss counts alike, see :func:`gpcp.training.loss.loss_terms`. Reported losses count entries.
    evaluate_every, checkpoint_every : int
        Steps between rows of the history, and between checkpoints.
    patience : int or None
        Rows of the history without a better held-out loss after which training stops, with the best weights; None
        trains to the end and keeps the last.
    seed : int
        Decides dropout and, with the number of the epoch, the pairs.
    accelerator, precision : str
        As Lightning Fabric takes them.
    objective : "squared" or "likelihood"
        What training lowers: squared errors of the mean, or the negative log density, for which the model's head
        must give a distribution. Reported losses are squared errors of the mean either way, so that they compare.
    recompute : bool
        Compute what happens within blocks once more for gradients, rather than keep it: less memory, the same numbers,
        up to half more time.

    Raises
    ------
    InputError
        A number is out of range or a name is unknown.
    """

    n_steps: int = 800
    batch_size: int = 128
    learning_rate: float = 1.5e-2
    warmup_steps: int = 100
    weight_decay: float = 0.0
    beta2: float = 0.99
    gradient_clip: float | None = 1.0
    pair_weight: PairWeight = "pair"
    evaluate_every: int = 50
    checkpoint_every: int = 200
    patience: int | None = None
    seed: int = 0
    accelerator: str = "auto"
    precision: Precision = "32-true"
    objective: Objective = "squared"
    recompute: bool = False

    def __post_init__(self) -> None:
        for name in ("n_steps", "batch_size", "evaluate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InputError(f"FitConfig.{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("warmup_steps", "weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"FitConfig.{name} is {getattr(self, name)}: it must be 0 or more")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"FitConfig.learning_rate is {self.learning_rate}: it must be above 0")
        if not 0 < self.beta2 < 1:
            raise InputError(f"FitConfig.beta2 is {self.beta2}: it must be between 0 and 1")
        for name in ("gradient_clip", "patience"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"FitConfig.{name} is {value}: it must be above 0, or None")
        for name, known in (("pair_weight", PAIR_WEIGHTS), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"FitConfig.{name} {getattr(self, name)!r} is unknown; {nearest(getattr(self, name), known)}"
                )

    def learning_rate_at(self, step: int) -> float:
        """The rate of update number ``step``, counted from 0."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.n_steps))

    def lasting(self, n_steps: int) -> "FitConfig":
        """The same over so many steps: a short training still has its warm-up, in the proportion of the default one."""
        return replace(self, n_steps=n_steps, warmup_steps=min(FitConfig().warmup_steps, n_steps // 6))

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types; ``FitConfig(**fields)`` is the way back."""
        return asdict(self)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryRow:
    """Where training stood after ``step`` updates.

    Parameters
    ----------
    step : int
    train_loss : float
        Mean squared error over scored entries, averaged over the batches since the last row.
    held_out_loss : float or None
        The same on the held-out pairs, by the weights as they are; None where there are none.
    learning_rate : float
    """

    step: int
    train_loss: float
    held_out_loss: float | None
    learning_rate: float

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types."""
        return asdict(self)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FitResult:
    """What training leaves beside the model.

    Parameters
    ----------
    history : tuple of HistoryRow
    stopped : "finished", "early" or "diverged"
        All steps done; no better held-out loss for a while; the loss was no longer finite.
    n_steps : int
        Updates done.
    """

    history: tuple[HistoryRow, ...]
    stopped: StopReason
    n_steps: int

    def save(self, path: Path) -> None:
        """Write the history as JSON, atomically; a loss that is not finite becomes null."""
        rows = [row.to_json() for row in self.history]
        write_json(path, {"stopped": self.stopped, "n_steps": self.n_steps, "history": rows})
