"""A small Census on disk whose every value is known beforehand, and what a reader of it should say.

Three datasets measure different genes, one of them with a full-length assay; cells have several types, tissues and
diseases, some two at once; some are repetitions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, rebatched_rows
from gpcp.core.genes import GeneVocab
from gpcp.sources.census.store import soma_context
from simulators.census.export import export_census
from simulators.sources import CountedBatch, concatenate_counted

N_CELLS, N_GENES = 400, 14
ASSAYS = ("10x 3' v2", "Smart-seq2", "10x 3' v3")
TYPES = ("T cell", 'the "odd" one\'s', "B cell")
TISSUES = ("blood", "posterior part of tongue", "tongue tip")
GENERAL = {"dataset_0": "blood", "dataset_1": "tongue", "dataset_2": "tongue"}
DISEASES = ("normal", "COVID-19", "COVID-19 || common cold")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Truth:
    """What the store is made of, in the order of its joinids."""

    vocab: GeneVocab
    count_NG: NDArray[np.int64]
    tpm_NG: NDArray[np.float64]
    measured_SG: NDArray[np.bool_]
    set_N: NDArray[np.int64]
    text_of: dict[str, NDArray[np.str_]]
    primary_N: NDArray[np.bool_]
    length_G: NDArray[np.int64]

    @property
    def measured_NG(self) -> NDArray[np.bool_]:
        """Of each cell."""
        return self.measured_SG[self.set_N]


def truth(n_cells: int = N_CELLS, *, seed: int = 0) -> Truth:
    """Counts of cells of three datasets, dataset by dataset, and TPM by their definition."""
    rng = np.random.default_rng(seed)
    set_N = np.sort(rng.integers(0, 3, n_cells))
    measured_SG = rng.random((3, N_GENES)) < 0.7
    measured_SG[:, 0] = True
    length_G = rng.integers(200, 9000, N_GENES)
    count_NG = rng.poisson(1.5, (n_cells, N_GENES)) * measured_SG[set_N]
    # A cell without any count has no TPM.
    count_NG[:, 0] += 1
    rate_NG = np.where((set_N == 1)[:, None], count_NG / length_G, count_NG)
    text_of = {
        "cell_type": rng.choice(TYPES, n_cells),
        "dataset": np.array([f"dataset_{s}" for s in set_N]),
        "assay": np.array(ASSAYS)[set_N],
        "donor": np.array([f"donor_{s}_{d}" for s, d in zip(set_N, rng.integers(0, 2, n_cells), strict=True)]),
        "tissue": np.where(set_N == 0, TISSUES[0], rng.choice(TISSUES[1:], n_cells)),
        "disease": rng.choice(DISEASES, n_cells),
    }
    return Truth(
        vocab=GeneVocab(feature_id=tuple(f"ENSG{7 * g:011d}" for g in range(N_GENES))),
        count_NG=count_NG,
        tpm_NG=1e6 * rate_NG / rate_NG.sum(axis=1, keepdims=True),
        measured_SG=measured_SG,
        set_N=set_N,
        text_of=text_of,
        primary_N=rng.random(n_cells) < 0.8,
        length_G=length_G,
    )


class TruthCells:
    """The cells of a truth as a source that knows its counts; their ids are their places."""

    def __init__(self, known: Truth) -> None:
        self.vocab = known.vocab
        self._known = known

    def counted(self, *, batch_size: int, seed: int) -> Iterator[CountedBatch]:
        known = self._known
        whole = CellBatch(
            vocab=known.vocab,
            expression_BG=np.log1p(known.tpm_NG).astype(np.float32),
            measured_BG=known.measured_NG,
            cell_id_B=np.arange(len(known.set_N), dtype=np.int64),
            covariates=known.text_of,
        )
        counted = CountedBatch(cells=whole, count_BG=known.count_NG)
        order_N = np.random.default_rng(seed).permutation(len(whole))
        return rebatched_rows([counted.rows(order_N)], concatenate_counted, batch_size=batch_size)

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        return (counted.cells for counted in self.counted(batch_size=batch_size, seed=seed))


def write(known: Truth, folder: Path) -> Path:
    """The truth as a store."""
    path = folder / "census"
    export_census(
        TruthCells(known),
        path,
        labels={"tissue_general": GENERAL},
        is_primary=lambda batch: known.primary_N[batch.cell_id_B],
        feature_length=dict(zip(known.vocab.feature_id, known.length_G.tolist(), strict=True)),
    )
    return path


def measurement_uri(store: Path) -> str:
    return str(store / "census_data" / "homo_sapiens" / "ms" / "RNA")


def layer(store: Path, name: str) -> NDArray[np.float32]:
    """A layer of X as it lies there, dense, without going through any reader of cells."""
    import tiledbsoma

    with tiledbsoma.open(f"{measurement_uri(store)}/X/{name}", context=soma_context()) as opened:
        values: Any = opened
        table = values.read().tables().concat()
        dense_NG = np.zeros(values.shape, dtype=np.float32)
        dense_NG[table["soma_dim_0"].to_numpy(), table["soma_dim_1"].to_numpy()] = table["soma_data"].to_numpy()
        return dense_NG


def remove(collection: str, name: str) -> None:
    """Take a member out of a collection of a store."""
    import tiledbsoma

    with tiledbsoma.open(collection, mode="d", context=soma_context()) as opened:
        parent: Any = opened
        del parent[name]


def put_value(store: Path, cell: int, gene: int, value: float) -> None:
    """Write one value into the normalised layer, measured or not."""
    import pyarrow as pa
    import tiledbsoma

    with tiledbsoma.open(f"{measurement_uri(store)}/X/normalized", mode="w", context=soma_context()) as opened:
        values: Any = opened
        values.write(
            pa.table(
                {
                    "soma_dim_0": np.array([cell], dtype=np.int64),
                    "soma_dim_1": np.array([gene], dtype=np.int64),
                    "soma_data": np.array([value], dtype=np.float32),
                }
            )
        )
