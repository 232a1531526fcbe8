"""The finite-sample floor of a distance between sets of cells: truth against truth.

Two sets of cells of one law are apart, the farther the smaller they are: no model that cannot know which
cells are drawn brings a distributional loss lower.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from diagnostics.scoring.distances import energy_distance
from gpcp.core.intervals import mean_interval
from gpcp.core.pairs import PairBatch

MOST_SETS, FEWEST = 100, 4
"""Pairs of sets that are compared, and without which nothing is judged."""

HIDES = 0.5
"""Share of the distance between the cells before and after from which on the floor hides most of what is learnt."""

ALIKE = 2.0
"""Times the squared distance that chance puts between the means of two sets, within which they count as alike."""


@check(
    "GP213",
    "loss.set_floor",
    "How far apart are two sets of real cells of one perturbation?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def set_floor(probe: Probe) -> CheckResult:
    """Cells after of two sets, beside the cells before and after of one, by the loss if it is one of sets."""
    size = probe.subject.intent.set_size
    if size == 1:
        return CheckResult(outcome="not_applicable", message="each cell is answered by itself (Intent.set_size is 1)")
    found = matched_sets(probe.held_out, size)[:MOST_SETS]
    if len(found) < FEWEST:
        return CheckResult(outcome="not_applicable", message="too few sets of cells of one perturbation to compare two")
    by_loss = all(_of_sets(probe, one, other) for one, other in found[:2])
    name = "the loss that is given" if by_loss else "energy distance"

    def apart(one_BG: NDArray[np.floating], other: PairBatch) -> float:
        return _loss(probe, one_BG, other) if by_loss else energy_distance(one_BG, other.after_BG)

    words = f"two sets of {size} real cells of one perturbation"
    floor = mean_interval([apart(one.after_BG, other) for one, other in found])
    change = mean_interval([apart(one.before_BG, one) for one, _ in found])
    if not change.value > 0:
        return CheckResult(outcome="not_applicable", message=f"cells before and after are not apart in {name}")
    hides = floor.value > HIDES * change.value
    apart_by = (
        f"{floor.value:.3g} apart (95 % {floor.low:.3g} .. {floor.high:.3g}, {len(found)} pairs of sets) in {name}"
    )
    limit = "a model that cannot know which cells are drawn gets no lower"
    next_step = f"larger sets: chance makes {floor.value / change.value:.0%} of what before and after are apart"
    return CheckResult(
        outcome="pass",
        message=f"{words} are {apart_by}: {limit}; cells before and after are {change.value:.3g} apart",
        next_step=next_step if hides else "",
        statistic=floor.value, null=0.0, tolerance=change.value, ceiling=floor.value, n=len(found),
    )  # fmt: skip


def matched_sets(pairs: PairBatch, size: int) -> list[tuple[PairBatch, PairBatch]]:
    """Sets of one perturbation, two by two, that share no cell and whose cells before are near each other.

    Sets are rows that follow each other. Those whose cells before lie farther apart than chance puts them, as those of
    two types of cells do, are not compared.
    """
    blocks = [np.arange(start, start + size) for start in range(0, len(pairs) - size + 1, size)]
    by_perturbation: dict[bytes, list[NDArray[np.int64]]] = {}
    for rows in blocks:
        if (pairs.perturbed_BG[rows] == pairs.perturbed_BG[rows[0]]).all() and pairs.measured_BG[rows].all():
            by_perturbation.setdefault(pairs.perturbed_BG[rows[0]].tobytes(), []).append(rows)
    found: list[tuple[PairBatch, PairBatch]] = []
    for group in by_perturbation.values():
        # No set is used twice, so that the distances are independent.
        left = list(group)
        while left:
            rows = left.pop(0)
            own, value_BG = set(pairs.after_id_B[rows].tolist()), pairs.before_BG[rows]
            others: list[tuple[float, int]] = []
            for place, one in enumerate(left):
                other_BG = pairs.before_BG[one]
                far = float(((value_BG.mean(axis=0) - other_BG.mean(axis=0)) ** 2).sum())
                chance = float((value_BG.var(axis=0) + other_BG.var(axis=0)).sum()) / size
                if far <= ALIKE * chance and own.isdisjoint(pairs.after_id_B[one].tolist()):
                    others.append((far, place))
            if others:
                found.append((pairs.rows(rows), pairs.rows(left.pop(min(others)[1]))))
    return found


def _loss(probe: Probe, answer_BG: NDArray[np.floating], pairs: PairBatch) -> float:
    prediction_BG, after_BG = (torch.as_tensor(value.astype(np.float64)) for value in (answer_BG, pairs.after_BG))
    return float(probe.subject.scalar_loss(prediction_BG, after_BG, torch.as_tensor(pairs.measured_BG.copy())))


def _of_sets(probe: Probe, one: PairBatch, other: PairBatch) -> bool:
    """Whether the loss that is given compares sets: it does not change if the cells to predict change places."""
    if probe.subject.loss is None:
        return False
    turned = other.rows(np.roll(np.arange(len(other)), 1))
    try:
        usual, moved = (_loss(probe, one.after_BG, pairs) for pairs in (other, turned))
    except Exception:
        # A loss that takes sets in a shape of their own.
        return False
    return bool(np.isfinite(usual)) and abs(usual - moved) <= 1e-9 * abs(usual)
