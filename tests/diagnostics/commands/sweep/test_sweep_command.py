"""``gpcp sweep`` as a user runs it: what it prints and leaves, going on, bad use."""

import json
from pathlib import Path

import pytest

from tests.diagnostics.commands.verbs import calling

main = calling("sweep")


SMALL = ["--source", "synthetic:scale_free/5", "--set", "n_heads=2", "--over", "learning_rate=1e-4..1e-1", "width=8,16"]
SMALL += [
    "--trials",
    "8",
    "--seeds",
    "2",
    "--epochs",
    "1",
    "--epoch-pairs",
    "256",
    "--held-out",
    "200",
    "--no-range-test",
]


def _run(*arguments: str) -> int:
    return main(list(arguments))


def test_a_sweep_prints_its_table_and_leaves_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert _run(*SMALL, "--out", str(out), "--json", str(tmp_path / "a.json"), "--quiet") == 0
    printed = capsys.readouterr().out
    for words in ("sweep over learning_rate, width", "Bayes risk", "best: trial", "ties:", "flat loss", "importance"):
        assert words in printed
    assert {path.name for path in out.iterdir()} >= {
        *("sweep.journal", "sweep.json", "table.txt", "rates.png", "parallel.png", "importance.png"),
    }
    content = json.loads((out / "sweep.json").read_text())
    assert content == json.loads((tmp_path / "a.json").read_text())
    assert len(content["trials"]) == 8
    assert content["levels"].keys() == {"baseline", "ridge", "Bayes risk"}
    assert content["levels"]["Bayes risk"] < content["levels"]["baseline"]

    # The same again: nothing is trained, the same is shown.
    assert _run(*SMALL, "--out", str(out), "--quiet") == 0
    again = capsys.readouterr().out
    assert again.split("\n\n")[1:-1] == printed.split("\n\n")[1:-1]

    assert _run(*SMALL, "--out", str(out), "--quiet", "--regime", "matched") == 2
    assert "another pairs" in capsys.readouterr().err


def test_cells_are_split_by_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cells = ["--library-size", "500", "--n-cells", "400"]
    assert _run(*SMALL, *cells, "--trials", "2", "--out", str(tmp_path), "--quiet") == 0
    assert "80 of 400 cells held out" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "name where the data come from"),
        (["--source", "synthetic:scale_fre/5"], "nearest: scale_free"),
        (["--source", "synthetc:scale_free/5"], "unknown kind"),
        (["--source", "synthetic:scale_free/5", "--over", "lr"], "nothing that a sweep can vary"),
        (["--source", "synthetic:scale_free/5", "--set", "width"], "write NAME=VALUE"),
        (["--source", "synthetic:scale_free/5", "--preset", "defalt"], "nearest: default"),
        (["--source", "synthetic:scale_free/5", "--regime", "mached"], "nearest: matched"),
        (["--source", "synthetic:scale_free/5", "--trails", "4"], "Did you mean --trials"),
        (["--source", "synthetic:scale_free/5", "--workers", "2", "--storage", "sqlite:///a.db"], "SQLite breaks"),
        (["--source", "synthetic:scale_free/5", "--json", "."], "is a folder"),
    ],
)
def test_bad_use_is_one_line_and_nothing_is_trained(
    arguments: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert _run(*arguments, "--out", str(tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert why in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "sweep.journal").exists()


def test_fresh_begins_anew_but_not_before_what_is_asked_is_known_to_be_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["--trials", "1", "--out", str(tmp_path), "--quiet"]
    assert _run(*SMALL, *arguments) == 0
    journal = (tmp_path / "sweep.journal").read_bytes()
    assert _run(*SMALL, *arguments, "--fresh", "--preset", "defualt") == 2
    assert "nearest: default" in capsys.readouterr().err
    assert (tmp_path / "sweep.journal").read_bytes() == journal
    # Another seed is another sweep: it is refused, but for one that begins anew.
    assert _run(*SMALL, *arguments, "--seed", "1") == 2
    assert _run(*SMALL, *arguments, "--seed", "1", "--fresh") == 0
    assert (tmp_path / "sweep.journal").read_bytes() != journal


def test_a_sweep_that_is_interrupted_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from diagnostics.commands.sweep import run as sweep_command

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sweep_command, "work", interrupted)
        assert _run(*SMALL, "--out", str(tmp_path), "--quiet") == 130
    assert "8 trials left; the same command goes on" in capsys.readouterr().err
    assert _run(*SMALL, "--out", str(tmp_path), "--quiet") == 0
