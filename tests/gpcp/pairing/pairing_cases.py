"""Every way of pairing some cells: engines, rules, numbers that cells wait by, and how the pairs are read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gpcp.core.pairs import PairBatch
from gpcp.pairing.paired import Paired
from gpcp.pairing.rules import depth_of
from tests.gpcp.held_cells import HeldCells, IndexedHeld, held_cells

COVARIATES = ("cell_type", "donor", "disease")


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A way of pairing some cells, and of reading the pairs."""

    held: HeldCells
    engine: str
    dense: bool
    options: dict[str, Any]
    batch_size: int
    block_cells: int

    def paired(self) -> Paired:
        source = self.held if self.dense and self.engine == "streaming" else IndexedHeld(self.held)
        return Paired(source, engine=self.engine, **self.options)  # pyright: ignore[reportArgumentType]

    def pairs(self, seed: int, *, batch_size: int | None = None) -> list[PairBatch]:
        return list(self.paired().pairs(batch_size=batch_size or self.batch_size, seed=seed))

    def key(self, row: int, names: tuple[str, ...]) -> tuple[Any, ...]:
        return tuple(self._key(row, name) for name in names)

    def _key(self, row: int, name: str) -> Any:
        if name == "measured":
            return frozenset(self.held.measured(row))
        if name == "depth":
            return int(depth_of(np.array(len(self.held.expressed(row)))))
        return str(self.held.covariates[name][row])


@st.composite
def cases(draw: st.DrawFn, *, max_cells: int = 14, max_genes: int = 5) -> Case:
    cells = draw(held_cells(max_cells=max_cells, max_genes=max_genes))
    n_genes = len(cells.vocab)
    names = draw(st.permutations((*COVARIATES, "measured", "depth")))
    n_match, n_prefer, n_differ = draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.integers(0, 2))
    rest = names[n_match + n_prefer :]
    lo = draw(st.integers(1, n_genes - 1))
    return Case(
        held=cells,
        engine=draw(st.sampled_from(["planned", "streaming"])),
        dense=draw(st.booleans()),
        options={
            "match_on": tuple(names[:n_match]),
            "prefer_on": tuple(names[n_match : n_match + n_prefer]),
            "differ_on": tuple(name for name in rest if name in COVARIATES)[:n_differ],
            "n_perturbed": draw(st.sampled_from([None, (lo, draw(st.integers(lo, n_genes - 1)))])),
            "best_of": draw(st.sampled_from([1, 2, 3, 64])),
            "max_age": draw(st.sampled_from([None, 1, 3, 8])),
            "max_held": draw(st.sampled_from([2, 3, 1000])),
            "min_shared": draw(st.integers(2, n_genes)),
        },
        batch_size=draw(st.integers(1, 6)),
        block_cells=draw(st.integers(1, 16)),
    )
