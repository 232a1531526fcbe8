"""Manifests, notes and parts with a field missing or odd: one line, never another error, never other cells."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpcp.sources.cache.build import build_cache
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.cache.format import MANIFEST, _crc_of  # pyright: ignore[reportPrivateUsage]
from tests.alterations import alterations, refusal
from tests.gpcp.sources.cache.cache_sources import Indexed, Sequential, bytes_of, made_cells

CELLS = made_cells(30)
INSIDE = ("gpcp", "provenance", "place", "state", "a field more", "covariates")
"""Fields of which other texts are no contradiction."""


@pytest.mark.slow
def test_every_alteration_of_a_manifest_is_refused_or_is_no_contradiction(tmp_path: Path):
    """Its checksum is made anew, as another version would have."""
    built = build_cache(Indexed(CELLS), tmp_path / "cache")
    expected = next(built.cells(batch_size=30, seed=0))
    path = tmp_path / "cache" / MANIFEST
    body = json.loads(path.read_text())
    del body["crc32"]
    n_refused = 0
    for words, altered in alterations(body):
        if repr(altered) == repr(body):
            continue
        if isinstance(altered, dict):
            altered["crc32"] = _crc_of(altered)
        path.write_text(json.dumps(altered))

        def load() -> None:
            batch = next(CachedCells(tmp_path / "cache", verify=True).cells(batch_size=30, seed=0))
            np.testing.assert_array_equal(batch.expression_BG, expected.expression_BG)

        if refusal(load):
            n_refused += 1
        else:
            assert words.split(".")[0].split(" is ")[0].removesuffix(" deleted") in (*INSIDE, "genes"), words
    assert n_refused > 700


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unfinished cache with five parts."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.raises(KeyboardInterrupt):
        build_cache(Sequential(CELLS, cuts=range(30), breaks_at=25), folder / "cache", part_cells=5)
    return folder / "cache.partial"


def gone_on_with(begun: Path, folder: Path, change: Callable[[Path], None]) -> str:
    """What going on with an altered copy is refused with; the result is right where it is not refused."""
    for name in ("cache", "cache.partial"):
        shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(begun, folder / "cache.partial")
    change(folder / "cache.partial")
    why = refusal(lambda: build_cache(Sequential(CELLS), folder / "cache"))
    assert why or bytes_of(folder / "cache") == bytes_of(folder / "whole")
    return why


@pytest.mark.slow
def test_every_alteration_of_what_an_unfinished_cache_was_made_from(begun: Path, tmp_path: Path):
    build_cache(Sequential(CELLS), tmp_path / "whole")
    n_refused = 0
    for _, altered in alterations(json.loads((begun / "made_from.json").read_text()), most_rows=1):
        text = json.dumps(altered)

        def change(work: Path, text: str = text) -> None:
            (work / "made_from.json").write_text(text)

        n_refused += bool(gone_on_with(begun, tmp_path, change))
    assert n_refused > 80


@pytest.mark.slow
def test_every_array_of_a_part_that_is_missing_or_odd(begun: Path, tmp_path: Path):
    build_cache(Sequential(CELLS), tmp_path / "whole")
    name = "part-000000000005.npz"
    with np.load(begun / name) as stored:
        arrays = dict(stored)
    for array in arrays:
        for odd in (
            None,
            np.zeros(0),
            np.zeros(3),
            np.array("odd"),
            np.array(["odd"] * 5),
            np.full(5, -1),
            np.ones((2, 2)),
        ):
            if array.startswith("names_") and odd is not None and odd.dtype.kind == "U" and odd.ndim:
                continue  # Other names are names.
            altered = {**arrays, array: odd} if odd is not None else {k: v for k, v in arrays.items() if k != array}
            assert gone_on_with(begun, tmp_path, lambda work, altered=altered: np.savez(work / name, **altered))


@pytest.mark.parametrize("text", ["", "[" * 5000, "null", '{"format": "gpcp panel cache", "version": 2}', "\x00"])
def test_what_is_no_manifest(tmp_path: Path, text: str):
    build_cache(Indexed(CELLS), tmp_path / "cache")
    (tmp_path / "cache" / MANIFEST).write_text(text)
    assert "delete the folder and build it again" in refusal(lambda: CachedCells(tmp_path / "cache"))
