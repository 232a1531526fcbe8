"""``CachedCells``: the cells of a panel cache, any of them at once.

Made by :func:`gpcp.sources.cache.build.build_cache`. Values stay on disk, mapped into memory; what is known of each
cell, some 60 bytes, is read when the cache is opened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, read_only
from gpcp.core.errors import InputError, nearest
from gpcp.core.random import stream
from gpcp.sources.cache.format import (
    COVARIATE,
    MANIFEST,
    Manifest,
    apart,
    crc_of_file,
    other_genes,
    read_array,
    read_manifest,
    refused,
    unfinished_of,
)
from gpcp.sources.index import CellIndex, Labels
from gpcp.sources.sparse import IndexedSource, SparseCells, SparseValues


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Opened:
    """What an open cache holds."""

    manifest: Manifest
    index: CellIndex
    start_N: NDArray[np.int64]
    n_values_N: NDArray[np.int64]
    gene_E: NDArray[np.integer]
    value_E: NDArray[np.float32]
    signature_NW: NDArray[np.uint8]


@final
class CachedCells(IndexedSource):
    """The cells of a panel cache.

    Meets :class:`gpcp.core.cells.CellSource`, :class:`gpcp.sources.sparse.SparseCellSource` and
    :class:`gpcp.sources.sparse.IndexedCells`. Pickled, it is the path: another process maps the same files.

    Parameters
    ----------
    folder : str or Path
        Where the cache was built.
    genes : sequence of str, optional
        The panel that the cache must have, in its order.
    provenance : str, optional
        What its cells must come from; see :func:`gpcp.sources.provenance.provenance_of`.
    verify : bool
        Compare the checksum of every file, which reads all of them. Without it: of all but the values, genes and
        signatures, of which only the size is looked at, and each gene's number when it is read.

    Raises
    ------
    InputError
        There is no cache, it is of another version, a file is missing, cut or altered, or the cache is not the one
        asked for; the message names the file, or the difference.
    """

    __slots__ = ("_closed", "_crc", "_held", "folder")

    def __init__(
        self,
        folder: str | Path,
        *,
        genes: Sequence[str] | None = None,
        provenance: str | None = None,
        verify: bool = False,
    ) -> None:
        self.folder = Path(folder).absolute()
        if not self.folder.is_dir():
            raise InputError(_no_cache(self.folder))
        self._closed = False
        self._held: _Opened | None = _opened(self.folder, verify=verify)
        self._crc = crc_of_file(self.folder / MANIFEST)
        if genes is not None and tuple(genes) != self.vocab.feature_id:
            raise refused(self.folder, other_genes(self.vocab.feature_id, tuple(genes)))
        if provenance is not None and provenance != self.provenance:
            raise refused(self.folder, f"it was made from other cells: {apart(self.provenance, provenance)}")

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.n_cells} cells, {len(self.vocab)} genes: {self.provenance}"
        return f"CachedCells({str(self.folder)!r}, {state})"

    def __getstate__(self) -> tuple[str, str, bool]:
        return str(self.folder), self._crc, self._closed

    def __setstate__(self, state: tuple[str, str, bool]) -> None:
        self.folder, self._crc, self._closed = Path(state[0]), state[1], state[2]
        self._held = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files. Arrays that were asked for before stay valid; asking again is an error."""
        self._held, self._closed = None, True

    @property
    def _open(self) -> _Opened:
        if self._closed:
            raise InputError(f"panel cache {str(self.folder)!r} was closed: open it again")
        if self._held is None:
            if not self.folder.is_dir():
                raise InputError(_no_cache(self.folder))
            held = _opened(self.folder, verify=False)
            if crc_of_file(self.folder / MANIFEST) != self._crc:
                raise InputError(f"panel cache {str(self.folder)!r} was replaced since it was handed on: open it again")
            self._held = held
        return self._held

    @property
    def manifest(self) -> Manifest:
        """What the cache says of itself."""
        return self._open.manifest

    @property
    def provenance(self) -> str:
        """What the cells come from, as their source said it."""
        return self.manifest.origin.provenance

    @property
    def index(self) -> CellIndex:
        """What is known of every cell, in the cache's own order of rows."""
        return self._open.index

    @property
    def signature_NW(self) -> NDArray[np.uint8]:
        """The genes that each cell expresses, ``numpy.packbits`` of value > 0 along the genes; uint8 (N, W)."""
        return self._open.signature_NW

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        """Every cell once, permuted by ``seed``; the last batch may be smaller.

        Raises
        ------
        InputError
            ``batch_size`` is below 1, ``seed`` is negative, or a file was altered.
        """
        return map(self._dense, self.batch_rows(batch_size=batch_size, seed=seed))

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        """The cells of some rows, in the order asked for.

        Parameters
        ----------
        row_B : int64, (B,)
            Rows of :attr:`index`.

        Raises
        ------
        InputError
            A row does not exist, or a file was altered.
        """
        n_values_B, gene_E, value_E = self._values(row_B)
        indptr = np.zeros(len(row_B) + 1, dtype=np.int64)
        np.cumsum(n_values_B, out=indptr[1:])
        narrow = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64
        parts = (value_E, gene_E.astype(np.int32), indptr.astype(narrow))
        value_BG = cast("SparseValues", sp.csr_array(parts, shape=(len(row_B), len(self.vocab))))
        return SparseCells(index=self.index.rows(row_B), value_BG=value_BG)

    def pass_order(self, seed: int) -> NDArray[np.int64]:
        """A permutation of all rows."""
        return stream(seed, "cache", "cells").permutation(self.n_cells)

    def _values(self, row_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.integer], NDArray[np.float32]]:
        """How many values each row has, and the gene and the size of each value, row by row."""
        held = self._open
        if len(row_B) and not (int(row_B.min()) >= 0 and int(row_B.max()) < self.n_cells):
            raise InputError(f"rows {row_B.min()} .. {row_B.max()} were asked for, and the cache has {self.n_cells}")
        n_values_B = held.n_values_N[row_B]
        # Where each value lies: the row's start, and how many values of the row come before it.
        place_E = np.repeat(held.start_N[row_B] - (np.cumsum(n_values_B) - n_values_B), n_values_B)
        place_E += np.arange(len(place_E), dtype=np.int64)
        gene_E = held.gene_E.take(place_E)
        if len(gene_E) and not (int(gene_E.max()) < len(self.vocab) and int(gene_E.min()) >= 0):
            raise refused(self.folder, "indices.npy names a gene outside the panel, so its bytes are not those written")
        return n_values_B, gene_E, held.value_E.take(place_E)

    def _dense(self, row_B: NDArray[np.int64]) -> CellBatch:
        """``sparse_rows(row_B).dense()`` at half of its cost: nothing sparse is made, and stored values alone checked.

        Raises
        ------
        InputError
            As :meth:`sparse_rows`.
        """
        n_values_B, gene_E, value_E = self._values(row_B)
        index = self.index
        expression_BG = np.zeros((len(row_B), len(self.vocab)), dtype=np.float32)
        measured_BG = index.measured_SG[index.set_B[row_B]]
        first_B = np.arange(len(row_B), dtype=np.int64) * len(self.vocab)
        place_E = np.repeat(first_B, n_values_B) + gene_E
        expression_BG.reshape(-1)[place_E] = value_E
        if not (np.isfinite(value_E).all() and measured_BG.reshape(-1).take(place_E).all()):
            # The sparse way finds the value and says where it lies.
            return self.sparse_rows(row_B).dense()
        return CellBatch.checked_before(
            vocab=self.vocab,
            expression_BG=expression_BG,
            measured_BG=measured_BG,
            cell_id_B=index.cell_id_B[row_B],
            covariates={name: labels.names[labels.code_B[row_B]] for name, labels in index.covariates.items()},
        )


