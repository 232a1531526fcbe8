"""Opens an AnnData file: its tables are read at once, its matrices a block of cells at a time.

Only ``obs``, ``var`` and the matrix that is asked for are read: ``obsm``, ``uns`` and other layers stay on the disk.
Files older than AnnData 0.7 have no parts that could be read alone and are loaded whole.
"""

import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
import scipy.sparse as sp

from gpcp.core.errors import InputError, nearest
from gpcp.core.files import existing_file
from gpcp.sources.h5ad.normalise import Sparse, ValueTally, tally

if TYPE_CHECKING:
    import pandas as pd

BLOCK_VALUES = 2**22
"""Values of a block, zeros counted: 32 MB in float64 if the matrix is dense."""

SAMPLE_CELLS = 256
"""Cells from which the look of a layer is judged."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class H5adFile:
    """An open AnnData file.

    Parameters
    ----------
    name : str
        What messages call it.
    obs, var : DataFrame
    raw_var : DataFrame or None
        The genes of ``raw``, which may be more than those of ``var``.
    matrices : mapping of str to array-like
        ``"X"``, ``"raw"`` and the layers by name, each sliceable by rows.
    """

    name: str
    obs: "pd.DataFrame"
    var: "pd.DataFrame"
    raw_var: "pd.DataFrame | None"
    matrices: Mapping[str, Any]

    def check_layer(self, layer: str) -> None:
        """Refuse a layer that the file does not have, naming the nearest."""
        if layer not in self.matrices:
            raise InputError(f"{self.name!r} has no layer {layer!r}; {nearest(layer, self.matrices)}")

    def var_of(self, layer: str) -> "pd.DataFrame":
        """The table of the genes that are the columns of ``layer``."""
        return self.raw_var if layer == "raw" and self.raw_var is not None else self.var

    def blocks(self, layer: str, *, n_cells: int | None = None) -> Iterator[tuple[int, Sparse]]:
        """The first row and the values of each block of ``layer``, in the order of the file.

        Sparse float64 (B, G) that stores exactly the values that are not 0. ``n_cells`` stops after that many cells.

        Raises
        ------
        InputError
            The layer holds no numbers, or its shape is not that of ``obs`` and ``var``.
        """
        matrix = self.matrices[layer]
        shape = (len(self.obs), len(self.var_of(layer)))
        if tuple(matrix.shape) != shape:
            raise InputError(
                f"layer {layer!r} of {self.name!r} has shape {tuple(matrix.shape)}, obs and var say {shape}"
            )
        if np.dtype(matrix.dtype).kind not in "biuf":
            raise InputError(f"layer {layer!r} of {self.name!r} holds {matrix.dtype}, not numbers")
        if getattr(matrix, "format", "") == "csc":
            # Rows of a matrix that is stored by columns cannot be read alone: it is turned over once, still sparse.
            matrix = sp.csr_array(matrix.to_memory() if hasattr(matrix, "to_memory") else matrix)
        end = shape[0] if n_cells is None else min(shape[0], n_cells)
        step = max(1, BLOCK_VALUES // max(1, shape[1]))
        for start in range(0, end, step):
            rows: Any = matrix[start : min(start + step, end)]
            block: Sparse = sp.csr_array(rows).astype(np.float64)
            block.sum_duplicates()
            block.eliminate_zeros()
            yield start, block

    def look(self, layer: str) -> ValueTally:
        """Tally of the first cells of ``layer``: enough to say what it looks like."""
        seen = ValueTally()
        for _, block in self.blocks(layer, n_cells=SAMPLE_CELLS):
            seen += tally(block.data)
        return seen


@contextmanager
def opened(path: str | Path) -> Generator[H5adFile, None, None]:
    """Open an AnnData file for the length of a ``with`` block.

    Raises
    ------
    InputError
        The file does not exist (the message names the nearest one that does), is not HDF5, or is not AnnData.
    """
    import h5py  # pyright: ignore[reportMissingTypeStubs]  # it has none

    file = existing_file(path, what="AnnData file")
    if not cast("bool", h5py.is_hdf5(file)):  # pyright: ignore[reportUnknownMemberType]  # it has no types
        raise InputError(f"{str(path)!r} is not an AnnData file (.h5ad): it is not HDF5")
    try:
        store = cast("Any", h5py.File(file, "r"))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be opened as an AnnData file: {' '.join(str(error).split())}") from None
    with store:
        for part in ("obs", "var"):
            if part not in store:
                raise InputError(f"{str(path)!r} is HDF5 but not an AnnData file (.h5ad): it has no {part!r}")
        whole = "raw.X" in store or isinstance(store["obs"], h5py.Dataset)
        try:
            read = _loaded_whole(file) if whole else _by_parts(file.name, store)
        except Exception as error:
            # A reader of damaged files may stumble over anything; it is the file that cannot be used all the same.
            raise InputError(
                f"{str(path)!r} cannot be read as an AnnData file: {' '.join(str(error).split())}"
            ) from error
        yield read


def _by_parts(name: str, store: Any) -> H5adFile:
    """The tables of an open store, and its matrices still on the disk."""
    groups: dict[str, Any] = {"X": store["X"]} if "X" in store else {}
    if "raw/X" in store and "raw/var" in store:
        groups["raw"] = store["raw/X"]
    if "layers" in store:
        groups |= {str(layer): store["layers"][layer] for layer in store["layers"] if layer not in groups}
    matrices = {layer: matrix for layer, group in groups.items() if (matrix := _on_disk(group)) is not None}
    return H5adFile(
        name=name,
        obs=_table(store["obs"]),
        var=_table(store["var"]),
        raw_var=_table(store["raw/var"]) if "raw" in matrices else None,
        matrices=matrices,
    )


def _table(stored: Any) -> "pd.DataFrame":
    """A table read whole."""
    from anndata import io  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    # What read_elem returns is anything, and a part of its type is unknown to pyright.
    table = cast("Any", io.read_elem)(stored)  # pyright: ignore[reportUnknownMemberType]
    if not hasattr(table, "columns"):
        raise InputError(f"{stored.name} is not a table")
    return table


def _on_disk(stored: Any) -> Any:
    """A matrix that is sliced where it lies, or None where nothing like a matrix is stored."""
    from anndata.io import sparse_dataset  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    if hasattr(stored, "keys"):
        sparse = {"csr_matrix", "csc_matrix"} & {stored.attrs.get("encoding-type"), _old_format(stored)}
        return sparse_dataset(stored) if sparse else None
    return stored if len(stored.shape) == 2 else None


def _old_format(stored: Any) -> str:
    """What AnnData 0.6 called a sparse matrix, in the words of today."""
    return f"{stored.attrs.get('h5sparse_format', '')}_matrix"


def _loaded_whole(file: Path) -> H5adFile:
    """A file older than AnnData 0.7."""
    import anndata  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    with warnings.catch_warnings():
        # A warning that the file is old is dropped: nothing here depends on its age.
        warnings.simplefilter("ignore")
        loaded: Any = anndata.read_h5ad(file)
    matrices: dict[str, Any] = {} if loaded.X is None else {"X": loaded.X}
    if loaded.raw is not None:
        matrices["raw"] = loaded.raw.X
    matrices |= {layer: matrix for layer, matrix in loaded.layers.items() if layer not in matrices}
    return H5adFile(
        name=file.name,
        obs=loaded.obs,
        var=loaded.var,
        raw_var=None if loaded.raw is None else loaded.raw.var,
        matrices=matrices,
    )
