"""What a model in training says of some pairs, in evaluation mode and batch by batch, and its squared errors.

Dimension key: ``B`` pairs, ``L`` state tokens, ``G`` genes of the vocabulary.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from diagnostics.checks.paces import answer_size
from diagnostics.checks.probe import Probe
from diagnostics.losses import Errors, errors_of
from gpcp.pairs import PairBatch
from gpcp.predictors import Perturbation

_LARGEST = 1e15
"""Beyond float32's range squared there is nothing left to compare."""


def answers(probe: Probe, model: nn.Module, pairs: PairBatch) -> NDArray[np.float64]:
    """The answer of a model as it is now, (B, G); NaN where a gene has no place. Modes are put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    first = next(iter(model.parameters()), None)
    dtype = torch.float32 if first is None else first.dtype
    size = answer_size(probe)
    parts: list[NDArray[np.float64]] = []
    try:
        for start in range(0, len(pairs), size):
            batch, _ = probe.subject.collate(pairs.rows(slice(start, start + size)))
            with torch.no_grad():
                answer_BL = probe.subject.predict(model, batch.to(probe.device, dtype))
            parts.append(probe.unpacked(answer_BL.float(), batch))
    finally:
        for module, mode in modes:
            module.training = mode
    return np.concatenate(parts)


def errors_if_finite(answer_BG: NDArray[np.float64], pairs: PairBatch) -> Errors | None:
    """Squared errors of some answers; None where one that is scored is not finite."""
    scored_BG = pairs.scored_BG
    scored = answer_BG[scored_BG]
    if not np.isfinite(scored).all() or np.abs(scored).max(initial=0) > _LARGEST:
        return None
    return errors_of(np.where(scored_BG, answer_BG, 0.0), pairs)


def judged_errors(probe: Probe, model: nn.Module, pairs: PairBatch) -> Errors | None:
    """Squared errors of the model in evaluation mode on some pairs; None where an answer is not finite."""
    return errors_if_finite(answers(probe, model, pairs), pairs)


def told_otherwise(pairs: PairBatch, told: Perturbation) -> PairBatch:
    """The pairs with something else told: only their cells before and what is told are to be read."""
    told_BG = told.perturbed_BG & pairs.measured_BG
    after_BG = np.where(told_BG, told.target_BG, pairs.after_BG).astype(np.float32)
    return replace(pairs, after_BG=after_BG, perturbed_BG=told_BG)
