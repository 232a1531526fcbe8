"""Check that the model can memorise (overfit) a few pairs: what it cannot fit of sixteen, it cannot fit of many."""

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import LARGEST, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.memorised import N_STEPS, memorised
from diagnostics.checks.learning.plain import put_down_to_the_step
from diagnostics.results.check_result import CheckResult


@check(
    "GP502",
    "learning.one_batch",
    "Can the model memorise (overfit) a few pairs?",
    cause="architecture",
    kind="statistical",
    needs=("pairs", "model", "optimizer"),
)
def one_batch(probe: Probe) -> CheckResult:
    """Without dropout, at the range test's rate and a third of it, against the best constant for each gene."""
    if probe.subject.intent.set_size > 1:
        return CheckResult(
            outcome="not_applicable", message="cells are answered in sets: one cell's noise is nobody's to learn"
        )
    found = memorised(probe)
    if found is None:
        return CheckResult(
            outcome="not_applicable",
            message="a few pairs look the same to the model, or end the same: there is nothing to distinguish",
        )
    if found.left >= LARGEST:
        return CheckResult(
            outcome="fail", message=f"training on {found.n_pairs} pairs alone ends in something that is not finite",
            next_step="look for what leaves its range: a logarithm, a root, a division, an update that is not clipped",
            statistic=LARGEST, tolerance=found.tolerance, n=found.n_pairs, cause="optimiser",
        )  # fmt: skip
    what = f"of {found.n_pairs} pairs, {found.left:.1%} of the error of the best constant for each gene is left after "
    what += f"{found.n_steps} steps" + ("" if found.rate is None else f" at {found.rate:.2g}")
    if not found.enough and found.n_afforded < N_STEPS:
        return CheckResult(
            outcome="inconclusive", message=f"{what}: each step is too slow to make more", statistic=found.left,
            tolerance=found.tolerance, n=found.n_pairs, next_step="try a smaller model of the same architecture",
        )  # fmt: skip
    judged = verdict(
        good=found.enough,
        message=what + ("" if found.enough else ": it cannot represent what distinguishes these pairs"),
        next_step="look for what all genes or all pairs have to pass through: a pooled number, an activation that is "
        "dead or saturated, a gradient that does not arrive; the exact checks of the architecture name most of them",
        statistic=found.left, tolerance=found.tolerance, n=found.n_pairs,
    )  # fmt: skip
    return put_down_to_the_step(probe, judged)
