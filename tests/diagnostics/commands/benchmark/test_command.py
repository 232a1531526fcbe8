import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnostics.commands.benchmark.simulator_packages import PACKAGES, Package, drawing_of
from diagnostics.commands.benchmark.simulators import Speed, ahead, measured
from simulators.worlds import world
from tests.diagnostics.commands.verbs import calling

main = calling("benchmark")

SMALL = ["simulators", "--n-genes", "20", "--n-cells", "50", "--repeats", "2"]


def test_the_table_shows_each_world_beside_the_floor(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "speed.json"
    assert main([*SMALL, "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("random numbers alone", "linear", "hill", "best", "median"))
    assert max(map(len, shown.splitlines())) <= 100
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["n_genes"], document["n_cells"], document["repeats"]) == (20, 50, 2)
    ours = [speed["name"] for speed in document["speeds"] if "," not in speed["name"] or "noise" in speed["name"]]
    assert ours == ["normal random numbers alone", "linear, noise and expression", "hill, noise and expression"]
    for speed in document["speeds"]:
        assert 0 < speed["median"] <= speed["best"]
        assert len(speed["seconds"]) == len(speed["shares"]) == 2
        assert speed["target"] is None  # the targets are for 1,000 genes x 10,000 cells
    assert document["speeds"][0]["shares"] == [1.0, 1.0]


def speed(name: str, median: float) -> Speed:
    return Speed(name=name, best=median, median=median, shares=(1.0,), target=None, seconds=(1.0,))


def test_each_world_is_compared_with_the_fastest_of_the_others(monkeypatch: pytest.MonkeyPatch):
    absent = Package(module="no_such_module", package="no-such-package", mechanism="linear", drawing=lambda *_: list)
    monkeypatch.setattr("diagnostics.commands.benchmark.simulators.PACKAGES", {"absent": absent})
    speeds = [
        speed("normal random numbers alone", 90),
        speed("linear, noise and expression", 60),
        speed("linear, slow", 5),
        speed("linear, fast", 20),
        speed("hill, noise and expression", 50),
    ]
    assert ahead(speeds) == [
        "linear: 3.0 times as fast as fast, the fastest of the others that are here",
        "no-such-package is not installed: pip install no-such-package, or 'gpcp[benchmark]'",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_packages_that_are_installed_draw_as_many_cells(name: str):
    if PACKAGES[name].missing:
        pytest.skip(PACKAGES[name].missing)
    made = world(f"scale_free/10/{PACKAGES[name].mechanism}", seed=0)
    drawn: Any = drawing_of(name, made, 30, 0)()
    shape = np.shape(getattr(drawn, "X", drawn))
    assert shape in {(30, 10), (10, 31)}  # Of sergio_rs a column holds the names of genes.


def test_works_take_turns_and_are_called_once_more_than_they_are_timed():
    calls: list[str] = []
    seconds = measured([lambda: calls.append("floor"), lambda: calls.append("own")], repeats=3)
    assert calls == ["floor", "own"] * 4
    assert [len(of_work) for of_work in seconds] == [3, 3]


@pytest.mark.parametrize("wrong", [["--n-genes", "0"], ["--n-cells", "many"], ["--repeats", "0"], ["--seed", "-1"]])
def test_bad_arguments_exit_with_2(wrong: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["simulators", *wrong]) == 2
    assert wrong[0] in capsys.readouterr().err


def test_a_part_is_needed(capsys: pytest.CaptureFixture[str]):
    assert main(["simulator"]) == 2
    assert "simulators" in capsys.readouterr().err


def test_a_folder_is_no_json_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, "--json", str(tmp_path)]) == 2
    caught = capsys.readouterr()
    assert caught.err.startswith("gpcp benchmark: error: --json")
    assert caught.out == ""


INPUT = ["input", "--n-cells", "400", "--n-genes", "40", "--repeats", "1", "--io-batch-size", "128"]


@pytest.mark.slow
def test_input_is_read_in_every_way_and_held_against_its_marks(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "speed.json"
    assert main([*INPUT, "--store", str(tmp_path / "kept"), "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 110
    document = json.loads(path.read_text(encoding="utf-8"))
    # A pass reads every cell, but for duplicates; pairs leave at most one cell of each of the 42 keys over.
    for speed in document["speeds"]:
        assert 400 - 42 <= speed["n_cells"] <= 400
        assert speed["name"] in shown
    assert [ratio["name"] in shown for ratio in document["ratios"]] == [True] * len(document["ratios"])
    # The store is used again.
    assert main([*INPUT, "--store", str(tmp_path / "kept")]) == 0
    assert "writing a store" not in capsys.readouterr().err


def test_an_io_batch_that_the_reader_cannot_take(capsys: pytest.CaptureFixture[str]):
    assert main(["input", "--io-batch-size", "100"]) == 2
    assert "multiples of 64" in capsys.readouterr().err
