"""Small real sweeps: the same seeds for every trial, resumed to the same end, given up for a reason that is kept."""

from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from gpcp.core.errors import InputError
from gpcp.search.result import SweepResult
from gpcp.search.sweep import SweepConfig, sweep
from tests.gpcp.search.sweep_cases import CONFIG, FIT, PAIRS, held_out, space, swept


class Killed(BaseException):
    """As an interrupt, in the middle of a sweep."""


def _content(result: SweepResult) -> list[object]:
    return [(row.slot, row.values, row.outcome, row.loss_R) for row in result.rows]


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(8, marks=pytest.mark.slow)])
def test_a_sweep_that_was_interrupted_ends_like_one_that_was_not(tmp_path: Path, after: int):
    whole = swept(tmp_path / "whole.journal")
    n_done = 0

    def killing() -> None:
        nonlocal n_done
        n_done += 1
        if n_done == after:
            raise Killed

    with pytest.raises(Killed):
        swept(tmp_path / "killed.journal", on_seed=killing)
    n_first, n_done = n_done, -1_000
    resumed = swept(tmp_path / "killed.journal", on_seed=killing)
    assert _content(resumed) == _content(whole)
    assert len(resumed.rows) == CONFIG.n_trials
    # No training was done twice.
    assert n_first + n_done + 1_000 == sum(max(1, len(row.loss_R)) for row in whole.rows)


def test_more_trials_go_on_from_those_that_are_there(tmp_path: Path):
    place = tmp_path / "a.journal"
    first = swept(place, config=replace(CONFIG, n_trials=3))
    more = swept(place, config=replace(CONFIG, n_trials=5))
    assert _content(more)[:3] == _content(first)
    assert len(more.rows) == 5
    assert swept(place, config=replace(CONFIG, n_trials=5)).to_json() == more.to_json()


def test_every_trial_has_the_same_seeds(tmp_path: Path):
    found = swept(tmp_path / "a.journal", "width=8,16", config=replace(CONFIG, n_trials=4))
    seeds = {tuple(one["seed"] for one in _replicates(trial)) for trial in _trials(tmp_path / "a.journal")}
    finished = tuple(CONFIG.seeds)
    assert all(one == finished[: len(one)] for one in seeds)
    alike = [row for row in found.rows if row.values == found.rows[0].values and row.outcome == "finished"]
    assert len({row.loss_R for row in alike}) == 1
    assert len(set(SweepConfig(seed=1).seeds) & set(SweepConfig(seed=2).seeds)) == 0


def _trials(place: Path) -> list[optuna.trial.FrozenTrial]:
    from gpcp.search.storage import SweepStore

    store = SweepStore(str(place), "sweep")
    store.settings()
    return store.trials()


def _replicates(trial: optuna.trial.FrozenTrial) -> list[dict[str, int]]:
    return [trial.user_attrs["replicates"][key] for key in sorted(trial.user_attrs["replicates"])]


def test_what_diverges_is_recorded_as_that(tmp_path: Path):
    wild = replace(FIT, gradient_clip=None)
    found = swept(tmp_path / "a.journal", "learning_rate=1e20..1e30", fit=wild, config=replace(CONFIG, n_trials=2))
    assert [row.outcome for row in found.rows] == ["diverged", "diverged"]
    assert found.best is None
    assert all(trial.state == optuna.trial.TrialState.PRUNED for trial in _trials(tmp_path / "a.journal"))


def test_what_cannot_be_trained_is_recorded_and_the_others_go_on(tmp_path: Path):
    found = swept(
        tmp_path / "a.journal",
        "width=8,200000000000000",
        config=replace(CONFIG, n_trials=2, n_spread=2, n_seeds=1),
    )
    outcomes = {row.values["width"]: row for row in found.rows}
    assert outcomes[8].outcome == "finished"
    assert outcomes[200_000_000_000_000].outcome == "failed"
    assert outcomes[200_000_000_000_000].error


@pytest.mark.slow
def test_a_rate_that_wins_nothing_is_given_up_after_one_seed_and_a_worse_one_after_three(tmp_path: Path):
    first = [{"learning_rate": rate} for rate in (3e-2, 1e-7, 6e-3)]
    config = SweepConfig(n_trials=3, n_seeds=4, n_epochs=3, epoch_pairs=1_000)
    found = swept(tmp_path / "a.journal", "learning_rate=1e-8..1", config=config, first=first)
    best, flat, worse = found.rows
    assert (best.outcome, len(best.loss_R)) == ("finished", 4)
    assert (flat.outcome, len(flat.loss_R)) == ("flat", 1)
    assert all(one > other for one, other in zip(worse.loss_R, best.loss_R, strict=False))
    assert (worse.outcome, len(worse.loss_R)) == ("worse", 3)


def test_points_that_are_given_come_first_then_the_spread_then_tpe(tmp_path: Path):
    first = [{"learning_rate": 1e-3, "width": 16}]
    config = replace(CONFIG, n_trials=5, n_spread=3, n_seeds=1)
    found = swept(tmp_path / "a.journal", "learning_rate=1e-5..1", "width=8,16", config=config, first=first)
    assert found.rows[0].values == {"learning_rate": 1e-3, "width": 16}
    fixed = [trial.system_attrs["fixed_params"] for trial in _trials(tmp_path / "a.journal")]
    assert [bool(one) for one in fixed] == [True, True, True, False, False]


def test_another_sweep_is_not_mixed_with_this_one(tmp_path: Path):
    swept(tmp_path / "a.journal", config=replace(CONFIG, n_trials=1))
    with pytest.raises(InputError, match="another epochs"):
        swept(tmp_path / "a.journal", config=replace(CONFIG, n_trials=1, n_epochs=2))
    with pytest.raises(InputError, match="another space"):
        swept(tmp_path / "a.journal", "learning_rate=1e-4..1", config=replace(CONFIG, n_trials=1))
    other = swept(tmp_path / "a.journal", "learning_rate=1e-4..1", config=replace(CONFIG, n_trials=1), name="other")
    assert len(other.rows) == 1


def test_pairs_of_other_genes_are_refused(tmp_path: Path):
    wrong = space(model=replace(space().model, n_genes=7))
    with pytest.raises(InputError, match="7 genes, the pairs have 5"):
        sweep(PAIRS, held_out(), wrong, CONFIG, storage=str(tmp_path / "a.journal"))


@pytest.mark.parametrize(("name", "value"), [("n_trials", 0), ("n_seeds", 0), ("n_epochs", -1), ("n_spread", -1)])
def test_numbers_out_of_range_are_refused(name: str, value: int):
    with pytest.raises(InputError, match=f"SweepConfig.{name} is {value}"):
        SweepConfig(**{name: value})
