"""From the records of trainings to points of a curve, over seeds, and to what they answer.

A seed whose training diverged at one of two points is in no comparison of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from diagnostics.commands.learning_curve.answer import Answer, OptionName, answer_of, fitting_of
from diagnostics.runs.store import Record
from diagnostics.scoring.power_law import Extrapolation, PowerLaw, extrapolate, fit_power_law
from diagnostics.scoring.sample_size import Needed, NeededOfSeeds, crossing, of_seeds
from gpcp.core.errors import InputError
from gpcp.core.intervals import Interval, mean_interval

TARGET_SKILL, TARGET_AUPRC = 0.95, 0.9
"""Levels whose number of pairs is asked for: close to the exact answer, and a graph that can be worked with."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a training stands.

    Parameters
    ----------
    n_pairs, capacity, n_steps : int
    """

    n_pairs: int
    capacity: int
    n_steps: int


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """All trainings of one source, by place and seed; of several learning rates the best on the validation pairs.

    Parameters
    ----------
    records : mapping of Place to a mapping of seed to record
    n_diverged : int
        Of the trainings that are left.
    """

    records: Mapping[Place, Mapping[int, Record]]
    n_diverged: int

    @property
    def exact_known(self) -> bool:
        """Whether they are of a world, whose Bayes risk is known."""
        return any(one["bayes_risk"] is not None for at in self.records.values() for one in at.values())

    @property
    def graph_known(self) -> bool:
        """Whether the graph was read out and scored: not of a screen, whose pairs perturb by name."""
        return any(one.get("target") is not None for at in self.records.values() for one in at.values())

    @property
    def measure(self) -> str:
        """The field of a record that says how far a loss is on its way."""
        return measure_of(exact_known=self.exact_known)

    @property
    def pairs(self) -> list[int]:
        """Numbers of pairs, ascending."""
        return sorted({place.n_pairs for place in self.records})

    @property
    def capacities(self) -> list[int]:
        """Ascending."""
        return sorted({place.capacity for place in self.records})

    @property
    def n_steps(self) -> int:
        """Of all trainings but those that ask what longer training wins."""
        return min(place.n_steps for place in self.records)

    def at(self, n_pairs: int, capacity: int, n_steps: int | None = None) -> Mapping[int, Record]:
        """The records of a place that were trained to the end, by seed; empty where there is none."""
        place = Place(n_pairs=n_pairs, capacity=capacity, n_steps=n_steps or self.n_steps)
        return {seed: one for seed, one in self.records.get(place, {}).items() if one["loss"] is not None}


def measure_of(*, exact_known: bool) -> str:
    """``"skill"``, or of real cells ``"share_of_linear"``."""
    return "skill" if exact_known else "share_of_linear"


def curves_of(records: Iterable[Record]) -> Curves:
    """Sort records by place and seed."""
    best: dict[Place, dict[int, Record]] = {}
    for record in records:
        place = Place(n_pairs=record["n_pairs"], capacity=record["capacity"], n_steps=record["n_steps"])
        at = best.setdefault(place, {})
        other = at.get(record["seed"])
        if other is None or _chosen_by(record) > _chosen_by(other):
            at[record["seed"]] = record
    n_diverged = sum(one["loss"] is None for at in best.values() for one in at.values())
    return Curves(records=best, n_diverged=n_diverged)


def _chosen_by(record: Record) -> float:
    chosen = record[f"best_{measure_of(exact_known=record['bayes_risk'] is not None)}"]
    return float("-inf") if record["loss"] is None or chosen is None else chosen


def common(of_seed: Iterable[Mapping[int, object]]) -> list[int]:
    """The seeds that all of some mappings have, ascending; none where there is no mapping."""
    several = [set(one) for one in of_seed]
    return sorted(several[0].intersection(*several[1:])) if several else []


def mean_of(records: Mapping[int, Record], name: str) -> Interval | None:
    """Mean of one figure over the seeds that have it, with Student's interval; None where no seed has it."""
    found = [one[name] for one in records.values() if one[name] is not None]
    return mean_interval(found) if found else None


def current_place(curves: Curves) -> Place:
    """Where the answer is given: one value below the largest in pairs and in capacity, where there are two."""
    pairs, capacities = curves.pairs, curves.capacities
    return Place(n_pairs=([0, *pairs])[-2] or pairs[-1], capacity=([0, *capacities])[-2] or capacities[-1],
                 n_steps=curves.n_steps)  # fmt: skip


