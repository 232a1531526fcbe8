"""The command: a screen with two predictions from end to end, and bad use in one line."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.diagnostics.audit.evaluation.screens import small_anndata
from tests.diagnostics.commands.verbs import calling

main = calling("evaluate")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluate") / "screen.h5ad"
    small_anndata(n_targets=16, depth=20_000.0).write_h5ad(path)
    return path


@pytest.mark.slow
def test_two_predictions_beside_every_reference(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    replicate = tmp_path / "replicate.h5ad"
    small_anndata(n_targets=16, depth=20_000.0, seed=5).write_h5ad(replicate)
    out = tmp_path / "out"
    arguments = [str(file), "--prediction", f"other experiment={replicate}", f"the same={file}"]
    assert main([*arguments, "--test-share", ".5", "--splits", "1", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert max(len(line) for line in shown.out.splitlines() if str(tmp_path.parent) not in line) <= 110
    assert "other experiment beats the mean response in" in shown.out
    assert "scores of cell-eval2 0.20.0, preset vcc2026" in shown.out
    assert "the first call compiles" in shown.err
    assert "- LEAK: the same depends on the noise of the test cells themselves" in shown.out
    assert "LEAK: other experiment" not in shown.out
    held = json.loads((out / "evaluation.json").read_text())
    kinds = {one["name"]: one["kind"] for one in held["answers"]}
    assert kinds["other experiment"] == kinds["the same"] == "prediction"
    assert kinds["exact sampler"] == "exact"
    assert "ridge" not in kinds
    values = {one["name"]: one["values"]["pds_cosine"]["value"] for one in held["answers"]}
    assert values["the same"] == values["copy of the reference"] == 1
    assert (out / "perturbations.csv").read_text().startswith("answer,metric,perturbation,value,weight\n")
    assert (out / "evaluation.txt").read_text().strip() in shown.out


HALVED = """
import json, sys
from pathlib import Path

import anndata

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
train, ask = (anndata.read_h5ad(folder / name) for name in ("train.h5ad", "ask.h5ad"))
assert not set(train.obs["perturbation"]) & set(ask.obs["perturbation"])
for label in ask.obs["perturbation"].unique():
    rows = (ask.obs["perturbation"] == label).to_numpy().nonzero()[0]
    columns = [ask.var_names.get_loc(gene) for gene in request["targets"][label]]
    ask.X[rows[:, None], columns] = 0
ask[::-1, ::-1].copy().write_h5ad(folder / "answer.h5ad")
"""
"""The target is off, nothing else changes; rows and genes come backwards."""


@pytest.mark.slow
def test_a_program_is_run_on_the_split_and_scored_beside_the_others(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    script, out = tmp_path / "my program.py", tmp_path / "out"
    script.write_text(HALVED)
    arguments = [str(file), "--program", f"target off={sys.executable} '{script}'", "--splits", "0", "--out", str(out)]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "running target off" in shown.err
    assert "target off beats the mean response in" in shown.out
    first = json.loads((out / "evaluation.json").read_text())["answers"]
    assert [one["kind"] for one in first if one["name"] == "target off"] == ["prediction"]
    assert main([*arguments, "--quiet"]) == 0
    assert "used again" in capsys.readouterr().out
    again = json.loads((out / "evaluation.json").read_text())["answers"]
    assert [one["values"] for one in first] == [one["values"] for one in again]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the screen that was measured"),
        (["none.h5ad"], "AnnData file of the screen 'none.h5ad' does not exist"),
        (["FILE", "--prediction", "mine"], "'mine' is not NAME=FILE.h5ad"),
        (["FILE", "--prediction", "a=FILE", "a=FILE"], "'a' is the name of two predictions"),
        (["FILE", "--prediction", "a=none.h5ad"], "AnnData file of the prediction 'a' 'none.h5ad' does not exist"),
        (["FILE", "--program", "mine"], "'mine' is not NAME=COMMAND"),
        (["FILE", "--program", "a=true", "--prediction", "a=FILE"], "'a' is the name of two predictions"),
        (["FILE", "--program", "a b=true", "a:b=true"], "differ in signs alone"),
        (["FILE", "--model", "mine"], "'mine' is not NAME=FILE"),
        (["FILE", "--model", "a=none.py:make"], "there is no file 'none.py'"),
        (["FILE", "--model", "a=none.py:make", "--program", "a=true"], "'a' is the name of two predictions"),
        (["FILE", "--program", "a=true"], "ended without an error and wrote no"),
        (["FILE", "--program", "a=true", "--time-limit", "0"], "the time limit of 'a' is 0 s"),
        (["FILE", "--preset", "vcc26"], "--preset is 'vcc26'; nearest: vcc2026"),
        (["FILE", "--test", "ENSSIMG"], "has no perturbation 'ENSSIMG'"),
        (["FILE", "--perturbation", "targt"], "nearest: target"),
        (["FILE", "--test-share", "2"], "--test-share. Must be <= 1"),
    ],
)
def test_bad_use(
    arguments: list[str],
    message: str,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert main([*(one.replace("FILE", str(file)) for one in arguments), "--quiet"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gpcp evaluate: error: ")
    assert shown.err.count("\n") == 1
    assert re.search(message, shown.err)
