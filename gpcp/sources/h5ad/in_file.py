"""``ValuesInFile``: log expression that stays in the file and is read some cells at a time, as they are asked for."""

import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.sources.h5ad.files.open_file import opened
from gpcp.sources.h5ad.files.reader import BLOCK_VALUES, H5adFile
from gpcp.sources.h5ad.kinds import Sparse
from gpcp.sources.h5ad.values import LogSparse, Reading

_GAP = 8
"""Rows that are read and passed over, rather than that a reading of its own begins behind them."""


@final
class ValuesInFile:
    """Log expression of the cells of a file.

    The file is closed when nothing refers to this any more. Pickled, it is opened anew with the first cells asked for.

    Parameters
    ----------
    path : str or Path
    modality : str or None
        Of a file of MuData.
    reading : Reading
        How values become log expression, as the first pass decided it.
    file, closing : H5adFile and ExitStack, optional
        The open file, and what closes it.
    """

    __slots__ = ("__weakref__", "_file", "_modality", "_path", "_reading")

    def __init__(
        self,
        path: str | Path,
        modality: str | None,
        reading: Reading,
        file: H5adFile | None = None,
        closing: ExitStack | None = None,
    ) -> None:
        self._path, self._modality, self._reading, self._file = path, modality, reading, file
        if closing is not None:
            weakref.finalize(self, closing.close)

    def __reduce__(self) -> "tuple[object, ...]":
        """Where the values lie, not the open file."""
        return ValuesInFile, (self._path, self._modality, self._reading)

    def __getitem__(self, place_B: NDArray[np.int64]) -> LogSparse:
        """Sparse float32, (B, G), of some of the rows kept, in the order asked for; nothing where unmeasured."""
        # A row that is asked for twice is read once.
        once_N, of_B = np.unique(place_B, return_inverse=True)
        parts = [self._log(some_B) for some_B in self._in_turn(once_N)]
        n_genes = len(self._reading.columns)
        log_BG: LogSparse = sp.vstack([sp.csr_array((0, n_genes), dtype=np.float32), *parts], format="csr")
        log_BG.sum_duplicates()
        return log_BG if np.array_equal(once_N, place_B) else log_BG[of_B.reshape(-1)]

    def _in_turn(self, place_B: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Ascending places in groups that become log expression at once, of bounded size."""
        most = self._most_rows
        for start in range(0, len(place_B), most):
            yield place_B[start : start + most]

    @property
    def _most_rows(self) -> int:
        """Rows of a block."""
        return max(1, BLOCK_VALUES // max(1, len(self._reading.genes.label_G)))

    def _runs(self, place_B: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """The rows of the file at some places in runs that are read at once: near each other, and of bounded size."""
        row_B = self._reading.row_N[place_B]
        for near_B in np.split(row_B, np.flatnonzero(np.diff(row_B) > _GAP) + 1):
            window_B = (near_B - near_B[:1]) // self._most_rows
            yield from np.split(near_B, np.flatnonzero(np.diff(window_B)) + 1)

    def _log(self, place_B: NDArray[np.int64]) -> LogSparse:
        parts: list[Sparse] = []
        for row_B in self._runs(place_B):
            block: Sparse = self._opened().rows(self._reading.layer, int(row_B[0]), int(row_B[-1]) + 1)
            parts.append(cast("Sparse", block[row_B - row_B[0]]) if len(row_B) < block.shape[0] else block)
        together: Sparse = sp.vstack(parts, format="csr") if len(parts) > 1 else parts[0]
        log_BG, _ = self._reading.log(together, place_B)
        known = ~np.isnan(log_BG.data)
        if known.all():
            return log_BG
        indptr = np.concatenate([[0], np.cumsum(known)])[log_BG.indptr]
        known_E = (log_BG.data[known], log_BG.indices[known], indptr)
        return cast("LogSparse", sp.csr_array(known_E, shape=log_BG.shape))

    def _opened(self) -> H5adFile:
        if self._file is None:
            stack = ExitStack()
            self._file = stack.enter_context(opened(self._path, modality=self._modality))
            weakref.finalize(self, stack.close)
        return self._file
