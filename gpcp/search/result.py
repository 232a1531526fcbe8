"""The result of a sweep: every trial, which of them differ by more than their seeds do, and the effect of the rate.

A loss is the mean over the seeds. The best is compared with the others by :func:`gpcp.core.intervals.tie_width`: the
spread between seeds within a configuration, pooled over the better half of those that were trained from every seed. The
worse half may spread as it likes.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, final

import optuna
from optuna.trial import FrozenTrial, TrialState

from gpcp.core.intervals import pooled_seed_sd, tie_width
from gpcp.core.skill import skill
from gpcp.search.space import Hyperparameter, Space, Value
from gpcp.search.storage import SweepStore, check_settings
from gpcp.search.trial import FLAT, replicates_of

RATE = "learning_rate"
EDGE = 0.1
"""Share of a range's scale, at each end, that counts as its edge."""

_JUDGED = ("finished", "worse", "flat")
_LEAST_TRIALS = 8


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SweepRow:
    """One trial.

    Parameters
    ----------
    slot : int
        Its place in the plan, from 0.
    values : mapping
        The fields that were varied.
    outcome : str
        One of :data:`gpcp.search.trial.OUTCOMES`, or ``"running"`` or ``"waiting"``.
    loss_R : tuple of float
        Held-out losses of the seeds that were trained and did not diverge.
    n_parameters, n_steps : int or None
        Numbers learnt, and updates of one training.
    seconds : float
        Of all its trainings.
    error : str
        What a failed trial failed of.
    """

    slot: int
    values: Mapping[str, Value]
    outcome: str
    loss_R: tuple[float, ...]
    n_parameters: int | None
    n_steps: int | None
    seconds: float
    error: str = ""

    @property
    def loss(self) -> float:
        """Mean over the seeds done; infinite where there is none, or one diverged."""
        if not self.loss_R or self.outcome == "diverged":
            return math.inf
        return sum(self.loss_R) / len(self.loss_R)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON's types; a loss that is no number is null."""
        return {
            **asdict(self),
            "values": dict(self.values),
            "losses": list(self.loss_R),
            "loss": self.loss if math.isfinite(self.loss) else None,
        }


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SweepResult:
    """All trials of a sweep.

    Parameters
    ----------
    rows : tuple of SweepRow
        By slot.
    n_seeds : int
    start_loss : float
        Of the untrained model.
    levels : mapping of str to float
        Losses to compare with.
    space : Space
    settings : mapping
        What the sweep was made with.
    """

    rows: tuple[SweepRow, ...]
    n_seeds: int
    start_loss: float
    levels: Mapping[str, float]
    space: Space
    settings: Mapping[str, Any]

    @property
    def finished(self) -> list[SweepRow]:
        """Trials that were trained from every seed, best first."""
        return sorted((row for row in self.rows if row.outcome == "finished"), key=lambda row: row.loss)

    @property
    def best(self) -> SweepRow | None:
        """The lowest loss of those; None while there is none."""
        return self.finished[0] if self.finished else None

    @property
    def n_unfinished(self) -> int:
        """Trials that wait, or that another worker runs."""
        return sum(row.outcome in ("running", "waiting") for row in self.rows)

    @property
    def seed_sd(self) -> float:
        """Spread between seeds within a configuration; NaN where it is not known."""
        better = self.finished[: max(1, math.ceil(len(self.finished) / 2))]
        return pooled_seed_sd([row.loss_R for row in better])

    @property
    def tie_width(self) -> float:
        """Difference of losses below which two trials tie; NaN where each has one seed."""
        return tie_width(self.seed_sd, self.n_seeds)

    @property
    def ties(self) -> list[SweepRow]:
        """Trials that the best one is not distinguished from, without it."""
        best = self.best
        return [] if best is None else [row for row in self.finished[1:] if not row.loss - best.loss > self.tie_width]

    def skill(self, loss: float) -> float | None:
        """Share of the way from the baseline to the Bayes risk; None where these are not known."""
        return skill(loss, baseline=self.levels.get("baseline"), best=self.levels.get("Bayes risk"))

    def gain(self, row: SweepRow) -> float:
        """What a trial wins from the untrained loss, as a share of what the best one wins; negative where it rose."""
        best = self.best
        if best is None or not self.start_loss > best.loss or not math.isfinite(row.loss):
            return -math.inf
        return (self.start_loss - row.loss) / (self.start_loss - best.loss)

    def rates(self) -> "Rates | None":
        """At which learning rates nothing learns; None where the rate was not varied, or nothing has finished."""
        tried = [row for row in self.rows if RATE in row.values and row.outcome in (*_JUDGED, "diverged")]
        if self.best is None or not tried:
            return None
        return rates_of(sorted((float(str(row.values[RATE])), self.gain(row), row.outcome) for row in tried))

    def edges(self) -> list[str]:
        """What the best trial has of the outermost that was tried, in words."""
        best = self.best
        return (
            []
            if best is None
            else [summary for one in self.space.hyperparameters if (summary := _edge(one, best, self))]
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON's types."""
        best = self.best
        return {
            "settings": dict(self.settings),
            "levels": dict(self.levels),
            "start_loss": self.start_loss,
            "n_seeds": self.n_seeds,
            "seed_sd": _known(self.seed_sd),
            "tie_width": _known(self.tie_width),
            "best": None if best is None else {**best.to_json(), "skill": self.skill(best.loss)},
            "ties": [row.slot for row in self.ties],
            "edges": self.edges(),
            "rates": None if (rates := self.rates()) is None else asdict(rates),
            "importance": {name: list(values) for name, values in importance(self).items()},
            "trials": [row.to_json() for row in self.rows],
        }


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Learning rates at which nothing learnt.

    Parameters
    ----------
    flat_below : tuple of float
        From the lowest rate up to the first at which any trial learnt.
    flat_above, diverged_above : tuple of float
        From the highest rate down to the first at which any trial learnt.
    flat_between : tuple of float
        Of trials that stayed flat, or diverged, though others learnt at lower and at higher rates: another
        hyperparameter's doing, or bad luck.
    """

    flat_below: tuple[float, ...]
    flat_above: tuple[float, ...]
    diverged_above: tuple[float, ...]
    flat_between: tuple[float, ...]


def rates_of(tried: Sequence[tuple[float, float, str]]) -> Rates:
    """Sort trials into those regions.

    Parameters
    ----------
    tried : sequence of (rate, gain, outcome)
        By rate; gains as shares of the best one's.
    """
    learnt = [place for place, (_, gain, outcome) in enumerate(tried) if outcome != "diverged" and gain >= FLAT]
    low, high = (learnt[0], learnt[-1]) if learnt else (len(tried), len(tried) - 1)
    above = tried[high + 1 :]
    between = [rate for place, (rate, _, _) in enumerate(tried) if low < place < high and place not in learnt]
    return Rates(
        flat_below=tuple(rate for rate, _, _ in tried[:low]),
        flat_above=tuple(rate for rate, _, outcome in above if outcome != "diverged"),
        diverged_above=tuple(rate for rate, _, outcome in above if outcome == "diverged"),
        flat_between=tuple(between),
    )


def result_of(store: SweepStore, space: Space) -> SweepResult:
    """What a storage holds of a sweep by now."""
    settings = store.settings() or {}
    check_settings(settings, store)
    return SweepResult(
        rows=tuple(_row(trial, space) for trial in store.trials()),
        n_seeds=len(settings["seeds"]),
        start_loss=float(settings["_start_loss"]),
        levels=settings["_levels"],
        space=space,
        settings=settings,
    )


def _row(trial: FrozenTrial, space: Space) -> SweepRow:
    outcome = {TrialState.WAITING: "waiting", TrialState.RUNNING: "running"}.get(trial.state)
    done = replicates_of(trial)
    return SweepRow(
        slot=trial.user_attrs["slot"],
        values=space.fields_of(trial.params),
        outcome=outcome or trial.user_attrs.get("outcome", "failed"),
        loss_R=tuple(one.loss for one in done if one.loss is not None),
        n_parameters=done[0].n_parameters if done else None,
        n_steps=done[0].n_steps if done else None,
        seconds=sum(one.seconds for one in done),
        error=trial.user_attrs.get("error", ""),
    )


def _edge(one: Hyperparameter, best: SweepRow, result: SweepResult) -> str:
    """In words, where the best value is at an end of what was tried that is not an end of what there is."""
    value = best.values.get(one.name)
    if one.name not in best.values or not one.ordered or len(one.choices) == 1:
        return ""
    end = _end(one, value)
    if not end or (end == "lower" and value == 0):
        return ""
    low, high = (one.choices[0], one.choices[-1]) if one.choices else (one.low, one.high)
    summary = (
        f"the best {one.name}, {_text(value)}, is at the {end} edge of what was tried, {_text(low)} .. {_text(high)}"
    )
    inside = [row for row in result.ties if _end(one, row.values.get(one.name)) != end]
    if inside:
        return f"{summary}; {_text(inside[0].values[one.name])} (trial {inside[0].slot}) ties with it"
    return f"{summary}: widen it"


def _end(one: Hyperparameter, value: Value) -> str:
    """At which end of what was tried a value is: ``"lower"``, ``"upper"`` or neither."""
    if one.choices:
        return "lower" if value == one.choices[0] else "upper" if value == one.choices[-1] else ""
    place = one.place(value)
    return "lower" if place < EDGE else "upper" if place > 1 - EDGE else ""


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


@lru_cache(maxsize=1)  # the table, the figure and the JSON of one result ask for it
def importance(result: SweepResult, *, n_forests: int = 5) -> dict[str, tuple[float, float]]:
    """Share of the spread of the losses that each hyperparameter explains, and the standard deviation over forests.

    fANOVA (Hutter, Hoos and Leyton-Brown 2014) by Optuna, over all trials that were judged: what diverged counts as the
    untrained loss, and no loss as more than that, since how bad a bad trial is says little. Empty with fewer than
    eight trials, or where all losses are alike.
    """
    rows = [row for row in result.rows if row.outcome in (*_JUDGED, "diverged")]
    losses = [min(row.loss, result.start_loss) for row in rows]
    searched = [one for one in result.space.searched if len(one.choices) != 1]
    if len(rows) < _LEAST_TRIALS or not max(losses) > min(losses):
        return {}
    study = optuna.create_study()
    for row, loss in zip(rows, losses, strict=True):
        params = result.space.searched_of(row.values)
        distributions = {one.name: one.distribution for one in result.space.searched}
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=loss))
    shares: dict[str, list[float]] = {one.name: [] for one in searched}
    for forest in range(n_forests):
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=forest)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(shares))
        for name in shares:
            shares[name].append(found[name])
    means = {name: statistics.fmean(values) for name, values in shares.items()}
    return {name: (means[name], statistics.pstdev(shares[name])) for name in sorted(means, key=lambda n: -means[n])}
