"""A learning curve on real cells: no cell on two sides, nothing said of what needs an exact answer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnostics.commands.learning_curve.answer import answer_of
from diagnostics.commands.learning_curve.pairs import N_VALIDATION, data_of_cells, pairs_of_cells
from diagnostics.commands.learning_curve.points import Place, answer_at, curves_of, fits_of
from diagnostics.commands.learning_curve.table import curves_text
from tests.diagnostics.commands.recover_graph.test_cells import log_file, run_on
from tests.diagnostics.commands.verbs import calling

main = calling("learning-curve")


def words(folder: Path, *more: str) -> list[str]:
    source = ["--source", f"h5ad:{log_file(folder)}", "--values", "log", "--cell-type-key", "kind", "--n-genes", "5"]
    small = ["--pairs", "40", "80", "--capacity", "width=4", "--steps", "4", "--batch-size", "16", "--seeds", "1"]
    return [*source, *small, "--workers", "1", "--quiet", "--out", str(folder / "out"), *more]


@pytest.mark.slow
def test_the_command_on_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(words(tmp_path)) == 0
    shown = capsys.readouterr().out
    for part in ("1 the best linear predictor", "split of the cells", "216 training cells make at most 108 pairs"):
        assert part in " ".join(shown.split())
    for part in ("AUPRC", "Bayes", "left to the exact answer", "By the curve"):
        assert part not in shown
    found: dict[str, Any] = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert found["fits"] is None
    assert found["answer"]["left"] is None
    levels = {(row["baseline_loss"], row["best_linear_loss"]) for row in found["runs"]}
    assert len(levels) == 1, "one scale for all numbers of pairs"
    ((baseline, linear),) = levels
    for row in found["runs"]:
        assert row["share_of_linear"] == pytest.approx((baseline - row["loss"]) / (baseline - linear))
        assert {row[name] for name in ("skill", "bayes_risk", "exact_train_loss", "auprc", "chance")} == {None}
    assert {path.suffix for path in (tmp_path / "out").glob("*.png")} == {".png"}


@pytest.mark.parametrize(
    ("more", "summary"),
    [
        (["--regime", "counterfactual"], "--regime is for simulated worlds"),
        (["--graph-genes", "10"], "a known world is needed"),
        (["--n-perturbed", "1-5"], "within 1 .. 4"),
    ],
)
def test_what_does_not_go_with_cells_is_refused(
    more: list[str], summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(words(tmp_path, *more)) == 2
    assert summary in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_cell_is_on_two_sides_and_few_pairs_are_the_first_of_many(tmp_path: Path):
    run = replace(run_on(log_file(tmp_path)), n_pairs=300, changed=(("width", 4),))
    pairs, few = pairs_of_cells(run), pairs_of_cells(replace(run, n_pairs=50))
    sides = [
        set(np.concatenate([part.before_id_B, part.after_id_B]).tolist())
        for part in (pairs.training, pairs.validation, pairs.held_out)
    ]
    assert sum(map(len, sides)) == len(set[int]().union(*sides)) == 300
    assert len(pairs.validation) == N_VALIDATION
    assert few.training.after_BG.tobytes() == pairs.training.rows(slice(0, 50)).after_BG.tobytes()
    assert few.levels.to_json() == pairs.levels.to_json()
    assert data_of_cells(run) is data_of_cells(replace(run, n_steps=99, n_pairs=7)), "opened once"


def record(n_pairs: int, capacity: int, seed: int, share: float | None) -> dict[str, Any]:
    names = ("skill", "best_skill", "bayes_risk", "exact_train_loss", "last_share_of_linear", "ridge_share_of_linear")
    return dict.fromkeys(names) | {
        "n_pairs": n_pairs,
        "capacity": capacity,
        "seed": seed,
        "n_steps": 600,
        "loss": None if share is None else 2 - share,
        "train_loss": 0.5,
        "share_of_linear": share,
        "best_share_of_linear": share,
        "baseline_loss": 2.0,
        "best_linear_loss": 1.0,
    }


def test_options_are_judged_by_the_share_of_the_way_which_can_be_above_1():
    records = [record(n, 8, seed, 0.3 + n / 1000 + 0.001 * seed) for n in (500, 1000) for seed in (0, 1, 2)]
    curves = curves_of([*records, record(1000, 8, 3, None)])
    assert (curves.measure, curves.n_diverged) == ("share_of_linear", 1)
    answer = answer_at(curves, Place(n_pairs=500, capacity=8, n_steps=600), "width")
    assert answer is not None
    assert (answer.verdict, answer.left) == ("more data", None)
    assert answer.gains[0].skill.value == pytest.approx(0.5)
    assert fits_of(curves) == []
    shown = curves_text(curves, [], field="width", head="cells", notes=("a note",))
    assert "1.301" in shown
    assert "Note: a note." in shown


def test_of_several_rates_the_best_on_validation_pairs_is_kept():
    worse, better = record(500, 8, 0, 0.9), record(500, 8, 0, 0.2) | {"best_share_of_linear": 0.95}
    assert curves_of([worse, better]).at(500, 8)[0]["share_of_linear"] == 0.2


def test_where_no_way_is_to_go_nothing_is_compared():
    curves = curves_of([record(n, 8, 0, None) | {"loss": 1.0} for n in (500, 1000)])
    assert curves.n_diverged == 0
    assert answer_at(curves, Place(n_pairs=500, capacity=8, n_steps=600), "width") is None


def test_near_1_something_may_be_left_where_1_is_no_ceiling():
    stands, after = [0.999, 1.0, 0.998], {"more data": ("", [0.999, 1.0, 0.998])}
    assert answer_of(stands, after).verdict == "nothing is left"  # pyright: ignore[reportArgumentType]
    assert answer_of(stands, after, exact_known=False).verdict == "neither"  # pyright: ignore[reportArgumentType]
