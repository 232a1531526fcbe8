"""Write the cells of a spool as a TileDB-SOMA store with the layout of a Census."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from gpcp.sources.census.store import soma_context
from simulators.census.spool import Spool, Stored
from simulators.census.tables import X_ON_DISK, arrow, info_tables, label_columns, table

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def write_store(folder: Path, spool: Spool, genes: dict[str, Any], *, organism: str, source: str) -> int:
    """Write the whole store into a folder that does not exist.

    Parameters
    ----------
    folder : Path
    spool : Spool
        Has all cells.
    genes : mapping of str to columns of var
    organism : str
    source : str
        Where the cells come from, in words.

    Returns
    -------
    int
        Entries of a layer.
    """
    import tiledbsoma

    n_genes, datasets = len(genes["feature_id"]), spool.datasets
    size_S = np.array([spool.size(name) for name in datasets], dtype=np.int64)
    nnz_store, n_measured_store = np.zeros(n_genes, dtype=np.int64), np.zeros(n_genes, dtype=np.int64)
    measured_S_store = np.zeros((len(datasets), n_genes), dtype=np.bool_)
    parts: list[dict[str, NDArray[Any]]] = []
    uri, context = folder.as_posix(), soma_context()
    with cast("Any", tiledbsoma.Collection).create(uri, context=context) as census:
        census.add_new_collection("census_info")
        with census.add_new_collection("census_data") as data:
            _create_layers(data.add_new_collection(organism, tiledbsoma.Experiment), int(size_S.sum()), n_genes)
    experiment = f"{uri}/census_data/{organism}"
    with (
        tiledbsoma.SparseNDArray.open(f"{experiment}/ms/RNA/X/raw", "w", context=context) as raw,
        tiledbsoma.SparseNDArray.open(f"{experiment}/ms/RNA/X/normalized", "w", context=context) as normalised,
    ):
        start = 0
        for stored in spool.stored():
            _write_layer(raw, stored.count_B_store, start)
            _write_layer(normalised, stored.normalised_B_store, start)
            measured_S_store[stored.dataset] = stored.measured_store
            nnz_store += np.bincount(stored.count_B_store.indices, minlength=n_genes)
            n_measured_store += stored.measured_store * len(stored.cell_id_B)
            parts.append(_cell_columns(stored))
            start += len(stored.cell_id_B)
    obs = _obs(spool, parts)
    var = table({**genes, "nnz": nnz_store, "n_measured_obs": n_measured_store})
    _write_tables(experiment, {"obs": obs})
    _write_tables(f"{experiment}/ms/RNA", {"var": var})
    _write_presence(f"{experiment}/ms/RNA", measured_S_store)
    built = datetime.now(UTC).date().isoformat()
    info = info_tables(organism=organism, obs=obs, datasets=datasets, size_S=size_S, source=source, built=built)
    _write_tables(f"{uri}/census_info", info)
    return int(nnz_store.sum())


def _create_layers(experiment: Any, n_cells: int, n_genes: int) -> None:
    """An experiment's collections and its two empty layers."""
    import tiledbsoma

    pa = arrow()

    with (
        experiment,
        experiment.add_new_collection("ms") as ms,
        ms.add_new_collection("RNA", tiledbsoma.Measurement) as rna,
        rna.add_new_collection("X") as layers,
    ):
        for layer in ("raw", "normalized"):
            shape = (n_cells, n_genes)
            layers.add_new_sparse_ndarray(layer, type=pa.float32(), shape=shape, platform_config=X_ON_DISK).close()


def _write_layer(layer: Any, value_B_store: "csr_array", start: int) -> None:
    """A dataset's entries, in one write."""
    pa = arrow()

    row = np.repeat(np.arange(start, start + value_B_store.shape[0], dtype=np.int64), np.diff(value_B_store.indptr))
    column = value_B_store.indices.astype(np.int64)
    layer.write(pa.table({"soma_dim_0": row, "soma_dim_1": column, "soma_data": value_B_store.data}))


def _cell_columns(stored: Stored) -> dict[str, NDArray[Any]]:
    """What obs says of a dataset's cells, texts as codes."""
    count_B_store = stored.count_B_store.astype(np.float64)
    nnz_B = np.diff(count_B_store.indptr).astype(np.int64)
    sum_B = np.asarray(count_B_store.sum(axis=1)).reshape(-1)
    mean_B = sum_B / np.maximum(nnz_B, 1)
    row = np.repeat(np.arange(len(nnz_B)), nnz_B)
    square_B = np.bincount(row, weights=(count_B_store.data - mean_B[row]) ** 2, minlength=len(nnz_B))
    return {
        **stored.code_of,
        "is_primary_data": stored.primary_B,
        "cell_id": stored.cell_id_B,
        "raw_sum": sum_B,
        "nnz": nnz_B,
        "raw_mean_nnz": mean_B,
        "raw_variance_nnz": square_B / np.maximum(nnz_B - 1, 1),
        "n_measured_vars": np.full(len(nnz_B), stored.measured_store.sum(), dtype=np.int64),
    }


def _obs(spool: Spool, parts: list[dict[str, NDArray[Any]]]) -> Any:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    names = {column: list(known) for column, known in spool.names.items()}
    columns = label_columns(names, {column: joined.pop(column) for column in names})
    columns["observation_joinid"] = [str(cell_id) for cell_id in joined.pop("cell_id").tolist()]
    return table({**columns, **joined})


def _write_presence(measurement: str, measured_S_store: NDArray[np.bool_]) -> None:
    import tiledbsoma

    pa = arrow()

    dataset, gene = np.nonzero(measured_S_store)
    present = pa.table(
        {"soma_dim_0": dataset, "soma_dim_1": gene, "soma_data": pa.array(np.ones(len(gene), dtype=np.bool_))}
    )
    name = "feature_dataset_presence_matrix"
    with (
        cast("Any", tiledbsoma.Measurement).open(measurement, "w", context=soma_context()) as rna,
        rna.add_new_sparse_ndarray(name, type=pa.bool_(), shape=measured_S_store.shape) as matrix,
    ):
        matrix.write(present)


def _write_tables(collection: str, tables: Mapping[str, Any]) -> None:
    """Tables of a collection: all created first and each opened again to be written.

    A dictionary column that is written within the collection's own ``create`` or before it is closed ends up empty.
    """
    import tiledbsoma

    context = soma_context()
    with cast("Any", tiledbsoma.open(collection, "w", context=context)) as parent:
        for name, values in tables.items():
            domain = [(0, max(0, values.num_rows - 1))]
            parent.add_new_dataframe(
                name, schema=values.schema, domain=domain, index_column_names=["soma_joinid"]
            ).close()
    for name, values in tables.items():
        with cast("Any", tiledbsoma.DataFrame).open(f"{collection}/{name}", "w", context=context) as frame:
            frame.write(values)
