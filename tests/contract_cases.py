"""Every source of cells that the library has, small, over the same world: what one contract is tested on.

A source is made once a run, in a temporary folder, and read many times.
"""

import atexit
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from gpcp.core.cells import CellSource
from gpcp.sources.cache.build import build_cache
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.subsets import OnlyCells, OnlyGenes
from simulators.census.embedded import EmbeddedCensus, embedded_census
from simulators.sources import SimulatedCells
from simulators.worlds import world

N_CELLS, N_GENES = 260, 30


@cache
def folder() -> Path:
    path = mkdtemp(prefix="gpcp_contract_")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


@cache
def made() -> EmbeddedCensus:
    return embedded_census(
        folder() / "store", name="scale_free/6", n_cells=N_CELLS, n_genes=N_GENES, library_size=200.0
    )


@cache
def census() -> CensusCells:
    """Chunks of 8 and I/O batches of 96, so that a pass has several of each."""
    return CensusCells(uri=made().summary.path, shuffle_chunk=8, io_batch_size=96)


@cache
def cache_of_census() -> CachedCells:
    return build_cache(census(), folder() / "cache", genes=census().vocab.feature_id[:20])


@cache
def h5ad() -> H5adCells:
    import anndata
    import pandas as pd

    held = next(made().cells.cells(batch_size=N_CELLS, seed=0))
    rng = np.random.default_rng(0)
    donor = np.array([f"donor_{number}" for number in rng.integers(3, size=N_CELLS)])
    labels = {name: text_B.astype(object) for name, text_B in (*held.covariates.items(), ("donor", donor))}
    file = folder() / "cells.h5ad"
    anndata.AnnData(
        np.round(np.expm1(held.expression_BG) / 5e3),
        obs=pd.DataFrame(labels, index=[str(i) for i in held.cell_id_B]),
        var=pd.DataFrame(index=list(held.vocab.feature_id)),
    ).write_h5ad(file)
    return H5adCells(file, values="counts", cell_type="cell_type", dataset="dataset", donor="donor")


SOURCES: Mapping[str, Callable[[], CellSource]] = {
    "simulated": lambda: SimulatedCells(scm=world("chain/5").scm, n_cells=N_CELLS),
    "simulated reads": lambda: made().cells,
    "h5ad": h5ad,
    "census": census,
    "cache": cache_of_census,
    "some genes of a cache": lambda: OnlyGenes(cache_of_census(), cache_of_census().vocab.feature_id[3:9]),
    "some cells of an h5ad": lambda: OnlyCells(h5ad(), np.arange(0, N_CELLS, 3, dtype=np.int64)),
    "some cells of reads": lambda: OnlyCells(made().cells, np.arange(0, N_CELLS, 2, dtype=np.int64)),
}
