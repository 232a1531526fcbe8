"""Check that the untrained model's predictions are of the size of the targets."""

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import LARGEST, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult

MOST_WRONG = 100.0
"""Times the error of predicting 0, or the cell before, whichever is larger: ten times too large. Usual ways to
begin give from .5 to 3."""


@check(
    "GP401",
    "optimiser.start",
    "Are the untrained predictions of the size of the targets?",
    cause="optimiser", kind="exact", needs=("pairs", "model"), explained_by=("architecture.finite", "data.units"),
)  # fmt: skip
def start(probe: Probe) -> CheckResult:
    """Squared error at the initial weights, against that of a prediction of 0 and that of the cell before.

    Weights that begin too large saturate what is squashed, lose small differences to rounding, and cost most of the
    training to come down.
    """
    batch, after_BL = probe.exact(probe.few)
    after, before = after_BL[batch.scored_BL], batch.before_BL[batch.scored_BL]
    usual = max(float(after.square().sum()), float((after - before).square().sum()))
    if not usual > 0:
        return CheckResult(outcome="not_applicable", message="nothing that is scored differs from 0")
    answer = probe.answer(batch)[batch.scored_BL]
    if not bool(answer.isfinite().all()):
        return CheckResult(
            outcome="not_applicable", message="the untrained predictions are not finite: see architecture.finite"
        )
    ratio = min(float((answer - after).square().sum()) / usual, LARGEST)
    return verdict(
        good=ratio <= MOST_WRONG,
        message=f"the untrained model's squared error is {ratio:.3g} times that of predicting 0 or the cell before"
        + ("" if ratio <= MOST_WRONG else ": training begins far from where the targets lie"),
        next_step="initialise smaller weights (torch's own defaults do), or begin the last layer at 0",
        statistic=ratio, tolerance=MOST_WRONG, n=int(after.numel()),
    )  # fmt: skip
