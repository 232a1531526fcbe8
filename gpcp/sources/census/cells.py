"""``CensusCells``: the cells of a query to CELLxGENE Census, on S3 or on a disk, as a ``CellSource``.

Only the table of the cells is read at once: about 40 bytes a cell stay in memory. Values are read anew in every pass,
some thousand cells at a time, by tiledbsoma-ml; the store is open for as long as a pass lasts.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, rebatched_rows
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab, without_version
from gpcp.core.progress import OnProgress, no_progress
from gpcp.core.read_ahead import ReadAhead, read_ahead
from gpcp.sources.assays import full_length
from gpcp.sources.census.query import FILTERS, Wanted, all_of, conditions, labels_of, read_obs
from gpcp.sources.census.reader import layer_of, log_values, order_of, value_blocks
from gpcp.sources.census.store import ValuesPlace, built_on, experiment_of, genes_of, opened_census, presence
from gpcp.sources.index import CellIndex
from gpcp.sources.sparse import IndexedSource, SparseCells, SparseValues, concatenate_sparse

IO_BATCH_SIZE = 16_384
"""Cells read at a time: about 1.6 GB while they are read, at the 60,000 genes of the Census."""

SHUFFLE_CHUNK = 64
"""Neighbouring cells that stay within one window of :func:`gpcp.sources.census.reader.order_of`."""

_COLUMNS: Mapping[str, str] = {
    "dataset": "dataset_id",
    "assay": "assay",
    "cell_type": "cell_type",
    "donor": "donor_id",
    "tissue": "tissue",
    "disease": "disease",
}
"""Covariates with their columns of ``obs``; the first two are needed."""


@final
class CensusCells(IndexedSource):
    """The cells of a query to a Census.

    Meets :class:`gpcp.sources.sparse.IndexedCells`, and so :class:`gpcp.core.cells.CellSource`. A cell's ``cell_id``
    is its
    ``soma_joinid``. Expression is log1p(TPM) for full-length assays and log1p(CPM) for those with UMIs: in the Census'
    layer ``normalized``, each value is a share of the cell's total over all genes (of counts per base for full-length
    assays), and the panel is taken after that. ``measured`` is what the presence matrix says of the cell's dataset.

    Everything that can be wrong with the query is found here, so that a source that exists can be iterated. It can be
    pickled, and opens the store anew in each pass and process. Each process reads all cells of a pass, whatever its
    rank: it is pairs that are shared out.

    Parameters
    ----------
    census_version : str, optional
        A release on S3, such as :data:`gpcp.sources.census.store.CENSUS_VERSION`, ``"stable"`` or ``"latest"``.
    uri : str or Path, optional
        Instead of it: a local copy, or the address of one.
    organism : str
    tissue, tissue_general, cell_type, disease, assay, dataset : str or sequence of str, optional
        Categories to keep, as the Census writes them; all by default. A cell with two diseases is of the category
        ``"a || b"``, and not of ``"a"``. ``dataset`` is a ``dataset_id``.
    is_primary_data : bool, optional
        True leaves out the repetitions of cells that are in several datasets, None takes all.
    value_filter : str, optional
        A further condition in SOMA's language, such as ``"sex == 'female' and nnz > 500"``.
    genes : sequence of str, optional
        Ensembl ids to keep, in this order, with or without version; all by default.
    io_batch_size : int
        Cells read at a time: time against memory. It changes no value and no order.
    shuffle_chunk : int
        Neighbouring cells that are shuffled as one, before cells are shuffled within windows of 256 such chunks:
        time against randomness.
    on_progress : callable
        Called during each pass with the number of its cells that are read, and of all.

    Attributes
    ----------
    vocab : GeneVocab
    index : CellIndex
        In the order of ``soma_joinid``. A measured set is a dataset; ``total_B`` is ``raw_sum`` for cells with UMIs
        and NaN for full-length assays, whose counts are not to be had from TPM.
    n_cells : int
    provenance : str
        What was asked for, and what it is, in one line.
    state : str
        See :attr:`gpcp.sources.census.store.ValuesPlace.state`.

    Raises
    ------
    InputError
        One line naming the filter, gene or store, and the remedy or the nearest name that exists: not exactly one of
        ``census_version`` and ``uri``, a store that does not exist, is not there without network or is no Census, a
        category, column or gene that it does not have, filters that together leave no cell (with the number that each
        leaves alone), or a number below 1.
    """

    __slots__ = (
        "_index",
        "_on_progress",
        "_place",
        "_var_id_G",
        "io_batch_size",
        "provenance",
        "shuffle_chunk",
        "state",
    )

    def __init__(
        self,
        *,
        census_version: str | None = None,
        uri: str | Path | None = None,
        organism: str = "homo_sapiens",
        tissue: Wanted = None,
        tissue_general: Wanted = None,
        cell_type: Wanted = None,
        disease: Wanted = None,
        assay: Wanted = None,
        dataset: Wanted = None,
        is_primary_data: bool | None = True,
        value_filter: str | None = None,
        genes: Sequence[str] | None = None,
        io_batch_size: int = IO_BATCH_SIZE,
        shuffle_chunk: int = SHUFFLE_CHUNK,
        on_progress: OnProgress = no_progress,
    ) -> None:
        for name, number in (("io_batch_size", io_batch_size), ("shuffle_chunk", shuffle_chunk)):
            if number < 1:
                raise InputError(f"{name} is {number}: it must be at least 1")
        self.io_batch_size, self.shuffle_chunk, self._on_progress = io_batch_size, shuffle_chunk, on_progress
        values = (tissue, tissue_general, cell_type, disease, assay, dataset)
        with opened_census(census_version, uri) as census:
            experiment = experiment_of(census, organism)
            found, summary = conditions(
                experiment.obs,
                dict(zip(FILTERS, values, strict=True)),
                is_primary_data=is_primary_data,
                value_filter=value_filter,
            )
            self._var_id_G, vocab = _panel(experiment, genes)
            table = read_obs(experiment.obs, found, _columns(experiment.obs))
            self._index = _index(census, experiment, table, vocab, self._var_id_G)
            assays = self.index.labels("assay").names.tolist()
            layer = layer_of(experiment, assays, has_total=self.index.total_B is not None)
            self._place = ValuesPlace.of(experiment, layer)
            built = built_on(census)
        self.state = self._place.state
        where = f"Census {census_version or uri}{f' (built {built})' if built else ''}"
        self.provenance = "; ".join(
            [
                f"{where}, {organism}, {all_of(found) or 'all cells'}",
                f"{self.n_cells:,} cells of {len(self.index.measured_SG)} datasets, {len(self.vocab):,} genes",
                f"log1p of parts per million from X/{layer}, over all genes{_lengths(assays)}",
                *summary,
                *_unmeasured(self.index),
            ]
        )

    def __repr__(self) -> str:
        return f"CensusCells({self.provenance})"

    @property
    def index(self) -> CellIndex:
        """What every cell of the query is."""
        return self._index

    @property
    def cheap_rows(self) -> bool:
        """No: rows here and there are read with all that lies around them."""
        return False

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        """Every cell once, in an order that ``seed`` decides; the last batch may be smaller.

        Raises
        ------
        InputError
            ``batch_size`` is below 1, ``seed`` is negative, a value is stored that the dataset did not measure, or
            the pass runs in a worker of a DataLoader.
        """
        return super().cells(batch_size=batch_size, seed=seed)

    def sparse_cells(self, *, batch_size: int, seed: int) -> Iterator[SparseCells]:
        """What :meth:`cells` gives, before it is made dense: read in large blocks, whatever the batch size."""
        _check_batch_size(batch_size)
        return rebatched_rows(self._blocks(self.pass_order(seed)), concatenate_sparse, batch_size=batch_size)

    def pass_order(self, seed: int) -> NDArray[np.int64]:
        """All rows, shuffled within windows; see :func:`gpcp.sources.census.reader.order_of`."""
        return order_of(self.n_cells, seed=seed, shuffle_chunk=self.shuffle_chunk)

    def sequential(self, *, start: int = 0, batch_size: int) -> Iterator[SparseCells]:
        """Every row of ``index`` from ``start`` on, in turn, which is how a store is read fastest.

        Batches are read in blocks of ``io_batch_size``, or of ``batch_size`` where that is larger.

        Raises
        ------
        InputError
            ``batch_size`` is below 1, ``start`` is not within ``0 .. n_cells``, or as in :meth:`cells`.
        """
        _check_batch_size(batch_size)
        if not 0 <= start <= self.n_cells:
            raise InputError(f"start is {start}: it must lie within 0 .. {self.n_cells}")
        row_N = np.arange(start, self.n_cells, dtype=np.int64)
        blocks = self._blocks(row_N, io_batch_size=max(self.io_batch_size, batch_size))
        return rebatched_rows(blocks, concatenate_sparse, batch_size=batch_size)

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        """The cells of some rows of ``index``, in the order asked for.

        Raises
        ------
        InputError
            A row is outside ``index`` or is asked for twice, or as in :meth:`cells`.
        """
        if len(row_B) and not (int(row_B.min()) >= 0 and int(row_B.max()) < self.n_cells):
            raise InputError(f"rows go from {row_B.min()} to {row_B.max()}, but there are {self.n_cells}, from 0")
        if len(np.unique(row_B)) < len(row_B):
            raise InputError("a row is asked for twice: ask for each once")
        if not len(row_B):
            empty = cast("SparseValues", sp.csr_array((0, len(self.vocab)), dtype=np.float32))
            return SparseCells(index=self.index.rows(row_B), value_BG=empty)
        return concatenate_sparse(list(self._blocks(row_B.astype(np.int64))))

    def _blocks(self, row_N: NDArray[np.int64], *, io_batch_size: int | None = None) -> Iterator[SparseCells]:
        """Some rows in their order, an I/O batch at a time, of which the next is read while one is made use of."""
        size = io_batch_size or self.io_batch_size
        blocks = self._read(row_N, size)
        if len(row_N) <= size:
            return blocks
        return read_ahead(ReadAhead(1, 1, math.inf, weight=_bytes), blocks)

    def _read(self, row_N: NDArray[np.int64], size: int) -> Iterator[SparseCells]:
        """What the thread does."""
        blocks = value_blocks(self._place, self.index.cell_id_B[row_N], self._var_id_G, io_batch_size=size)
        start = 0
        for value_BG in blocks:
            index = self.index.rows(row_N[start : start + size])
            start += len(index)
            total_B = index.total_B if self._place.layer == "raw" else None
            try:
                block = SparseCells(index=index, value_BG=log_values(value_BG, total_B))
            except InputError:
                _check_measured(index, value_BG)
                raise
            yield block
            self._on_progress(start, len(row_N))


def _bytes(block: SparseCells) -> int:
    return block.value_BG.data.nbytes


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}: it must be at least 1")


def _columns(obs: Any) -> list[str]:
    """Columns of ``obs`` to read: those of the covariates that it has, and the cells' totals."""
    names = set(obs.schema.names)
    for needed in ("soma_joinid", "dataset_id", "assay"):
        if needed not in names:
            raise InputError(f"obs of the Census has no column {needed!r}: it is no Census of schema 1 or 2")
    return ["soma_joinid", *(column for column in (*_COLUMNS.values(), "raw_sum") if column in names)]


