"""Matrices as files and memory hold them: some rows at a time, of any numeric type, checked before they are used.

What is read here holds together, or a ValueError says what does not; where that was, the caller knows.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, cast, final

import numpy as np
import scipy.sparse as sp

from gpcp.sources.h5ad.files.compressed import CompressedColumns, CompressedRows, native
from gpcp.sources.h5ad.kinds import Sparse

FILTERS: Mapping[int, str] = {
    307: "bzip2",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32026: "blosc2",
}
"""HDF5's registered numbers of the compressions that the package hdf5plugin brings."""


@final
class CompressionError(ValueError):
    """Values cannot be unpacked for want of a package: nothing is damaged."""


@final
class LazyMatrices(Mapping[str, Any]):
    """Matrices by name, each opened when it is asked for: one that is broken hinders none of the others.

    The last one stays open, since a layer is gone through several times, and one that lies column after column is
    turned over whole; no more than one, which may be as large as the file.
    """

    __slots__ = ("_last", "_open_of")

    def __init__(self, open_of: Mapping[str, Callable[[], Any]]) -> None:
        self._open_of = dict(open_of)
        self._last: tuple[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        if self._last is None or self._last[0] != name:
            # The one before is let go first: both may not fit.
            self._last = None
            self._last = (name, self._open_of[name]())
        return self._last[1]

    def __contains__(self, name: object) -> bool:
        return name in self._open_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._open_of)

    def __len__(self) -> int:
        return len(self._open_of)


def stored_matrix(stored: Any) -> Any:
    """A matrix of HDF5 or zarr, sliceable by rows where it lies.

    Raises
    ------
    ValueError
        It is a group that holds no sparse matrix, or one that does not hold together; or as :func:`check_filters`.
    """
    check_filters(stored)
    if not hasattr(stored, "keys"):
        return stored
    kind = sparse_kind(stored)
    if not kind:
        raise ValueError("it is a group of no known encoding: AnnData's encoding-type is csr_matrix or csc_matrix")
    size = stored.attrs.get("shape", stored.attrs.get("h5sparse_shape"))
    if size is None or np.shape(size) != (2,):
        raise ValueError("its attribute 'shape' is missing or is not two numbers")
    shape = (int(size[0]), int(size[1]))
    return CompressedRows(stored, shape) if kind == "csr" else CompressedColumns(stored, shape)


def sparse_kind(stored: Any) -> str:
    """``"csr"`` or ``"csc"`` of a group that says so, in the words of AnnData of today or of 0.6; else ``""``."""
    encodings = (
        _text(stored.attrs.get("encoding-type")).removesuffix("_matrix"),
        _text(stored.attrs.get("h5sparse_format")),
    )
    return next((kind for kind in encodings if kind in ("csr", "csc")), "")


def is_null(stored: Any) -> bool:
    """Whether a part holds nothing, which AnnData writes too."""
    return _text(getattr(stored, "attrs", {}).get("encoding-type")) == "null"


def _text(attribute: object) -> str:
    return attribute.decode(errors="replace") if isinstance(attribute, bytes) else str(attribute)


def float_rows(matrix: Any, start: int, stop: int) -> Sparse:
    """Rows ``start`` to ``stop`` of anything that can be sliced, as sparse float64 that stores what is not 0.

    Raises
    ------
    ValueError
        An index lies outside the matrix.
    """
    rows: Any = matrix[start:stop]
    # Of dask, such as anndata's lazy reading gives.
    rows = rows.compute() if hasattr(rows, "compute") else rows
    if hasattr(rows, "filled"):
        # Of numpy's masked arrays: what is masked is not known.
        rows = rows.astype(np.float64).filled(np.nan)
    block: Sparse = sp.csr_array(rows if hasattr(rows, "tocsr") else native(np.asarray(rows))).astype(np.float64)
    # Compiled code of scipy goes by the indices without a look: those of a matrix in memory may be anything.
    if len(block.indices) and not (int(block.indices.min()) >= 0 and int(block.indices.max()) < block.shape[1]):
        raise ValueError(f"its indices go up to {block.indices.max()}, and there are {block.shape[1]} columns")
    block.sum_duplicates()
    block.eliminate_zeros()
    return block


def check_filters(stored: Any) -> None:
    """Refuse a group or dataset of HDF5 whose values are compressed in a way that this installation cannot undo.

    Raises
    ------
    CompressionError
        Some are; the package hdf5plugin was tried.
    """
    missing = _missing_filters(stored)
    if missing:
        with suppress(ImportError):
            # Importing it is what makes its compressions known to HDF5.
            import_module("hdf5plugin")
            missing = _missing_filters(stored)
    if missing:
        names = " and ".join(FILTERS.get(code, name) for code, name in missing.items())
        remedy = "pip install hdf5plugin" if FILTERS.keys() & missing else "write the file again, compressed with gzip"
        raise CompressionError(f"it is compressed with {names}, which HDF5 cannot undo here: {remedy}")


def _missing_filters(stored: Any) -> dict[int, str]:
    """Registered numbers of the compressions that HDF5 does not know here, and what the file calls them."""
    import h5py  # pyright: ignore[reportMissingTypeStubs]  # it has none

    hdf5 = cast("Any", h5py)
    missing: dict[int, str] = {}

    def note(_: str, part: Any) -> None:
        if isinstance(part, hdf5.Dataset):
            made = part.id.get_create_plist()
            for number in range(made.get_nfilters()):
                code, _, _, name = made.get_filter(number)
                if not hdf5.h5z.filter_avail(code):
                    missing[int(code)] = _text(name).split(";")[0].strip() or f"filter {code}"

    note("", stored)
    if isinstance(stored, hdf5.Group):
        stored.visititems(note)
    return missing
