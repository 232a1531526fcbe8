"""``ModelBatch``: pairs as torch tensors, and batches that are copied to the device ahead of use.

Measured genes are packed to a dense prefix: masking costs what packing saves, since attention pays for masked
tokens as for others. Where every pair measures the same genes, all share one row of tokens, of shape (1, L).

:func:`copied_ahead` copies each batch while the model works on the one before. On CUDA a batch is pinned, copied on a
stream of its own, and waited for by the stream that computes, not by the program: the bytes and their order are those
of a plain copy. On any other device a copy cannot run beside computing, so batches pass through and are moved where
they are used.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import AppliedPerturbations
from gpcp.core.read_ahead import closed

TENSORS = ("token_BL", "before_BL", "target_BL", "measured_BL", "perturbed_BL", "applied_BA", "dose_BA")
"""Fields of a ``ModelBatch`` that a model reads."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ModelBatch:
    """Tokens, their values and their masks; every mask is True where the entry counts.

    Parameters
    ----------
    token_BL : int64, (B, L) or (1, L)
        Gene of each position; any gene at a position that is not measured (padding).
    before_BL : float, (B, L)
        Expression before. Values at unmeasured positions, NaN included, are never read.
    target_BL : float, (B, L)
        Expression after where given. Values elsewhere are never read.
    measured_BL, perturbed_BL : bool, (B, L)
        Measured; perturbed (implies measured).
    applied_BA : int64, (B, A), optional
        Perturbations with names of their own, as tokens of the source's vocabulary; -1 is none. Where it is there, if
        only for controls, no value at a gene is given. By default it is not, and ``A = 0``.
    dose_BA : float, (B, A), optional
        Their doses; NaN where not given.
    row_B : int64, (B,), optional
        Where a pair's other entries are found by whoever keeps more of it than these tensors. No model reads it.

    Raises
    ------
    InputError
        Shapes disagree, or a perturbed position is not measured.
    """

    token_BL: Tensor
    before_BL: Tensor
    target_BL: Tensor
    measured_BL: Tensor
    perturbed_BL: Tensor
    applied_BA: Tensor = field(default_factory=partial(torch.empty, 0, 0, dtype=torch.int64))
    dose_BA: Tensor = field(default_factory=partial(torch.empty, 0, 0))
    row_B: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.before_BL.shape
        if self.applied_BA.shape[1] == 0:
            object.__setattr__(self, "applied_BA", self.token_BL.new_empty((len(self), 0)))
            object.__setattr__(self, "dose_BA", self.before_BL.new_empty((len(self), 0)))
        if self.applied_BA.shape != self.dose_BA.shape or len(self.applied_BA) != len(self):
            found = tuple(self.applied_BA.shape), tuple(self.dose_BA.shape)
            raise InputError(f"ModelBatch.applied_BA and dose_BA have shapes {found[0]} and {found[1]}")
        for name in ("target_BL", "measured_BL", "perturbed_BL"):
            if getattr(self, name).shape != shape:
                raise InputError(f"ModelBatch.{name} has shape {tuple(getattr(self, name).shape)}, not {tuple(shape)}")
        if self.token_BL.shape not in (shape, (1, shape[1])):
            found = tuple(self.token_BL.shape)
            raise InputError(f"ModelBatch.token_BL has shape {found}, expected {tuple(shape)} or (1, {shape[1]})")

    def __len__(self) -> int:
        return len(self.before_BL)

    @property
    def scored_BL(self) -> Tensor:
        """``measured & ~perturbed``, bool (B, L)."""
        return self.measured_BL & ~self.perturbed_BL

    @property
    def given_BL(self) -> Tensor:
        """The positions whose values after are given, bool (B, L): the perturbed ones, or none in a screen."""
        return self.perturbed_BL if not self.applied_BA.shape[1] else torch.zeros_like(self.perturbed_BL)

    def rows(self, which_B: Tensor) -> "ModelBatch":
        """Some pairs of the batch, in any order."""
        shared = len(self.token_BL) == 1
        return ModelBatch(
            token_BL=self.token_BL if shared else self.token_BL[which_B],
            before_BL=self.before_BL[which_B],
            target_BL=self.target_BL[which_B],
            measured_BL=self.measured_BL[which_B],
            perturbed_BL=self.perturbed_BL[which_B],
            applied_BA=self.applied_BA[which_B],
            dose_BA=self.dose_BA[which_B],
            row_B=None if self.row_B is None else self.row_B[which_B.cpu()],
        )

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> "ModelBatch":
        """The same batch on a device, its values in ``dtype``."""
        return ModelBatch(
            token_BL=self.token_BL.to(device, non_blocking=True),
            before_BL=self.before_BL.to(device, dtype, non_blocking=True),
            target_BL=self.target_BL.to(device, dtype, non_blocking=True),
            measured_BL=self.measured_BL.to(device, non_blocking=True),
            perturbed_BL=self.perturbed_BL.to(device, non_blocking=True),
            applied_BA=self.applied_BA.to(device, non_blocking=True),
            dose_BA=self.dose_BA.to(device, dtype, non_blocking=True),
            row_B=self.row_B,
        )


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Packing:
    """The gene at each position of a batch, and the position of each gene.

    Parameters
    ----------
    token_BL : int64, (B, L) or (1, L)
        Measured genes first, in the order of the vocabulary, then unmeasured ones as padding.
    """

    token_BL: NDArray[np.int64]

    @classmethod
    def of(cls, measured_BG: NDArray[np.bool_]) -> "Packing":
        """Pack the genes that each row measures; ``L`` is the most that any row measures, and at least 1."""
        n_genes = measured_BG.shape[1]
        if measured_BG.all():
            return cls(token_BL=np.arange(n_genes, dtype=np.int64)[None])
        most = max(1, int(measured_BG.sum(axis=1).max(initial=0)))
        if (measured_BG == measured_BG[:1]).all():
            measured_BG = measured_BG[:1]
        return cls(token_BL=np.argsort(~measured_BG, axis=1, kind="stable")[:, :most].astype(np.int64))

    def pack(self, value_BG: NDArray[np.generic]) -> Tensor:
        """Values of each gene at its position, (B, L)."""
        if self.token_BL.shape == (1, value_BG.shape[1]):
            return torch.as_tensor(np.array(value_BG))
        token_BL = np.broadcast_to(self.token_BL, (len(value_BG), self.token_BL.shape[1]))
        return torch.as_tensor(np.take_along_axis(value_BG, token_BL, axis=1))

    def unpack(self, value_BL: NDArray[np.float32], n_genes: int) -> NDArray[np.float32]:
        """Values at their genes, float32 (B, G); 0 at genes that have no position."""
        value_BG = np.zeros((len(value_BL), n_genes), dtype=np.float32)
        np.put_along_axis(value_BG, np.broadcast_to(self.token_BL, value_BL.shape), value_BL, axis=1)
        return value_BG