def _panel(experiment: Any, genes: Sequence[str] | None) -> tuple[NDArray[np.int64], GeneVocab]:
    """Joinids of the vocabulary's genes in its order, and the vocabulary."""
    var_id_G, feature_id = genes_of(experiment)
    known = [without_version(gene) for gene in feature_id]
    if genes is None:
        return var_id_G, GeneVocab(feature_id=tuple(known))
    place_of = {gene: place for place, gene in enumerate(known)}
    vocab = GeneVocab(feature_id=tuple(without_version(gene) for gene in genes))
    for gene in vocab.feature_id:
        if gene not in place_of:
            raise InputError(f"gene {gene!r} of genes= is not in the Census; {nearest(gene, place_of)}")
    return var_id_G[[place_of[gene] for gene in vocab.feature_id]], vocab


def _index(census: Any, experiment: Any, table: Any, vocab: GeneVocab, var_id_G: NDArray[np.int64]) -> CellIndex:
    """What the cells of the query are."""
    covariates = {name: labels_of(table[column]) for name, column in _COLUMNS.items() if column in table.column_names}
    dataset, assay = covariates["dataset"], covariates["assay"]
    total_N = None
    if "raw_sum" in table.column_names:
        counted = ~np.isin(assay.names, full_length(assay.names.tolist()))
        raw_sum_N = table["raw_sum"].to_numpy().astype(np.float64)
        total_N = np.where(counted[assay.code_B], raw_sum_N, np.nan)
    return CellIndex(
        vocab=vocab,
        cell_id_B=table["soma_joinid"].to_numpy().astype(np.int64),
        measured_SG=presence(census, experiment, dataset.names, var_id_G),
        set_B=dataset.code_B.astype(np.int32),
        covariates=covariates,
        total_B=total_N,
    )


