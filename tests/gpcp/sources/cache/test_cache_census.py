"""A cache of a real TileDB-SOMA store, read by the real loader."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.errors import InputError
from gpcp.sources.cache.build import build_cache, cached
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.sparse import SequentialCells
from simulators.assay import build_assay
from simulators.census.export import export_census
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.gpcp.sources.cache.cache_sources import assert_same_cells, bytes_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scm = world("scale_free/10", seed=0).scm
    rng = np.random.default_rng(0)
    assay = build_assay(scm.graph.vocab, rng=rng, n_cell_types=2, n_datasets=3, p_unmeasured=0.2, dropout=0.3)
    path = tmp_path_factory.mktemp("census") / "store"
    export_census(SimulatedCells(scm=scm, n_cells=120, assay=assay), path)
    return path


def all_cells(source: CellSource) -> CellBatch:
    return concatenate_cells(list(source.cells(batch_size=50, seed=0)))


@pytest.mark.slow  # tiledbsoma-ml compiles its kernels once in each process.
def test_a_cache_of_a_census_is_the_census(tmp_path: Path, store: Path):
    source = CensusCells(uri=store)
    assert isinstance(source, SequentialCells)
    cells = cached(source, tmp_path / "cache", part_cells=33)
    found = all_cells(cells)
    assert_same_cells(found, all_cells(source))
    assert not found.measured_BG.all()
    np.testing.assert_array_equal(cells.index.cell_id_B, source.index.cell_id_B)
    np.testing.assert_array_equal(cells.index.total_B, source.index.total_B)
    assert cells.provenance == source.provenance
    # Read in other steps, and a panel taken by the cache instead of by the query: the same arrays.
    genes = source.vocab.feature_id[3:7][::-1]
    fewer = CensusCells(uri=store, genes=genes, io_batch_size=13)
    taken = build_cache(CensusCells(uri=store), tmp_path / "taken", genes=genes, provenance=fewer.provenance)
    asked = build_cache(fewer, tmp_path / "asked", part_cells=50)
    assert bytes_of(taken.folder) == bytes_of(asked.folder)
    with pytest.raises(InputError, match="panel of 4 genes is another than the 10 asked for"):
        cached(source, tmp_path / "asked", provenance=fewer.provenance)
    with pytest.raises(InputError, match=r"it was made from other cells: .*, not .*'dataset_1'"):
        cached(CensusCells(uri=store, dataset="dataset_1"), tmp_path / "cache")


@pytest.mark.slow
def test_a_store_that_was_written_again_is_read_again(tmp_path: Path):
    scm = world("scale_free/10", seed=0).scm
    for dropout in (0.0, 0.5):
        assay = build_assay(scm.graph.vocab, rng=np.random.default_rng(0), n_datasets=2, dropout=dropout)
        export_census(SimulatedCells(scm=scm, n_cells=60, assay=assay), tmp_path / "store")
        source = CensusCells(uri=tmp_path / "store")
        assert source.state
        assert_same_cells(all_cells(cached(source, tmp_path / "cache")), all_cells(source))
        shutil.copytree(tmp_path / "store", tmp_path / f"copy {dropout}")
        assert CensusCells(uri=tmp_path / f"copy {dropout}").state == source.state
        shutil.rmtree(tmp_path / "store")
