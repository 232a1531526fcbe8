"""A cache of a source that changed: any change is seen and built anew, no date is trusted, nothing is mixed."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.sources.cache.build import build_cache, cached
from gpcp.sources.cache.changes import same_index
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.index import Labels
from gpcp.sources.sparse import SparseCells
from tests.gpcp.sources.cache.cache_sources import (
    Dense,
    Indexed,
    Sequential,
    assert_same_cells,
    bytes_of,
    made_cells,
    perturbed_otherwise,
)

CELLS = made_cells(90)
COUNT_NG = np.random.default_rng(1).poisson(3, (90, 6)).astype(np.float32)


def all_cells(source: CellSource) -> CellBatch:
    return concatenate_cells(list(source.cells(batch_size=512, seed=0)))


def written(path: Path, count_NG: NDArray[np.float32], types: list[str] | None = None, first_gene: int = 0) -> Path:
    n_cells, n_genes = count_NG.shape
    obs = pd.DataFrame({"type": types or ["T", "B"] * (n_cells // 2)}, index=[f"c{cell}" for cell in range(n_cells)])
    var = pd.DataFrame(index=[f"ENSG{gene + first_gene:011d}" for gene in range(n_genes)])
    ad.AnnData(count_NG, obs=obs, var=var).write_h5ad(path)
    return path


def opened(path: Path, **options: str) -> H5adCells:
    return H5adCells(path, layer="X", cell_type="type", missing_label="drop", **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(0, 89), st.integers(0, 5), st.sampled_from(["value", "label", "no label", "cells", "genes", "log"]))
def test_a_file_that_changed_anywhere_gives_its_own_cells(cell: int, gene: int, what: str):
    changed_NG, types, first_gene = COUNT_NG.copy(), ["T", "B"] * 45, 0
    if what == "value":
        changed_NG[cell, gene] += 1
    elif what == "label":
        types[cell] = "another"
    elif what == "no label":
        types[cell] = ""
    elif what == "cells":
        changed_NG, types = np.delete(changed_NG, cell, axis=0), types[:89]
    elif what == "genes":
        first_gene = 1
    else:
        changed_NG = np.log1p(changed_NG)
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder, "cells.h5ad"), Path(folder, "cache")
        cached(opened(written(path, COUNT_NG)), cache)
        source = opened(written(path, changed_NG, types, first_gene))
        for _ in range(2):
            assert_same_cells(all_cells(cached(source, cache)), all_cells(source))
        assert bytes_of(cache) == bytes_of(build_cache(source, Path(folder, "anew")).folder)
        assert sorted(one.name for one in Path(folder).iterdir()) == ["anew", "cache", "cells.h5ad"]


def test_dates_decide_nothing(tmp_path: Path):
    path = written(tmp_path / "cells.h5ad", COUNT_NG)
    cached(opened(path), tmp_path / "cache")
    before = path.stat()
    built = (tmp_path / "cache" / "manifest.json").stat().st_ino
    os.utime(path, ns=(1, 1))
    cached(opened(path), tmp_path / "cache")
    assert (tmp_path / "cache" / "manifest.json").stat().st_ino == built
    changed_NG = COUNT_NG.copy()
    changed_NG[80] = changed_NG[80, ::-1]
    written(path, changed_NG)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert_same_cells(all_cells(cached(opened(path), tmp_path / "cache")), all_cells(opened(path)))


def test_another_file_is_not_written_over(tmp_path: Path):
    one, other = (written(tmp_path / name, COUNT_NG + n) for n, name in enumerate(("one.h5ad", "other.h5ad")))
    cached(opened(one), tmp_path / "cache")
    with pytest.raises(InputError, match=r"made from other cells: .*'one\.h5ad'.*'other\.h5ad'"):
        cached(opened(other), tmp_path / "cache")
    assert_same_cells(all_cells(cached(opened(one), tmp_path / "cache")), all_cells(opened(one)))


def other_value(cells: SparseCells) -> SparseCells:
    value_BG = cells.value_BG.copy()
    value_BG.data[-1] += 1
    return SparseCells(index=cells.index, value_BG=value_BG)


def other_total(cells: SparseCells) -> SparseCells:
    total_B = np.array(cells.index.total_B)
    total_B[70] = 5.0
    return SparseCells(index=replace(cells.index, total_B=total_B), value_BG=cells.value_BG)


def other_label(cells: SparseCells) -> SparseCells:
    text_B = cells.index.labels("cell_type").text_B.astype("<U40")
    text_B[75] = "another"
    covariates = {**cells.index.covariates, "cell_type": Labels.of(text_B)}
    return SparseCells(index=replace(cells.index, covariates=covariates), value_BG=cells.value_BG)


def no_total(cells: SparseCells) -> SparseCells:
    return SparseCells(index=replace(cells.index, total_B=None), value_BG=cells.value_BG)


CHANGES: tuple[Callable[[SparseCells], SparseCells], ...] = (other_value, other_total, other_label, no_total)


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changed_is_seen(tmp_path: Path, change: Callable[[SparseCells], SparseCells]):
    cached(Indexed(CELLS), tmp_path / "cache")
    changed = change(CELLS)
    cached(Indexed(changed), tmp_path / "cache")
    assert bytes_of(tmp_path / "cache") == bytes_of(build_cache(Indexed(changed), tmp_path / "anew").folder)


@pytest.mark.parametrize("change", CHANGES)
def test_parts_of_a_source_that_changed_are_read_again(tmp_path: Path, change: Callable[[SparseCells], SparseCells]):
    with pytest.raises(KeyboardInterrupt):
        build_cache(Sequential(CELLS, cuts=range(90), breaks_at=85), tmp_path / "cache", part_cells=10)
    assert len(list((tmp_path / "cache.partial").glob("part-*.npz"))) == 8
    changed = change(CELLS)
    build_cache(Indexed(changed), tmp_path / "cache")
    assert bytes_of(tmp_path / "cache") == bytes_of(build_cache(Indexed(changed), tmp_path / "anew").folder)


def test_a_source_that_streams_is_compared_as_well(tmp_path: Path):
    cells = CELLS.dense()
    cached(Dense(cells), tmp_path / "cache")
    value_BG = cells.expression_BG.copy()
    value_BG[cells.measured_BG] += 1
    changed = Dense(replace(cells, expression_BG=value_BG))
    assert_same_cells(all_cells(cached(changed, tmp_path / "cache")), changed.held)


class Breaks(Indexed):
    """Goes out after 60 cells."""

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        if len(row_B) and row_B.max() > 60:
            raise KeyboardInterrupt
        return super().sparse_rows(row_B)


def test_the_old_cache_stays_until_the_new_one_is_whole(tmp_path: Path):
    built = bytes_of(cached(Indexed(CELLS), tmp_path / "cache").folder)
    changed = other_label(CELLS)
    with pytest.raises(KeyboardInterrupt):
        cached(Breaks(changed), tmp_path / "cache")
    assert bytes_of(tmp_path / "cache") == built
    cached(Indexed(changed), tmp_path / "cache")
    assert bytes_of(tmp_path / "cache") == bytes_of(build_cache(Indexed(changed), tmp_path / "anew").folder)


@given(st.integers(0, 99))
def test_another_layout_of_the_same_cells_is_the_same(seed: int):
    assert same_index(CELLS.index, perturbed_otherwise(CELLS, np.random.default_rng(seed)).index)


class Stated(Sequential):
    """Costly to read, and known by its state."""

    def __init__(self, held: SparseCells, state: str) -> None:
        super().__init__(held)
        self.state = state

    def sequential(self, *, start: int, batch_size: int) -> Iterator[SparseCells]:
        self.starts.append(start)
        yield self.held.rows(slice(start, len(self.held)))


def test_what_is_costly_to_read_is_read_again_when_its_state_is_another(tmp_path: Path):
    changed = other_value(CELLS)
    cached(Stated(CELLS, "one"), tmp_path / "cache")
    again, other = Stated(CELLS, "one"), Stated(changed, "two")
    cached(again, tmp_path / "cache")
    assert again.starts == []
    assert_same_cells(all_cells(cached(other, tmp_path / "cache")), changed.dense())
