"""The parts of a cache that is being built, each written atomically, and the cache that is joined from them.

A part's name is the number of its first cell. What was read before a kill is the longest run of parts that follow one
another from cell 0, so that the length of a part need not be kept.
"""

import shutil
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp import __version__
from gpcp.core.errors import InputError
from gpcp.core.files import write_with
from gpcp.core.genes import GeneVocab
from gpcp.sources.cache.format import COVARIATE, Layout, Manifest, Sizes, array_file
from gpcp.sources.index import CellIndex, Labels, concatenate_index
from gpcp.sources.provenance import Origin
from gpcp.sources.sparse import SparseCells, SparseValues

_NAMES = "names_"
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, TypeError, IndexError, OSError, InputError)
"""What reading a damaged archive, or arrays that do not fit together, may end in."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A file with some of the cells.

    Parameters
    ----------
    path : Path
    start : int
        Number of its first cell.
    vocab : GeneVocab
        The panel.
    """

    path: Path
    start: int
    vocab: GeneVocab

    def index(self) -> CellIndex:
        """What its cells are; the values stay on disk. See :meth:`cells` for the errors."""
        with self._arrays() as array:
            return self._index(array)

    def n_values_B(self) -> NDArray[np.int64]:
        """How many values each of its cells has."""
        with self._arrays() as array:
            n_values_B = np.diff(array["indptr"]).astype(np.int64)
            if n_values_B.shape != array["cell_id"].shape:
                raise ValueError("indptr is not of its cells")
            return n_values_B

    def cells(self) -> SparseCells:
        """Its cells.

        Raises
        ------
        InputError
            The file is damaged: every piece of it carries a checksum.
        """
        with self._arrays() as array:
            parts = (array["data"], array["indices"], array["indptr"])
            index = self._index(array)
            value_BG = sp.csr_array(parts, shape=(len(index), len(self.vocab)))
            value_BG.check_format(full_check=True)
            return SparseCells(index=index, value_BG=value_BG)

    def _index(self, array: Any) -> CellIndex:
        names = [name.removeprefix(COVARIATE) for name in array.files if name.startswith(COVARIATE)]
        return CellIndex(
            vocab=self.vocab,
            cell_id_B=array["cell_id"],
            measured_SG=array["measured"],
            set_B=array["set"],
            covariates={name: Labels(names=array[_NAMES + name], code_B=array[COVARIATE + name]) for name in names},
            total_B=array["total"] if "total" in array.files else None,
        )

    @contextmanager
    def _arrays(self) -> Generator[Any]:
        try:
            # Opened here: of a file that is no archive, np.load would leave its own handle open.
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as array:
                yield array
        except _DAMAGED as error:
            raise InputError(
                f"{self.path.name!r} of the unfinished cache {str(self.path.parent)!r} is damaged ({error}): delete "
                "this file and build again, which goes on from there"
            ) from None


def write_part(folder: Path, start: int, cells: SparseCells) -> None:
    """Write the cells from number ``start`` on as a part."""
    index = canonical(cells.index)
    arrays: dict[str, NDArray[Any]] = {
        "cell_id": index.cell_id_B,
        "set": index.set_B,
        "measured": index.measured_SG,
        "indptr": cells.value_BG.indptr,
        "indices": cells.value_BG.indices,
        "data": cells.value_BG.data,
    }
    if index.total_B is not None:
        arrays["total"] = index.total_B
    for name, labels in index.covariates.items():
        arrays[COVARIATE + name], arrays[_NAMES + name] = labels.code_B, labels.names
    write_with(folder / f"part-{start:012d}.npz", lambda path: np.savez(path, allow_pickle=False, **arrays))


def parts_of(folder: Path, vocab: GeneVocab) -> tuple[list[Part], int]:
    """The parts that follow one another from cell 0, and how many cells they have.

    What a kill or a deleted part left behind is removed: files half written, and parts after a gap.
    """
    for stray in folder.glob(".part-*"):
        stray.unlink()
    parts: list[Part] = []
    n_cells = 0
    for path in sorted(folder.glob("part-*.npz")):
        part = Part(path=path, start=int(path.stem.removeprefix("part-")), vocab=vocab)
        if part.start != n_cells:
            path.unlink()
            continue
        n_cells += len(part.index())
        parts.append(part)
    return parts, n_cells


def canonical(index: CellIndex) -> CellIndex:
    """The same cells with the tables that any other way of reading them would lead to.

    Sets and names that no cell has are left out, equal sets become one, and both are sorted.
    """
    used_S = np.unique(index.set_B)
    packed_SW = np.packbits(index.measured_SG[used_S], axis=1)
    _, first_S, place_S = np.unique(packed_SW, axis=0, return_index=True, return_inverse=True)
    return replace(
        index,
        measured_SG=index.measured_SG[used_S[first_S]],
        set_B=place_S.reshape(-1)[np.searchsorted(used_S, index.set_B)].astype(np.int32),
        covariates={
            name: Labels.coded(labels.names, labels.code_B) for name, labels in sorted(index.covariates.items())
        },
    )


_ENTRIES = 1 << 24
"""Entries (cells x genes) that are expanded at once to pack them."""


def join_parts(parts: Sequence[Part], folder: Path, *, origin: Origin) -> None:
    """Write the cache of some parts into a folder, which is emptied first.

    Raises
    ------
    InputError
        A part is damaged, the parts have different covariates, only some have totals, or a cell occurs twice.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    indexes = [part.index() for part in parts]
    index = canonical(concatenate_index(indexes))
    if len({one.total_B is None for one in indexes}) > 1:
        raise InputError(
            f"some parts of the unfinished cache {str(folder.parent)!r} have totals, and others have none: delete it"
        )
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
        origin=origin,
        vocab=index.vocab,
        names={name: tuple(labels.names.tolist()) for name, labels in index.covariates.items()},
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
