"""Checks of models that answer cells in sets: the order of cells within a set, and a set of one.

Neither is a fault by itself: a set has no order, and few data hold sets of one, so that both are noted.
"""

import warnings

import numpy as np
import torch

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.copies import Drawn
from diagnostics.checks.engine.identities import deviation, must_equal
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult


def _needless(probe: Probe) -> CheckResult | None:
    """Why there is nothing to ask."""
    if probe.subject.intent.set_size == 1:
        return CheckResult(outcome="not_applicable", message="each cell is answered by itself (Intent.set_size is 1)")
    if probe.subject.intent.random:
        return CheckResult(outcome="not_applicable", message="the model draws at random on purpose (Intent.random)")
    return None


@check(
    "GP330",
    "architecture.set_order",
    "Do the predictions follow the cells of a set, whatever their order?",
    cause="architecture", kind="exact", needs=("pairs", "model"),
)  # fmt: skip
def set_order(probe: Probe) -> CheckResult:
    """Each set's own cells in a random order, with generic weights."""
    if (needless := _needless(probe)) is not None:
        return needless
    size = probe.subject.intent.set_size
    batch, _ = probe.exact(probe.few)
    n_sets, rng = len(batch) // size, probe.rng("set order")
    order = np.concatenate([one * size + rng.permutation(size) for one in range(n_sets)])
    order_B = torch.as_tensor(order, device=probe.device)
    usual_BL = probe.answer(batch, probe.generic_model)
    moved_BL = probe.answer(batch.rows(order_B), probe.generic_model)
    scored_BL = batch.measured_BL.expand(usual_BL.shape)
    far = deviation(usual_BL[order_B], moved_BL, scored_BL[order_B])
    if far.equal:
        return must_equal(far, same="the predictions follow the cells of a set in any order", differs="", next_step="")
    spread = float(usual_BL[scored_BL].std())
    change = float((usual_BL[order_B] - moved_BL)[scored_BL[order_B]].square().mean().sqrt())
    share = f", {change / spread:.0%} of the predictions' spread in the mean" if spread > 0 else ""
    return CheckResult(
        outcome="pass",
        message=f"the order of cells within a set of {size} changes their predictions, by up to {far.in_words}{share}",
        next_step="cells of a set have no order: leave positions out of it (no positional encoding, recurrence or "
        "causal mask over cells), unless an order is meant",
        statistic=far.largest, null=0.0, tolerance=far.tolerance, n=far.n,
    )  # fmt: skip


@check(
    "GP331",
    "architecture.set_of_one",
    "Is a set of one cell answered?",
    cause="architecture", kind="exact", needs=("pairs", "model"),
)  # fmt: skip
def set_of_one(probe: Probe) -> CheckResult:
    """One cell where a whole set is usual: an answer, and a finite one."""
    if (needless := _needless(probe)) is not None:
        return needless
    batch, _ = probe.exact(probe.few)
    batch = batch.rows(torch.arange(1, device=probe.device))
    try:
        with torch.no_grad(), Drawn(probe.seed_of("set of one")), warnings.catch_warnings():
            # A spread over one cell is warned of by torch.
            warnings.simplefilter("ignore")
            answer_BL = probe.subject.predict(probe.generic_model, batch)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        return CheckResult(outcome="not_applicable", message=f"the model takes whole sets alone ({reason})")
    n_bad = int((~answer_BL.isfinite())[batch.measured_BL.expand(answer_BL.shape)].sum())
    note = f"{n_bad} predictions for a set of one cell are not finite; sets have {probe.subject.intent.set_size} here"
    return CheckResult(
        outcome="pass", message=note if n_bad else "a set of one cell is answered by finite numbers",
        next_step="look for a spread over the cells of a set, or give whole sets alone" if n_bad else "",
        statistic=float(n_bad), tolerance=0.0, n=1,
    )  # fmt: skip
