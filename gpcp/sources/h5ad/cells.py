"""``H5adCells``: the cells of any AnnData file as a ``CellSource``.

The file is read once, in blocks; what stays in memory is the log expression of the chosen genes as a sparse matrix,
8 bytes for each value that is not 0. Any cell is given at once, sparse, and made dense when that is asked for. With
``in_memory=False`` values stay in the file and are read again, some cells at a time, for every pass.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, final, get_args

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab, without_version
from gpcp.core.random import stream
from gpcp.sources.h5ad.files.open_file import opened
from gpcp.sources.h5ad.files.reader import H5adFile
from gpcp.sources.h5ad.full_length import lengths_for
from gpcp.sources.h5ad.gene_ids import INDEX, MatrixGenes, Missing, ParY, genes_of, texts
from gpcp.sources.h5ad.in_file import ValuesInFile
from gpcp.sources.h5ad.layers import Values, choose_layer
from gpcp.sources.h5ad.totals import HowCounted, how_counted
from gpcp.sources.h5ad.values import Reading, decided, read_log_values
from gpcp.sources.index import CellIndex, Labels
from gpcp.sources.sparse import IndexedSource, SparseCells, SparseValues

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

Absent = Literal["unmeasured", "measured"]
Nan = Literal["unmeasured", "error"]
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "values": get_args(Values),
    "missing_id": get_args(Missing),
    "missing_length": get_args(Missing),
    "par_y": get_args(ParY),
    "missing_label": get_args(Missing),
    "absent_genes": get_args(Absent),
    "nan": get_args(Nan),
}


@final
class H5adCells(IndexedSource):
    """The cells of an AnnData file or object.

    Meets :class:`gpcp.sources.sparse.IndexedCells`. A cell's ``cell_id`` is its row in the file, from 0. Everything is
    read and checked here, so that a source that exists can be iterated.

    Parameters
    ----------
    path : str, Path or AnnData
        A file or folder of :data:`gpcp.sources.h5ad.files.open_file.KINDS`, or an AnnData object: whole, a view, or
        backed. Of an object, cells are as they are now; what is changed later is not seen.
    modality : str, optional
        Of a file of MuData; ``"rna"``, or else the only one, by default.
    layer : str
        ``"X"``, ``"raw"`` or the name of a layer; ``"auto"`` takes the one that is known by its name for what it
        holds (:func:`gpcp.sources.h5ad.layers.choose_layer`).
    values : {"auto", "counts", "log"}
        ``"counts"`` become log1p(CPM), those of full-length assays log1p(TPM), with totals over all genes before any
        is chosen. ``"log"`` are used as they are. ``"auto"`` decides from the values
        (:mod:`gpcp.sources.h5ad.kinds`).
    gene_id : str
        Column of ``var`` that holds Ensembl ids, with or without version; ``"index"`` is the index, ``"auto"`` the
        index where most of it is ids, or else the column with the most. ``"names"`` takes the index as it is, symbols
        or anything else: other files then have to call their genes alike.
    gene_symbol, gene_table : str, and str or Path
        Instead of ``gene_id``: a column (or ``"index"``) of symbols, and the CSV that gives each its id (see
        :func:`gpcp.sources.gene_table.read_gene_table`). With a table, and ``gene_id="auto"`` that finds no id, the
        column with the most symbols of the table is taken.
    gene_length : str or Path
        A column of ``var``, or a CSV as above: lengths in bases, for cells of full-length assays; the counts of
        UMI assays do not grow with a gene's length. Where the file says which cells these are, the others are left as
        they are; the column ``feature_length``, or ``gene_table``, is taken without being named; ``"none"`` divides
        none.
    total : str
        Column of ``obs`` with each cell's total of counts, or ``"none"`` for the layer's own sums
        (:func:`gpcp.sources.h5ad.totals.totals_of` says what is taken by default).
    missing_id, missing_length : {"error", "drop"}
        What to do with genes that have no Ensembl id, or no length where lengths are used. Dropped genes without
        id still count in totals, as long as their length is not needed. Features that are no genes (guides,
        antibodies, spike-ins) are left out without a word of these options, and of totals too.
    par_y : {"keep", "drop"}
        Genes on the Y chromosome that X has too and that end in ``_PAR_Y``: kept under that name, or left out.
    genes : sequence of str, optional
        Ensembl ids to keep, in this order; all by default.
    cell_type, dataset, assay, donor, tissue, disease, batch : str, optional
        Columns of ``obs``.
    missing_label : {"error", "drop"}
        What to do with cells that have no value, or an empty text, in one of those columns.
    absent_genes : {"unmeasured", "measured"}
        A gene that is 0 or NaN in every cell of a dataset counts as unmeasured there, since files that were joined
        from several datasets write 0 for the genes that one of them lacks. ``"measured"`` switches the rule off; it
        has no effect without ``dataset``.
    nan : {"unmeasured", "error"}
        NaN in the matrix means that this gene was not measured in this cell, and is left out of its total; or it is
        refused.
    in_memory : bool
        Whether the log expression of all cells is kept. False is for files larger than memory that are gone through
        once or twice; an object's cells are kept either way.

    Attributes
    ----------
    vocab : GeneVocab
    n_cells : int
    index : CellIndex
        What every cell is; with the totals of its counts where no gene lengths were used, since then they turn log
        values back into counts.
    label_G : tuple of str
        What the file's index of ``var`` calls each gene of the vocabulary.
    place : str
        The file; empty for an object.
    provenance : str
        What was read, decided and left out, in one line.

    Raises
    ------
    InputError
        One line naming the file, column, gene or cell, and the remedy or the nearest name that exists.
    """

    __slots__ = ("_index", "_log_NG", "label_G", "place", "provenance")

    def __init__(
        self,
        path: "str | Path | AnnData",
        *,
        modality: str | None = None,
        layer: str = "X",
        values: Values = "auto",
        gene_id: str = INDEX,
        gene_symbol: str | None = None,
        gene_table: str | Path | None = None,
        gene_length: str | Path | None = None,
        missing_id: Missing = "error",
        missing_length: Missing = "error",
        par_y: ParY = "keep",
        total: str | None = None,
        genes: Sequence[str] | None = None,
        cell_type: str | None = None,
        dataset: str | None = None,
        assay: str | None = None,
        donor: str | None = None,
        tissue: str | None = None,
        disease: str | None = None,
        batch: str | None = None,
        missing_label: Missing = "error",
        absent_genes: Absent = "unmeasured",
        nan: Nan = "unmeasured",
        in_memory: bool = True,
    ) -> None:
        _check_choices(values=values, missing_id=missing_id, missing_length=missing_length, par_y=par_y)
        _check_choices(missing_label=missing_label, absent_genes=absent_genes, nan=nan)
        columns = {"cell_type": cell_type, "dataset": dataset, "assay": assay, "donor": donor}
        columns |= {"tissue": tissue, "disease": disease, "batch": batch}
        with ExitStack() as stack:
            file = stack.enter_context(opened(path, modality=modality))
            layer, *summary = choose_layer(file, values) if layer == "auto" else (layer,)
            file.check_layer(layer)
            row_N, labels, dropped = _labels(file, columns, missing_label)
            taken_as, look = decided(file, layer, values, row_N)
            counts = taken_as == "counts"
            full_N, gene_length = lengths_for(file, gene_length, gene_table, assay) if counts else (None, None)
            identify = partial(
                genes_of,
                file,
                gene_id=gene_id,
                gene_symbol=gene_symbol,
                gene_table=gene_table,
                gene_length=gene_length,
                par_y=par_y,
            )
            found = identify(layer, missing_id=missing_id, missing_length=missing_length)
            panel_G = _panel(file.name, found, genes)
            in_raw = partial(identify, "raw", missing_id="drop", missing_length="drop")
            how = how_counted(file, layer, found, in_raw, row_N, full_N, total) if counts else HowCounted()
            reading = Reading(
                layer=layer,
                values=values,
                taken_as=taken_as,
                look=look,
                genes=found,
                columns=panel_G,
                row_N=row_N,
                how=how,
            )
            dataset_N = _datasets(labels, len(row_N)).astype(np.int64)
            left_in = path if isinstance(path, (str, Path)) and not in_memory else None
            refuse_nan, keep = nan == "error", left_in is None
            read = read_log_values(file, reading, dataset_N=dataset_N, refuse_nan=refuse_nan, keep=keep)
            closing = ExitStack() if left_in is None else stack.pop_all()
        vocab = GeneVocab(feature_id=tuple(found.id_G[int(column)] for column in panel_G))
        self.label_G = tuple(found.label_G[int(column)] for column in panel_G)
        summary += [*read.summary, *found.summary, *dropped]
        sets_SG = read.expressed_SG if dataset is not None and absent_genes == "unmeasured" else None
        summary += [] if sets_SG is None else [_absence(labels["dataset"].names, sets_SG)]
        # Without lengths a total turns a log value back into a count; with lengths it would not.
        totals_N = read.total_N if gene_length is None else None
        log_NG, self._index = _indexed(read.log_NG, vocab, row_N, labels, sets_SG, totals_N)
        self._log_NG = log_NG if left_in is None else ValuesInFile(left_in, modality, reading, file, closing)
        self.place, self.provenance = str(path) if isinstance(path, (str, Path)) else "", "; ".join(summary)

    def __repr__(self) -> str:
        return f"H5adCells({self.n_cells} cells, {len(self.vocab)} genes: {self.provenance})"

    @property
    def index(self) -> CellIndex:
        """What every cell is."""
        return self._index

    @property
    def cheap_rows(self) -> bool:
        """Whether reading rows here and there costs no more than reading them in turn: not from a file."""
        return not isinstance(self._log_NG, ValuesInFile)

    def sparse_rows(self, row_B: NDArray[np.int64]) -> SparseCells:
        """The cells of some rows of :attr:`index`, in the order asked for."""
        return SparseCells(index=self.index.rows(row_B), value_BG=self._log_NG[row_B])

    def pass_order(self, seed: int) -> NDArray[np.int64]:
        """A permutation of all rows."""
        return stream(seed, "h5ad", "cells").permutation(self.n_cells)


def _check_choices(**choices: str) -> None:
    """Refuse a choice that an option does not have, naming the nearest."""
    for option, choice in choices.items():
        if choice not in _CHOICES[option]:
            raise InputError(f"{option} is {choice!r}; {nearest(choice, _CHOICES[option])}")


def _labels(
    file: H5adFile, columns: Mapping[str, str | None], missing_label: Missing
) -> tuple[NDArray[np.int64], dict[str, Labels], list[str]]:
    """Rows kept; the labels of each for each covariate; what was dropped."""
    found: dict[str, Labels] = {}
    labelled_N = np.ones(len(file.obs), dtype=np.bool_)
    for covariate, column in columns.items():
        if column is None:
            continue
        if column not in file.obs.columns:
            known = [str(name) for name in file.obs.columns]
            raise InputError(f"{covariate} column {column!r} is not in obs of {file.name!r}; {nearest(column, known)}")
        found[covariate] = _labels_of(file.obs[column])
        empty_N = (found[covariate].names == "")[found[covariate].code_B]
        if empty_N.any() and missing_label == "error":
            raise InputError(
                f"{covariate} column {column!r} of {file.name!r} is empty for {int(empty_N.sum())} of {len(empty_N)} "
                f"cells, {str(file.obs.index[int(empty_N.argmax())])!r} first: missing_label='drop' leaves them out"
            )
        labelled_N &= ~empty_N
    row_N = np.flatnonzero(labelled_N).astype(np.int64)
    if not len(row_N):
        raise InputError(f"{file.name!r} has no cell{' with all the labels asked for' if len(labelled_N) else ''}")
    labels = {covariate: Labels.coded(one.names, one.code_B[row_N]) for covariate, one in found.items()}
    n_dropped = len(labelled_N) - len(row_N)
    return row_N, labels, [f"{n_dropped} cells without a label dropped"] if n_dropped else []


def _labels_of(column: "pd.Series[Any]") -> Labels:
    """A column as labels, the empty text where there is no value; each text is made once for all cells that have it."""
    coded = column.astype("category").cat
    names: NDArray[np.str_] = np.array([*texts(coded.categories), ""], dtype=np.str_)
    # No value has the code -1, which is the last name.
    return Labels.coded(names, coded.codes.to_numpy() % np.int64(len(names)))


def _datasets(labels: Mapping[str, Labels], n_cells: int) -> NDArray[np.int32]:
    """The number of each cell's dataset; 0 where none is known."""
    return labels["dataset"].code_B.astype(np.int32) if "dataset" in labels else np.zeros(n_cells, dtype=np.int32)


