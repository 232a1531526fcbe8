"""What a cache gives back: the source's cells, in any order, in any process; and what it refuses to be opened as."""

import json
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.core.random import stream
from gpcp.sources.cache.build import build_cache
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.sparse import IndexedCells, SparseCellSource, concatenate_sparse, sparse_of
from tests.gpcp.sources.cache.cache_sources import Dense, Indexed, Sequential, assert_same_cells, made_cells
from tests.strategies import cell_batches


def all_cells(source: CellSource, *, batch_size: int = 3, seed: int = 0) -> CellBatch:
    return concatenate_cells(list(source.cells(batch_size=batch_size, seed=seed)))


@pytest.fixture
def cache(tmp_path: Path) -> CachedCells:
    return build_cache(Indexed(made_cells(40)), tmp_path / "cache", part_cells=7)


@settings(max_examples=30)
@given(cell_batches(min_cells=1), st.sampled_from([Dense, Indexed, Sequential]), st.integers(1, 4))
def test_a_cache_of_any_source_gives_the_cells_of_the_source(held: CellBatch, kind: type, part_cells: int):
    source = Dense(held) if kind is Dense else kind(sparse_of(held))
    with tempfile.TemporaryDirectory() as folder:
        cells = build_cache(source, Path(folder, "cache"), part_cells=part_cells)
        for protocol in (CellSource, SparseCellSource, IndexedCells):
            assert isinstance(cells, protocol)
        assert cells.n_cells == len(held)
        assert_same_cells(all_cells(cells), held)
        by_row = cells.sparse_rows(np.arange(cells.n_cells))
        np.testing.assert_array_equal(by_row.index.cell_id_B, cells.index.cell_id_B)
        assert_same_cells(by_row.dense(), held)
        expressed_NG = by_row.value_BG.toarray() > 0
        np.testing.assert_array_equal(cells.signature_NW, np.packbits(expressed_NG, axis=1))
        if kind is not Dense:
            np.testing.assert_array_equal(cells.index.cell_id_B, held.cell_id_B)


def test_totals_are_kept_and_those_that_are_not_known_stay_unknown(cache: CachedCells, tmp_path: Path):
    held = made_cells(40)
    assert held.index.total_B is not None
    assert np.isnan(held.index.total_B).any()
    np.testing.assert_array_equal(cache.index.total_B, held.index.total_B)
    np.testing.assert_array_equal(cache.sparse_rows(np.array([3, 1])).index.total_B, held.index.total_B[[3, 1]])
    without = build_cache(Dense(held.dense()), tmp_path / "without")
    assert without.index.total_B is None
    assert not (tmp_path / "without" / "total.npy").exists()


def test_rows_come_as_they_are_asked_for(cache: CachedCells):
    rng = np.random.default_rng(5)
    for n_rows in (0, 1, 17, 90):
        rows = rng.integers(40, size=n_rows)
        found, expected = cache.sparse_rows(rows), made_cells(40).rows(rows)
        np.testing.assert_array_equal(found.value_BG.toarray(), expected.value_BG.toarray())
        np.testing.assert_array_equal(found.measured_BG, expected.measured_BG)
        np.testing.assert_array_equal(found.index.cell_id_B, expected.index.cell_id_B)
        for name, labels in expected.index.covariates.items():
            assert found.index.labels(name).text_B.tolist() == labels.text_B.tolist()
    for rows in ([40], [-1], [0, 99]):
        with pytest.raises(InputError, match=r"rows .* were asked for, and the cache has 40"):
            cache.sparse_rows(np.array(rows))


