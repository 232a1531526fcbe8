"""Writing is atomic."""

import json
from pathlib import Path

import pytest

from gpcp.core.files import write_json, write_text, write_with


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_text(path, "old")

    def breaks(passing: Path) -> None:
        passing.write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_with(path, breaks)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_json_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="JSON"):
        write_json(tmp_path / "deep" / "x.json", {"loss": object()})
    assert list(tmp_path.iterdir()) == []


def test_json_is_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"x": [1, None]})
    assert json.loads((tmp_path / "a" / "b.json").read_text()) == {"x": [1, None]}
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.json"]


def test_the_suffix_is_kept_while_writing(tmp_path: Path) -> None:
    seen: list[str] = []
    write_with(tmp_path / "figure.png", lambda passing: seen.append(passing.suffix))
    assert seen == [".png"]
