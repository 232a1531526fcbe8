"""The learning curve: known answers, and the command as a user runs it at length.

Worlds are small and trainings short, seeds fixed. What is asserted of an answer is decided by the paired interval over
seeds, as the command decides it; no tolerance is set here.
"""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diagnostics.commands.learning_curve.pairs import N_HELD_OUT
from diagnostics.commands.learning_curve.points import curves_of
from diagnostics.commands.learning_curve.runs import carry_out
from diagnostics.runs.execute import Ended, execute
from diagnostics.runs.experiment import Experiment
from diagnostics.runs.store import ResultStore
from tests.diagnostics.commands.verbs import calling, with_changes

main = calling("learning-curve")

pytestmark = pytest.mark.slow

SMALL = ["--source", "synthetic:scale_free/5", "--pairs", "40", "160", "--capacity", "width=4", "8", "--steps", "6",
         "--batch-size", "16", "--seeds", "2", "--workers", "1"]  # fmt: skip

RUN = Experiment(
    source="synthetic:chain/4",
    regime="interventional",
    seed=0,
    n_pairs=30,
    n_held_out=N_HELD_OUT,
    changed=(("width", 8),),
    n_steps=4,
    batch_size=16,
    learning_rate=1e-2,
)


def asked(out: Path, *more: str) -> int:
    return main([*with_changes(SMALL, more), "--out", str(out)])


