"""Cells sorted by dataset on disk: written as they are read, given back dataset by dataset, in pieces.

A source gives its cells in random order and a Census holds those of a dataset side by side, so one pass writes each
dataset's cells to files of its own, and only a piece of one is ever in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.sources.assays import full_length
from simulators.census.labels import Labels
from simulators.census.tables import DEFAULT_LABEL
from simulators.census.values import ROUNDING, check_counts, check_total, normalised_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

N_FILLERS = 4
"""Genes that stand for all those outside the vocabulary."""

PIECE_ENTRIES = 1 << 23
"""Entries of a layer that a piece holds, at least one cell's: a quarter of a gigabyte on its way to the store."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stored:
    """Some cells of one dataset as the Census holds them, by ascending ``cell_id``.

    Parameters
    ----------
    dataset : int
        Its number among :attr:`Spool.datasets`.
    count_B_store, normalised_B_store : csr_array float32
        Genes of the vocabulary, then the fillers; both hold the same entries.
    cell_id_B : int64, (B,)
    code_of : mapping of a column to int32 (B,)
        Positions among :attr:`Spool.names`.
    primary_B : bool, (B,)
    measured_store : bool
    """

    dataset: int
    count_B_store: "csr_array"
    normalised_B_store: "csr_array"
    cell_id_B: NDArray[np.int64]
    code_of: Mapping[str, NDArray[np.int32]]
    primary_B: NDArray[np.bool_]
    measured_store: NDArray[np.bool_]


