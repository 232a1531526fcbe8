"""The short training once more, by one's own step, for questions that need the trained model itself."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.checks.engine.gains import ratio_of
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.engine.weights import modes_kept
from diagnostics.checks.learning.learning_rate import given_rate
from diagnostics.checks.learning.short_training import ShortTraining, pace, training_batches
from diagnostics.scoring.errors import Errors
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import ModelBatch

WORSE = 1.25
"""How many times that of the better predictions a loss must be to be blamed."""

_MOST_PAIRS = 512


@contextmanager
def trained_again(
    probe: Probe, training: ShortTraining, rate: float | None
) -> Generator[tuple[nn.Module, torch.optim.Optimizer]]:  # fmt: skip
    """The model and its optimiser after a training as long, at a rate that rises and falls alike."""
    n_steps, at = training.n_steps, [0]

    def paced() -> float:
        return 0.0 if rate is None else rate * pace(at[0], n_steps)

    with probe.trial("short training", learning_rate=None if rate is None else paced) as (model, optimizer):
        batches = training_batches(probe, training.batch_size)
        for at[0] in range(n_steps):
            probe.subject.step(model, optimizer, next(batches))
        yield model, optimizer


Both: TypeAlias = tuple[Errors, Errors]
"""Errors on unseen pairs as predict answers, and as it would with what is in question undone."""


def at_better_rate(
    probe: Probe, training: ShortTraining, ask: Callable[[float | None], Both | None]
) -> Both | None:  # fmt: skip
    """What is found at the rate of the short training or at the user's own: the former goes by what predict answers."""
    found = [one for rate in dict.fromkeys((training.rate, given_rate(probe))) if (one := ask(rate)) is not None]
    return min(found, key=lambda both: both[1].loss, default=None)


def batched(probe: Probe, pairs: PairBatch, size: int) -> Iterator[tuple[PairBatch, ModelBatch]]:
    """The pairs in batches of one size, each as the model is given it."""
    first = next(iter(probe.subject.model.parameters()), None) if probe.subject.model is not None else None
    dtype = torch.float32 if first is None else first.dtype
    for start in range(0, len(pairs), size):
        part = pairs.rows(slice(start, start + size))
        yield part, probe.subject.collate(part)[0].to(probe.device, dtype)


def predicted(subject: Subject, model: nn.Module, batch: ModelBatch) -> Tensor:
    """The answer in evaluation mode, without gradients; modes are put back."""
    with modes_kept(model), torch.no_grad():
        model.eval()
        return subject.predict(model, batch)


def of_part(probe: Probe, answer_BL: Tensor, batch: ModelBatch, token_G: NDArray[np.int64]) -> NDArray[np.float64]:
    """An answer at some genes, (B, genes)."""
    return probe.unpacked(answer_BL.detach().float(), batch)[:, token_G]


def some_judged(probe: Probe, training: ShortTraining) -> PairBatch:
    """The first judged pairs, in whole sets."""
    size = probe.subject.intent.set_size
    return training.judged.rows(slice(0, min(_MOST_PAIRS, len(training.judged)) // size * size))


def p_worse(training: ShortTraining, own: Errors, better: Errors) -> float:
    """Probability of a loss so far above :data:`WORSE` times the better one by chance; of the first judged pairs."""
    n = len(own.n_B)
    cells = training.cells[0][:n], training.cells[1][:n]
    lacking = ratio_of(own.sum_B - WORSE * better.sum_B, own.n_B * training.baseline.loss, cells)
    return lacking.p_above(0.0) if own.loss > WORSE * better.loss else 1.0
