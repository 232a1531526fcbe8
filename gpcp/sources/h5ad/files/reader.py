"""``H5adFile``: an open AnnData file, wherever it lies: its tables, and its matrices some cells at a time."""

import errno
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from gpcp.core.errors import InputError, nearest
from gpcp.sources.h5ad.files.matrices import CompressionError, float_rows
from gpcp.sources.h5ad.kinds import Sparse

if TYPE_CHECKING:
    import pandas as pd

BLOCK_VALUES = 2**22
"""Values of a block, zeros counted: 32 MB in float64 if the matrix is dense."""

SAMPLE_CELLS, SAMPLE_WINDOWS = 256, 8
"""Cells from which the look of a layer is judged, in so many windows all over it."""


_MOST_TEXT = 300
"""Letters of another package's message; a damaged name can be as long as the file."""


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

    def blocks(self, layer: str, *, sample: bool = False) -> Iterator[tuple[int, Sparse]]:
        """The first row and the values of each block of ``layer``, in the order of the file.

        Sparse float64 (B, G) that stores exactly the values that are not 0. A ``sample`` is :data:`SAMPLE_CELLS`
        cells in :data:`SAMPLE_WINDOWS` windows.

        Raises
        ------
        InputError
            The layer holds no numbers, its shape is not that of ``obs`` and ``var``, or it cannot be read: the message
            says which cells.
        """
        n_cells, n_genes = len(self.obs), len(self.var_of(layer))
        step = max(1, BLOCK_VALUES // max(1, n_genes))
        starts = list(range(0, n_cells, step))
        if sample and n_cells > SAMPLE_CELLS:
            step = SAMPLE_CELLS // SAMPLE_WINDOWS
            starts = [window * (n_cells - step) // (SAMPLE_WINDOWS - 1) for window in range(SAMPLE_WINDOWS)]
        matrix = self._matrix(layer)
        for start in starts:
            yield start, self._rows(matrix, layer, start, min(start + step, n_cells))

    def rows(self, layer: str, start: int, stop: int) -> Sparse:
        """The values of rows ``start`` to ``stop`` of ``layer``; see :meth:`blocks`."""
        return self._rows(self._matrix(layer), layer, start, stop)

    def _matrix(self, layer: str) -> Any:
        """A layer that can be sliced by rows, known to hold numbers of the right shape."""
        shape = (len(self.obs), len(self.var_of(layer)))
        where = f"layer {layer!r} of {self.name!r}"
        with readable(where):
            matrix = self.matrices[layer]
            matrix = matrix.tocsr() if hasattr(matrix, "tocsr") else matrix
            found, dtype = tuple(int(size) for size in matrix.shape), np.dtype(matrix.dtype)
        if found != shape:
            raise InputError(f"{where} has shape {found}, obs and var say {shape}")
        if dtype.kind not in "biuf":
            raise InputError(f"{where} holds {dtype}, not numbers")
        return matrix

    def _rows(self, matrix: Any, layer: str, start: int, stop: int) -> Sparse:
        with readable(f"layer {layer!r} of {self.name!r}, cells {start} to {stop - 1},"):
            return float_rows(matrix, start, stop)


@contextmanager
def readable(where: str) -> Generator[None, None, None]:
    """Whatever goes wrong inside is the fault of what is read: one line that says where, why, and what to do.

    A reader of damaged files may stumble over anything; the file cannot be used all the same.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        sound = isinstance(error, CompressionError | MemoryError) or getattr(error, "errno", None) == errno.ENOSPC
        remedy = "" if sound else "; it is damaged: copy or write it again"
        raise InputError(f"{where} cannot be read: {_one_line(error)}{remedy}") from error


def _one_line(error: Exception) -> str:
    """What an error says, with the notes of those that passed it on."""
    parts = [str(error) or type(error).__name__, *getattr(error, "__notes__", ())]
    text = "; ".join(" ".join(str(part).split()) for part in parts)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
