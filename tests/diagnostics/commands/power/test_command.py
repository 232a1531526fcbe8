"""The command: every file is there, results resume, bad use in one line."""

import json
from pathlib import Path

import pytest

from tests.diagnostics.commands.verbs import calling

main = calling("power")

SOURCE = ["--source", "synthetic:scale_free/12", "--library-size", "500", "--n-cells", "120", "--resamplings", "10"]


def test_files_are_written_and_results_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = [*SOURCE, "--out", str(tmp_path), "--no-graph", "--quiet"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "limit of detection" in shown
    for name in ("results.json", "table.txt", "curves.csv", "power.png", "report.html"):
        assert (tmp_path / name).stat().st_size > 0
    first = json.loads((tmp_path / "results.json").read_text())
    n_lines = len((tmp_path / "finished.jsonl").read_text().splitlines())
    assert main(arguments) == 0
    again = json.loads((tmp_path / "results.json").read_text())
    assert first["limits"] == again["limits"]
    assert len((tmp_path / "finished.jsonl").read_text().splitlines()) == n_lines
    assert "<script src" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--source is missing"),
        ([*SOURCE, "--direction", "dwn"], "down"),
        ([*SOURCE, "--power", "1"], "power"),
        ([*SOURCE, "--effect", "0"], "effect"),
    ],
)
def test_bad_use_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
