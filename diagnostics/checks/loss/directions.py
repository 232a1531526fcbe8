"""Check that the loss depends on every direction in which predictions can be wrong, not only on their mean, say."""

from dataclasses import replace

import numpy as np
import torch

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.loss.loss import case_of
from diagnostics.results.check_result import CheckResult

_MOST_PAIRS, _MOST_POSITIONS = 6, 8
_MORE_DRAWS = 4
_RANK_SLACK = 1e-9


@check(
    "GP209",
    "loss.every_direction",
    "Does the loss depend on every way in which predictions can be wrong?",
    cause="bug", kind="exact", needs=("loss",), explained_by=("loss.finite", "loss.every_scored"),
)  # fmt: skip
def every_direction(probe: Probe) -> CheckResult:
    """The rank of the loss's gradients at random predictions, float64 (R, E), is the number of predictions.

    A loss of each cell's mean has a gradient at every prediction and is least at the target, yet predictions may err
    in all ways that leave the mean as it is; likewise a loss of the batch's mean. What no gradient ever points to is
    not learnt. One lost direction a pair, as a correlation's shift, is left open.
    """
    case = case_of(probe, "directions")
    scored = case.scored_BL.cpu().numpy()
    rows = np.argsort(-scored.sum(axis=1), kind="stable")[:_MOST_PAIRS]
    positions = [(int(row), int(one)) for row in rows for one in np.flatnonzero(scored[row])[:_MOST_POSITIONS]]
    n, n_pairs = len(positions), len({row for row, _ in positions})
    if n < 3 * n_pairs:
        return CheckResult(
            outcome="not_applicable", message="the pairs score too few genes each to distinguish a loss from its mean"
        )
    row_E, position_E = (np.array(index) for index in zip(*positions, strict=True))
    rng, size = probe.rng("directions of the loss"), (case.prediction_BL - case.after_BL).abs().max()
    slope_RE = np.empty((n + _MORE_DRAWS, n))
    for slope_E in slope_RE:
        sign_BL = rng.choice([-1.0, 1.0], scored.shape) * rng.uniform(0.5, 1.0, scored.shape)
        miss_BL = torch.as_tensor(sign_BL).to(case.after_BL) * size
        _, gradient_BL = replace(case, prediction_BL=case.after_BL + miss_BL).loss_and_gradient(probe)
        slope_E[:] = gradient_BL.cpu().numpy()[row_E, position_E]
    largest_E = np.abs(slope_RE).max(axis=0)
    if not (np.isfinite(slope_RE).all() and largest_E.all()):
        return CheckResult(
            outcome="not_applicable", message="some derivatives are 0 or not finite: see the checks before"
        )
    singular = np.linalg.svd(slope_RE / largest_E, compute_uv=False)
    rank = int((singular > _RANK_SLACK * singular[0]).sum())
    message = f"the gradients at {len(slope_RE)} random predictions span {rank} of the {n} directions of their errors"
    next_step = "compare entry by entry before anything is averaged: the mean of squared errors, not the square of a "
    next_step += "mean error"
    if n - n_pairs <= rank < n:
        return CheckResult(
            outcome="inconclusive", message=f"{message}: one a pair is lost, as in a correlation: it ignores shifts",
            next_step="add a term for it, unless the level of the predictions does not matter", statistic=float(rank),
            null=float(n), n=n,
        )  # fmt: skip
    return verdict(
        good=rank == n, message=message if rank == n else f"{message}: in all others they are free to "
        f"be", next_step=next_step,
        statistic=float(rank), null=float(n), tolerance=0.0, n=n,
    )  # fmt: skip