def test_the_seed_alone_decides_the_order(cache: CachedCells):
    whole = all_cells(cache, batch_size=40, seed=3)
    order = stream(3, "cache", "cells").permutation(40)
    np.testing.assert_array_equal(whole.cell_id_B, cache.index.cell_id_B[order])
    for batch_size in (1, 7, 64):
        batches = list(cache.cells(batch_size=batch_size, seed=3))
        assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
        again = concatenate_cells(batches)
        np.testing.assert_array_equal(again.cell_id_B, whole.cell_id_B)
        assert again.expression_BG.tobytes() == whole.expression_BG.tobytes()
        assert again.measured_BG.tobytes() == whole.measured_BG.tobytes()
        sparse = concatenate_sparse(list(cache.sparse_cells(batch_size=batch_size, seed=3))).dense()
        assert sparse.expression_BG.tobytes() == whole.expression_BG.tobytes()
    assert all_cells(cache, seed=4).cell_id_B.tolist() != whole.cell_id_B.tolist()
    assert sorted(all_cells(cache, seed=4).cell_id_B) == sorted(whole.cell_id_B)
    with pytest.raises(InputError, match="batch_size is 0"):
        cache.cells(batch_size=0, seed=0)
    with pytest.raises(InputError, match="seed is -1"):
        cache.cells(batch_size=1, seed=-1)


def test_pickled_it_is_a_path(cache: CachedCells, tmp_path: Path):
    sent = pickle.dumps(cache)
    assert len(sent) < 400 + len(str(tmp_path))
    again = pickle.loads(sent)
    assert_same_cells(all_cells(again, seed=1), all_cells(cache, seed=1))
    assert again.provenance == cache.provenance
    cache.close()
    assert again.n_cells == 40
    with pytest.raises(InputError, match="was closed: open it again"):
        _ = pickle.loads(pickle.dumps(cache)).vocab
    shutil.rmtree(again.folder)
    with pytest.raises(InputError, match="there is no panel cache"):
        _ = pickle.loads(sent).vocab
    build_cache(Indexed(made_cells(40, seed=1)), again.folder)
    with pytest.raises(InputError, match="was replaced since it was handed on"):
        _ = pickle.loads(sent).vocab


def test_closed_it_lets_go_of_its_files(tmp_path: Path):
    with build_cache(Indexed(made_cells(40)), tmp_path / "cache") as cells:
        index, some = cells.index, cells.sparse_rows(np.arange(5))
        assert "40 cells, 9 genes: cells of a test" in repr(cells)
    assert "closed" in repr(cells)
    if sys.platform == "linux":
        assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    shutil.rmtree(tmp_path / "cache")
    assert len(index) == 40
    assert np.isfinite(some.value_BG.toarray()).all()
    for ask in (lambda: cells.vocab, lambda: cells.index, lambda: cells.sparse_rows(np.arange(2))):
        with pytest.raises(InputError, match="was closed: open it again"):
            ask()


def test_another_panel_or_query_than_asked_for_is_refused(cache: CachedCells):
    genes = cache.vocab.feature_id
    CachedCells(cache.folder, genes=genes, provenance="cells of a test", verify=True)
    with pytest.raises(InputError, match=r"genes asked for in another order"):
        CachedCells(cache.folder, genes=genes[::-1])
    with pytest.raises(InputError, match=r"panel of 9 genes .* 8 asked for: 1 not asked for \(ENSG00000000000\)"):
        CachedCells(cache.folder, genes=genes[1:])
    with pytest.raises(InputError, match=r"1 that it lacks \(TP53\) and 9 not asked for \(ENSG.*, \.\.\.\)"):
        CachedCells(cache.folder, genes=["TP53"])
    with pytest.raises(InputError, match=r"made from other cells: 'cells of a test', not 'cells of another'"):
        CachedCells(cache.folder, provenance="cells of another")
    source = "x" * 200
    other = build_cache(Indexed(made_cells(3), source + "a"), cache.folder.with_name("long"))
    with pytest.raises(InputError, match=r"not '\.\.\.x{30}b'") as refused:
        CachedCells(other.folder, provenance=source + "b")
    assert "\n" not in str(refused.value)


