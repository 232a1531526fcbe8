"""One configuration trained once, from one seed: the unit of sweeps, comparisons and learning curves.

The seed decides the initial weights, dropout and, with the number of the epoch, the pairs. Two configurations with the
same seed therefore see the same pairs in the same order, where their batches are of the same size: their losses are
*paired*, and the luck of the draw cancels in the difference.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, final

from gpcp.core.pairs import PairBatch, PairSource
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig, HistoryRow
from gpcp.training.fit import fit, mean_loss


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Replicate:
    """What one training came to.

    Parameters
    ----------
    seed : int
    loss : float or None
        Mean squared error over the scored entries of the held-out pairs; None where the training diverged, so that
        the loss is no number.
    n_steps : int
        Updates done.
    n_parameters : int
        Numbers learnt.
    seconds : float
        Of wall time.
    history : tuple of HistoryRow
    """

    seed: int
    loss: float | None
    n_steps: int
    n_parameters: int
    seconds: float
    history: tuple[HistoryRow, ...]

    @property
    def diverged(self) -> bool:
        """Whether the loss was no longer finite."""
        return self.loss is None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types, without the history; ``Replicate(**fields, history=())`` is the way back."""
        fields = asdict(self)
        del fields["history"]
        return fields


def replicate(
    model_config: ModelConfig,
    fit_config: FitConfig,
    pairs: PairSource,
    held_out: PairBatch,
    *,
    seed: int,
    validation: PairBatch | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> tuple[GenePerturbationTransformer, Replicate]:
    """Train a new model from a seed and measure it on held-out pairs.

    Parameters
    ----------
    model_config : ModelConfig
    fit_config : FitConfig
        Its own seed is not used.
    pairs : PairSource
    held_out : PairBatch
        Must hold no pair of the training; the loss at the end is measured on all of them.
    seed : int
    validation : PairBatch, optional
        Pairs whose loss enters the history and, with ``fit_config.patience``, chooses the weights that are kept; other
        pairs than ``held_out``, which would otherwise judge what it chose.
    on_step : callable, optional
        Called after every step with the number of steps done and the training loss; what it raises ends training.

    Returns
    -------
    GenePerturbationTransformer, Replicate
        The model in evaluation mode, and what it came to.

    Raises
    ------
    InputError
        As :func:`gpcp.training.fit.fit`.
    """
    start_s = time.perf_counter()
    model = GenePerturbationTransformer(model_config, seed=seed)
    result = fit(model, pairs, replace(fit_config, seed=seed), held_out=validation, on_step=on_step)
    loss = math.nan if result.stopped == "diverged" else mean_loss(model, held_out)
    return model, Replicate(
        seed=seed,
        loss=loss if math.isfinite(loss) else None,
        n_steps=result.n_steps,
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=time.perf_counter() - start_s,
        history=result.history,
    )
