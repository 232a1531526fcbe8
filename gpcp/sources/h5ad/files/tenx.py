"""What Cell Ranger writes, as an AnnData file: its ``.h5`` (of version 2 or 3), and its folder of ``matrix.mtx``.

The index of ``var`` is Ensembl ids; ``gene_symbols``, ``feature_types`` and ``genome`` are columns, where the file has
them. Rows of antibodies and guides are there too.
"""

import gzip
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import numpy as np
import scipy.sparse as sp

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.files.compressed import CompressedRows
from gpcp.sources.h5ad.files.matrices import check_filters
from gpcp.sources.h5ad.files.reader import H5adFile, readable

if TYPE_CHECKING:
    import pandas as pd

_OF_VERSION_3 = {"gene_symbols": "name", "feature_types": "feature_type", "genome": "genome"}
_OF_VERSION_2 = {"gene_symbols": "gene_names"}
_MATRIX = "matrix.mtx"
_NUMBERS = (["integer", "general"], ["real", "general"])
"""How the first line of a matrix ends."""
_TABLES = {"cells": ("barcodes.tsv",), "genes": ("features.tsv", "genes.tsv")}
"""What lies beside a matrix, by any of these names."""


def is_tenx(store: Any) -> bool:
    """Whether an open HDF5 file is of Cell Ranger."""
    return _is_version_3(store) or bool(_genomes(store))


def _is_version_3(store: Any) -> bool:
    return "matrix" in store and hasattr(store["matrix"], "keys") and {"features", "barcodes"} <= set(store["matrix"])


def _genomes(store: Any) -> list[str]:
    """The groups of a file of version 2: one for each genome."""
    parts = {"genes", "gene_names", "barcodes", "data", "indices", "indptr", "shape"}
    return [str(name) for name in store if hasattr(group := store.get(name), "keys") and parts <= set(group)]


def tenx_hdf5(name: str, store: Any) -> H5adFile:
    """An open file of Cell Ranger, its matrix still on the disk.

    Raises
    ------
    InputError
        It has the matrices of several genomes, or cannot be read.
    """
    if _is_version_3(store):
        group, features, ids, columns = store["matrix"], store["matrix/features"], "id", _OF_VERSION_3
    else:
        genomes = _genomes(store)
        if len(genomes) > 1:
            raise InputError(
                f"{name!r} has a matrix for each of the genomes {', '.join(genomes)}: convert one of them, "
                f"scanpy.read_10x_h5({name!r}, genome={genomes[0]!r}).write_h5ad('{genomes[0]}.h5ad')"
            )
        group = features = store[genomes[0]]
        ids, columns = "genes", _OF_VERSION_2
    with readable(f"{name!r}, of Cell Ranger,"):
        check_filters(group)
        var_of = {column: _texts(features[part]) for column, part in columns.items() if part in features}
        n_genes, n_cells = (int(size) for size in group["shape"][()])
        return _as_anndata(
            name, _texts(group["barcodes"]), _texts(features[ids]), var_of, CompressedRows(group, (n_cells, n_genes))
        )


def _texts(stored: Any) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else str(text) for text in stored[()].tolist()]


def _as_anndata(
    name: str, cells: Sequence[str], genes: Sequence[str], var_of: Mapping[str, Sequence[str]], matrix: Any
) -> H5adFile:
    import pandas as pd

    obs, var = pd.DataFrame(index=pd.Index(cells)), pd.DataFrame(dict(var_of), index=pd.Index(genes))
    return H5adFile(name=name, obs=obs, var=var, raw_var=None, matrices={"X": matrix})


def mtx_files(place: Path) -> list[Path]:
    """The matrices of Cell Ranger in a folder; or the file itself, if it is one."""
    ends = (_MATRIX, f"{_MATRIX}.gz")
    if place.is_dir():
        return sorted(path for path in place.iterdir() if path.name.endswith(ends))
    return [place] if place.name.endswith(ends) else []


