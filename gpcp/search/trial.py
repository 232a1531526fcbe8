"""One trial of a sweep: a configuration trained seed after seed, stopped early where that cannot change the outcome.

Every trial has the same seeds, and so the same pairs: trials are compared seed by seed. A trial ends early

* as *diverged*, when a loss is no longer finite;
* as *flat*, when its first seed gains less than a tenth of what the best trial gains on it: whatever the others gain,
  its mean stays behind by nine tenths of a seed's gain, divided by the seeds;
* as *worse*, when Wilcoxon's signed-rank test over the seeds so far says so, at :data:`P_WORSE`: three of three.

Optuna records each of them as *pruned*; the trial keeps its outcome.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, final

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.search.space import Space, Value
from gpcp.search.storage import ALIVE_EVERY_S, SweepStore
from gpcp.training.config import FitConfig
from gpcp.training.replicate import Replicate, replicate

OUTCOMES = ("finished", "worse", "flat", "diverged", "failed")
FLAT = 0.1
"""Share of the best trial's gain below which a loss is called flat."""

P_WORSE = 0.13
"""Above 1/8, the least that three seeds can show, and below 1/4, the least that two can."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Task:
    """What every trial of a sweep does.

    Parameters
    ----------
    space : Space
    pairs : PairSource
    held_out : PairBatch
    seeds : tuple of int
        Of every configuration, in this order.
    n_epochs, epoch_pairs : int
        Passes, and pairs of a pass, whatever the size of a batch.
    start_loss : float
        Of the untrained base model on the held-out pairs.
    """

    space: Space
    pairs: PairSource
    held_out: PairBatch
    seeds: tuple[int, ...]
    n_epochs: int
    epoch_pairs: int
    start_loss: float

    def steps(self, fit: FitConfig) -> FitConfig:
        """The training of so many epochs."""
        n_steps = max(1, ceil(self.n_epochs * self.epoch_pairs / fit.batch_size))
        return replace(fit.lasting(n_steps), evaluate_every=n_steps)


def pruner() -> optuna.pruners.BasePruner:
    """Wilcoxon's signed-rank test against the best trial, seed by seed."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        return optuna.pruners.WilcoxonPruner(p_threshold=P_WORSE)


def run_trial(trial: optuna.Trial, task: Task, store: SweepStore, on_seed: Callable[[], None] | None = None) -> str:
    """Do what is left of a claimed trial and report it to the storage; its outcome.

    Ended by an interrupt, the trial is given back, and the seeds that were done stay with it.

    Parameters
    ----------
    trial : optuna.Trial
    task : Task
    store : SweepStore
    on_seed : callable, optional
        Called after every training.
    """
    try:
        searched = _suggested(trial, task.space)
        outcome = _trained(trial, searched, task, store, on_seed)
    except InputError as error:
        outcome = _failed(trial, str(error), "")
    except (RuntimeError, MemoryError, ArithmeticError) as error:
        # A model that does not fit into memory is an outcome of its configuration: the sweep goes on, and says so.
        outcome = _failed(trial, f"{type(error).__name__}: {error}", traceback.format_exc())
    except BaseException:
        store.release(trial)
        raise
    trial.set_user_attr("outcome", outcome)
    trial.set_user_attr("ended_at", time.time())
    if outcome == "finished":
        losses = [one.loss for one in replicates_of(trial) if one.loss is not None]
        trial.study.tell(trial, sum(losses) / len(losses))
    else:
        trial.study.tell(trial, state=TrialState.FAIL if outcome == "failed" else TrialState.PRUNED)
    return outcome


def replicates_of(trial: FrozenTrial | optuna.Trial) -> list[Replicate]:
    """The trainings that a trial has behind it, in the order of the seeds."""
    kept: dict[str, dict[str, Any]] = trial.user_attrs.get("replicates", {})
    try:
        return [Replicate(**kept[place], history=()) for place in sorted(kept, key=int)]
    except (TypeError, ValueError, AttributeError):
        raise InputError(
            f"trial {trial.number} of the sweep is damaged or of another version: give another name or place"
        ) from None


def _failed(trial: optuna.Trial, summary: str, trace: str) -> str:
    trial.set_user_attr("error", summary)
    trial.set_user_attr("traceback", trace)
    return "failed"


def _suggested(trial: optuna.Trial, space: Space) -> dict[str, Value]:
    """The trial's values; those that it has already stay."""
    found: dict[str, Value] = {}
    for one in space.searched:
        match one.distribution:
            case FloatDistribution() as range_of:
                found[one.name] = trial.suggest_float(one.name, range_of.low, range_of.high, log=range_of.log)
            case CategoricalDistribution() as among:
                found[one.name] = trial.suggest_categorical(one.name, among.choices)
            case other:
                raise TypeError(f"{one.name} is of an unknown kind, {other}")
    return found


def _trained(
    trial: optuna.Trial, searched: dict[str, Value], task: Task, store: SweepStore, on_seed: Callable[[], None] | None
) -> str:
    """Train from each seed that is not done, until the outcome is known."""
    model_config, fit_config = task.space.configs(searched)
    fit_config = task.steps(fit_config)
    reported_s = time.monotonic()

    def on_step(n_done: int, loss: float) -> None:
        nonlocal reported_s
        del n_done, loss
        if time.monotonic() - reported_s > ALIVE_EVERY_S:
            reported_s = time.monotonic()
            store.keep_alive(trial)

    done: dict[str, dict[str, Any]] = dict(trial.user_attrs.get("replicates", {}))
    for place, seed in enumerate(task.seeds):
        if str(place) not in done:
            _, found = replicate(model_config, fit_config, task.pairs, task.held_out, seed=seed, on_step=on_step)
            done[str(place)] = found.to_json()
            trial.set_user_attr("replicates", done)
            if on_seed is not None:
                on_seed()
        loss = done[str(place)]["loss"]
        if loss is None:
            return "diverged"
        trial.report(loss, place)
        given_up = _given_up(trial, place, loss, task)
        if given_up and place + 1 < len(task.seeds):
            return given_up
    return "finished"


def _given_up(trial: optuna.Trial, place: int, loss: float, task: Task) -> str:
    """Why the other seeds would not matter; empty where they do."""
    finished = [one for one in trial.study.get_trials(deepcopy=False) if one.state == TrialState.COMPLETE]
    if not finished:
        return ""
    best = min(finished, key=lambda one: one.value if one.value is not None else float("inf"))
    best_gain = task.start_loss - best.intermediate_values[0]
    if place == 0 and best_gain > 0 and task.start_loss - loss < FLAT * best_gain:
        return "flat"
    return "worse" if trial.should_prune() else ""
