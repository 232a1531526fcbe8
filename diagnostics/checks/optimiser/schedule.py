"""The learning rates that a training step will meet: those of its first steps, and its schedule played to its end.

A schedule that the step advances is advanced alone, without training, so that thousands of its steps cost a moment. So
is one that is advanced after each epoch. A rate that is set by hand there is seen over some epochs without training.
"""

import time
import warnings
from dataclasses import dataclass
from itertools import islice
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.restored import schedulers

N_STEPS, N_PAIRS = 32, 3
MOST_PLAYED = 5_000
"""Steps up to which a schedule is played."""

N_EPOCHS, EPOCH_SECONDS = 12, 2.0
"""Epochs over which a rate that is set by hand is watched, and what that may cost: a validation may be among it."""

OVER = 0.01
"""Share of its highest below which a rate is as good as 0."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Schedule:
    """Rates by training step.

    Parameters
    ----------
    rate_ST : float64, (steps, groups)
        In force at each step.
    n_seen : int
        Steps that were made; the others are the schedule's own, played alone.
    names : tuple of str
        Kinds of the schedules that were found.
    declared_end : int or None
        The step at which they say that they end.
    advanced : bool
        Whether the training step advances them; where not, a step of theirs may be an epoch.
    by_epoch : bool
        What runs after an epoch advances them, or sets the rate: rates that were not seen are by epoch.
    """

    rate_ST: NDArray[np.float64]
    n_seen: int
    names: tuple[str, ...]
    declared_end: int | None
    advanced: bool
    by_epoch: bool = False

    @property
    def highest_T(self) -> NDArray[np.float64]:
        """Of each group of parameters, over all steps."""
        return self.rate_ST.max(axis=0)

    def over_at(self, share: float) -> int | None:
        """The step from which on no group has this share of its highest rate any more; None where there is none."""
        left_ST = np.where(self.highest_T > 0, self.rate_ST / np.maximum(self.highest_T, 1e-300), 0.0)
        alive = np.flatnonzero(left_ST.max(axis=1) > share)
        over_at = int(alive[-1]) + 1 if len(alive) else 0
        return over_at if over_at < len(left_ST) else None


def schedule_of(probe: Probe) -> Schedule:
    """Played once."""
    return probe.once("schedule", _played)


def _played(probe: Probe) -> Schedule:
    rates: list[list[float]] = []
    with probe.trial("learning rate") as (model, optimizer):
        found = schedulers(optimizer)
        first = [one.last_epoch for one in found]
        rates.append(_rates(optimizer))
        # Without a step of its own nothing can change the rate.
        own = probe.subject.training_step is not None and probe.subject.pairs is not None
        for pairs in islice(probe.batches("learning rate", batch_size=N_PAIRS), N_STEPS if own else 0):
            probe.subject.step(model, optimizer, pairs)
            rates.append(_rates(optimizer))
        n_seen = len(rates) - 1
        ticks = max((one.last_epoch - begun for one, begun in zip(found, first, strict=True)), default=0)
        each = ticks / n_seen if n_seen else 0.0
        of_epochs, n_ticks = _epochs(probe, found, optimizer)
        rates += of_epochs
        playable = [one for one in found if not isinstance(one, ReduceLROnPlateau)]
        # An epoch's schedule is played as well: whether it ever has a rate above 0.
        rates += _alone(playable, optimizer, max(1, n_ticks, round(each)))
        ends = [end for end in map(_declared_end, found) if end is not None]
    return Schedule(
        rate_ST=np.array(rates), n_seen=n_seen, names=tuple(type(one).__name__ for one in found), advanced=each > 0,
        declared_end=max(1, round(max(ends) / max(each, n_ticks, 1.0))) if ends else None, by_epoch=bool(of_epochs),
    )  # fmt: skip


def _epochs(
    probe: Probe, found: list[LRScheduler], optimizer: torch.optim.Optimizer
) -> tuple[list[list[float]], int]:  # fmt: skip
    """Rates after each of some epochs without training, and steps of a schedule in one; none where it sets no rate.

    Where no loss gets better a rate that follows the loss falls, which says nothing of a training.
    """
    if probe.subject.on_epoch is None or any(isinstance(one, ReduceLROnPlateau) for one in found):
        return [], 0
    first, begun = [one.last_epoch for one in found], time.perf_counter()
    rates = [_rates(optimizer)]
    while len(rates) <= N_EPOCHS and time.perf_counter() - begun < EPOCH_SECONDS:
        try:
            probe.subject.end_epoch()
        except Exception:
            # A run that stops early by itself, since nothing gets better.
            break
        rates.append(_rates(optimizer))
        n_ticks = max((one.last_epoch - was for one, was in zip(found, first, strict=True)), default=0)
        if n_ticks:
            return rates[1:], n_ticks
    return (rates[1:] if any(one != rates[0] for one in rates) else []), 0


def _alone(playable: list[LRScheduler], optimizer: torch.optim.Optimizer, n_ticks: int) -> list[list[float]]:
    rates: list[list[float]] = []
    with warnings.catch_warnings():
        # A schedule that is advanced without its optimiser says so.
        warnings.simplefilter("ignore")
        while playable and len(rates) < MOST_PLAYED:
            for one in playable:
                for _ in range(n_ticks):
                    one.step()
            rates.append(_rates(optimizer))
    return rates


def _rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def _declared_end(one: LRScheduler) -> int | None:
    """The step at which a schedule that comes back, or refuses to go on, says that it ends."""
    if isinstance(one, OneCycleLR):
        return int(one.total_steps)
    return int(one.T_max) if isinstance(one, CosineAnnealingLR) else None
