"""Checks of the outputs' range and of the attention weights' sums."""

import numpy as np
import torch
from torch import Tensor

from diagnostics.checks.engine.batches import invented
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import deviation, must_equal, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import BATCH_NORMS, DROPOUTS, scaled
from diagnostics.checks.learning.step_and_predict.sites import calls_of
from diagnostics.results.check_result import CheckResult
from gpcp.model.attention import STATIC
from gpcp.model.queries import QUERY_FORMS
from gpcp.model.transformer import GenePerturbationTransformer

_FACTORS = (1.0, 10.0, 1e2, 1e3, 1e4, 1e5)
_DRAWS = 3


@check(
    "GP322",
    "architecture.range",
    "Can the predictions reach as low and as high as the targets?",
    cause="architecture", kind="exact", needs=("pairs", "model"),
)  # fmt: skip
def output_range(probe: Probe) -> CheckResult:
    """Weights are multiplied by up to 100,000, each parameter with a sign of its own.

    A prediction that ends in a linear map then leaves every bound on either side; one that is clipped or squashed
    does not. Answers and their difference from the cell before are both held against the targets'.
    """
    if probe.subject.intent.random:
        return CheckResult(outcome="not_applicable", message="the model draws at random on purpose (Intent.random)")
    batch, after_BL = probe.exact(probe.few)
    scored_BL = batch.scored_BL
    if not bool(scored_BL.any()):
        return CheckResult(outcome="not_applicable", message="the pairs score no gene")
    rng = probe.rng("range")
    wanted = [_ends(value_BL[scored_BL]) for value_BL in (after_BL, after_BL - batch.before_BL)]
    reached = [(float("inf"), -float("inf"))] * 2
    n_models = 0
    for factor in _FACTORS * _DRAWS:
        answer_BL = probe.answer(batch, scaled(probe.generic_model, factor, rng))
        n_models += 1
        for part, value_BL in enumerate((answer_BL, answer_BL - batch.before_BL)):
            value = value_BL[scored_BL & answer_BL.isfinite()]
            if value.numel():
                lo, hi = _ends(value)
                reached[part] = (min(reached[part][0], lo), max(reached[part][1], hi))
        if _shortfall(wanted, reached) == 0:
            break
    shortfall = _shortfall(wanted, reached)
    part = int(np.argmax([_shortfall([one], [other]) for one, other in zip(wanted, reached, strict=True)]))
    what = ("predictions", "changes from the cell before")[part]
    return verdict(
        good=shortfall == 0,
        message=f"predictions reach beyond the targets on either side, with {n_models} draws of weights"
        if shortfall == 0
        else f"whatever the weights, {what} lie within {reached[part][0]:.3g} .. {reached[part][1]:.3g}, and targets "
        f"within {wanted[part][0]:.3g} .. {wanted[part][1]:.3g}",
        next_step="end in a linear layer: a ReLU, softplus, sigmoid, tanh or clip at the end keeps the model from "
        "values that it is to predict",
        statistic=shortfall, null=0.0, tolerance=0.0, n=n_models,
    )  # fmt: skip


def _ends(value: Tensor) -> tuple[float, float]:
    return float(value.min()), float(value.max())


def _shortfall(wanted: list[tuple[float, float]], reached: list[tuple[float, float]]) -> float:
    """How much of the wanted ranges is missing, in ranges; 0 where nothing is."""
    missing = [
        max(0.0, lowest - lo, hi - highest) / max(hi - lo, 1e-12)
        for (lo, hi), (lowest, highest) in zip(wanted, reached, strict=True)
    ]
    return max(missing)


@check(
    "GP333",
    "architecture.last_layer",
    "Are the predictions themselves left as they are, neither dropped nor normalised over the batch?",
    cause="architecture", kind="exact", needs=("pairs", "model"),
)  # fmt: skip
def last_layer(probe: Probe) -> CheckResult:
    """Whether a dropout, or a batch norm without a scale of its own, is the last that is called on a prediction."""
    model = probe.exact_model
    batch, _ = probe.exact(probe.few)
    with calls_of(model) as calls:
        probe.answer(batch, model)
    # A part ends after what it holds: the last of those without parts made the answer of all around it.
    inner = [one for one in calls.ended if not any(True for _ in one.module.children())]
    last = inner[-1] if inner else None
    n_scored = probe.few.after_BG.size
    ends = last is not None and last.output is not None and last.output.numel() == n_scored
    what = ""
    if ends and last is not None and isinstance(last.module, DROPOUTS) and last.module.p > 0:
        what = f"{type(last.module).__name__}({last.module.p:g}) is the last layer: in training predictions are dropped"
    elif ends and last is not None and isinstance(last.module, BATCH_NORMS) and not last.module.affine:
        what = f"{type(last.module).__name__} without a scale is the last layer: in training every gene has mean 0"
    return verdict(
        good=not what, message=what or "no dropout or batch norm stands after the last layer",
        next_step="end in a linear layer: no dropout, norm or activation after it",
        statistic=float(bool(what)), null=0.0, tolerance=0.0, n=n_scored,
    )  # fmt: skip


@check(
    "GP323",
    "architecture.attention",
    "Do attention weights add up to 1 over the tokens that count, and to 0 over the others?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def attention(probe: Probe) -> CheckResult:
    """Of the library's own transformer, which shows its weights; a softmax over the wrong axis shows here."""
    model = probe.generic_model
    if not isinstance(model, GenePerturbationTransformer):
        return CheckResult(
            outcome="not_applicable", message="only the library's own transformer shows its attention weights"
        )
    batch = invented(probe, "attention", p_perturbed=1 / 3, p_measured=2 / 3)
    with torch.no_grad():
        maps = {name: weights for name, weights in model.attention_maps(batch).items() if not name.endswith(STATIC)}
    if not maps:
        return CheckResult(outcome="not_applicable", message="the model has no attention: its weights are static")
    attend_BQ = QUERY_FORMS[model.config.query_form](batch).attend_BQ
    worst = deviation(batch.before_BL, batch.before_BL)
    for name, weight_BHQK in maps.items():
        attend_BK = attend_BQ if name.endswith("among_queries") else batch.measured_BL
        # Where no token counts, nothing is attended to.
        total_BHQ = attend_BK.any(dim=1)[:, None, None].to(weight_BHQK).expand(weight_BHQK.shape[:3])
        counted_BHQK = weight_BHQK * attend_BK[:, None, None, :].to(weight_BHQK)
        for found in (
            deviation(weight_BHQK.sum(dim=-1), total_BHQ),
            deviation(counted_BHQK.sum(dim=-1), total_BHQ),
        ):
            worst = found if found.largest > worst.largest else worst
    return must_equal(
        worst,
        same=f"the attention weights of {len(maps)} layers add up to 1 over the tokens that count",
        differs="attention weights do not add up to 1 over the tokens that count",
        next_step="take the softmax over the attended tokens (the last axis) and set masked ones to minus infinity "
        "before it",
    )
