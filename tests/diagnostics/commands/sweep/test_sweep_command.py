"""``gpcp sweep`` as a user runs it: what it prints and leaves, going on, bad use."""

import json
from pathlib import Path

import pytest

from gpcp.core.errors import InputError
from tests.diagnostics.commands.verbs import calling
from tests.diagnostics.runs.cluster import local_cluster

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
        (["--source", "synthetic:scale_free/5", "--scheduler", "x", "--storage", "sqlite:///a.db"], "SQLite breaks"),
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


def test_a_worker_that_does_not_reach_the_journal_begins_no_sweep_of_its_own(tmp_path: Path):
    from diagnostics.commands.sweep.command import Request
    from diagnostics.commands.sweep.run import _claim_one

    with pytest.raises(InputError, match=r"does not find the sweep's journal .*a --storage that every worker reaches"):
        _claim_one(Request(storage=str(tmp_path / "elsewhere" / "sweep.journal")), 0)
    assert not (tmp_path / "elsewhere").exists()


def _first_losses(folder: Path) -> list[tuple[object, float]]:
    trials = json.loads((folder / "sweep.json").read_text())["trials"]
    return [(trial["values"], trial["losses"][0]) for trial in trials]


@pytest.mark.slow
def test_processes_and_a_cluster_do_the_same_trials(tmp_path: Path):
    # All values are planned, so that none depends on which trials had ended; how many seeds a trial gets does.
    arguments = [*SMALL, "--spread", "8", "--quiet"]
    assert _run(*arguments, "--out", str(tmp_path / "here")) == 0
    assert _run(*arguments, "--workers", "2", "--out", str(tmp_path / "processes")) == 0
    with local_cluster(tmp_path) as address:
        for _ in range(2):
            # Twice: the workers have kept the first one's journal, which is gone.
            assert _run(*arguments, "--scheduler", address, "--fresh", "--out", str(tmp_path / "cluster")) == 0
            assert _first_losses(tmp_path / "cluster") == _first_losses(tmp_path / "here")
    assert _first_losses(tmp_path / "processes") == _first_losses(tmp_path / "here")
    journal = (tmp_path / "cluster" / "sweep.journal").read_text()
    # The command that planned them, and both workers.
    assert len({json.loads(line)["worker_id"] for line in journal.splitlines()}) == 3
