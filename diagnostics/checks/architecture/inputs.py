"""Checks of what the untrained model reads and must not read: masks, expression and the perturbation.

At generic weights: what does not change a prediction there is not connected, and no training will connect it. Each
row of a batch varies a gene of its own, so that one pass checks many.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.checks.architecture.needed_genes import WORTH, worth_of_other_genes
from diagnostics.checks.engine.batches import at, drawn_values, invented, set_before
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import Deviation, as_risk, deviation, must_equal, must_move, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.short_training import as_good_as_linear
from diagnostics.results.check_result import CheckResult
from gpcp.model.batch import ModelBatch

_JUNK = 1e6
"""A large number, stored where nothing is read."""

ALL_MEASURED = "were a gene unmeasured; these pairs measure every gene"
"""Why a mask that is wrong does no harm."""

NO_MASK = CheckResult(
    outcome="not_applicable", message="the model is not given which genes were measured (Intent.masked)"
)


def of_masks(probe: Probe, ask: Callable[[], CheckResult]) -> CheckResult:
    """What a check of masks finds; only a risk where no pair of the source leaves a gene unmeasured."""
    if not probe.subject.intent.masked:
        return NO_MASK
    if probe.masks:
        return ask()
    try:
        return as_risk(ask(), ALL_MEASURED)
    except Exception as error:
        return CheckResult(
            outcome="not_applicable",
            message=f"every gene of these pairs is measured, and the model takes nothing else: {type(error).__name__}",
        )


@check(
    "GP301",
    "architecture.finite",
    "Are the untrained model's predictions finite numbers?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def finite(probe: Probe) -> CheckResult:
    """On the source's pairs and with more genes unmeasured, at the model's own weights."""
    n_wrong, n = 0, 0
    for pairs in (probe.few, probe.masked):
        batch, _ = probe.exact(pairs)
        answer = probe.answer(batch)[batch.measured_BL]
        n_wrong, n = n_wrong + int((~answer.isfinite()).sum()), n + answer.numel()
    return verdict(
        good=not n_wrong,
        message=f"{n_wrong} of {n} predictions are NaN or infinite" if n_wrong else f"all {n} predictions are finite",
        next_step="look for a logarithm or root of a negative number, a division by 0, a softmax over nothing, or "
        "weights that are NaN already",
        statistic=n_wrong / max(n, 1), tolerance=0.0, n=n,
    )  # fmt: skip


@check(
    "GP302",
    "architecture.repeatable",
    "Does the model in evaluation mode predict the same batch twice alike?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def repeatable(probe: Probe) -> CheckResult:
    """Two passes that differ in their random numbers alone."""
    if probe.subject.intent.random:
        return CheckResult(outcome="not_applicable", message="the model draws at random on purpose (Intent.random)")
    batch = invented(probe, "repeatable", p_perturbed=1 / 3)
    one_BL, again_BL = (probe.answer(batch, probe.generic_model, draw=draw) for draw in (1, 2))
    return must_equal(
        deviation(one_BL, again_BL, batch.measured_BL),
        same="two passes in evaluation mode agree",
        differs="two passes in evaluation mode disagree",
        next_step="switch off dropout and sampling where self.training is False (functional dropout takes "
        "training=self.training), and look for layers or weights that are made inside forward, and for what is kept "
        "on self from one pass to the next, as a hidden state",
    )


@check(
    "GP303",
    "architecture.unmeasured",
    "Do unmeasured genes change nothing, whatever is stored at their positions?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def unmeasured(probe: Probe) -> CheckResult:
    """Other values, large ones, and other targets at the positions that are not measured."""
    return of_masks(probe, partial(_unmeasured, probe))


def _unmeasured(probe: Probe) -> CheckResult:
    batch, usual_BL = _partly_measured(probe)
    rng = probe.rng("unmeasured")
    hidden_BL = ~batch.measured_BL
    where_BL = batch.measured_BL
    found = deviation(usual_BL, usual_BL, where_BL)
    for junk in (float(drawn_values(probe, (1,), rng)[0]), _JUNK):
        target_BL = torch.where(hidden_BL, junk, batch.target_BL)
        altered = replace(set_before(batch, hidden_BL, junk), target_BL=target_BL)
        now = deviation(usual_BL, probe.answer(altered, probe.generic_model), where_BL)
        found = now if now.largest >= found.largest else found
    return must_equal(
        found,
        same="what is stored at unmeasured positions changes nothing",
        differs="what is stored at unmeasured positions changes the predictions for measured genes",
        next_step="drop what is not measured with torch.where(measured_BL, value, 0), and give measured_BL to "
        "attention and to every mean or sum over genes (True where a gene counts)",
    )


@check(
    "GP304",
    "architecture.nan_unmeasured",
    "Does a NaN stored at an unmeasured position stay there?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def nan_unmeasured(probe: Probe) -> CheckResult:
    """NaN times a mask's 0 is NaN: values must be dropped before any arithmetic, or gradients are lost too.

    A risk alone unless a batch of these pairs stores NaN.
    """
    found = of_masks(probe, partial(_nan_unmeasured, probe))
    return found if probe.stores_nan else as_risk(found, "were NaN stored there; no batch of these pairs stores any")


def _nan_unmeasured(probe: Probe) -> CheckResult:
    batch, usual_BL = _partly_measured(probe)
    altered = set_before(batch, ~batch.measured_BL, float("nan"))
    found = deviation(usual_BL, probe.answer(altered, probe.generic_model), batch.measured_BL)
    if found.equal and _gradient_is_nan(probe, altered):
        return verdict(
            good=False, message="NaN at unmeasured positions leaves the predictions alone and makes gradients NaN",
            next_step="choose with torch.where before any arithmetic, not after it",
            statistic=1.0, tolerance=0.0, n=found.n,
        )  # fmt: skip
    return must_equal(
        found,
        same="NaN stored at unmeasured positions changes neither predictions nor gradients",
        differs="NaN stored at unmeasured positions reaches the predictions for measured genes",
        next_step="choose with torch.where(measured, value, 0) before any arithmetic: a product with the mask keeps "
        "NaN",
    )


def _gradient_is_nan(probe: Probe, batch: ModelBatch) -> bool:
    parameters = [one for one in probe.generic_model.parameters() if one.requires_grad]
    answer = probe.subject.predict(probe.generic_model, batch)[batch.measured_BL]
    if not answer.requires_grad:
        return False
    gradients = cast("tuple[Tensor | None, ...]", torch.autograd.grad(answer.sum(), parameters, allow_unused=True))
    return any(one is not None and not bool(one.isfinite().all()) for one in gradients)


def _partly_measured(probe: Probe) -> tuple[ModelBatch, Tensor]:
    """Cells in which each measures genes of its own, and the predictions for them."""
    batch = invented(probe, "partly measured", p_perturbed=1 / 3, p_measured=2 / 3, masked_anyway=True)
    batch = set_before(batch, ~batch.measured_BL, 0.0)
    return batch, probe.answer(batch, probe.generic_model)


@check(
    "GP305",
    "architecture.unperturbed",
    "Is the cell after read at perturbed genes only?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def unperturbed(probe: Probe) -> CheckResult:
    """Other targets at unperturbed positions: those of a training pair would be the very values to predict."""
    batch = invented(probe, "untold", p_perturbed=1 / 3)
    rng = probe.rng("untold")
    target_BL = torch.as_tensor(drawn_values(probe, tuple(batch.target_BL.shape), rng)).to(batch.target_BL)
    altered = replace(batch, target_BL=torch.where(batch.perturbed_BL, batch.target_BL, target_BL))
    usual_BL, other_BL = (probe.answer(one, probe.generic_model) for one in (batch, altered))
    return must_equal(
        deviation(usual_BL, other_BL),
        same="targets stored at unperturbed genes change nothing",
        differs="targets stored at genes that are not perturbed change the predictions",
        next_step="read target_BL where perturbed_BL is True only: elsewhere it may hold what is to be predicted",
    )


@check(
    "GP306",
    "architecture.reads_expression",
    "Do the predictions change with expression before?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def reads_expression(probe: Probe) -> CheckResult:
    """Every measured gene gets another value."""
    batch = invented(probe, "reads expression", p_perturbed=1 / 3)
    other = invented(probe, "other expression", p_perturbed=1 / 3)
    altered = set_before(batch, batch.measured_BL & ~batch.perturbed_BL, other.before_BL)
    found = must_move(
        probe.most_moved(lambda model: deviation(probe.answer(batch, model), probe.answer(altered, model))),
        moves="predictions change with the expression of the cell before",
        stays="the predictions are the same whatever the cell before expresses",
        next_step="feed before_BL to the model, and look for a detour that drops it",
    )
    return _unless_as_good(probe, found)


def _unless_as_good(probe: Probe, found: CheckResult) -> CheckResult:
    """A model of types of cells, which a loader may give beside, need not read expression if it is as good as ridge."""
    if found.outcome == "fail" and hasattr(probe.subject.pairs, "loader") and as_good_as_linear(probe):
        return as_risk(found, "on which the model is as good as a linear fit that reads it")
    return found


@check(
    "GP307",
    "architecture.reads_other_genes",
    "Does the expression of one gene reach the predictions for others?",
    cause="architecture", kind="exact", needs=("model",),
)  # fmt: skip
def reads_other_genes(probe: Probe) -> CheckResult:
    """One gene a pair gets another value; its own prediction is left out. A note where no gene needs another's."""
    found = must_move(
        _moved_by_one_gene(probe, invented(probe, "one gene", p_perturbed=1 / 3), probe.rng("one gene")),
        moves="one gene's expression reaches the predictions for other genes",
        stays="no gene's expression reaches the prediction for another gene",
        next_step="let genes exchange information: attention between tokens, or a layer over all genes",
    )
    if found.outcome != "fail" or probe.subject.pairs is None:
        return found
    worth = worth_of_other_genes(probe.sample)
    if worth <= WORTH:
        return as_risk(found, f"which are worth {worth:.1%} of the loss of a linear fit here")
    return _unless_as_good(probe, found)


