"""The command's parts, and what it refuses; what trains more than a little is in ``tests/verification``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diagnostics.commands.learning_curve.pairs import N_HELD_OUT
from diagnostics.commands.learning_curve.points import Place, current_place, curves_of, fits_of
from diagnostics.commands.learning_curve.runs import configs
from diagnostics.runs.experiment import Experiment
from tests.diagnostics.commands.verbs import calling, with_changes

main = calling("learning-curve")

SMALL = ["--source", "synthetic:scale_free/5", "--pairs", "40", "--capacity", "width=4", "--steps", "4",
         "--batch-size", "16", "--seeds", "1", "--workers", "1"]  # fmt: skip


def asked(out: Path, *more: str) -> int:
    return main([*with_changes(SMALL, more), "--out", str(out)])


def test_the_command_prints_writes_and_goes_on_after_a_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert asked(tmp_path) == 0
    first = capsys.readouterr()
    assert first.out.startswith((tmp_path / "table.txt").read_text(encoding="utf-8"))
    assert "Answer: open" in first.out, "one seed decides nothing"
    assert first.err.count("last: ") == 2
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [run["n_steps"] for run in found["runs"]] == [4, 8]
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    # A kill in the middle of the last line.
    whole = (tmp_path / "runs.jsonl").read_bytes()
    (tmp_path / "runs.jsonl").write_bytes(whole[:-30])
    assert asked(tmp_path) == 0
    again = capsys.readouterr()
    assert again.err.count("last: ") == 1
    assert again.out.splitlines()[:-1] == first.out.splitlines()[:-1], "all but the seconds"


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        (["--source", "synthetic:scale_fre/20"], "nearest: scale_free"),
        (["--regime", "interventions"], "nearest: interventional"),
        (["--preset", "sead"], "nearest: seed"),
        (["--capacity", "widht=8"], "nearest: width"),
        (["--capacity", "8", "16"], "width=16 32 64"),
        (["--capacity", "width="], "not a whole number"),
        (["--capacity", "width=8", "x"], "x is not a whole number"),
        (["--capacity", "width=0"], "at least 1"),
        (["--capacity", "n_decoder_blocks=0", "1"], "at least 1"),
        (["--n-perturbed", "1-5"], "1 .. 4"),
        (["--n-perturbed", "5-3"], "backwards"),
        (["--pairs", "0"], ">= 1"),
        (["--learning-rate", "-1"], "learning_rate"),
        (["--graph-genes", "10", "20", "--capacity", "width=4", "8"], "one model"),
        (["--graph-genes", "1"], "2 or more"),
        (["--stepz", "3"], "Did you mean --steps"),
    ],
)
def test_what_is_no_good_is_refused_before_anything_is_written(
    arguments: list[str], summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert asked(out, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("gpcp learning-curve: error: ")
    assert summary in captured.err
    assert not out.exists()


def test_a_place_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    assert asked(tmp_path / "file" / "below") == 2
    assert "name another p" in capsys.readouterr().err


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


@pytest.mark.parametrize(("width", "n_heads"), [(1, 1), (2, 2), (6, 2), (8, 4), (32, 4)])
def test_heads_divide_any_width(width: int, n_heads: int):
    model_config, fit_config = configs(replace(RUN, changed=(("width", width),)), 4)
    assert (model_config.width, model_config.n_heads) == (width, n_heads)
    assert fit_config.patience is not None
    # It never stops early: no more rows than that can be without a better one.
    assert fit_config.patience > fit_config.n_steps / fit_config.evaluate_every


def record(n_pairs: int, capacity: int, seed: int, skill: float | None, n_steps: int = 600) -> dict[str, Any]:
    loss = None if skill is None else 2 - skill
    return {"n_pairs": n_pairs, "capacity": capacity, "seed": seed, "n_steps": n_steps, "skill": skill, "loss": loss,
            "best_skill": skill, "baseline_loss": 2.0, "bayes_risk": 1.0}  # fmt: skip


def test_the_answer_is_given_one_value_below_the_top_where_there_is_one():
    one = curves_of([record(500, 8, 0, 0.5)])
    assert current_place(one) == Place(n_pairs=500, capacity=8, n_steps=600)
    grid = curves_of([record(n, c, 0, 0.5) for n in (500, 2000, 8000) for c in (8, 16, 32)])
    assert current_place(grid) == Place(n_pairs=2000, capacity=16, n_steps=600)


def test_an_exact_power_law_is_found_in_the_records():
    pairs = (500, 2000, 8000, 32000)
    records = [
        record(n, 8, seed, 1 - (0.9 + 0.1 * seed) * (n / 500) ** -(0.5 + 0.01 * seed))
        for n in pairs
        for seed in (0, 1, 2)
    ]
    (fit,) = fits_of(curves_of(records))
    assert fit.law is not None
    assert fit.law.b.value == pytest.approx(0.51)
    # .9 (n / 500)^-.5 = .05 at n = 500 (18)^2 = 162,000; the pairs end at 32,000.
    assert fit.reached.middle.bound == "more than"
    assert fit.beyond is not None


def test_a_seed_that_diverged_is_in_no_comparison_and_no_fit():
    records = [record(n, 8, seed, 0.5 if n < 2000 else 0.7) for n in (500, 2000) for seed in (0, 1)]
    records[-1] = record(2000, 8, 1, None)
    curves = curves_of(records)
    assert curves.n_diverged == 1
    assert set(curves.at(2000, 8)) == {0}
    (fit,) = fits_of(curves)
    assert fit.reached.n_seeds == 1