def packed_batch(pairs: PairBatch) -> tuple[ModelBatch, Tensor, Packing]:
    """What the model is shown of some pairs; apart from it what it is to predict; and where each gene stands.

    Returns
    -------
    ModelBatch
        Tokens of the measured genes; holds the cell after at given genes only, so that no model can see more.
    Tensor
        Expression after at every position, float32 (B, L): for the loss alone.
    Packing
        The way back to the order of the vocabulary.
    """
    packing = Packing.of(pairs.measured_BG)
    after_BL = packing.pack(pairs.after_BG)
    applied = pairs.applied
    batch = ModelBatch(
        token_BL=torch.as_tensor(packing.token_BL),
        before_BL=packing.pack(pairs.before_BG),
        target_BL=torch.where(packing.pack(pairs.given_BG), after_BL, 0.0),
        measured_BL=packing.pack(pairs.measured_BG),
        perturbed_BL=packing.pack(pairs.perturbed_BG),
        **({} if applied is None else applied_tensors(applied)),
    )
    return batch, after_BL, packing


def applied_tensors(applied: AppliedPerturbations) -> dict[str, Tensor]:
    """The fields of a :class:`ModelBatch` that hold perturbations with names; one column at least, of controls too."""
    token_BA, dose_BA = torch.as_tensor(np.array(applied.token_BA)), torch.as_tensor(np.array(applied.dose_BA))
    if not token_BA.shape[1]:
        token_BA, dose_BA = token_BA.new_full((len(applied), 1), -1), dose_BA.new_full((len(applied), 1), torch.nan)
    return {"applied_BA": token_BA, "dose_BA": dose_BA}


def model_batch(pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
    """The first two of :func:`packed_batch`: what the model is shown, and what it is to predict."""
    batch, after_BL, _ = packed_batch(pairs)
    return batch, after_BL


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
        On the CPU, as :func:`gpcp.model.batch.model_batch` gives them; closed at the end where it can be.
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
    for tensor in (*(getattr(copied.batch, name) for name in TENSORS), copied.after_BL):
        tensor.record_stream(computing)
    return copied.batch, copied.after_BL


def _each(batch: ModelBatch, change: Callable[[Tensor], Tensor]) -> ModelBatch:
    return ModelBatch(**{name: change(getattr(batch, name)) for name in TENSORS}, row_B=batch.row_B)
