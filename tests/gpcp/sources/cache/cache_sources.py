"""Small sources of the three kinds that a cache is built from, and what to compare."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, rebatched_cells
from gpcp.core.genes import GeneVocab
from gpcp.sources.cache.build import build_cache
from gpcp.sources.index import CellIndex, Labels
from gpcp.sources.sparse import IndexedSource, SparseCells, SparseValues


class Dense:
    """Only what every source has: batches in an order that the seed decides."""

    def __init__(self, held: CellBatch) -> None:
        self.held = held
        self.vocab = held.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        order = np.random.default_rng(seed).permutation(len(self.held))
        return rebatched_cells([self.held.rows(order)], batch_size=batch_size)


class Indexed(IndexedSource):
    """Random access."""

    def __init__(self, held: SparseCells, provenance: str = "cells of a test") -> None:
        self.held, self.provenance = held, provenance

    @property
    def index(self) -> CellIndex:
        return self.held.index

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        return self.held.rows(row_B)

    def pass_order(self, seed: int) -> NDArray[np.int64]:
        return np.random.default_rng(seed).permutation(len(self.held))


class Sequential:
    """Goes on from any cell, in blocks that end where they like, and may break off as a kill does."""

    def __init__(
        self,
        held: SparseCells,
        *,
        cuts: Sequence[int] = (),
        breaks_at: int | None = None,
        provenance: str = "cells of a test",
        pause: float = 0.0,
    ) -> None:
        self.held, self.cuts, self.breaks_at, self.provenance = held, cuts, breaks_at, provenance
        self.pause = pause
        self.vocab, self.n_cells = held.vocab, len(held)
        self.starts: list[int] = []

    def sequential(self, *, start: int, batch_size: int) -> Iterator[SparseCells]:
        self.starts.append(start)
        ends = [*sorted({cut for cut in self.cuts if start < cut < len(self.held)}), len(self.held)]
        for end in ends:
            if self.breaks_at is not None and end > self.breaks_at:
                raise KeyboardInterrupt
            time.sleep(self.pause)
            yield self.held.rows(slice(start, end))
            start = end

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        raise AssertionError("a source that goes on from any cell is read that way")


def made_cells(n_cells: int, *, n_genes: int = 9, seed: int = 0) -> SparseCells:
    """Cells with a fifth of their genes stored, some with none, of three sets, with two covariates and totals."""
    rng = np.random.default_rng(seed)
    vocab = GeneVocab(feature_id=tuple(f"ENSG{i:011d}" for i in range(n_genes)))
    measured_SG = rng.random((3, n_genes)) < 0.8
    set_B = rng.integers(3, size=n_cells).astype(np.int32)
    value_BG = rng.gamma(1.0, size=(n_cells, n_genes)).astype(np.float32)
    value_BG *= (rng.random(value_BG.shape) < 0.2) & measured_SG[set_B]
    words = np.array(["B cell", "T cell", "natürliche Killerzelle"])
    index = CellIndex(
        vocab=vocab,
        cell_id_B=rng.permutation(10 * n_cells)[:n_cells].astype(np.int64),
        measured_SG=measured_SG,
        set_B=set_B,
        covariates={
            "dataset": Labels(names=words[::-1], code_B=set_B),
            "cell_type": Labels(names=words, code_B=rng.integers(3, size=n_cells).astype(np.int32)),
        },
        total_B=np.where(rng.random(n_cells) < 0.1, np.nan, rng.gamma(1.0, 1e4, size=n_cells)),
    )
    return SparseCells(index=index, value_BG=sp.csr_array(value_BG))


def perturbed_otherwise(cells: SparseCells, rng: np.random.Generator) -> SparseCells:
    """The same cells from a source that lays out its tables in another way, and stores some zeros."""
    index, value_BG = cells.index, cells.value_BG
    n_sets = len(index.measured_SG)
    place = rng.permutation(2 * n_sets + 1)[: 2 * n_sets].reshape(2, n_sets)
    measured_SG = rng.random((2 * n_sets + 1, len(cells.vocab))) < 0.5
    measured_SG[place] = index.measured_SG
    set_B = place[rng.integers(2, size=len(cells)), index.set_B].astype(np.int32)
    covariates: dict[str, Labels] = {}
    for name, labels in reversed(list(index.covariates.items())):
        order = rng.permutation(len(labels.names) + 1)
        names = np.append(labels.names, "a name without a cell")[order]
        covariates[name] = Labels(names=names, code_B=np.argsort(order)[labels.code_B].astype(np.int32))
    full_BG = measured_SG[set_B] & (rng.random(value_BG.shape) < 0.5) | (value_BG.toarray() != 0)
    row, column = np.nonzero(full_BG)
    indptr = np.append(0, np.cumsum(full_BG.sum(axis=1)))
    parts = (value_BG.toarray()[row, column], column, indptr)
    stored = cast("SparseValues", sp.csr_array(parts, shape=value_BG.shape))
    laid_out = replace(index, measured_SG=measured_SG, set_B=set_B, covariates=covariates)
    return SparseCells(index=laid_out, value_BG=stored)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a cache."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def names_in(folder: Path) -> list[str]:
    """What lies in a folder that another process may be making or removing."""
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def assert_same_cells(found: CellBatch, expected: CellBatch) -> None:
    """Cell by cell, whatever their order."""
    a, b = (one.rows(np.argsort(one.cell_id_B)) for one in (found, expected))
    assert a.vocab == b.vocab
    np.testing.assert_array_equal(a.cell_id_B, b.cell_id_B)
    np.testing.assert_array_equal(a.expression_BG, b.expression_BG)
    np.testing.assert_array_equal(a.measured_BG, b.measured_BG)
    assert set(a.covariates) == set(b.covariates)
    for name in a.covariates:
        assert a.covariates[name].tolist() == b.covariates[name].tolist()


def killed_cells(pause: float = 0.0) -> Any:
    """What the process to be killed builds its cache from."""
    return Sequential(made_cells(2000), cuts=range(0, 2000, 25), pause=pause)


def main(folder: str, pause: str) -> None:
    """Build slowly, so that there is time for a kill."""
    print("begins", flush=True)
    build_cache(killed_cells(float(pause)), folder, part_cells=60)


if __name__ == "__main__":
    main(*sys.argv[1:])
