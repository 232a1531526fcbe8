"""Reading a store back with the Census's own reader, and cells that are written down."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.genes import GeneVocab
from gpcp.sources.census.store import soma_context


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Listed:
    """A source of the cells of one batch, in an order of the seed."""

    batch: CellBatch

    @property
    def vocab(self) -> GeneVocab:
        return self.batch.vocab

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        order = np.random.default_rng(seed).permutation(len(self.batch))
        for start in range(0, len(order), batch_size):
            yield self.batch.rows(order[start : start + batch_size])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Store:
    """All that a store holds, dense."""

    obs: Any
    var: Any
    presence_SF: NDArray[np.uint8]
    raw_BF: NDArray[np.float32]
    normalised_BF: NDArray[np.float32]
    info: dict[str, Any]


def read_store(path: Path, organism: str = "homo_sapiens") -> Store:
    """Open a store with ``cellxgene_census`` and read everything."""
    import cellxgene_census

    with cellxgene_census.open_soma(uri=path.as_posix(), context=soma_context()) as census:
        experiment = census["census_data"][organism]
        rna = experiment.ms["RNA"]
        layers = {
            name: rna.X[name].read().coos(rna.X[name].shape).concat().to_scipy().toarray()
            for name in ("raw", "normalized")
        }
        return Store(
            obs=experiment.obs.read().concat().to_pandas(),
            var=rna.var.read().concat().to_pandas(),
            presence_SF=cellxgene_census.get_presence_matrix(census, organism.replace("_", " ")).toarray(),
            raw_BF=layers["raw"],
            normalised_BF=layers["normalized"],
            info={name: census["census_info"][name].read().concat().to_pandas() for name in census["census_info"]},
        )
