"""Every kind of source, made anew from a seed, and its cache: built in one process, opened in another."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from gpcp.core.cells import CellBatch, CellSource
from gpcp.sources.cache.build import cached
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.in_memory import sample_cells
from gpcp.sources.subsets import OnlyCells, OnlyGenes
from simulators.assay import build_assay
from simulators.census.export import export_census
from simulators.sources import SimulatedCells
from simulators.totals import TotalledCells
from simulators.worlds import world
from tests.gpcp.sources.h5ad.anndata_files import write_cells

N_CELLS = 120


def simulated(name: str = "scale_free/10", *, sequenced: bool = False) -> SimulatedCells:
    scm = world(name, seed=0).scm
    assay = build_assay(scm.graph.vocab, rng=np.random.default_rng(1), n_datasets=3) if sequenced else None
    return SimulatedCells(scm=scm, n_cells=N_CELLS, assay=assay)


def h5ad(folder: Path) -> CellSource:
    path = folder / "cells.h5ad"
    if not path.exists():
        count_NG = np.random.default_rng(0).poisson(3, (N_CELLS, 5)).astype(np.float32)
        var = pd.DataFrame(index=[f"ENSG{gene:011d}" for gene in range(5)])
        write_cells(path, count_NG, pd.DataFrame(index=[str(cell) for cell in range(N_CELLS)]), var)
    return H5adCells(path)


def census(folder: Path) -> CellSource:
    from gpcp.sources.census.cells import CensusCells

    if not (folder / "store").exists():
        export_census(simulated(sequenced=True), folder / "store")
    return CensusCells(uri=folder / "store")


def cache_of_a_cache(folder: Path) -> CellSource:
    return CachedCells(cached(simulated(), folder / "first").folder)


def some_cells(folder: Path) -> CellSource:
    del folder
    return OnlyCells(simulated(), np.arange(0, N_CELLS, 2))


SOURCES: Mapping[str, Callable[[Path], CellSource]] = {
    "simulated": lambda folder: simulated("scale_free/10/hill/laplace"),
    "sequenced": lambda folder: simulated(sequenced=True),
    "totalled": lambda folder: TotalledCells(counted=simulated(sequenced=True)),
    "in memory": lambda folder: sample_cells(simulated(), simulated().vocab.feature_id, max_cells=90, seed=0),
    "some genes": lambda folder: OnlyGenes(simulated(), simulated().vocab.feature_id[:4]),
    "some cells": some_cells,
    "cache": cache_of_a_cache,
    "h5ad": h5ad,
    "census": census,
}


class OutOfBreath:
    """A source that breaks off after so many cells, as a kill does; it says of itself what the whole one does."""

    def __init__(self, whole: CellSource, provenance: str, n_cells: int) -> None:
        self.whole, self.provenance, self.vocab, self._n_cells = whole, provenance, whole.vocab, n_cells

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        n_given = 0
        for batch in self.whole.cells(batch_size=5, seed=seed):
            n_given += len(batch)
            if n_given > self._n_cells:
                raise KeyboardInterrupt
            yield batch


def ask(folder: Path, name: str) -> str:
    """Ask for the cache of one source; its provenance."""
    place = folder / name
    place.mkdir(exist_ok=True)
    return cached(SOURCES[name](place), place / "cache").provenance


def main(folder: str, *names: str) -> None:
    """Ask for the caches of some sources."""
    for name in names:
        print(ask(Path(folder), name))


if __name__ == "__main__":
    main(*sys.argv[1:])