def test_a_folder_without_a_cache_is_refused_with_its_nearest(cache: CachedCells):
    with pytest.raises(InputError, match=r"no panel cache '.*cash' \(nearest: cache\): build it with"):
        CachedCells(cache.folder.with_name("cash"))
    with pytest.raises(InputError, match="there is no panel cache"):
        CachedCells(cache.folder.parent / "no" / "such")
    with pytest.raises(InputError, match=r"it has no manifest\.json, so it is not a cache"):
        CachedCells(cache.folder.parent)
    cache.folder.with_name("begun.partial").mkdir()
    with pytest.raises(InputError, match="build_cache goes on with the one begun there"):
        CachedCells(cache.folder.with_name("begun"))


def cut_off(whole: bytes) -> bytes:
    return whole[:-1]


def prolonged(whole: bytes) -> bytes:
    return whole + b"\0"


def altered(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def no_header(whole: bytes) -> bytes:
    return b"\0" * 10 + whole[10:]


@pytest.mark.parametrize("damage", [cut_off, prolonged, altered, no_header, None], ids=lambda one: one and one.__name__)
def test_every_damaged_file_is_refused_by_its_name(cache: CachedCells, damage: Callable[[bytes], bytes] | None):
    cache.close()
    names = sorted(path.name for path in cache.folder.glob("*.npy"))
    assert len(names) == 10
    for name in names:
        path = cache.folder / name
        whole = path.read_bytes()
        path.unlink() if damage is None else path.write_bytes(damage(whole))
        with pytest.raises(InputError, match=rf"{name}.*; delete the folder and build it again"):
            CachedCells(cache.folder, verify=True)
        if damage is not altered or name not in ("indices.npy", "data.npy", "signature.npy"):
            with pytest.raises(InputError, match=name):
                CachedCells(cache.folder)
        path.write_bytes(whole)
    CachedCells(cache.folder, verify=True)


def test_a_gene_outside_the_panel_is_found_when_it_is_read(cache: CachedCells):
    cache.close()
    path = cache.folder / "indices.npy"
    path.write_bytes(path.read_bytes()[:-2] + b"\xff\xff")
    with pytest.raises(InputError, match=r"indices\.npy names a gene outside the panel"):
        all_cells(CachedCells(cache.folder))


def rewritten(folder: Path, **changes: object) -> None:
    """A manifest that is whole, and says something else."""
    body = json.loads((folder / "manifest.json").read_text())
    del body["crc32"]
    body |= changes
    body["crc32"] = f"{crc32(json.dumps(body, sort_keys=True).encode()):08x}"
    (folder / "manifest.json").write_text(json.dumps(body))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"version": 2}, r"'gpcp panel cache', version 2, and this gpcp reads .* version 1"),
        ({"format": "zarr"}, r"of 'zarr', version 1"),
        ({"n_cells": 39}, r"cell_id\.npy|indptr\.npy"),
        ({"n_values": 3}, r"data\.npy|indices\.npy|indptr\.npy"),
        ({"covariates": {"dataset": ["one name"], "cell_type": ["a", "b", "c"]}}, r"Labels\.code_B"),
        ({"genes": None}, r"manifest\.json is damaged"),
        ({"files": {}}, r"\.npy has \d+ bytes"),
    ],
)
def test_a_manifest_of_something_else_is_refused(cache: CachedCells, changes: dict[str, object], why: str):
    cache.close()
    rewritten(cache.folder, **changes)
    with pytest.raises(InputError, match=why):
        CachedCells(cache.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"gpcp"', "\ufeff", None])
def test_a_damaged_manifest_is_refused(cache: CachedCells, text: str | None):
    cache.close()
    path = cache.folder / "manifest.json"
    path.write_text(path.read_text().replace("ENSG00000000003", "ENSG00000000033") if text is None else text)
    why = "was altered" if text is None else "is damaged|is of None"
    with pytest.raises(InputError, match=rf"manifest\.json {why}"):
        CachedCells(cache.folder)
