"""What ``throughput`` measures, from the words of its command line: the source as it is read, and the model's step.

Unlike the other commands this one keeps no copy of the cells: the reading itself is what is timed. A source that holds
its cells, as that of an AnnData file does, has read them when it is opened, and its passes go over memory.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, cast, final

import torch
from torch import Tensor, nn

from diagnostics.checks.engine.fitted_subject import fitted_subject
from diagnostics.checks.engine.subject import Collate, Subject
from diagnostics.checks.users_code import users_own
from diagnostics.cli.options import pairs_asked
from diagnostics.commands.throughput.command import Request
from diagnostics.inputs.models import model_named
from diagnostics.inputs.own_parts import OwnParts
from diagnostics.throughput.gpu_clock import DEVICES, DeviceClock
from diagnostics.throughput.loaders import Ways, ways_of_pairs
from gpcp.core.errors import InputError, nearest
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.core.perturbations import perturbations_of
from gpcp.core.read_ahead import closed
from gpcp.loading.sharding import epoch_seed
from gpcp.model.batch import ModelBatch, copied_ahead, model_batch
from gpcp.training.config import FitConfig

Collated: TypeAlias = tuple[ModelBatch, Tensor]

_RATE = 1e-4
"""Small, so that weights stay finite however many steps are timed; no rate makes a step faster."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Timed:
    """What is to be timed.

    Parameters
    ----------
    ways : Ways
    step : callable
        Takes a batch of them, and returns when the work on it is done.
    device_times : callable or None
        Seconds the accelerator was busy with the steps since it was last asked.
    name, device : str
    n_threads : int
        Of torch, on the CPU.
    """

    ways: Ways[Any]
    step: Callable[[Any], object]
    device_times: Callable[[], float | None] | None
    name: str
    device: str
    n_threads: int


def timed_named(request: Request) -> Timed:
    """The source, the model and the way they are joined that a command's arguments name.

    Raises
    ------
    InputError
        A name is unknown, a file cannot be read, or parts do not fit together; or the first step fails.
    """
    named = pairs_asked(request.source, request.pairs, max_cells=None, seed=request.seed)
    pairs, name = named.pairs, named.name
    made = model_named(request.model, len(pairs.vocab), seed=request.seed, perturbations=perturbations_of(pairs))
    if isinstance(made, OwnParts):
        raise InputError(f"{request.model} gives a whole training: here name a factory of the module alone")
    if isinstance(made, Subject):
        return _of_users(made, pairs, request, name)
    device = device_named(request.device)
    config = FitConfig(batch_size=request.batch_size, seed=request.seed, learning_rate=_RATE)
    # Batches are collated as they are taken, as in `fit`; the step meets them collated, and on CUDA moved as well.
    subject = fitted_subject(made, pairs, config, collate=cast("Collate", _as_it_is))
    clock = DeviceClock() if device.type == "cuda" else None
    step = _step_of(subject, made.to(device))
    ways = ways_of_pairs(
        pairs,
        batch_size=request.batch_size,
        depth=request.depth,
        dense_ahead=request.dense_ahead,
        prepared=model_batch,
        size=_n_collated,
        placed=partial(copied_ahead, device=device),
    )
    _try(ways, step, request.seed)
    return Timed(
        ways=ways,
        step=step if clock is None else clock.around(step),
        device_times=None if clock is None else clock.seconds,
        name=f"{request.model} on {name}",
        device=str(device),
        n_threads=torch.get_num_threads(),
    )


def _of_users(subject: Subject, pairs: PairSource, request: Request, name: str) -> Timed:
    """A whole subject of a factory: its own step on dense pairs, on whatever device it has put its model."""
    if subject.model is None:
        raise InputError(f"{request.model} gives a Subject without a model: there is no step to time")
    if request.device != "auto":
        raise InputError(f"{request.model} gives a whole Subject, which is where it put itself: leave --device out")
    first = next(subject.model.parameters(), torch.zeros(0))
    clock = DeviceClock() if first.device.type == "cuda" else None
    step = _step_of(replace(subject, pairs=pairs), subject.model)
    ways = ways_of_pairs(
        pairs,
        batch_size=request.batch_size,
        depth=request.depth,
        dense_ahead=request.dense_ahead,
        prepared=_as_it_is,
        size=len,
    )
    _try(ways, step, request.seed)
    return Timed(
        ways=ways,
        step=step if clock is None else clock.around(step),
        device_times=None if clock is None else clock.seconds,
        name=f"{subject.name} on {name}",
        device=str(first.device),
        n_threads=torch.get_num_threads(),
    )


def _step_of(subject: Subject, model: nn.Module) -> Callable[[Any], object]:
    if subject.make_optimizer is None:
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    else:
        optimizer = subject.make_optimizer(model)
    model.train()
    return partial(subject.step, model, optimizer)


def _try(ways: Ways[Any], step: Callable[[Any], object], seed: int) -> None:
    """One step before anything is timed: what a user's code raises is shown as theirs."""
    batches = ways.plain(epoch_seed(seed, 0))
    try:
        batch = next(batches, None)
    finally:
        closed(batches)
    if batch is None:
        raise InputError("the source gives no pair: there is nothing to time")
    users_own("the training step could not be done", step, batch)


def _as_it_is(batch: PairBatch) -> PairBatch:
    return batch


def _n_collated(item: Collated) -> int:
    return len(item[0])


def device_named(name: str) -> torch.device:
    """The device of a name; ``auto`` is CUDA where there is one.

    Raises
    ------
    InputError
        It is unknown, or not there.
    """
    if name not in DEVICES:
        raise InputError(f"--device is {name!r}; {nearest(name, DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is 'cuda', and torch finds no CUDA device: leave it out, or give cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