def answer_at(curves: Curves, place: Place, field: str) -> Answer | None:
    """What the options from a place win; None where no seed has the place and an option."""
    stands = curves.at(place.n_pairs, place.capacity, place.n_steps)
    options = _options(curves, place, field)
    seeds, measure = common([stands, *(after for _, after in options.values())]), curves.measure
    if not seeds or not options or any(stands[seed][measure] is None for seed in seeds):
        return None
    return answer_of(
        [stands[seed][measure] for seed in seeds],
        {option: (summary, [after[seed][measure] for seed in seeds]) for option, (summary, after) in options.items()},
        exact_known=curves.exact_known,
    )


def _options(curves: Curves, place: Place, field: str) -> dict[OptionName, tuple[str, Mapping[int, Record]]]:
    found: dict[OptionName, tuple[str, Mapping[int, Record]]] = {}
    more = next((n for n in curves.pairs if n > place.n_pairs), None)
    bigger = next((value for value in curves.capacities if value > place.capacity), None)
    longer = min((one.n_steps for one in curves.records if one.n_steps > place.n_steps
                  and (one.n_pairs, one.capacity) == (place.n_pairs, place.capacity)), default=None)  # fmt: skip
    if more is not None:
        found["more data"] = f"{place.n_pairs:,} -> {more:,} pairs", curves.at(more, place.capacity)
    if bigger is not None:
        found["bigger model"] = f"{field} {place.capacity} -> {bigger}", curves.at(place.n_pairs, bigger)
    if longer is not None:
        summary = f"{place.n_steps:,} -> {longer:,} steps"
        found["longer training"] = summary, curves.at(place.n_pairs, place.capacity, longer)
    # An option at which every training diverged wins nothing that could be measured.
    return {option: (summary, after) for option, (summary, after) in found.items() if after}


def fitting_at(curves: Curves, place: Place) -> str | None:
    """What training losses say of the reason, for the mean over seeds."""
    records = curves.at(place.n_pairs, place.capacity, place.n_steps)
    names = ("train_loss", "exact_train_loss", "loss", "bayes_risk")
    means = [mean_of(records, name) for name in names]
    known = [one.value for one in means if one is not None]
    return fitting_of(*known) if len(known) == len(names) else None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CurveFit:
    """What the curve of one capacity says beyond its points.

    Parameters
    ----------
    capacity : int
    law : PowerLaw or None
    refusal : str
        Why there is no law.
    reached : NeededOfSeeds
        Pairs at which skill reaches :data:`TARGET_SKILL`, between the numbers of pairs.
    beyond : Extrapolation or None
        The same by the law, where the largest number of pairs has not reached it.
    """

    capacity: int
    law: PowerLaw | None
    refusal: str
    reached: NeededOfSeeds
    beyond: Extrapolation | None


def fits_of(curves: Curves) -> list[CurveFit]:
    """The power law of every capacity; seeds that have all numbers of pairs. None where there is no exact answer."""
    found: list[CurveFit] = []
    if not curves.exact_known:
        return found
    pairs = curves.pairs
    for capacity in curves.capacities:
        at = {n: curves.at(n, capacity) for n in pairs}
        seeds = common(at.values())
        if not seeds or len(pairs) < 2:
            continue
        rows = [[at[n][seed] for n in pairs] for seed in seeds]
        needed = [crossing(pairs, [one["skill"] for one in row], TARGET_SKILL) for row in rows]
        reached = of_seeds(needed)
        law, refusal = _law(pairs, rows)
        beyond = None
        if law is not None and reached.middle.bound == "more than":
            ends = (row[-1] for row in rows)
            targets = [(1 - TARGET_SKILL) * (end["baseline_loss"] - end["bayes_risk"]) for end in ends]
            beyond = extrapolate(law, targets)
        found.append(CurveFit(capacity=capacity, law=law, refusal=refusal, reached=reached, beyond=beyond))
    return found


def _law(pairs: Sequence[int], rows: Sequence[Sequence[Record]]) -> tuple[PowerLaw | None, str]:
    excess_R_point = np.array([[one["loss"] - one["bayes_risk"] for one in row] for row in rows], dtype=np.float64)
    try:
        return fit_power_law(pairs, excess_R_point), ""
    except InputError as refusal:
        return None, str(refusal)


def graph_needs(curves: Curves, capacity: int) -> dict[int, Needed]:
    """By seed, the pairs at which the AUPRC of the graph reaches :data:`TARGET_AUPRC`; diverged trainings left out."""
    seeds = sorted({seed for at in curves.records.values() for seed in at})
    found: dict[int, Needed] = {}
    for seed in seeds:
        auprc = {n: at[seed]["auprc"] for n in curves.pairs if seed in (at := curves.at(n, capacity))}
        if auprc:
            found[seed] = crossing(list(auprc), list(auprc.values()), TARGET_AUPRC)
    return found
