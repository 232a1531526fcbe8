"""What an evaluation found: a row for each answer, with intervals over perturbations, and what follows in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.cell_eval import Scores
from diagnostics.audit.evaluation.leak import Leak
from diagnostics.audit.evaluation.shape import Shape
from gpcp.core.intervals import Interval, bootstrap

MEAN_RESPONSE = ("mean response", "mean response, no spread")
"""What a prediction has to beat: the answers that ignore which perturbation it is."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Row:
    """The scores of one answer.

    Parameters
    ----------
    name, kind, note : str
        As of the answer.
    scores : Scores
    values : mapping of str to Interval
        By metric; ``n`` is the number of perturbations that the metric has a value for.
    scaled : mapping of str to Interval
        ``(value - baseline) / (replicate - baseline)``; empty where the scorer has no scale for such values.
    shape : Shape or None
        None of an answer that has no cells of its own.
    leak : Leak or None
        None where no world is known, too.
    """

    name: str
    kind: str
    note: str
    scores: Scores
    values: Mapping[str, Interval]
    scaled: Mapping[str, Interval]
    shape: Shape | None = None
    leak: Leak | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """By how much an answer is better than the mean response, in one metric, perturbation by perturbation.

    Parameters
    ----------
    name, against, metric : str
    difference : Interval
        Positive where the answer is better.
    """

    name: str
    against: str
    metric: str
    difference: Interval


def intervals(scores: Scores, metrics: Sequence[str], rng: np.random.Generator) -> dict[str, Interval]:
    """Bootstrap intervals over perturbations; a metric without any value is left out."""
    known = [one for one in metrics if one in scores.parts and not np.isnan(scores.parts[one]).all()]
    if not known:
        return {}
    sums = np.nan_to_num(np.concatenate([scores.parts[one] for one in known], axis=1))
    found = bootstrap(sums, _quotients, rng)
    counts = [int(np.isfinite(scores.parts[one]).all(axis=1).sum()) for one in known]
    return {
        one: Interval(value=each.value, low=each.low, high=each.high, n=n)
        for one, each, n in zip(known, found, counts, strict=True)
    }


def difference(first: Scores, second: Scores, metric: str, direction: int, rng: np.random.Generator) -> Interval | None:
    """By how much the first is better, over the perturbations that both have a value for; None where there is none."""
    both = [scores.parts.get(metric) for scores in (first, second)]
    if both[0] is None or both[1] is None:
        return None
    pair = np.concatenate((both[0], both[1]), axis=1)
    pair = pair[np.isfinite(pair).all(axis=1)]
    if not len(pair):
        return None
    (found,) = bootstrap(pair, lambda total: direction * (_quotients(total[:, :2]) - _quotients(total[:, 2:])), rng)
    return found


def rescaled(
    values: Mapping[str, Interval], zero: Mapping[str, float], one: Mapping[str, float]
) -> dict[str, Interval]:
    """Values between a baseline at 0 and a replicate at 1; metrics in which the two do not differ are left out."""
    found: dict[str, Interval] = {}
    for metric, each in values.items():
        low, high = zero.get(metric, np.nan), one.get(metric, np.nan)
        if not (np.isfinite(low) and np.isfinite(high) and low != high):
            continue
        ends = sorted((end - low) / (high - low) for end in (each.low, each.high))
        found[metric] = Interval(value=(each.value - low) / (high - low), low=ends[0], high=ends[1], n=each.n)
    return found


def _quotients(total: NDArray[np.float64]) -> NDArray[np.float64]:
    above, below = total[:, ::2], total[:, 1::2]
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
