"""``gpcp train`` as its users meet it: bad use, a small training, an interruption, several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpcp.training.fit import HistoryRow
from gpcp.training.trained import trained_predictor
from simulators.screens.design import design_named
from simulators.screens.files import screen_anndata
from simulators.screens.simulated import simulated_screen
from simulators.worlds import world
from tests.diagnostics.commands.test_bad_use import cells_file
from tests.diagnostics.commands.verbs import calling

main = calling("train")

WORLD = ["--source", "synthetic:chain/5", "--held-out", "200"]
SMALL = [*WORLD, "--steps", "12", "--batch-size", "8", "--set", "width=8", "n_heads=2", "evaluate_every=3"]


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        ([], "--source is missing"),
        (["--source", "synthetic:chian/5"], "nearest: chain"),
        ([*WORLD, "--preset", "mixng"], "nearest: mixing"),
        ([*WORLD, "--set", "widht=8"], "nearest: width"),
        ([*WORLD, "--set", "seed=3"], "nothing that can be set"),
        ([*WORLD, "--set", "precision=64-tru"], "nearest: 64-true"),
        ([*WORLD, "--learning-rate", "0"], "learning_rate"),
        ([*WORLD, "--regime", "match"], "nearest: matched"),
        ([*WORLD, "--stepz", "3"], "Did you mean --steps"),
        (["--source", "nowhere.h5ad"], "nowhere.h5ad"),
    ],
)
def test_bad_use_is_one_line(
    arguments: list[str],
    summary: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gpcp train: error: ")
    assert captured.err.count("\n") == 1
    assert summary in captured.err
    assert not (tmp_path / "out").exists()
    if "Did you mean" not in summary:
        # Of several processes the first alone says it.
        monkeypatch.setenv("RANK", "1")
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err == ""


def test_a_model_is_trained_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--out", str(tmp_path), "--json", str(tmp_path / "also.json")]) == 0
    shown = capsys.readouterr().out
    found = results(tmp_path)
    assert json.loads((tmp_path / "also.json").read_text(encoding="utf-8")) == found
    levels = found["levels"]
    assert levels["bayes_risk"] < levels["reference"] < levels["baseline"]
    assert found["skill"] == pytest.approx(
        (levels["baseline"] - found["loss"]) / (levels["baseline"] - levels["bayes_risk"])
    )
    assert all(f"{value:.4f}" in shown for value in (found["loss"], levels["baseline"], levels["bayes_risk"]))
    assert (found["n_steps"], found["stopped"], found["n_processes"]) == (12, "finished", 1)
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))["history"]
    rows = [HistoryRow(**row) for row in history]
    assert [row.step for row in rows] == [3, 6, 9, 12]
    # The curve ends where the table does: the weights are the last ones, and the pairs the same.
    assert rows[-1].held_out_loss == pytest.approx(found["loss"], rel=1e-5)
    assert (tmp_path / "loss.png").stat().st_size > 1000
    assert len(trained_predictor(tmp_path / "checkpoint.pt").vocab) == 5


def test_an_interrupted_training_goes_on_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = [*SMALL, "--set", "width=8", "n_heads=2", "evaluate_every=3", "checkpoint_every=5", "--quiet"]
    assert main([*usual, "--out", str(tmp_path / "whole")]) == 0

    def end(_self: object, n_done: int, *_: object, **__: object) -> None:
        if n_done == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("diagnostics.cli.progress.Progress.reach", end)
        assert main([*usual, "--out", str(tmp_path / "parts")]) == 130
    assert not (tmp_path / "parts" / "results.json").exists()
    assert main([*usual, "--out", str(tmp_path / "parts")]) == 0
    assert (tmp_path / "parts" / "history.json").read_bytes() == (tmp_path / "whole" / "history.json").read_bytes()
    assert results(tmp_path / "parts")["loss"] == results(tmp_path / "whole")["loss"]


def test_another_training_in_the_folder_is_refused_or_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--out", str(tmp_path), "--quiet"]) == 0
    before = (tmp_path / "checkpoint.pt").read_bytes()
    capsys.readouterr()
    assert main([*SMALL, "--seed", "1", "--out", str(tmp_path)]) == 2
    assert "another seed, training" in capsys.readouterr().err
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert main([*SMALL, "--seed", "1", "--out", str(tmp_path), "--fresh", "--quiet"]) == 0
    assert (tmp_path / "checkpoint.pt").read_bytes() != before


def test_cells_of_a_file(tmp_path: Path) -> None:
    source = ["--source", cells_file(tmp_path), "--cell-type-key", "kind", "--held-out", "20"]
    arguments = ["--steps", "4", "--batch-size", "8", "--set", "width=8", "n_heads=2", "--quiet"]
    assert main([*source, *arguments, "--out", str(tmp_path / "out")]) == 0
    found = results(tmp_path / "out")
    assert found["levels"]["bayes_risk"] is None
    assert found["skill"] is None
    assert found["n_genes"] == 6


def test_a_loss_that_is_no_number_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--learning-rate", "1e30", "--out", str(tmp_path), "--quiet"]) == 1
    assert "diverged" in capsys.readouterr().out
    assert results(tmp_path)["loss"] is None


@pytest.mark.slow
def test_two_processes_show_and_write_once_what_one_does(tmp_path: Path, repo: Path) -> None:
    shown = {}
    for n in (1, 2):
        out = str(tmp_path / str(n))
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repo)}
        done = subprocess.run(
            [*launch, "-m", "diagnostics", "train", *SMALL, "--set", "width=8", "accelerator=cpu", "--out", out],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        shown[n] = done.stdout
    assert shown[2].count("this model") == 1
    one, two = (results(tmp_path / str(n)) for n in (1, 2))
    assert (one["n_processes"], two["n_processes"]) == (1, 2)
    # Adam divides gradients by their size, so that rounding of small ones grows.
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
    assert two["levels"] == one["levels"]


def test_a_screen_is_trained_on_by_the_names_of_its_perturbations(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    design = design_named("ideal", n_targets=3, cells_per_target=60, n_controls=80, values="log")
    screen_anndata(simulated_screen(world("scale_free/10"), design)).write_h5ad(tmp_path / "screen.h5ad")
    source = ["--source", f"screen:{tmp_path / 'screen.h5ad'}", "--layer", "X", "--values", "log"]
    asked = [*source, "--out", str(tmp_path / "run"), "--steps", "60", "--preset", "mixing", "--batch-size", "32"]
    assert main([*asked, "--hold-out-by", "perturbation"]) == 0
    shown = capsys.readouterr().out
    assert "held out perturbation" in shown
    found = results(tmp_path / "run")
    assert len(found["model"]["perturbations"]) == 3
    assert trained_predictor(tmp_path / "run" / "checkpoint.pt").perturbations is not None
    assert main([*source, "--out", str(tmp_path / "other"), "--hold-out-by", "perturbations"]) == 2
    assert "nearest: perturbation" in capsys.readouterr().err
    assert main([*source, "--out", str(tmp_path / "other"), "--hold-out-by", "perturbation", "--hold-out", "x"]) == 2
    assert "perturbation 'x' to hold out is not in the screen" in capsys.readouterr().err
    assert main([*source, "--out", str(tmp_path / "other"), "--regime", "matched"]) == 2
    assert "--regime has no meaning for a screen" in capsys.readouterr().err