def _opened(folder: Path, *, verify: bool) -> _Opened:
    """Read and check a cache."""
    manifest = read_manifest(folder)
    array = {name: read_array(folder, name, manifest, verify=verify) for name in manifest.sizes.layout()}
    indptr: NDArray[np.int64] = array["indptr"]
    n_values_N = np.diff(indptr)
    if indptr[0] != 0 or indptr[-1] != manifest.sizes.n_values or (n_values_N < 0).any():
        raise refused(folder, "indptr.npy does not add up")
    try:
        index = CellIndex(
            vocab=manifest.vocab,
            cell_id_B=array["cell_id"],
            measured_SG=array["measured"],
            set_B=array["set"],
            covariates={
                name: Labels(
                    names=read_only(np.array(names, dtype=np.str_)),
                    code_B=array[COVARIATE + name],
                )
                for name, names in manifest.names.items()
            },
            total_B=array.get("total"),
        )
    except InputError as error:
        raise refused(folder, str(error)) from None
    return _Opened(
        manifest=manifest,
        index=index,
        start_N=indptr[:-1],
        n_values_N=n_values_N,
        # Plain views: a gather from the subclass that np.load gives costs more.
        gene_E=array["indices"].view(np.ndarray),
        value_E=array["data"].view(np.ndarray),
        signature_NW=array["signature"].view(np.ndarray),
    )


def _no_cache(folder: Path) -> str:
    unfinished = unfinished_of(folder).is_dir()
    remedy = "build_cache goes on with the one begun there" if unfinished else "build it with gpcp.sources.cache.build"
    beside = (
        sorted(one.name for one in folder.parent.iterdir() if (one / MANIFEST).is_file())
        if folder.parent.is_dir()
        else []
    )
    return f"there is no panel cache {str(folder)!r} ({nearest(folder.name, beside)}): {remedy}"
