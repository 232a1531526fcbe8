"""Cells in memory, as every kind of source that pairing meets."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.genes import GeneVocab
from gpcp.sources.index import CellIndex
from gpcp.sources.sparse import IndexedSource, SparseCells, sparse_of
from tests.strategies import adjectives

FIRST = 1000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeldCells:
    """A source of dense cells; row ``i`` is named ``1000 + i``."""

    vocab: GeneVocab
    value_NG: NDArray[np.float32]
    measured_NG: NDArray[np.bool_]
    covariates: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.value_NG)

    def order(self, seed: int) -> NDArray[np.int64]:
        return np.random.default_rng(seed).permutation(len(self.value_NG))

    def batch(self, rows: NDArray[np.int64]) -> CellBatch:
        return CellBatch(
            vocab=self.vocab,
            expression_BG=np.where(self.measured_NG[rows], self.value_NG[rows], np.float32(0)),
            measured_BG=self.measured_NG[rows],
            cell_id_B=FIRST + rows,
            covariates={name: values[rows] for name, values in self.covariates.items()},
        )

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        order = self.order(seed)
        return (self.batch(order[start : start + batch_size]) for start in range(0, len(order), batch_size))

    def expressed(self, row: int) -> set[int]:
        """Genes of a row, by their places."""
        return set(np.flatnonzero((self.value_NG[row] > 0) & self.measured_NG[row]).tolist())

    def measured(self, row: int) -> set[int]:
        return set(np.flatnonzero(self.measured_NG[row]).tolist())


class IndexedHeld(IndexedSource):
    """The same cells in the same order, as an indexed source; writes down which rows were asked for."""

    def __init__(self, held: HeldCells, *, cheap_rows: bool = True) -> None:
        self.held, self._cheap_rows = held, cheap_rows
        self.asked: list[int] = []

    @property
    def cheap_rows(self) -> bool:
        return self._cheap_rows

    @cached_property
    def all_cells(self) -> SparseCells:
        return sparse_of(self.held.batch(np.arange(len(self.held))))

    @property
    def index(self) -> CellIndex:
        return self.all_cells.index

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        assert len(np.unique(row_B)) == len(row_B)
        self.asked += row_B.tolist()
        return self.all_cells.rows(row_B)

    def pass_order(self, seed: int) -> NDArray[np.int64]:
        return self.held.order(seed)


def held(
    n_cells: int, n_genes: int, *, measured: NDArray[np.bool_] | None = None, **covariates: list[str]
) -> HeldCells:
    """Cells of random values, about half of them expressed."""
    rng = np.random.default_rng(7)
    return HeldCells(
        vocab=GeneVocab(feature_id=tuple(f"g{i}" for i in range(n_genes))),
        value_NG=rng.normal(size=(n_cells, n_genes)).astype(np.float32),
        measured_NG=np.ones((n_cells, n_genes), dtype=np.bool_) if measured is None else measured,
        covariates={name: np.array(values, dtype=np.str_) for name, values in covariates.items()},
    )


@st.composite
def held_cells(
    draw: st.DrawFn, *, max_cells: int = 14, max_genes: int = 5, all_measured: bool | None = None
) -> HeldCells:
    """Sources of few cells with cell types, donors and diseases, some of them measured for few genes."""
    n_cells, n_genes = draw(st.integers(0, max_cells)), draw(st.integers(2, max_genes))

    def words(*of: str) -> list[str]:
        return draw(st.lists(st.sampled_from(of), min_size=n_cells, max_size=n_cells))

    whole = draw(st.booleans()) if all_measured is None else all_measured
    return held(
        n_cells,
        n_genes,
        measured=None if whole else draw(adjectives(n_cells, n_genes)),
        cell_type=words("T cell", "B"),
        donor=words("ann", "bob", "eve"),
        disease=words("normal", "flu", ""),
    )
