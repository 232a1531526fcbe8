"""Several processes that train one model: each has a share of every batch, and together they take one process's steps.

A batch of ``FitConfig.batch_size`` pairs is dealt to the ranks in equal parts. Gradients are averaged over ranks, while
the loss is a mean over what is scored in the whole batch; a rank that scores more counts for more.
"""

import math
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from gpcp.core.errors import InputError
from gpcp.loading.sharding import rank_and_number
from gpcp.training.config import FitConfig
from gpcp.training.loss import PairWeight


def launched(config: FitConfig) -> Fabric | None:
    """A launched Fabric over all processes of ``torchrun``, by distributed data parallelism; None of one process.

    Raises
    ------
    InputError
        As :func:`share_of`, or the processes find no way to each other.
    """
    n_ranks = rank_and_number()[1]
    if n_ranks == 1:
        return None
    share_of(config, n_ranks)
    n_here = int(os.environ.get("LOCAL_WORLD_SIZE", n_ranks))
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=n_here,
        num_nodes=n_ranks // n_here,
        strategy="ddp",
        precision=config.precision,
    )
    fabric.launch()
    return fabric


@contextmanager
def taken_leave() -> Generator[None]:
    """Whatever ends the block, take leave of the other processes then."""
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def share_of(config: FitConfig, n_ranks: int) -> int:
    """Pairs of each batch that each rank has.

    Raises
    ------
    InputError
        The batch cannot be dealt in equal parts.
    """
    if config.batch_size % n_ranks:
        raise InputError(
            f"FitConfig.batch_size is {config.batch_size}, which {n_ranks} processes cannot share equally: give a "
            f"multiple of {n_ranks}, such as {-(-config.batch_size // n_ranks) * n_ranks}"
        )
    return config.batch_size // n_ranks


def part_of_batch(fabric: Fabric, scored_BL: Tensor, weight: PairWeight) -> tuple[Tensor, Tensor | None]:
    """How much this rank scores, and what its objective is multiplied by so that the mean over ranks is the batch's.

    Parameters
    ----------
    fabric : Fabric
    scored_BL : bool, (B, L)
        Of this rank's share.
    weight : "entry" or "pair"
        What the objective counts alike.

    Returns
    -------
    float64, (2,)
        Scored entries, and the sum of weights; of one process nobody asks.
    Tensor or None
        A scalar; None of one process.
    """
    if fabric.world_size == 1:
        return torch.zeros(2), None
    n_scored_B = scored_BL.sum(dim=1)
    n_entries, n_pairs = n_scored_B.sum(), (n_scored_B > 0).sum()
    n_own = torch.stack([n_entries, n_entries if weight == "entry" else n_pairs]).double()
    return n_own, n_own[1].clamp(min=1) * fabric.world_size / _sum(fabric, n_own)[1].clamp(min=1)


def of_whole_batch(fabric: Fabric, own_loss: Tensor, objective: Tensor, n_own: Tensor) -> tuple[float, float]:
    """Loss by entry of the whole batch, and its objective up to rounding; the same on every rank.

    All ranks stop at once where what one of them finds is no number.

    Parameters
    ----------
    fabric : Fabric
    own_loss : Tensor
        Mean over the entries that this rank scores, a scalar.
    objective : Tensor
        This rank's part.
    n_own : float64, (2,)
        As of :func:`part_of_batch`.
    """
    if fabric.world_size == 1:
        return float(own_loss), float(objective.detach())
    own = torch.stack([own_loss.double() * n_own[0], n_own[0], objective.detach().double()])
    total, n, lowered = (float(one) for one in _sum(fabric, own))
    return total / max(n, 1.0), lowered / fabric.world_size


def _sum(fabric: Fabric, value: Tensor) -> Tensor:
    """The sum over ranks; the value itself, which Fabric would overwrite, stays."""
    # What Fabric gives may be any collection, as what it takes may be.
    summed: Tensor = cast("Any", fabric).all_reduce(value.clone(), reduce_op="sum")
    return summed


def measured_by_first(fabric: Fabric, measure: Callable[[], float]) -> float:
    """What the first rank measures, on every rank."""
    own = measure() if fabric.is_global_zero else math.nan
    return own if fabric.world_size == 1 else float(fabric.broadcast(own))
