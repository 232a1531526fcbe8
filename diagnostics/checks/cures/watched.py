"""A few training steps, watched for what could be left out: clipping, dropout, half precision, evaluation mode."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import final

import torch
from torch import nn

from diagnostics.checks.cures import changes
from diagnostics.checks.engine.budget import batch_size
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.restored import reached
from diagnostics.checks.optimiser.one_step import MOST_ACCUMULATED

ALTERED = 1e-3
"""Part of its length by which a gradient must differ to count as altered."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What some steps did.

    Parameters
    ----------
    left : float or None
        Length of the gradient that the optimiser found, as a fraction of what was added up, where it differs most;
        None where nothing alters gradients.
    dropped : float
        The largest fraction that anything drops.
    half : str
        The half precision that is used; empty where none is.
    evaluation : bool
        Whether the model is called in evaluation mode where gradients are taken.
    scaler : bool
        Whether the step holds a gradient scaler that is enabled.
    """

    left: float | None
    dropped: float
    half: str
    evaluation: bool
    scaler: bool


def watched(probe: Probe) -> Watched:
    """Watched once."""
    return probe.once("cures watched", _watched)


def _watched(probe: Probe) -> Watched:
    with probe.trial("cures watched") as (model, optimizer):
        scaler = any(
            isinstance(one, torch.amp.GradScaler) and one.is_enabled()
            for one in reached(probe.subject.training_step, model, optimizer)
        )
        kept_half = next((str(one.dtype) for one in model.parameters() if one.dtype in changes.HALF), "")
        with (
            changes.gradients_as_added_up(model, put_back=False) as left,
            changes.autocast(off=False) as entered,
            changes.nothing_dropped(model) as dropped,
            _evaluated(model) as evaluated,
        ):
            for pairs in islice(probe.batches("cures watched", batch_size=batch_size(probe)), MOST_ACCUMULATED):
                probe.subject.step(model, optimizer, pairs)
                if len(left) > 1:
                    break
    altered = [one for one in left if abs(one - 1) > ALTERED]
    return Watched(
        left=min(altered, default=None), dropped=max(dropped, default=0.0), scaler=scaler,
        half=kept_half.removeprefix("torch.") or next(iter(entered), ""), evaluation=any(evaluated),
    )  # fmt: skip


@contextmanager
def _evaluated(model: nn.Module) -> Generator[list[bool]]:
    """Whether the model is in evaluation mode, whenever it is called where gradients are taken."""
    found: list[bool] = []

    def note(module: nn.Module, _: object) -> None:
        if torch.is_grad_enabled():
            found.append(not module.training)

    handle = model.register_forward_pre_hook(note)
    try:
        yield found
    finally:
        handle.remove()