def results(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("curve")
    assert asked(out, "--quiet", "--json", str(out / "more" / "all.json")) == 0
    return out


def test_everything_that_was_asked_is_measured_between_its_two_ends(finished: Path):
    found = results(finished)
    # 2 seeds x 2 numbers of pairs x 2 widths, and for each seed one longer training where the answer is given.
    assert len(found["runs"]) == 10
    assert found["stands"] == {"n_pairs": 40, "capacity": 4, "n_steps": 6}
    longer = [run for run in found["runs"] if run["n_steps"] == 12]
    assert [(run["n_pairs"], run["capacity"], run["seed"]) for run in longer] == [(40, 4, 0), (40, 4, 1)]
    for run in found["runs"]:
        assert run["bayes_risk"] < run["baseline_loss"]
        span = run["baseline_loss"] - run["bayes_risk"]
        assert run["skill"] == pytest.approx((run["baseline_loss"] - run["loss"]) / span)
        assert 0 <= run["chance"] <= run["ceiling_auprc"] <= 1
        assert 0 <= run["auprc"] <= 1
    gains = {gain["option"]: gain["skill"] for gain in found["answer"]["gains"]}
    assert set(gains) == {"more data", "bigger model", "longer training"}
    at = {(run["n_pairs"], run["capacity"], run["n_steps"], run["seed"]): run["skill"] for run in found["runs"]}
    won = [at[160, 4, 6, seed] - at[40, 4, 6, seed] for seed in (0, 1)]
    assert gains["more data"]["value"] == pytest.approx(sum(won) / 2)


def test_runs_of_a_seed_share_world_and_held_out_pairs(finished: Path):
    runs = results(finished)["runs"]
    for seed in (0, 1):
        assert len({(run["baseline_loss"], run["bayes_risk"]) for run in runs if run["seed"] == seed}) == 1
    assert len({run["bayes_risk"] for run in runs}) == 2
    # Ridge and the classical estimator learn from the pairs alone, whatever the model.
    assert len({(run["ridge_loss"], run["classical_auprc"], run["n_pairs"], run["seed"]) for run in runs}) == 4


def test_what_is_printed_is_what_is_written(finished: Path, capsys: pytest.CaptureFixture[str]):
    assert asked(finished) == 0
    shown = capsys.readouterr()
    table = (finished / "table.txt").read_text(encoding="utf-8")
    assert shown.out.startswith(table)
    assert "More data, or a bigger model? From 40 pairs, width 4, 6 steps" in table
    assert "Answer: " in table
    assert max(map(len, table.splitlines())) <= 120
    assert results(finished)["runs"] == json.loads((finished / "more" / "all.json").read_text("utf-8"))["runs"]
    for name in results(finished)["figures"]:
        assert (finished / name).read_bytes().startswith(b"\x89PNG")
    assert set(results(finished)["figures"]) == {"learning_curve.png", "capacity_curve.png"}


def test_finished_trainings_are_kept_and_a_torn_one_is_done_again(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    whole = (finished / "runs.jsonl").read_bytes()
    # A kill in the middle of the last line.
    (tmp_path / "runs.jsonl").write_bytes(whole[:-30])
    assert asked(tmp_path) == 0
    assert capsys.readouterr().err.count("last: ") == 1

    def without_seconds(path: Path) -> dict[str, Any]:
        return {
            key: {name: value for name, value in one.items() if "seconds" not in name}
            for key, one in ResultStore(path / "runs.jsonl").read().items()
        }

    assert without_seconds(tmp_path) == without_seconds(finished)
    # One value more trains that value alone: 2 seeds x 2 widths, and 2 longer ones where the answer is given now.
    assert main([*with_changes(SMALL, ["--pairs", "40", "160", "320"]), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err.count("last: ") == 6


def test_worker_processes_leave_no_trace(finished: Path, tmp_path: Path):
    few = ["--pairs", "40", "--capacity", "width=4", "--seeds", "2", "--quiet", "--workers", "2"]
    assert main([*with_changes(SMALL, few), "--out", str(tmp_path)]) == 0
    skills = {(run["seed"], run["n_steps"]): run["skill"] for run in results(tmp_path)["runs"]}
    others = {
        (run["seed"], run["n_steps"]): run["skill"]
        for run in results(finished)["runs"]
        if (run["n_pairs"], run["capacity"]) == (40, 4)
    }
    assert skills == others


def test_the_sample_size_of_a_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    few = ["--graph-genes", "4", "6", "--capacity", "width=8", "--pairs", "64", "512", "--quiet"]
    assert asked(tmp_path, *few) == 0
    out = capsys.readouterr().out
    assert "Pairs at which the AUPRC of the graph reaches 0.9" in out
    assert "classical: pairs grow as genes^g" in out or "classical: no growth" in out
    found = results(tmp_path)
    assert [one["n_genes"] for one in found["genes"]] == [4, 6]
    assert {run["world"] for run in found["runs"]} == {"scale_free/4", "scale_free/6"}
    for one in found["genes"]:
        assert set(one["model_S"]) == {"0", "1"}
        assert one["theory"] > 0
        # Six steps teach nothing; what they teach is a bound.
        assert one["model"]["middle"]["n"] in (64, 512) or 64 < one["model"]["middle"]["n"] < 512
    assert (tmp_path / "sample_size.png").read_bytes().startswith(b"\x89PNG")


def test_trainings_that_diverge_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    wild = ["--learning-rate", "1e30", "--pairs", "40", "--capacity", "width=4", "--preset", "seed", "--quiet"]
    code = asked(tmp_path, *wild)
    out = capsys.readouterr().out
    n_lost = sum(run["skill"] is None for run in results(tmp_path)["runs"])
    assert code == int(n_lost == 4)
    assert ("diverged" in out) == (n_lost > 0)


def test_of_several_rates_a_point_takes_the_best_on_validation_pairs(tmp_path: Path):
    assert asked(tmp_path, "--learning-rate", "1e-6", "1e-2", "--pairs", "160", "--capacity", "width=8", "--quiet") == 0
    runs = results(tmp_path)["runs"]
    curves = curves_of(runs)
    for at in curves.records.values():
        for seed, chosen in at.items():
            rivals = [
                run for run in runs if (run["seed"], run["n_steps"]) == (seed, chosen["n_steps"])
            ]  # fmt: skip
            assert len(rivals) == 2
            assert chosen["best_skill"] == max(run["best_skill"] for run in rivals)


def test_a_run_is_repeatable_and_a_seed_is_another_world():
    def figures(run: Experiment) -> dict[str, Any]:
        return {
            name: value for name, value in carry_out(run, lambda n_done, loss: None).items() if "seconds" not in name
        }

    assert figures(RUN) == figures(RUN)
    assert figures(RUN)["bayes_risk"] != figures(replace(RUN, seed=1))["bayes_risk"]


def test_an_interrupt_keeps_what_is_done_and_waits_for_nothing(tmp_path: Path):
    def interrupt(ended: Ended) -> None:
        raise KeyboardInterrupt

    # The other run would take an hour or more.
    runs = [RUN, replace(RUN, n_steps=10_000_000)]
    with pytest.raises(KeyboardInterrupt):
        execute(runs, carry_out, ResultStore(tmp_path / "runs.jsonl"), workers=2, on_run=interrupt)
    assert list(ResultStore(tmp_path / "runs.jsonl").read()) == [RUN.key]
    assert multiprocessing.active_children() == []


def test_few_pairs_call_for_more_data(tmp_path: Path):
    # 100 pairs of 6 genes, gone through hundreds of times: memorised, whatever the width; 1,600 are enough.
    asks = [
        "--source",
        "synthetic:scale_free/6",
        "--pairs",
        "100",
        "1600",
        "--capacity",
        "width=16",
        "32",
        "--steps",
        "300",
    ]
    assert main([*asks, "--seeds", "3", "--quiet", "--workers", "1", "--out", str(tmp_path)]) == 0
    found = results(tmp_path)
    assert found["answer"]["verdict"] == "more data"
    assert "memorises" in (tmp_path / "table.txt").read_text(encoding="utf-8")


def test_a_model_one_number_wide_calls_for_a_bigger_one(tmp_path: Path):
    asks = [
        "--source",
        "synthetic:scale_free/6",
        "--pairs",
        "4000",
        "16000",
        "--capacity",
        "width=1",
        "16",
        "--steps",
        "300",
    ]
    assert main([*asks, "--seeds", "3", "--quiet", "--workers", "1", "--out", str(tmp_path)]) == 0
    found = results(tmp_path)
    assert found["answer"]["verdict"] == "bigger model"
    assert "capacity or steps" in (tmp_path / "table.txt").read_text(encoding="utf-8")
