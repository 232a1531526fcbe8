"""Skill: where a loss lies between a baseline that ignores the input and the least loss that can be reached."""

import math


def skill(loss: float | None, *, baseline: float | None, best: float | None) -> float | None:
    """``(baseline - loss) / (baseline - best)``: 0 is the input-free baseline, 1 the best possible.

    Parameters
    ----------
    loss : float or None
        Mean squared error of a model; above the baseline its skill is negative.
    baseline : float or None
        Loss of the better of the predictions that ignore the input.
    best : float or None
        The Bayes risk, on the same pairs.

    Returns
    -------
    float or None
        None where one of them is not known or not finite, or the best is not below the baseline: nothing can be
        learnt.
    """
    if loss is None or baseline is None or best is None:
        return None
    if not all(map(math.isfinite, (loss, baseline, best))) or not baseline > best:
        return None
    return (baseline - loss) / (baseline - best)