@check(
    "GP308",
    "architecture.reads_measured",
    "Are measured genes read where others are unmeasured?",
    cause="bug", kind="exact", needs=("model",), explained_by=("architecture.reads_other_genes",),
)  # fmt: skip
def reads_measured(probe: Probe) -> CheckResult:
    """As for all genes, with a third of them unmeasured: an inverted mask shows there only."""
    return of_masks(probe, partial(_reads_measured, probe))


def _reads_measured(probe: Probe) -> CheckResult:
    batch = invented(probe, "one measured gene", p_perturbed=1 / 3, p_measured=2 / 3, masked_anyway=True)
    rng = probe.rng("one measured gene")
    if not bool((batch.measured_BL.sum(dim=1) > 1).any()):
        return CheckResult(outcome="not_applicable", message="there are too few genes to measure some and not others")
    return must_move(
        _moved_by_one_gene(probe, batch, rng),
        moves="a measured gene is read where others are unmeasured",
        stays="where some genes are unmeasured, no measured gene reaches the prediction for another",
        next_step="look at the attention mask: inverted, or all False as soon as one gene is unmeasured",
    )


def _moved_by_one_gene(probe: Probe, batch: ModelBatch, rng: np.random.Generator) -> Deviation:
    chosen_BL = at(batch, one_of_each(batch.measured_BL, rng))
    value_BL = torch.as_tensor(drawn_values(probe, tuple(batch.before_BL.shape), rng))
    altered, where_BL = set_before(batch, chosen_BL, value_BL), batch.measured_BL & ~chosen_BL
    return probe.most_moved(lambda model: deviation(probe.answer(batch, model), probe.answer(altered, model), where_BL))


def one_of_each(among_BL: Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random position of each row among some, int64 (B,); position 0 where a row has none."""
    among = among_BL.cpu().numpy()
    return np.argmax(among * rng.uniform(0.5, 1.0, among.shape), axis=1)
