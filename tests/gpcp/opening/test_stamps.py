"""Stamps of sources: what the files hold decides, not their dates; what options name counts, too."""

import os
from pathlib import Path

import pytest

from gpcp.core.errors import InputError
from gpcp.opening import stamps
from gpcp.opening.stamps import shared_stamp_of, stamp_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.h5ad"
    path.write_bytes(b"0123456789" * 1000)
    return path


def altered(path: Path) -> None:
    """Other contents of the same size, under the old date."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_file_is_known_by_what_it_holds(file: Path, tmp_path: Path):
    first = stamp_of(str(file))
    assert first
    assert first == stamp_of(f"h5ad:{file}") == shared_stamp_of(str(file))
    os.utime(file, ns=(1, 1))
    assert stamp_of(str(file)) == first
    copy = tmp_path / "copy.h5ad"
    copy.write_bytes(file.read_bytes())
    assert stamp_of(str(copy)) == first
    altered(file)
    assert stamp_of(str(file)) != first


def test_a_folder_is_known_by_all_that_lies_in_it(tmp_path: Path):
    inner = tmp_path / "store" / "ms" / "X" / "fragment"
    inner.parent.mkdir(parents=True)
    inner.write_bytes(b"values")
    first = stamp_of(f"census:{tmp_path / 'store'}")
    os.utime(inner, ns=(1, 1))
    assert stamp_of(f"census:{tmp_path / 'store'}") == first
    altered(inner)
    second = stamp_of(f"census:{tmp_path / 'store'}")
    inner.rename(inner.with_name("other"))
    assert len({first, second, stamp_of(f"census:{tmp_path / 'store'}")}) == 3


def test_the_tables_beside_a_matrix_are_part_of_it(tmp_path: Path):
    matrix, genes = tmp_path / "GSM1_matrix.mtx.gz", tmp_path / "GSM1_features.tsv.gz"
    for path in (matrix, genes):
        path.write_bytes(b"1")
    first = stamp_of(f"h5ad:{matrix}")
    (tmp_path / "another").write_bytes(b"of nobody")
    assert stamp_of(f"h5ad:{matrix}") == first
    altered(genes)
    assert stamp_of(f"h5ad:{matrix}") != first


def test_what_is_too_large_to_be_read_is_known_by_its_dates(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stamps, "KNOWN_WHOLE", 100)
    first = stamp_of(str(file))
    assert first == stamp_of(str(file))
    assert shared_stamp_of(str(file)) == ""
    altered(file)  # The date of its entry is not put back.
    assert stamp_of(str(file)) != first


def test_files_that_options_name_are_part_of_it(file: Path, tmp_path: Path):
    table = tmp_path / "genes.csv"
    table.write_text("id,symbol\n")
    first = stamp_of(str(file), gene_table=str(table), layer="X", tissue=["blood"], all_cells=True)
    assert stamp_of(str(file), layer="X", tissue=["blood"]) == stamp_of(str(file))
    altered(table)
    assert first != stamp_of(str(file), gene_table=str(table), layer="X", tissue=["blood"], all_cells=True)


def test_what_lies_elsewhere_has_none(tmp_path: Path):
    assert stamp_of("census:stable") == ""
    assert stamp_of("census:stable", value_filter="a" * 5000) == ""
    with pytest.raises(InputError, match="no file that exists"):
        stamp_of(str(tmp_path / "none"))