def _indexed(
    log_NG: SparseValues,
    vocab: GeneVocab,
    row_N: NDArray[np.int64],
    labels: Mapping[str, Labels],
    sets_SG: NDArray[np.bool_] | None,
    total_N: NDArray[np.float64] | None,
) -> tuple[SparseValues, CellIndex]:
    """Values without the NaN of unmeasured genes, and what is known of every cell."""
    log_NG.sum_duplicates()
    set_N = np.zeros(len(row_N), dtype=np.int32) if sets_SG is None else _datasets(labels, len(row_N)).copy()
    measured_SG = np.ones((1, len(vocab)), dtype=np.bool_) if sets_SG is None else sets_SG
    unknown = np.isnan(log_NG.data)
    if unknown.any():
        row_of = np.repeat(np.arange(len(row_N)), np.diff(log_NG.indptr))
        some_N, place = np.unique(row_of[unknown], return_inverse=True)
        own_SG = measured_SG[set_N[some_N]]
        own_SG[place, log_NG.indices[unknown]] = False
        _, first_S, set_S = np.unique(np.packbits(own_SG, axis=1), axis=0, return_index=True, return_inverse=True)
        set_N[some_N] = len(measured_SG) + set_S.reshape(-1)
        measured_SG = np.concatenate([measured_SG, own_SG[first_S]])
        indptr = np.concatenate([[0], np.cumsum(~unknown)])[log_NG.indptr].astype(log_NG.indptr.dtype)
        known = (log_NG.data[~unknown], log_NG.indices[~unknown], indptr)
        log_NG = cast("SparseValues", sp.csr_array(known, shape=log_NG.shape))
    index = CellIndex(
        vocab=vocab,
        cell_id_B=row_N,
        measured_SG=measured_SG,
        set_B=set_N,
        covariates=labels,
        total_B=total_N,
    )
    return log_NG, index.compacted()


def _panel(name: str, found: MatrixGenes, genes: Sequence[str] | None) -> NDArray[np.int64]:
    """Columns of the vocabulary's genes, in its order."""
    kept_G = np.flatnonzero(found.kept_G).astype(np.int64)
    if genes is None:
        return kept_G
    column_of = {found.id_G[column]: column for column in kept_G.tolist()}
    wanted = [gene if gene in column_of else without_version(gene) for gene in genes]
    for gene in wanted:
        if gene not in column_of:
            raise InputError(f"gene {gene!r} of genes= is not in {name!r}; {nearest(gene, column_of)}")
    return np.array([column_of[gene] for gene in wanted], dtype=np.int64)


def _absence(names_S: NDArray[np.str_], expressed_SG: NDArray[np.bool_]) -> str:
    """What the rule about absent genes does to each dataset."""
    n_absent = (~expressed_SG).sum(axis=1)
    counts = [f"{n} in {dataset!r}" for dataset, n in zip(names_S.tolist(), n_absent.tolist(), strict=True) if n]
    shown = ", ".join(counts[:4]) + (", ..." if len(counts) > 4 else "")
    return f"genes that a dataset never shows count as unmeasured there: {shown or 'none'}"
