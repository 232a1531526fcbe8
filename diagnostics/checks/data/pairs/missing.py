"""The check that pairs with missing values can be trained on as they are."""

import math

import numpy as np
import torch

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch

N_PAIRS = 64
"""Pairs of either kind with which a step is made."""


@check(
    "GP132",
    "data.missing",
    "Does the training step stay finite where values are missing?",
    cause="data", kind="exact", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def missing(probe: Probe) -> CheckResult:
    """One step with pairs that lack a value, and one with pairs that lack none: finite losses and weights.

    Values that are not finite are handed to the user's code as his loader gives them.
    """
    subject, pairs = probe.subject, probe.sample
    if subject.training_step is None and subject.loss is None and subject.objective is None:
        return CheckResult(outcome="not_applicable", message="there is neither a loss nor a step of its own")
    lacks_B = ~pairs.measured_BG.all(axis=1)
    n_lacking, share = int(lacks_B.sum()), float((~pairs.measured_BG).mean())
    if not n_lacking:
        return CheckResult(outcome="pass", message="no value is missing", statistic=0.0, tolerance=0.0, n=len(pairs))
    lacking, whole = (_some(probe, pairs.rows(np.flatnonzero(one_B))) for one_B in (lacks_B, ~lacks_B))
    if lacking is None or whole is None:
        return CheckResult(outcome="not_applicable", message="nearly all pairs lack values, or too few do")
    shown = f"{share:.2%} of the values, in {n_lacking} of {len(pairs)} pairs, are missing (NaN, infinite or masked)"
    loss, weights = _finite(probe, lacking)
    if (loss and weights) or not all(_finite(probe, whole)):
        return CheckResult(
            outcome="pass", message=f"{shown}, and a training step with such pairs does as well as one without",
            statistic=0.0, tolerance=0.0, n=len(pairs),
        )  # fmt: skip
    if loss:
        return CheckResult(
            outcome="fail", cause="bug", message=f"{shown}: a training step with such pairs gives a finite loss and "
            "weights that are not: missing values are left out of the loss but not of its gradient",
            next_step="leave missing values out before the error is taken, not after: 0 times NaN is NaN in the "
            "gradient (torch.where on both sides of the error, or index by the mask first)",
            statistic=share, tolerance=0.0, n=len(pairs),
        )  # fmt: skip
    return CheckResult(
        outcome="fail", message=f"{shown}: a training step with such pairs gives a loss or weights that are not "
        "finite, and one with the others does not",
        next_step="look for where they come from; leave such pairs out, or hand a mask to the loss that leaves these "
        "values out",
        statistic=share, tolerance=0.0, n=len(pairs),
    )  # fmt: skip


def _some(probe: Probe, pairs: PairBatch) -> PairBatch | None:
    """A few pairs in whole sets; None where there are fewer."""
    size = probe.subject.intent.set_size
    n_pairs = min(N_PAIRS, len(pairs)) // size * size
    return pairs.rows(slice(0, n_pairs)) if n_pairs > 1 else None


def _finite(probe: Probe, pairs: PairBatch) -> tuple[bool, bool]:
    """Whether the loss of one step, and all weights after it, are finite."""
    with probe.trial("missing") as (model, optimizer):
        loss = probe.subject.step(model, optimizer, pairs)
        return math.isfinite(loss), all(bool(torch.isfinite(one).all()) for one in model.parameters())
