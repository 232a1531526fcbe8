"""Tests that a planted fault is present: the altered part gives other results than the healthy one on the same input.

These look at the part that a fault alters, never at the findings of the checks.
"""

from dataclasses import replace
from itertools import islice
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.batches import columns, invented, set_before
from diagnostics.checks.engine.copies import copied
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.model.batch import TENSORS, ModelBatch
from gpcp.model.torch_seed import torch_seed

_ARRAYS = ("before_BG", "after_BG", "measured_BG", "perturbed_BG")


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=1e-9, equal_nan=True)


def first_pairs(source: PairSource | None, *, n: int = 256, seed: int = 3) -> PairBatch:
    """The first pairs of one pass."""
    assert source is not None, "the subject has no pairs"
    return next(iter(source.pairs(batch_size=n, seed=seed)))


def pairs_differ(healthy: Subject, faulty: Subject) -> bool:
    """The same pass gives other pairs."""
    one, other = first_pairs(healthy.pairs), first_pairs(faulty.pairs)
    return any(not np.array_equal(getattr(one, name), getattr(other, name)) for name in _ARRAYS)


def held_out_differs(healthy: Subject, faulty: Subject) -> bool:
    """The same pass over held-out pairs gives other pairs."""
    return pairs_differ(
        replace(healthy, pairs=healthy.held_out or healthy.pairs), replace(faulty, pairs=faulty.held_out)
    )


def collated_differ(healthy: Subject, faulty: Subject) -> bool:
    """The same pairs, some genes of which are unmeasured, become another batch or other targets."""
    pairs = Probe(healthy).masked
    (one, after_BL), (other, other_BL) = healthy.collate(pairs), faulty.collate(pairs)
    values = [(getattr(one, name), getattr(other, name)) for name in TENSORS]
    return any(not _same(*both) for both in [*values, (after_BL, other_BL)])


def losses_differ(healthy: Subject, faulty: Subject) -> bool:
    """The same predictions, with NaN where nothing is scored, get another loss or another gradient."""
    batch, after_BL = healthy.collate(Probe(healthy).masked)
    after_BL = after_BL.double()
    found: list[tuple[Tensor, Tensor]] = []
    for hidden in (0.0, float("nan")):
        miss_BL = torch.where(batch.scored_BL, torch.linspace(-2, 3, after_BL.numel()).view_as(after_BL), hidden)
        for subject in (healthy, faulty):
            prediction_BL = (after_BL + miss_BL).requires_grad_()
            value = subject.scalar_loss(prediction_BL, after_BL, batch.scored_BL)
            (gradient_BL,) = cast("tuple[Tensor | None]", torch.autograd.grad(value, prediction_BL, allow_unused=True))
            found.append((value.detach(), torch.zeros_like(after_BL) if gradient_BL is None else gradient_BL))
    return any(not _same(a, b) for one in (0, 2) for a, b in zip(found[one], found[one + 1], strict=True))


def diverged_losses_differ(healthy: Subject, faulty: Subject) -> bool:
    """One scored prediction that is NaN gets another loss."""
    batch, after_BL = healthy.collate(Probe(healthy).masked)
    prediction_BL = after_BL.double() + 1
    prediction_BL[tuple(batch.scored_BL.nonzero()[0])] = torch.nan
    values = [one.scalar_loss(prediction_BL, after_BL.double(), batch.scored_BL) for one in (healthy, faulty)]
    return not _same(values[0].detach(), values[1].detach())


def _question(probe: Probe) -> ModelBatch:
    """Genes out of order, some unmeasured, NaN stored there."""
    batch = invented(probe, "shown", p_perturbed=1 / 3, p_measured=2 / 3, masked_anyway=True)
    batch = columns(batch, torch.arange(batch.before_BL.shape[1]).flip(0))
    return set_before(batch, ~batch.measured_BL, float("nan"))


def predictions_differ(healthy: Subject, faulty: Subject) -> bool:
    """The same cells get other predictions, in evaluation or in training mode."""
    found: list[list[Tensor]] = []
    for subject in (healthy, faulty):
        probe = Probe(subject)
        batch = _question(probe)
        model = copied(probe.exact_model)
        answers = [probe.answer(one, model)[batch.measured_BL] for one in (batch, probe.exact(probe.few)[0])[:1]]
        answers.append(probe.answer(probe.exact(probe.few)[0], model))
        answers.append(probe.answer(batch, model.train())[batch.measured_BL])
        found.append(answers)
    return any(not _same(one, other) for one, other in zip(*found, strict=True))


def gradients_differ(healthy: Subject, faulty: Subject) -> bool:
    """The loss of the same pairs pulls at other weights, or otherwise."""
    return not _equal(_gradients(healthy), _gradients(faulty))


def _gradients(subject: Subject) -> dict[str, Tensor]:
    assert subject.model is not None
    model = copied(subject.model)
    loss = subject.composed_loss(model, Probe(subject).few)
    names = [name for name, one in model.named_parameters() if one.requires_grad]
    wanted = [one for one in model.parameters() if one.requires_grad]
    found = cast("tuple[Tensor | None, ...]", torch.autograd.grad(loss, wanted, allow_unused=True))
    return {name: one for name, one in zip(names, found, strict=True) if one is not None and bool((one != 0).any())}


def steps_differ(healthy: Subject, faulty: Subject) -> bool:
    """The same few training steps lead to other weights."""
    return not _equal(_stepped(healthy), _stepped(faulty))


def _stepped(subject: Subject) -> dict[str, Tensor]:
    assert subject.model is not None
    assert subject.make_optimizer is not None
    model: nn.Module = copied(subject.model)
    optimizer = subject.make_optimizer(model)
    with torch_seed(0):
        for pairs in islice(Probe(subject).batches("shown", batch_size=16), 4):
            subject.step(model, optimizer, pairs)
    return {name: value.detach() for name, value in model.state_dict().items()}


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