def tenx_folder(place: Path) -> H5adFile:
    """A matrix in Matrix Market's text, read whole, and the tables that lie beside it under the same prefix.

    Raises
    ------
    InputError
        There are several matrices, a table is missing, or something cannot be read.
    """
    found = mtx_files(place)
    if len(found) != 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{str(place)!r} has several matrices ({names}): name the one to read")
    matrix = found[0]
    cells, genes = (_table(_beside(matrix, names)) for names in _TABLES.values())
    with readable(f"{str(matrix)!r}"):
        values = _cells_by_genes(matrix)
        columns = [column for column in ("gene_symbols", "feature_types") if column in genes]
        var_of = {column: genes[column].tolist() for column in columns}
        return _as_anndata(matrix.name, cells["id"].tolist(), genes["id"].tolist(), var_of, values)


def _cells_by_genes(path: Path) -> Any:
    """The matrix of a text, turned over so that its rows are cells."""
    import pandas as pd

    # scipy's reader is quicker, and goes down with the process where the text is damaged.
    with _text(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        kind = file.readline().lower().split()
        if kind[:3] != ["%%matrixmarket", "matrix", "coordinate"] or kind[3:] not in _NUMBERS:
            raise ValueError("its first line does not say '%%MatrixMarket matrix coordinate', integer or real, general")
        line = next((line for line in file if not line.startswith("%")), "")
        n_genes, n_cells, n_values = (int(size) for size in line.split())
        parts = {"gene": np.int64, "cell": np.int64, "value": np.float64}
        table: Any = pd.read_csv(
            file, sep=r"\s+", header=None, names=list(parts), index_col=False, dtype=parts, na_filter=False
        )
    if len(table) != n_values:
        raise ValueError(f"it has {len(table)} values and announces {n_values}")
    gene_E, cell_E, value_E = (table[part].to_numpy() for part in parts)
    for name, index_E, size in (("row", gene_E, n_genes), ("column", cell_E, n_cells)):
        if n_values and not (int(index_E.min()) >= 1 and int(index_E.max()) <= size):
            raise ValueError(f"its {name}s go from {index_E.min()} to {index_E.max()}, and must lie within 1 .. {size}")
    return sp.csr_array((value_E, (cell_E - 1, gene_E - 1)), shape=(n_cells, n_genes))


def _text(path: Path) -> TextIO:
    """A text, packed or not."""
    return cast("TextIO", (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8"))


def tables_beside(matrix: Path) -> list[Path]:
    """The tables of a matrix that are there."""
    return [path for names in _TABLES.values() for path in _wanted(matrix, names) if path.is_file()]


def _wanted(matrix: Path, names: Sequence[str]) -> list[Path]:
    """Where a table of one of these names may lie, packed or not."""
    prefix = matrix.name[: matrix.name.rindex(_MATRIX)]
    return [matrix.parent / f"{prefix}{name}{end}" for name in names for end in ("", ".gz")]


def _beside(matrix: Path, names: Sequence[str]) -> Path:
    """The table of one of these names."""
    wanted = _wanted(matrix, names)
    found = next((path for path in wanted if path.is_file()), None)
    if found is None:
        missing = " or ".join(path.name for path in wanted)
        raise InputError(f"{str(matrix)!r} has no {missing} beside it: it is not a whole folder of Cell Ranger")
    return found


def _table(path: Path) -> "pd.DataFrame":
    """A table of texts without a header: an id, a symbol, a feature type."""
    import pandas as pd

    with readable(f"{str(path)!r}"):
        with _text(path) as file:
            rows = [line.rstrip("\r\n").split("\t") for line in file]
        width = max((len(row) for row in rows), default=0)
        if any(len(row) != width for row in rows):
            raise ValueError("its lines do not have the same number of columns")
        names = ["id", "gene_symbols", "feature_types", *map(str, range(3, width))][:width]
        return pd.DataFrame(rows, columns=pd.Index(names or ["id"]), dtype=str)
