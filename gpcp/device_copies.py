"""``copied_ahead``: batches on the device, each copied there while the model works on the one before.

Dimension key: ``B`` pairs, ``L`` state tokens.

On CUDA a batch is pinned, copied on a stream of its own, and waited for by the stream that computes, not by the
program: the bytes and their order are those of a plain copy. On any other device a copy cannot run beside computing,
so batches pass through and are moved where they are used.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gpcp.batches import ModelBatch
from gpcp.read_ahead import closed

_TENSORS = ("token_BL", "before_BL", "target_BL", "measured_BL", "perturbed_BL")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Copied:
    """A batch under way to its device, and the event after which it is there."""

    batch: ModelBatch
    after_BL: Tensor
    there: torch.cuda.Event


def copied_ahead(
    batches: Iterator[tuple[ModelBatch, Tensor]], device: torch.device
) -> Generator[tuple[ModelBatch, Tensor]]:
    """The same batches in the same order; on CUDA one more has been asked for than was given, and is being copied.

    Parameters
    ----------
    batches : iterator of (ModelBatch, Tensor)
        On the CPU, as :func:`gpcp.batches.model_batch` gives them; closed at the end where it can be.
    device : torch.device

    Yields
    ------
    ModelBatch, Tensor
        On CUDA on the device, else as they came.
    """
    try:
        if device.type != "cuda":
            yield from batches
            return
        side = torch.cuda.Stream(device)
        waiting: deque[_Copied] = deque()
        for batch, after_BL in batches:
            waiting.append(_copied(batch, after_BL, device, side))
            # The copy of this batch runs while the one before it is worked on.
            if len(waiting) > 1:
                yield _ready(waiting.popleft(), device)
        while waiting:
            yield _ready(waiting.popleft(), device)
    finally:
        closed(batches)


def _copied(batch: ModelBatch, after_BL: Tensor, device: torch.device, side: torch.cuda.Stream) -> _Copied:
    """Begin to copy; the program does not wait. Pinned memory is not used anew before the copy has read it."""
    with torch.cuda.stream(side):
        moved = _each(batch, lambda tensor: tensor.pin_memory().to(device, non_blocking=True))
        after = after_BL.pin_memory().to(device, non_blocking=True)
        there = torch.cuda.Event()
        there.record(side)
    return _Copied(batch=moved, after_BL=after, there=there)


def _ready(copied: _Copied, device: torch.device) -> tuple[ModelBatch, Tensor]:
    """Let the stream that computes wait, and keep the memory from the side stream until that has used it."""
    computing = torch.cuda.current_stream(device)
    computing.wait_event(copied.there)
    for tensor in (*(getattr(copied.batch, name) for name in _TENSORS), copied.after_BL):
        tensor.record_stream(computing)
    return copied.batch, copied.after_BL


def _each(batch: ModelBatch, change: Callable[[Tensor], Tensor]) -> ModelBatch:
    return ModelBatch(**{name: change(getattr(batch, name)) for name in _TENSORS})
