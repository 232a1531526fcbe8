"""Sparse matrices that lie on the disk row after row, or column after column, read some rows at a time.

One says three times how large it is, and a damaged file says three different things. What is read here holds together,
or a ValueError says what does not.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

PART_VALUES = 2**22
"""Values that are turned from columns into rows at once; a matrix of more is turned in a temporary folder."""


@final
class CompressedRows:
    """A sparse matrix on the disk whose values lie row after row.

    Parameters
    ----------
    stored : mapping
        ``data``, ``indices`` and ``indptr``: a group of HDF5 or zarr.
    shape : (int, int)

    Raises
    ------
    ValueError
        The three do not hold together.
    """

    __slots__ = ("_data", "_indices", "_indptr", "shape")

    def __init__(self, stored: Any, shape: tuple[int, int]) -> None:
        # Looked up once: rows are read by the thousand.
        self._data, self._indices = stored["data"], stored["indices"]
        self.shape = shape
        n_stored, n_indices = (int(part.shape[0]) for part in (self._data, self._indices))
        if n_stored != n_indices:
            raise ValueError(f"it has {n_stored} values and {n_indices} indices, which must be as many")
        n_pointers = int(stored["indptr"].shape[0])
        if n_pointers != shape[0] + 1:
            raise ValueError(f"its indptr has {n_pointers} entries, and {shape[0]} rows or columns need one more")
        pointers = np.asarray(stored["indptr"][()])
        if pointers.dtype.kind not in "iu":
            raise ValueError(f"its indptr holds {pointers.dtype}, not whole numbers")
        self._indptr: NDArray[np.int64] = pointers.astype(np.int64)
        if self._indptr[0] != 0 or self._indptr[-1] != n_stored or (np.diff(self._indptr) < 0).any():
            raise ValueError(f"its indptr does not go up from 0 to its {n_stored} values")

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self._data.dtype

    @property
    def n_stored(self) -> int:
        """Values that are stored."""
        return int(self._indptr[-1])

    def runs(self, most: int) -> Iterator[tuple[int, int]]:
        """All rows in runs of at most so many values, or of one row that has more."""
        first = 0
        while first < self.shape[0]:
            end = int(np.searchsorted(self._indptr, int(self._indptr[first]) + most, side="right")) - 1
            stop = min(max(end, first + 1), self.shape[0])
            yield first, stop
            first = stop

    def __getitem__(self, rows: slice) -> Any:
        """Rows in turn, as a csr array."""
        start, stop, _ = rows.indices(self.shape[0])
        first, end = int(self._indptr[start]), int(self._indptr[max(start, stop)])
        index_E = np.asarray(self._indices[first:end])
        if index_E.dtype.kind not in "iu":
            raise ValueError(f"its indices hold {index_E.dtype}, not whole numbers")
        if len(index_E) and not (int(index_E.min()) >= 0 and int(index_E.max()) < self.shape[1]):
            raise ValueError(
                f"its indices go from {index_E.min()} to {index_E.max()}, and must lie within 0 .. {self.shape[1] - 1}"
            )
        value_E = native(np.asarray(self._data[first:end]))
        pointers = self._indptr[start : max(start, stop) + 1] - first
        return sp.csr_array(
            (value_E, index_E.astype(np.int64), pointers), shape=(max(start, stop) - start, self.shape[1])
        )


@final
class CompressedColumns:
    """A sparse matrix on the disk whose values lie column after column; turned when the first row is asked for.

    A small one is read whole. A large one is turned some columns at a time into temporary files, one for each part of
    the rows: memory is that of :data:`PART_VALUES` values, and the folder takes as much as the matrix. It is removed
    with this object.
    """

    __slots__ = ("__weakref__", "_columns", "_folder", "_part", "_rows_a_part", "shape")

    def __init__(self, stored: Any, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._columns = CompressedRows(stored, (shape[1], shape[0]))
        self._rows_a_part = max(1, shape[0] // max(1, -(-self._columns.n_stored // PART_VALUES)))
        self._folder: Path | None = None
        self._part: tuple[int, Any] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self._columns.dtype

    @property
    def n_stored(self) -> int:
        """Values that are stored."""
        return self._columns.n_stored

    def __getitem__(self, rows: slice) -> Any:
        """Rows in turn, as a csr array."""
        start, stop, _ = rows.indices(self.shape[0])
        step, stop = self._rows_a_part, max(start, stop)
        parts = [
            self._rows_of(part)[max(start - part * step, 0) : stop - part * step]
            for part in range(start // step, -(-stop // step))
        ]
        return sp.vstack([sp.csr_array((0, self.shape[1]), dtype=native(np.zeros(0, self.dtype)).dtype), *parts], "csr")

    def _rows_of(self, part: int) -> Any:
        """The rows of one part, of which the last stays in memory."""
        if self._part is None or self._part[0] != part:
            # The one before is let go first.
            self._part = None
            if self._columns.n_stored <= PART_VALUES:
                self._part = (part, sp.csr_array(self._columns[:].T))
            else:
                self._part = (part, self._gathered(part))
        return self._part[1]

    def _gathered(self, part: int) -> Any:
        """The rows of one part, each from its pieces in all runs of columns."""
        if self._folder is None:
            self._folder = self._turned()
        n_rows = min(self._rows_a_part, self.shape[0] - part * self._rows_a_part)
        names, kinds = ("counts", "columns", "values"), (np.int32, np.int32, native(np.zeros(0, self.dtype)).dtype)
        files = [self._folder / f"{part}.{name}" for name in names]
        n_E, column_E, value_E = (np.fromfile(file, dtype=kind) for file, kind in zip(files, kinds, strict=True))
        n_RB = n_E.reshape(-1, n_rows).astype(np.int64)
        indptr = np.concatenate([[0], np.cumsum(n_RB.sum(axis=0))])
        start_RB = indptr[:-1] + np.cumsum(n_RB, axis=0) - n_RB
        shift_E = np.repeat(start_RB.ravel() - (np.cumsum(n_RB.ravel()) - n_RB.ravel()), n_RB.ravel())
        place_E = shift_E + np.arange(len(shift_E))
        data, indices = np.empty_like(value_E), np.empty_like(column_E)
        data[place_E], indices[place_E] = value_E, column_E
        return sp.csr_array((data, indices, indptr), shape=(n_rows, self.shape[1]))

    def _turned(self) -> Path:
        """A folder with every run of columns sorted by rows, and its pieces appended to the files of each part."""
        folder = Path(tempfile.mkdtemp(prefix="gpcp-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for first, stop in self._columns.runs(PART_VALUES):
            by_row: Any = self._columns[first:stop].tocsc()
            for part, begin in enumerate(range(0, self.shape[0], self._rows_a_part)):
                pointers = by_row.indptr[begin : begin + self._rows_a_part + 1]
                values = slice(int(pointers[0]), int(pointers[-1]))
                pieces = {
                    "counts": np.diff(pointers).astype(np.int32),
                    "columns": (by_row.indices[values] + first).astype(np.int32),
                    "values": by_row.data[values],
                }
                for name, piece in pieces.items():
                    with (folder / f"{part}.{name}").open("ab") as file:
                        piece.tofile(file)
        return folder


def native(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in this machine's byte order, and of a type that a sparse matrix may have."""
    dtype = values.dtype.newbyteorder("=")
    return values.astype(np.float32 if dtype == np.float16 else dtype, copy=False)
