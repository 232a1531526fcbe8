"""The gradient noise scale, and the batch size that it suggests: an optional check.

With ``G`` the gradient of the mean loss over all pairs and ``S`` the covariance of one pair's gradient, a step of a
batch of ``b`` pairs follows ``G`` plus noise of covariance ``S / b``. Batches far below ``tr S / |G|^2`` pairs are
mostly noise, and their steps average out; far above it more pairs change nothing (McCandlish et al. 2018).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.cures.changes import scaled_rate
from diagnostics.checks.engine.budget import batch_size, steps_within
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.weights import flat
from diagnostics.checks.learning.learning_rate import best_rate
from diagnostics.checks.learning.short_training import N_STEPS, pace
from diagnostics.checks.optimiser.one_step import watched
from diagnostics.results.check_result import CheckResult
from gpcp.core.intervals import Interval, jackknife

N_SMALL, N_BATCHES, N_GROUPS = 8, 160, 20
"""Pairs of a small batch, how many batches, and how many groups of them are left out in turn for the interval."""

SECONDS = 20.0
"""What the training before, and the batches, may cost, about, each."""

FAR = 8.0
"""Factor between the batch size and the noise scale from which on another batch size is worth a note."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NoiseScale:
    """The noise of a gradient.

    Parameters
    ----------
    pairs : Interval
        ``tr S / |G|^2``, in pairs.
    signal, noise : float
        ``|G|^2`` and ``tr S``.
    """

    pairs: Interval
    signal: float
    noise: float


def noise_scale(gradient_RE: Sequence[NDArray[np.float64]], n_small: int, n_groups: int = N_GROUPS) -> NoiseScale:
    """From gradients of independent batches of ``n_small`` pairs, at the same weights.

    The unbiased estimator of two batch sizes (appendix A.1 there), small batches and all of them together:
    ``|G|^2 = (n |mean g|^2 - mean |g|^2) / (n - 1)`` and ``tr S = n_small (mean |g|^2 - |G|^2)``. The ratio's interval
    is a jackknife's over groups of batches.
    """
    size_R = np.array([float(one @ one) for one in gradient_RE])
    n = len(gradient_RE)
    group_R = np.arange(n) % n_groups
    sums = [
        np.sum([one for one, at in zip(gradient_RE, group_R, strict=True) if at == g], axis=0) for g in range(n_groups)
    ]
    total_E = np.sum(sums, axis=0)

    def of(sum_E: NDArray[np.float64], squares: float, count: int) -> tuple[float, float]:
        signal = (float(sum_E @ sum_E) / count - squares / count) / (count - 1)
        return signal, n_small * (squares / count - signal)

    signal, noise = of(total_E, float(size_R.sum()), n)
    # A signal that is as good as 0 leaves the ratio unknown: its inverse is what is judged.
    without_R1 = np.array(
        [
            [left[0] / left[1]]
            for g, part_E in enumerate(sums)
            if (left := of(total_E - part_E, float(size_R[group_R != g].sum()), int((group_R != g).sum())))[1] > 0
        ]
    )
    (inverse,) = jackknife(np.array([signal / noise]), without_R1)
    return NoiseScale(pairs=_inverted(inverse), signal=signal, noise=noise)


def _inverted(one: Interval) -> Interval:
    def over(value: float) -> float:
        return 1 / value if value > 0 else math.inf

    return Interval(value=over(one.value), low=over(one.high), high=over(one.low), n=one.n)


@check(
    "GP414",
    "optimiser.batch_size",
    "How many pairs should a batch have?",
    cause="optimiser", kind="exact", needs=("pairs", "model", "optimizer"), optional=True,
)  # fmt: skip
def batch_size_suggested(probe: Probe) -> CheckResult:
    """The noise scale of the step's own gradients after a short training, against the batch size that is in use."""
    gradients = _gradients(probe)
    n_small = probe.whole_sets(N_SMALL)
    if len(gradients) < N_GROUPS or not np.isfinite(gradients[-1]).all() or not any(one.any() for one in gradients):
        return CheckResult(outcome="not_applicable", message="the step gives no gradient that is finite and not 0")
    if not any((one != gradients[0]).any() for one in gradients):
        return CheckResult(
            outcome="not_applicable", message="the gradients of all batches are equal: there is no noise"
        )
    found = noise_scale(gradients, n_small)
    scale, used = found.pairs, getattr(probe.subject.pairs, "batch_size", None)
    n = len(gradients) * n_small
    if not math.isfinite(scale.low):
        return CheckResult(
            outcome="inconclusive", message=f"the gradient of {n} pairs is nothing but noise", n=n,
            next_step="batches of the largest size that fits lose nothing",
        )  # fmt: skip
    if not math.isfinite(scale.high):
        return CheckResult(
            outcome="inconclusive", n=n, statistic=scale.low, smallest_effect=scale.low,
            message=f"the gradient of {n} pairs does not stand out of its noise: the noise scale is above "
            f"{scale.low:.2g} pairs", next_step="batches of the largest size that fits lose nothing",
        )  # fmt: skip
    suggested = 2 ** max(0, round(math.log2(scale.value)))
    shown = f"the gradient noise scale is {scale.value:.2g} pairs (95 % {scale.low:.2g} .. {scale.high:.2g})"
    shown += "" if used is None else f"; the loader's batches have {used}"
    next_step = f"about {suggested} pairs a batch cost the fewest pairs for the fewest steps"
    if used is not None:
        if scale.low > FAR * used:
            next_step = f"smaller batches than this are mostly noise: try {suggested}, or accumulate gradients"
        elif scale.high < used / FAR:
            next_step = (
                f"batches as large as this gain little over {suggested}: smaller ones learn more from as many pairs"
            )
    return CheckResult(
        outcome="pass", message=shown, next_step=next_step, statistic=scale.value,
        tolerance=float(scale.value if used is None else used), n=n,
    )  # fmt: skip


def _gradients(probe: Probe) -> list[NDArray[np.float64]]:
    """Of small batches at the weights after a short training, as the step adds them up; none moves a weight."""
    n_steps, n_batches = (steps_within(probe, wanted, SECONDS, least=N_GROUPS) for wanted in (N_STEPS, N_BATCHES))
    rate, step, moving = best_rate(probe), 0, True
    found: list[NDArray[np.float64]] = []

    def paced() -> float:
        return (rate or 0.0) * pace(step, n_steps) * moving

    with probe.trial("noise scale", learning_rate=None if rate is None else paced) as (model, optimizer):
        batches = probe.batches("noise scale", batch_size=batch_size(probe))
        while step < n_steps // 2:
            if not math.isfinite(probe.subject.step(model, optimizer, next(batches))):
                return []
            step += 1
        moving = False
        size = probe.whole_sets(N_SMALL)
        whole = (pairs for pairs in probe.batches("noise scale small", batch_size=size) if len(pairs) == size)
        parameters = dict(model.named_parameters())
        # The rate is 0 whichever optimiser makes the steps: every gradient is at the same weights.
        with watched(model) as seen, scaled_rate(0.0):
            for pairs in islice(whole, n_batches):
                seen.clear()
                probe.subject.step(model, optimizer, pairs)
                found.append(flat([seen.get(name) for name in parameters], parameters.values()))
    return found
