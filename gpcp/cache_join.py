"""The parts of a cache joined into its arrays.

Dimension key: ``B`` cells of a part, ``N`` cells of the cache, ``G`` genes of the panel, ``W`` bytes that hold G bits.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpcp import __version__
from gpcp.cache_arrays import array_file
from gpcp.cache_format import COVARIATE, Layout, Manifest, Sizes
from gpcp.cache_parts import Part, canonical
from gpcp.cell_index import CellIndex, concatenate_index
from gpcp.errors import InputError
from gpcp.sparse_cells import SparseCells, SparseValues

_ENTRIES = 1 << 24
"""Entries (cells x genes) that are expanded at once to pack them."""


def join_parts(parts: Sequence[Part], folder: Path, *, provenance: str) -> None:
    """Write the cache of some parts into a folder, which is emptied first.

    Raises
    ------
    InputError
        A part is damaged, the parts have different covariates, or a cell occurs twice.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    index = canonical(concatenate_index([part.index() for part in parts]))
    _check_ids(index.cell_id_B)
    indptr = np.concatenate([[0], *(part.n_values_B() for part in parts)]).cumsum(dtype=np.int64)
    sizes = Sizes(
        n_cells=len(index),
        n_genes=len(index.vocab),
        n_sets=len(index.measured_SG),
        n_values=int(indptr[-1]),
        covariates=tuple(sorted(index.covariates)),
        has_total=index.total_B is not None,
    )
    layout = sizes.layout()
    files = {
        f"{name}.npy": _written(folder, name, layout, array) for name, array in _index_arrays(index, indptr).items()
    }
    files |= _write_values(folder, layout, (part.cells() for part in parts))
    Manifest(
        gpcp=__version__,
        provenance=provenance,
        vocab=index.vocab,
        names={name: tuple(labels.name_K.tolist()) for name, labels in index.covariates.items()},
        sizes=sizes,
        files=files,
    ).write(folder)


def _index_arrays(index: CellIndex, indptr: NDArray[np.int64]) -> Mapping[str, NDArray[Any]]:
    return {
        "indptr": indptr,
        "cell_id": index.cell_id_B,
        "set": index.set_B,
        "measured": index.measured_SG,
        **({} if index.total_B is None else {"total": index.total_B}),
        **{COVARIATE + name: labels.code_B for name, labels in index.covariates.items()},
    }


def _written(folder: Path, name: str, layout: Layout, array: NDArray[Any]) -> tuple[int, str]:
    with array_file(folder, name, layout) as file:
        file.append(array)
        return file.written


def _write_values(folder: Path, layout: Layout, parts: Iterator[SparseCells]) -> dict[str, tuple[int, str]]:
    """Genes, values and signatures, one part at a time."""
    names = ("indices", "data", "signature")
    with ExitStack() as stack:
        file = {name: stack.enter_context(array_file(folder, name, layout)) for name in names}
        for part in parts:
            file["indices"].append(part.value_BG.indices)
            file["data"].append(part.value_BG.data)
            for signature_BW in signatures(part.value_BG):
                file["signature"].append(signature_BW)
        return {f"{name}.npy": file[name].written for name in names}


def signatures(value_BG: SparseValues) -> Iterator[NDArray[np.uint8]]:
    """The genes that cells express, ``numpy.packbits`` of value > 0 along the genes: uint8 (B, W), block by block."""
    n_cells, n_genes = value_BG.shape
    step = max(1, _ENTRIES // n_genes)
    for start in range(0, n_cells, step):
        some_BG = value_BG[start : start + step]
        expressed_BG = np.zeros(some_BG.shape, dtype=np.bool_)
        row = np.repeat(np.arange(some_BG.shape[0]), np.diff(some_BG.indptr))
        expressed_BG[row, some_BG.indices] = some_BG.data > 0
        yield np.packbits(expressed_BG, axis=1)


def _check_ids(cell_id_N: NDArray[np.int64]) -> None:
    sorted_N = np.sort(cell_id_N)
    twice = sorted_N[1:] == sorted_N[:-1]
    if twice.any():
        raise InputError(
            f"the source gives {int(twice.sum())} cells twice, {int(sorted_N[1:][twice][0])} first: a source names "
            "each cell once"
        )
