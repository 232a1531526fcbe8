"""The command from end to end on a tiny world: what it prints, writes, resumes, and how it ends."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpcp.core.predictors import control_of
from tests.diagnostics.commands.verbs import calling

main = calling("recover-graph")

TINY = ["--world", "chain/4", "--steps", "6", "--batch-size", "32", "--workers", "1", "--quiet"]

SCHEMA: dict[str, type | tuple[type, ...]] = {
    "regime": str,
    "seed": int,
    "loss": float,
    "bayes_risk": float,
    "baseline_loss": float,
    "skill": float,
    "auprc": float,
    "ceiling_auprc": float,
    "shd": int,
    "target": str,
    "read_out": str,
    "null_95": float,
    "ci_low": float,
    "ci_high": float,
    "seconds": float,
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], int]:
    """One run of the command with two seeds and all regimes: its folder, its JSON, its exit code."""
    folder = tmp_path_factory.mktemp("recover")
    file = folder / "deep" / "report.json"
    code = main([*TINY, "--seeds", "0-0", "1", "--out", str(folder / "out"), "--json", str(file)])
    return folder / "out", json.loads(file.read_text()), code


def test_the_json_has_the_promised_keys(ran: tuple[Path, dict[str, Any], int]) -> None:
    _, content, code = ran
    assert {"command", "versions", "world", "preset", "verdict", "regimes"} <= set(content)
    assert content["world"] == "chain/4"
    assert content["preset"] == "mixing"
    assert content["verdict"] == ("pass" if code == 0 else "fail")
    assert {(row["regime"], row["seed"]) for row in content["regimes"]} == {
        (regime, seed) for regime in ("counterfactual", "interventional", "matched") for seed in (0, 1)
    }
    for row in content["regimes"]:
        for key, kind in SCHEMA.items():
            assert isinstance(row[key], kind), key


def test_skill_follows_from_the_printed_losses(ran: tuple[Path, dict[str, Any], int]) -> None:
    for row in ran[1]["regimes"]:
        assert row["skill"] == pytest.approx(
            (row["baseline_loss"] - row["loss"]) / (row["baseline_loss"] - row["bayes_risk"]), rel=1e-9
        )
        assert row["baseline_loss"] == min(row["mean_loss"], row["mean_delta_loss"])


def test_the_bayes_risk_is_that_of_the_law_and_zero_for_counterfactuals(ran: tuple[Path, dict[str, Any], int]) -> None:
    for row in ran[1]["regimes"]:
        if row["regime"] == "counterfactual":
            # float32 pairs: relative errors of 1e-7, squared.
            assert row["bayes_risk"] < 1e-9
        else:
            # 6,000 pairs: 5 standard errors of the loss, which is about as noisy.
            assert row["bayes_risk"] == pytest.approx(row["bayes_risk_exact"], abs=5 * row["loss_se"])


def test_the_folder_holds_what_was_promised(ran: tuple[Path, dict[str, Any], int]) -> None:
    out, content, _ = ran
    assert {path.name for path in out.glob("*.png")} == set(content["figures"])
    assert {"loss.png", "precision_recall.png", "matrices_matched.png"} <= set(content["figures"])
    assert json.loads((out / "results.json").read_text()) == content
    for row in content["regimes"]:
        assert (out / row["history"]).exists()
        assert (out / f"{row['regime']}_seed{row['seed']}" / "checkpoint.pt").exists()
    assert max(len(line) for line in (out / "table.txt").read_text().splitlines()) <= 100
    assert not [path for path in out.rglob(".*") if path.is_file()], "no file is left half-written"


def test_finished_runs_are_kept_and_the_same_seed_gives_the_same_numbers(
    ran: tuple[Path, dict[str, Any], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, content, _ = ran
    arguments = [*TINY[:-1], "--regime", "interventional", "--seeds", "1-1"]
    before = (out / "interventional_seed1" / "checkpoint.pt").stat().st_mtime_ns
    main([*arguments, "--out", str(out)])
    assert "(found finished)" in capsys.readouterr().err
    assert (out / "interventional_seed1" / "checkpoint.pt").stat().st_mtime_ns == before
    main([*arguments, "--out", str(tmp_path)])
    fresh = json.loads((tmp_path / "results.json").read_text())["regimes"][0]
    (known,) = [row for row in content["regimes"] if row["regime"] == "interventional" and row["seed"] == 1]
    same = set(known) - {"seconds", "train_seconds"}
    assert {key: fresh[key] for key in same} == {key: known[key] for key in same}


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_result(
    ran: tuple[Path, dict[str, Any], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diagnostics.commands.recover_graph.progress import RunsProgress

    arguments = [*TINY, "--regime", "matched", "--seeds", "0-0", "--out", str(tmp_path)]

    def stop(self: RunsProgress, job: int, n_done: int, loss: float) -> None:
        if n_done == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunsProgress, "step", stop)
        assert main(arguments) == 130
    assert (tmp_path / "matched_seed0" / "checkpoint.pt").exists()
    assert not (tmp_path / "results.json").exists()
    main([*arguments])
    (row,) = json.loads((tmp_path / "results.json").read_text())["regimes"]
    (known,) = [row for row in ran[1]["regimes"] if row["regime"] == "matched" and row["seed"] == 0]
    assert row["loss"] == known["loss"]
    assert row["auprc"] == known["auprc"]


def test_held_out_pairs_are_no_training_pairs() -> None:
    from diagnostics.inputs.data import world_data_of
    from diagnostics.runs.experiment import Experiment

    run = Experiment(source="synthetic:chain/4", n_steps=10, batch_size=64, learning_rate=1e-3, n_held_out=200, seed=0)
    data = world_data_of(run)
    seen = np.concatenate([control_of(batch) for batch in data.training(640).pairs(batch_size=640, seed=0)])
    held_out = {row.tobytes() for row in control_of(data.held_out)}
    assert not held_out & {row.tobytes() for row in seen}
    assert not held_out & {row.tobytes() for row in control_of(data.sample)}
