"""The screen of a file is read once, and anew where the file is another."""

from pathlib import Path

import pytest

from diagnostics.audit.metrics import audit
from diagnostics.audit.metrics.audit import screen_of
from diagnostics.audit.metrics.case import ScreenFile
from tests.diagnostics.audit.evaluation.screens import small_anndata


def test_a_file_is_read_once_while_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "screen.h5ad", list[str]()
    own = audit.read_screen

    def counted(*asked: object, **named: object) -> object:
        read.append(str(asked[0]))
        return own(*asked, **named)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(audit, "read_screen", counted)
    small_anndata().write_h5ad(path)
    first = screen_of(ScreenFile(path=str(path)))
    assert screen_of(ScreenFile(path=str(path))) is first
    assert len(read) == 1
    small_anndata(cells_per_target=30).write_h5ad(path)
    assert len(screen_of(ScreenFile(path=str(path))).label_B) < len(first.label_B)
    assert len(read) == 2
