"""Checks of invariances: to the order of genes, other cells of the batch, padding, saving and loading, and the mode."""

import copy
import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from diagnostics.checks.architecture.inputs import of_masks
from diagnostics.checks.engine.batches import columns, invented, padded
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.copies import copied
from diagnostics.checks.engine.identities import LARGEST, Deviation, deviation, must_equal, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import BATCH_NORMS, unregistered, with_generic_weights, without_dropout
from diagnostics.results.check_result import CheckResult
from gpcp.model.batch import ModelBatch

_PASSES, _SETTLED = 200, 0.5
"""Passes after which running statistics are those of the batch, and the rest, in spreads of the predictions: they
take the unbiased variance of a batch, which is normalised by the biased one."""


@check(
    "GP314",
    "architecture.gene_order",
    "Does the order in which a batch lists its genes change nothing?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def gene_order(probe: Probe) -> CheckResult:
    """The positions of a batch in a random order, each with its token."""
    return of_masks(probe, partial(_gene_order, probe))


def _gene_order(probe: Probe) -> CheckResult:
    batch = invented(probe, "gene order", p_perturbed=1 / 3, p_measured=2 / 3, masked_anyway=True)
    n_positions = batch.before_BL.shape[1]
    # Reversed where there are two, since a random order may be the old one.
    order = probe.rng("gene order").permutation(n_positions) if n_positions > 2 else np.arange(n_positions)[::-1]
    position_L = torch.as_tensor(order.copy(), device=probe.device)
    usual_BL = probe.answer(batch, probe.generic_model)[:, position_L]
    moved = columns(batch, position_L)
    return must_equal(
        deviation(usual_BL, probe.answer(moved, probe.generic_model), moved.measured_BL),
        same="the predictions follow their genes whatever the order",
        differs="the predictions depend on a gene's position in the batch",
        next_step="identify genes by token_BL alone: no positional encoding, no order of an earlier batch, the same "
        "positions in encoder and decoder",
    )


@check(
    "GP315",
    "architecture.other_cells",
    "Does a pair's prediction not depend on the other pairs of its batch?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def other_cells(probe: Probe) -> CheckResult:
    """The first and the last pair, or set of pairs, alone, and among others.

    The others have other values, other perturbed genes and other measured ones.
    """
    if probe.subject.intent.random:
        return CheckResult(outcome="not_applicable", message="the model draws at random on purpose (Intent.random)")
    size = probe.subject.intent.set_size
    usual = invented(probe, "this cell", p_perturbed=1 / 3, p_measured=2 / 3, n_pairs=max(probe.n_exact, 2 * size))
    others = invented(probe, "other cells", p_perturbed=2 / 3, p_measured=0.9, n_pairs=len(usual))
    found: Deviation | None = None
    for row in (0, len(usual) - 1):
        this_B = torch.arange(len(usual), device=probe.device) // size == row // size
        among = replace(
            usual,
            **{
                name: torch.where(this_B[:, None], getattr(usual, name), getattr(others, name))
                for name in ("before_BL", "target_BL", "measured_BL", "perturbed_BL")
            },
            token_BL=torch.where(this_B[:, None], usual.token_BL, others.token_BL),
        )
        where_BL = usual.measured_BL & this_B[:, None]
        alone_BL = probe.answer(usual.rows(this_B.nonzero()[:, 0]), probe.generic_model)
        for one in (usual, among):
            answer_BL = probe.answer(one, probe.generic_model)
            now = deviation(answer_BL[where_BL], alone_BL[usual.measured_BL[this_B]])
            found = now if found is None or now.largest > found.largest else found
    assert found is not None
    return must_equal(
        found,
        same="a pair's prediction is the same alone and among others",
        differs="a pair's prediction depends on the other pairs of its batch",
        next_step="look for a mean, norm, softmax, graph or reshape over the first axis, a sum without keepdim that "
        "broadcasts along the cells, the h_n of an RNN viewed (its cells are on axis 1), cells that were sorted by "
        "length and not sorted back, and one pair's mask used for all",
    )


@check(
    "GP316",
    "architecture.padding",
    "Do more padding positions change nothing?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def padding(probe: Probe) -> CheckResult:
    """More unmeasured positions at the end of a batch, and other genes at those that are unmeasured already."""
    return of_masks(probe, partial(_padding, probe))


def _padding(probe: Probe) -> CheckResult:
    rng = probe.rng("padding")
    parts: list[Deviation] = []
    for p_measured in (1.0, 2 / 3):
        batch = invented(probe, f"padding {p_measured}", p_perturbed=1 / 3, p_measured=p_measured, masked_anyway=True)
        token_L = torch.as_tensor(rng.integers(len(probe.vocab), size=5), device=probe.device)
        token_BL = batch.token_BL.expand(batch.before_BL.shape)
        other_BL = torch.as_tensor(rng.permutation(token_BL.cpu().numpy(), axis=1), device=probe.device)
        renamed = replace(batch, token_BL=torch.where(batch.measured_BL, token_BL, other_BL))
        usual_BL = probe.answer(batch, probe.generic_model)
        for altered in (padded(batch, token_L), renamed):
            answer_BL = probe.answer(altered, probe.generic_model)[:, : usual_BL.shape[1]]
            parts.append(deviation(usual_BL, answer_BL, batch.measured_BL))
    return must_equal(
        max(parts, key=lambda part: part.largest),
        same="padding positions change nothing",
        differs="padding positions change the predictions for measured genes",
        next_step="leave unmeasured positions out of attention, every mean and every count of genes: the attention "
        "mask is missing or inverted, or the mean is over all positions",
    )


@check(
    "GP317",
    "architecture.state_dict",
    "Is the model restored by its saved state?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def state_dict(probe: Probe) -> CheckResult:
    """Weights saved, drawn anew, and loaded: the predictions are as before, and no parameter is left out."""
    hidden = unregistered(probe.exact_model)
    if hidden:
        return verdict(
            good=False,
            message=f"{', '.join(hidden[:3])} of the model hold layers or parameters that parameters() and "
            f"state_dict() "
            "do not see: they are neither trained, nor moved, nor saved",
            next_step="hold layers in nn.ModuleList or nn.ModuleDict and parameters in nn.ParameterList, not in a "
            "plain list or dict",
            statistic=float(len(hidden)), null=0.0, tolerance=0.0, n=len(hidden),
        )  # fmt: skip
    batch = invented(probe, "state dict", p_perturbed=1 / 3)
    saved = copy.deepcopy(probe.generic_model.state_dict())
    fresh = with_generic_weights(probe.generic_model, probe.rng("fresh weights"))
    refused = ""
    try:
        fresh.load_state_dict(saved)
    except RuntimeError as error:
        refused = " ".join(str(error).split())
    if refused:
        return verdict(
            good=False, message=f"the model does not take back what it saved: {refused[:200]}",
            next_step="let state_dict and load_state_dict name the same tensors",
            statistic=1.0, tolerance=0.0,
        )  # fmt: skip
    return must_equal(
        deviation(probe.answer(batch, probe.generic_model), probe.answer(batch, fresh), batch.measured_BL),
        same="saved and loaded weights give the same predictions",
        differs="saved and loaded weights give other predictions",
        next_step="look for weights that state_dict leaves out, and for a load_state_dict of the model's own",
    )


@check(
    "GP318",
    "architecture.modes",
    "Apart from dropout, is the model the same in training as in evaluation?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def modes(probe: Probe) -> CheckResult:
    """A copy in training mode with its dropout at 0 against the model in evaluation mode.

    A norm over the batch differs by design; but once it has seen one batch often enough, its running statistics are
    those of that batch, and the two modes must nearly agree on it.
    """
    model = copied(probe.generic_model)
    batch = invented(probe, "modes", p_perturbed=1 / 3)
    usual_BL = probe.answer(batch, model)
    model.train()
    with without_dropout(model):
        one_BL, again_BL = (probe.answer(batch, model, draw=draw) for draw in (1, 2))
    norms = [type(part).__name__ for part in model.modules() if isinstance(part, BATCH_NORMS)]
    found = deviation(usual_BL, one_BL, batch.measured_BL)
    if not found.equal and norms:
        settled = _settled(probe, model, batch)
        if not settled <= _SETTLED:
            return verdict(
                good=False, message=f"after {_PASSES} passes over one batch predictions in evaluation mode are still "
                f"{settled:.2g} spreads from those in training mode: the running statistics of {norms[0]} do not "
                "follow", next_step="look at its momentum, at track_running_stats, and at whether the layer that is "
                "trained is the one that is evaluated",
                statistic=settled, null=0.0, tolerance=_SETTLED, n=found.n,
            )  # fmt: skip
        return CheckResult(
            outcome="not_applicable",
            message=f"the model has a norm over the batch ({norms[0]}): in training a pair's prediction depends "
            "on the others by design, and small batches are noisy",
        )
    if not found.equal and not deviation(one_BL, again_BL, batch.measured_BL).equal:
        return CheckResult(
            outcome="not_applicable",
            message="the model draws random numbers in training mode that no dropout layer accounts for, so "
            "that the two "
            "modes cannot be held together",
        )
    return must_equal(
        found,
        same="training mode without dropout predicts as evaluation mode does",
        differs="training mode predicts otherwise than evaluation mode, and neither dropout nor a norm over the batch "
        "accounts for it",
        next_step="look for uses of self.training, and for a norm of your own whose running statistics are never "
        "updated: what is trained is not what is evaluated",
    )


def _settled(probe: Probe, model: nn.Module, batch: ModelBatch) -> float:
    """How far the two modes lie apart, in spreads of the predictions, once the running statistics are of this batch."""
    model.train()
    with without_dropout(model):
        for _ in range(_PASSES - 1):
            probe.answer(batch, model)
        trained_E = probe.answer(batch, model)[batch.measured_BL].cpu().numpy()
    evaluated_E = probe.answer(batch, model.eval())[batch.measured_BL].cpu().numpy()
    size, spread = float(np.sqrt(np.mean((evaluated_E - trained_E) ** 2))), float(np.std(trained_E))
    return size / spread if spread > 0 and math.isfinite(size) else LARGEST