def _check_measured(index: CellIndex, value_BG: SparseValues) -> None:
    """Refuse a value of a gene that the presence matrix says was not measured: one of the two is wrong."""
    set_of = np.repeat(index.set_B, np.diff(value_BG.indptr))
    measured = index.measured_SG[set_of, value_BG.indices]
    if not measured.all():
        at = int(np.argmin(measured))
        gene = index.vocab.feature_id[int(value_BG.indices[at])]
        dataset = index.labels("dataset").names[int(set_of[at])]
        n_values = int((~measured).sum())
        raise InputError(
            f"X holds a value of gene {gene} in a cell of dataset {dataset!r}, which by the presence matrix did not "
            f"measure it ({n_values} such values in this block): the Census contradicts itself, leave the dataset out"
        )


def _lengths(assays: Sequence[str]) -> str:
    """Which assays are normalised by length."""
    long = full_length(assays)
    return f", by gene length for {', '.join(map(repr, long[:3]))}{' ...' if len(long) > 3 else ''}" if long else ""


def _unmeasured(index: CellIndex) -> list[str]:
    """Datasets that measured nothing of the panel."""
    nothing = index.labels("dataset").names[~index.measured_SG.any(axis=1)].tolist()
    return [f"nothing of the panel was measured in {', '.join(map(repr, nothing[:3]))}"] if nothing else []
