"""The command from end to end on simulated cells: files, a second run that trains nothing, bad use in one line."""

import json
from pathlib import Path

import pytest

from tests.diagnostics.commands.verbs import calling

main = calling("ladder")

SOURCE = ("--source", "synthetic:scale_free/8", "--n-cells", "300", "--library-size", "5000")
SHORT = ("--model", "mixing", "--steps", "3", "--batch-size", "16", "--workers", "1", "--quiet", "--n-genes", "6")


@pytest.mark.slow
def test_it_writes_what_it_shows_and_goes_on_from_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = [*SOURCE, *SHORT, "--out", str(tmp_path), "--rungs", "pairing", "real", "twin", "--all"]
    assert main(arguments) == 1
    first = capsys.readouterr().out
    assert "verdict: " in first
    assert "a classifier's AUC" in first
    found = json.loads((tmp_path / "ladder.json").read_text())
    assert [one["rung"] for one in found["rungs"]] == ["pairing", "real"]
    assert (tmp_path / "rungs.png").stat().st_size > 1_000
    assert "Every rung" in (tmp_path / "report.html").read_text()
    kept = (tmp_path / "rungs.jsonl").read_text()
    assert main(arguments) == 1
    assert (tmp_path / "rungs.jsonl").read_text() == kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--source is missing"),
        ([*SOURCE, "--rungs", "rael"], "no rung is named 'rael'; nearest: real"),
        (["--source", "screen:a.h5ad"], "AnnData file 'a.h5ad' does not exist"),
        ([*SOURCE, "--match-on", "nothing", "dataset"], "give no other name beside it"),
        ([*SOURCE, "--learning-rate", "-1"], "--learning-rate is -1.0: it must be above 0"),
        ([*SOURCE, "--model", "defualt"], "model 'defualt' is no preset"),
    ],
)
def test_bad_use_is_one_line(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
