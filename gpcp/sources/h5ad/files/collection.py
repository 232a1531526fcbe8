"""A collection of the package annbatch: a group of zarr whose datasets are AnnData of the same genes, often sharded.

The cells of ``dataset_0``, ``dataset_1``, ... are those of one file, one dataset after the other. They are read as they
lie, without annbatch, which needs Python 3.12.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, final

import numpy as np
import scipy.sparse as sp

from gpcp.core.errors import InputError
from gpcp.sources.h5ad.files.matrices import LazyMatrices, float_rows
from gpcp.sources.h5ad.files.parts import by_parts
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.kinds import Sparse

_ENCODING = "annbatch-preshuffled"
_NAME = re.compile(r"dataset_(\d+)")


def is_collection(store: Any) -> bool:
    """Whether an open group is one."""
    return store.attrs.get("encoding-type") == _ENCODING


def of_collection(name: str, store: Any) -> H5adFile:
    """All datasets of an open collection as one file.

    Raises
    ------
    InputError
        It has no dataset, one cannot be read, or two have other genes.
    """
    import pandas as pd

    found = {int(match[1]): str(key) for key in store if (match := _NAME.fullmatch(str(key)))}
    if not found:
        raise InputError(f"{name!r} is a collection of annbatch without a dataset: write it again")
    files = [by_parts(f"{name}:{found[number]}", store[found[number]]) for number in sorted(found)]
    for file in files[1:]:
        if not file.var.index.equals(files[0].var.index):
            raise InputError(f"{file.name!r} has other genes than {files[0].name!r}, or another order of them")
    layers = [layer for layer in files[0].matrices if all(layer in file.matrices for file in files)]
    raws = [file.raw_var for file in files]
    if not all(raw is not None and raws[0] is not None and raw.index.equals(raws[0].index) for raw in raws):
        layers = [layer for layer in layers if layer != "raw"]
    return H5adFile(
        name=name,
        obs=pd.concat([file.obs for file in files]),
        var=files[0].var,
        raw_var=files[0].raw_var if "raw" in layers else None,
        matrices=LazyMatrices({layer: partial(_in_turn, [file.matrices for file in files], layer) for layer in layers}),
    )


def _in_turn(matrices: Sequence[Mapping[str, Any]], layer: str) -> "RowsInTurn":
    return RowsInTurn([of_one[layer] for of_one in matrices])


@final
class RowsInTurn:
    """The rows of several matrices, one after the other.

    Parameters
    ----------
    matrices : sequence of array-like
        Each sliceable by rows; of the same columns.

    Raises
    ------
    ValueError
        They have other numbers of columns, or none holds numbers.
    """

    __slots__ = ("_matrices", "_starts", "dtype", "shape")

    def __init__(self, matrices: Sequence[Any]) -> None:
        self._matrices = matrices
        widths = {int(matrix.shape[1]) for matrix in matrices}
        if len(widths) > 1:
            raise ValueError(f"its datasets have {min(widths)} to {max(widths)} columns, which must be as many")
        self._starts = np.cumsum([0, *(int(matrix.shape[0]) for matrix in matrices)]).tolist()
        self.shape = (int(self._starts[-1]), widths.pop())
        self.dtype = np.result_type(*(np.dtype(matrix.dtype) for matrix in matrices))

    def __getitem__(self, rows: slice) -> Sparse:
        """Rows in turn, as a csr array."""
        start, stop, _ = rows.indices(self.shape[0])
        parts = [sp.csr_array((0, self.shape[1]), dtype=np.float64)]
        for matrix, first, end in zip(self._matrices, self._starts[:-1], self._starts[1:], strict=True):
            low, high = max(start, first), min(stop, end)
            if low < high:
                parts.append(float_rows(matrix, low - first, high - first))
        stacked: Sparse = sp.vstack(parts, format="csr")
        return stacked
