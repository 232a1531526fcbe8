"""An AnnData group of HDF5 or zarr, by its parts: the tables are read, the matrices stay where they are.

``obsm``, ``uns`` and the layers that nobody asks for are never read. Files older than AnnData 0.7 have no parts that
could be read alone and are loaded whole.
"""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.files.compressed import native
from gpcp.sources.h5ad.files.matrices import LazyMatrices, check_filters, is_null, sparse_kind, stored_matrix
from gpcp.sources.h5ad.files.reader import H5adFile, readable

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so


def by_parts(name: str, store: Any) -> H5adFile:
    """The tables of an open group, and its matrices still where they lie.

    Raises
    ------
    InputError
        A table is missing or cannot be read.
    """
    for part in ("obs", "var"):
        if part not in store:
            raise InputError(f"{name!r} is not of AnnData: it has no {part!r}")
    # What was None is there all the same, with an encoding of its own.
    there = {str(part) for part in store if not is_null(store.get(part))}
    open_of: dict[str, Callable[[], Any]] = {"X": partial(_matrix, store, "X")} if "X" in there else {}
    if "raw" in there and {"X", "var"} <= set(store["raw"]):
        open_of["raw"] = partial(_matrix, store, "raw/X")
    layers = store.get("layers", ())
    named = {str(key): partial(_matrix, store, f"layers/{key}") for key in layers if _may_be_matrix(layers, key)}
    return H5adFile(
        name=name,
        obs=_table(name, store, "obs"),
        var=_table(name, store, "var"),
        raw_var=_table(name, store, "raw/var") if "raw" in open_of else None,
        matrices=LazyMatrices(open_of | {key: matrix for key, matrix in named.items() if key not in open_of}),
    )


def _matrix(store: Any, part: str) -> Any:
    return stored_matrix(store[part])


def _may_be_matrix(layers: Any, key: str) -> bool:
    """Whether a layer is a matrix, or is broken, so that it cannot be known."""
    try:
        layer = layers[key]
        return bool(sparse_kind(layer)) if hasattr(layer, "keys") else len(layer.shape) == 2
    except Exception:
        # It is opened once more, and what is wrong is said, when somebody asks for it.
        return True


def _table(name: str, store: Any, part: str) -> "pd.DataFrame":
    """A table read whole."""
    from anndata import io  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    with readable(f"{part} of {name!r}"), warnings.catch_warnings():
        # A warning that the file is old is dropped: nothing here depends on its age.
        warnings.simplefilter("ignore")
        check_filters(store[part])
        # What read_elem returns is anything, and a part of its type is unknown to pyright.
        table = cast("Any", io.read_elem)(store[part])  # pyright: ignore[reportUnknownMemberType]
        if not hasattr(table, "columns"):
            raise ValueError("it is not a table")
        return _native_columns(table)


def _native_columns(table: "pd.DataFrame") -> "pd.DataFrame":
    """The same table, without the numbers that pandas holds but cannot sort: of two bytes, or of other machines."""
    changed = {
        name: native(column.to_numpy())
        for name, column in table.items()
        if isinstance(column.dtype, np.dtype) and column.dtype != native(np.zeros(0, column.dtype)).dtype
    }
    return table.assign(**{str(name): values for name, values in changed.items()}) if changed else table


def loaded_whole(file: Path) -> H5adFile:
    """A file older than AnnData 0.7.

    Raises
    ------
    InputError
        It cannot be read.
    """
    import anndata  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    with readable(f"{file.name!r}, of before AnnData 0.7,"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded: Any = anndata.read_h5ad(file)
    return in_memory(loaded, file.name)


def in_memory(adata: "AnnData", name: str) -> H5adFile:
    """An AnnData object, backed by a file or not; of a view, each matrix is copied when it is asked for."""
    held: Any = adata
    open_of: dict[str, Callable[[], Any]] = {}
    with readable(name):
        if held.X is not None:
            open_of["X"] = lambda: _held(held.X)
        if held.raw is not None:
            open_of["raw"] = lambda: _held(held.raw.X)
        for layer in held.layers:
            open_of.setdefault(str(layer), partial(_layer, held, layer))
        return H5adFile(
            name=name,
            obs=_native_columns(held.obs),
            var=_native_columns(held.var),
            raw_var=None if held.raw is None else _native_columns(held.raw.var),
            matrices=LazyMatrices(open_of),
        )


def _layer(held: Any, layer: str) -> Any:
    return _held(held.layers[layer])


def _held(matrix: Any) -> Any:
    """A matrix of an AnnData object; where it is a group of a file, the file is read here, not by anndata."""
    return stored_matrix(matrix.group) if hasattr(matrix, "group") else matrix