@final
class _Dataset:
    """What has come of one dataset: entries on disk, the rest in memory."""

    __slots__ = (
        "codes",
        "count_fill",
        "first_cell",
        "folder",
        "ids",
        "measured_G",
        "n_entries",
        "primary",
        "share_fill",
    )

    def __init__(self, folder: Path, measured_G: NDArray[np.bool_], first_cell: int) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.measured_G = measured_G
        self.first_cell = first_cell
        self.ids: list[NDArray[np.int64]] = []
        self.primary: list[NDArray[np.bool_]] = []
        self.codes: dict[str, list[NDArray[np.int32]]] = {column: [] for column in DEFAULT_LABEL}
        self.n_entries: list[NDArray[np.int64]] = []
        self.share_fill: list[NDArray[np.float64]] = []
        self.count_fill: list[NDArray[np.float64]] = []

    def append(self, name: str, values: NDArray[Any]) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(values.tobytes())

    def read(self, name: str, dtype: type, pointer: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[Any]:
        """The entries of some cells, one after the other; mapped pages of the file would count as memory."""
        n_values = int((pointer[rows + 1] - pointer[rows]).sum())
        values = cast("NDArray[Any]", np.empty(n_values, dtype=dtype))
        target, at = memoryview(cast("Any", values)).cast("B"), 0
        with (self.folder / name).open("rb") as file:
            for start, stop in (np.stack((pointer[rows], pointer[rows + 1]), axis=1) * values.itemsize).tolist():
                file.seek(start)
                at += file.readinto(target[at : at + stop - start])
        return values


@final
class Spool:
    """Takes all cells of a source, then gives them dataset by dataset.

    Parameters
    ----------
    folder : Path
        Where its files go; the caller takes them away.
    vocab : GeneVocab
    labels : Labels
    length_G : int64, (G,)
        Of each gene, in bases.
    filler_length : int
    depth : float
        Counts of a cell whose source knows none.

    Attributes
    ----------
    names : dict of lists of str
        The labels of each column of obs, in the order in which they came.
    """

    __slots__ = (
        "_datasets",
        "_depth",
        "_filler_length",
        "_folder",
        "_labels",
        "_length_G",
        "_vocab",
        "n_empty",
        "names",
    )

    def __init__(
        self,
        folder: Path,
        vocab: GeneVocab,
        *,
        labels: Labels,
        length_G: NDArray[np.int64],
        filler_length: int,
        depth: float,
    ) -> None:
        self._folder = folder
        self._vocab = vocab
        self._labels = labels
        self._length_G = length_G
        self._filler_length = filler_length
        self._depth = depth
        self._datasets: dict[str, _Dataset] = {}
        self.names: dict[str, dict[str, int]] = {column: {} for column in DEFAULT_LABEL}
        self.n_empty = 0

    @property
    def datasets(self) -> list[str]:
        """Their names, sorted: the order of their joinids."""
        return sorted(self._datasets)

    @property
    def needs_fillers(self) -> bool:
        """Whether any cell lacks more of its million than rounding takes."""
        return any(share.any() for dataset in self._datasets.values() for share in dataset.share_fill)

    @property
    def largest_filled(self) -> float:
        """The largest share of a cell's transcripts that the fillers hold."""
        shares = [share for dataset in self._datasets.values() for share in dataset.share_fill]
        return max(float(share.max(initial=0)) for share in shares)

    def cell_ids(self) -> NDArray[np.int64]:
        """Of all cells, in no particular order."""
        return np.concatenate([ids for dataset in self._datasets.values() for ids in dataset.ids])

    def size(self, dataset: str) -> int:
        """Number of cells of a dataset."""
        return sum(map(len, self._datasets[dataset].ids))

    def add(self, cells: CellBatch, count_BG: NDArray[np.int64] | None) -> None:
        """Take some cells in.

        Raises
        ------
        InputError
            Values are not log1p(TPM), counts contradict them, or the cells of a dataset differ in what is measured.
        """
        normalised_BG = normalised_of(cells)
        share_B = 1.0 - normalised_BG.sum(axis=1)
        check_total(cells, share_B)
        expressed_BG = normalised_BG > 0
        share_B[share_B < ROUNDING] = 0
        if count_BG is not None:
            check_counts(cells, count_BG, expressed_BG)
            empty_B = ~expressed_BG.any(axis=1)
            share_B[empty_B] = 0
            self.n_empty += int(empty_B.sum())
        texts = self._labels.of(cells)
        full_B = np.isin(texts["assay"], full_length(texts["assay"].tolist()))
        raw_BG, fill_B = self._counts(normalised_BG, share_B, full_B, count_BG)
        primary_B = self._labels.primary_of(cells)
        codes = {column: self._coded(column, text_B) for column, text_B in texts.items()}
        for name in np.unique(texts["dataset_id"]).tolist():
            rows = np.flatnonzero(texts["dataset_id"] == name)
            dataset = self._dataset(name, cells, rows)
            local, gene = np.nonzero(expressed_BG[rows])
            dataset.append("gene", gene.astype(np.int32))
            dataset.append("normalised", normalised_BG[rows[local], gene].astype(np.float32))
            dataset.append("count", raw_BG[rows[local], gene].astype(np.float32))
            dataset.n_entries.append(np.bincount(local, minlength=len(rows)))
            dataset.ids.append(cells.cell_id_B[rows])
            dataset.primary.append(primary_B[rows])
            dataset.share_fill.append(share_B[rows])
            dataset.count_fill.append(fill_B[rows])
            for column, code_B in codes.items():
                dataset.codes[column].append(code_B[rows])

    def _counts(
        self,
        normalised_BG: NDArray[np.float64],
        share_B: NDArray[np.float64],
        full_B: NDArray[np.bool_],
        count_BG: NDArray[np.int64] | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Raw counts of the vocabulary's genes, and of each filler."""
        weight_BG = np.where(full_B[:, None], normalised_BG * self._length_G, normalised_BG)
        filler_B = share_B / N_FILLERS * np.where(full_B, self._filler_length, 1)
        if count_BG is None:
            scale_B = self._depth / (weight_BG.sum(axis=1) + N_FILLERS * filler_B)
            # What was seen stays seen: a value above 0 has a count, however shallow the cell.
            raw_BG = np.maximum(np.rint(weight_BG * scale_B[:, None]), 1.0)
        else:
            # Reads of a molecule grow with its length: one for the shortest gene.
            reads_G = self._length_G / self._length_G.min()
            raw_BG = np.where(full_B[:, None], np.rint(count_BG * reads_G), count_BG)
            scale_B = raw_BG.sum(axis=1) / np.maximum(weight_BG.sum(axis=1), np.finfo(np.float64).tiny)
        if raw_BG.max(initial=0) >= 2**24:
            raise InputError(
                f"a count is {raw_BG.max():.0f}: the Census keeps counts as float32, exact below {2**24}; lower depth "
                "or the library size"
            )
        return raw_BG, np.where(share_B > 0, np.maximum(np.rint(filler_B * scale_B), 1.0), 0.0)

    def _coded(self, column: str, text_B: NDArray[np.str_]) -> NDArray[np.int32]:
        known = self.names[column]
        names, place_B = np.unique(text_B, return_inverse=True)
        code = np.array([known.setdefault(name, len(known)) for name in names.tolist()], dtype=np.int32)
        return code[place_B]

    def _dataset(self, name: str, cells: CellBatch, rows: NDArray[np.int64]) -> _Dataset:
        """The dataset of a name, once it is sure that its cells measure the same genes."""
        if name not in self._datasets:
            folder = self._folder / str(len(self._datasets))
            self._datasets[name] = _Dataset(folder, cells.measured_BG[rows[0]].copy(), int(cells.cell_id_B[rows[0]]))
        dataset = self._datasets[name]
        differ_BG = cells.measured_BG[rows] != dataset.measured_G
        if differ_BG.any():
            cell, gene = (int(i) for i in np.argwhere(differ_BG)[0])
            raise InputError(
                f"dataset {name!r} measures {self._vocab.feature_id[gene]} in one of the cells {dataset.first_cell} "
                f"and {int(cells.cell_id_B[rows[cell]])} but not in the other, and a Census knows one set for a "
                "dataset: split it, with labels={'dataset_id': a function of the cells}"
            )
        return dataset

    def stored(self) -> Iterator[Stored]:
        """The cells of the datasets in their order, a piece at a time in memory."""
        with_fillers = self.needs_fillers
        for number, name in enumerate(self.datasets):
            dataset = self._datasets[name]
            n_entries_B = np.concatenate(dataset.n_entries)
            pointer = np.concatenate(([0], np.cumsum(n_entries_B)))
            order_B = np.argsort(np.concatenate(dataset.ids))
            piece_B = np.cumsum(n_entries_B[order_B]) // PIECE_ENTRIES
            cuts = np.flatnonzero(np.diff(piece_B)) + 1
            for rows in np.split(order_B, cuts):
                yield self._stored(number, dataset, pointer, rows, with_fillers)

    def _stored(
        self,
        number: int,
        dataset: _Dataset,
        pointer: NDArray[np.int64],
        rows: NDArray[np.int64],
        with_fillers: bool,
    ) -> Stored:
        from scipy.sparse import csr_array, hstack

        gene = dataset.read("gene", np.int32, pointer, rows)
        pointer_rows = np.concatenate(([0], np.cumsum(pointer[rows + 1] - pointer[rows])))
        measured_store = dataset.measured_G
        filled: dict[str, csr_array] = {}
        fills = {
            "normalised": np.concatenate(dataset.share_fill)[rows] / N_FILLERS,
            "count": np.concatenate(dataset.count_fill)[rows],
        }
        for layer, fill_B in fills.items():
            shape = (len(rows), len(self._vocab))
            values = dataset.read(layer, np.float32, pointer, rows)
            value_B_store = csr_array((values, gene, pointer_rows), shape=shape)
            if with_fillers:
                added_B_store = csr_array(np.repeat(fill_B[:, None], N_FILLERS, axis=1).astype(np.float32))
                value_B_store = csr_array(hstack([value_B_store, added_B_store], format="csr"))
            filled[layer] = value_B_store
        if with_fillers:
            measured_store = np.concatenate(
                (measured_store, np.full(N_FILLERS, any(fill_B.any() for fill_B in dataset.count_fill)))
            )
        return Stored(
            dataset=number,
            count_B_store=filled["count"],
            normalised_B_store=filled["normalised"],
            cell_id_B=np.concatenate(dataset.ids)[rows],
            code_of={column: np.concatenate(codes)[rows] for column, codes in dataset.codes.items()},
            primary_B=np.concatenate(dataset.primary)[rows],
            measured_store=measured_store,
        )
