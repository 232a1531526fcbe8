import os
from pathlib import Path

import pytest

from gpcp.core.errors import InputError
from gpcp.core.files import existing_file


def test_a_file_is_found(tmp_path: Path):
    (tmp_path / "a.csv").touch()
    assert existing_file(str(tmp_path / "a.csv"), what="table") == tmp_path / "a.csv"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("table.csv", r"table '.*table.csv' does not exist; in its folder, nearest: tables.csv"),
        ("dat/tables.csv", r"does not exist: '.*' has no folder 'dat'; nearest: data"),
        ("dat/deep/er/tables.csv", r"has no folder 'dat'; nearest: data"),
        ("data/", r"is a folder: name a file in it \(known: cells.h5ad\)"),
        ("data/x/y.csv", r"data' has no folder 'x'; there are none"),
    ],
)
def test_a_missing_file_names_the_nearest(tmp_path: Path, asked: str, message: str):
    (tmp_path / "tables.csv").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cells.h5ad").touch()
    with pytest.raises(InputError, match=message):
        existing_file(f"{tmp_path}{os.sep}{asked}", what="table")


def test_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.h5ad").touch()
    assert existing_file("cells.h5ad", what="cells").is_file()
    with pytest.raises(InputError, match=r"nearest: cells.h5ad"):
        existing_file("cell.h5ad", what="cells")
    with pytest.raises(InputError, match="has no folder 'sub'"):
        existing_file("sub/cell.h5ad", what="cells")


def test_a_file_where_a_folder_should_be(tmp_path: Path):
    (tmp_path / "cells.h5ad").touch()
    with pytest.raises(InputError, match=r"has no folder 'cells.h5ad'"):
        existing_file(tmp_path / "cells.h5ad" / "x.csv", what="cells")
