"""``gpcp check-screen`` as its users meet it: what it shows, writes and refuses, and its exit codes."""

import json
from pathlib import Path

import pytest

from diagnostics.audit.screens.doctor import SCREEN_CHECKS
from tests.diagnostics.audit.screens.damages import shifted_column, two_typos
from tests.diagnostics.audit.screens.small_screens import small_screen
from tests.diagnostics.commands.verbs import calling

main = calling("check-screen")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "screen.h5ad"
    small_screen().write_h5ad(path)
    return path


def test_a_sound_file(sound: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main([str(sound), "--json", str(tmp_path / "found.json")]) == 0
    out = capsys.readouterr().out
    assert "nothing was found" in out
    assert "perturbation 'target_gene' as of cell-eval2" in out.replace("\n  ", " ")
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["code"] for one in found["results"]] == [one.code for one in SCREEN_CHECKS]
    assert found["columns"]["controls"] == ["non-targeting"]
    assert found["n_perturbations"] == 8
    assert found["command"][:2] == ["gpcp", "check-screen"]


def test_a_damaged_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "screen.h5ad"
    shifted_column(two_typos(small_screen())).write_h5ad(path)
    assert main([str(path), "--quiet"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  SC301 names.spelling" in out
    assert "FAIL  SC503 effects.in_step" in out
    assert "137 further" in out.replace("\n", " ").replace("      ", "")
    assert "next step: " in out
    assert "ok    " not in out


def test_the_same_file_gives_the_same_text(sound: Path, capsys: pytest.CaptureFixture[str]):
    texts = [(main([str(sound), "--max-cells", "400", "--seed", "3"]), capsys.readouterr().out) for _ in range(2)]
    assert texts[0] == texts[1]
    assert "a sample of 400 of 960 cells, drawn with seed 3" in texts[0][1].replace("\n  ", " ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--perturbation", "target_gen"], ["'target_gen'", "target_gene"]),
        (["--control", "non-targetting"], ["non-targetting", "non-targeting"]),
        (["--kind", "knockdown"], ["'knockdown'", "knocked down"]),
        (["--layer", "counts"], ["'counts'", "X"]),
        (["--for", "gear"], ["'gear'", "gears"]),
        (["--fix", "x.h5ad"], ["--for"]),
        (["--json", "/dev/null/x.json"], ["--json"]),
    ],
)
def test_bad_use_is_one_line(sound: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]):
    assert main([str(sound), *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("gpcp check-screen: error: ")
    assert shown.err.count("\n") == 1
    assert [word for word in words if word not in shown.err] == []


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none.h5ad")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_what_a_tool_does_and_the_file_it_wants(sound: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    out, found = tmp_path / "gears.h5ad", tmp_path / "found.json"
    assert main([str(sound), "--quiet", "--for", "gears", "--fix", str(out), "--json", str(found)]) == 1
    shown = capsys.readouterr().out
    assert "STOPS    there is no column 'condition' in obs" in shown
    assert "obs['condition'] is written from 'target_gene', control 'ctrl'" in shown
    content = json.loads(found.read_text())
    assert {one["effect"] for one in content["tool_notes"]} >= {"stops", "silent"}
    assert content["tool"] == "gears"
    assert content["changes"]
    assert main([str(out), "--for", "gears"]) == 0
    assert "it reads the file" in capsys.readouterr().out


def test_the_checked_file_is_not_written_over(sound: Path, capsys: pytest.CaptureFixture[str]):
    before = sound.read_bytes()
    assert main([str(sound), "--for", "gears", "--fix", str(sound)]) == 2
    assert "stays as it is" in capsys.readouterr().err
    assert sound.read_bytes() == before


def test_what_is_given_is_taken(sound: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(sound), "--perturbation", "guide", "--control", "non-targeting_g1", "non-targeting_g2"]) in (0, 1)
    assert "perturbation 'guide', as given" in capsys.readouterr().out.replace("\n  ", " ")
