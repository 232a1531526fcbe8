"""Export any source of cells as a local store with the layout of the CELLxGENE Census.

``cellxgene_census.open_soma(uri=path)`` opens it. What the Census loader makes of ``X/normalized``, log1p(TPM), is what
the source gave: above 1 to the last bit, below to float32 rounding. ``obs.observation_joinid`` is the source's
``cell_id``, as text.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.progress import OnProgress, no_progress
from gpcp.imports import need
from simulators.census.labels import Label, Labels
from simulators.census.spool import N_FILLERS, Spool
from simulators.census.tables import DEFAULT_LABEL
from simulators.census.values import batches_of
from simulators.census.writer import write_store
from simulators.counted import CountedCells

__all__ = ["ExportSummary", "Label", "export_census"]

FILLER_ID = "ENSFILLERG{:011d}"
"""Ids of the genes that stand for those outside the vocabulary, in Ensembl's form."""

FILLER_TYPE = "filler"
"""Their ``feature_type``."""

LENGTH = 1000
"""Bases of a gene whose length nobody gives."""

DEPTH = 10_000.0
"""Counts of a cell whose source knows none."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSummary:
    """What a store holds.

    Parameters
    ----------
    path : Path
    n_cells, n_values : int
        Cells, and entries above 0 of each layer.
    datasets : mapping of str to int
        Cells of each dataset, in the order of their joinids.
    n_genes, n_fillers : int
        Genes of the source, and those added after them for what lies outside its vocabulary.
    counted : bool
        Whether ``X/raw`` holds the source's own counts; otherwise they are rounded from its values.
    summary : str
        All that was decided, in one line.
    """

    path: Path
    n_cells: int
    n_values: int
    datasets: Mapping[str, int]
    n_genes: int
    n_fillers: int
    counted: bool
    summary: str


def export_census(
    cells: CellSource,
    path: str | Path,
    *,
    organism: str = "homo_sapiens",
    labels: Mapping[str, Label] | None = None,
    is_primary: Callable[[CellBatch], NDArray[np.bool_]] | None = None,
    feature_name: Mapping[str, str] | None = None,
    feature_type: str | Mapping[str, str] = "protein_coding",
    feature_length: int | Mapping[str, int] = LENGTH,
    depth: float = DEPTH,
    overwrite: bool = False,
    on_progress: OnProgress = no_progress,
) -> ExportSummary:
    """Write cells as a TileDB-SOMA store with the shape of a Census.

    The source is read once; one dataset at a time is in memory, the others wait on disk beside ``path``. The store
    appears at ``path`` when it is whole. Cells lie dataset by dataset (by name), and by ``cell_id`` within one.

    Parameters
    ----------
    cells : CellSource
        Its values are log1p(TPM). Its covariates become columns of obs (:data:`~simulators.census.tables.COLUMN_OF`),
        its measured genes the presence matrix. One that meets :class:`~simulators.counted.CountedCells` gives
        ``X/raw``, too.
    path : str or Path
        A folder that does not exist.
    organism : str
        Such as ``homo_sapiens``: the name of the experiment.
    labels : mapping, optional
        For a column of obs (:data:`~simulators.census.tables.DEFAULT_LABEL` lists them) one text for all cells, or a
        mapping from dataset to text, or a function of a ``CellBatch`` that gives (B,) str. It goes before what the
        source says. For full-length assays (:data:`~gpcp.sources.assays.FULL_LENGTH`) raw counts grow with a
        gene's length.
    is_primary : function of a CellBatch, optional
        ``is_primary_data``, bool (B,); all True by default.
    feature_name, feature_type, feature_length : one for all genes, or mappings from gene id
        Genes that a mapping leaves out keep the default: their id, ``protein_coding``, :data:`LENGTH` bases.
    depth : float
        Counts of a cell, where the source has none of its own: they are its values times ``depth``, rounded, at
        least 1 where the value is above 0.
    overwrite : bool
        Replace what is at ``path``.
    on_progress : callable
        Called with the number of cells read, and of all where it is known.

    Raises
    ------
    InputError
        The extra ``census`` is not installed; there is something at ``path``; an argument is out of range or names what
        does not exist; there is no cell or one comes twice; values are not log1p(TPM); cells of a dataset differ in
        what is measured. Nothing is left at ``path`` then.

    Notes
    -----
    ``X/normalized`` is ``expm1(value) / 1e6`` (schema 2.4.0: a row sums to 1). What a cell's values lack of a million
    goes in equal parts to four filler genes (``feature_type`` "filler"), so that a vocabulary which is a part of
    the genes keeps its values. A cell of a counted source without any count stays empty.
    """
    need("tiledbsoma", "cellxgene_census", "pyarrow", extra="census", use="a Census")
    target = Path(path)
    _check(target, organism, labels or {}, depth, overwrite)
    length_G = _lengths(cells.vocab, feature_length)
    for name, given in (("feature_name", feature_name), ("feature_type", feature_type)):
        _check_genes(name, given, cells.vocab)
    with _atomic_folder(target, overwrite) as folder:
        spool = Spool(
            folder / "spool",
            cells.vocab,
            labels=Labels(given=labels or {}, is_primary=is_primary),
            length_G=length_G,
            filler_length=LENGTH,
            depth=depth,
        )
        _fill(spool, cells, on_progress)
        n_fillers = N_FILLERS if spool.needs_fillers else 0
        genes = {
            "feature_id": [*cells.vocab.feature_id, *(FILLER_ID.format(i) for i in range(n_fillers))],
            "feature_name": [
                *_of_genes(cells.vocab, feature_name or {}, None),
                *(f"filler_{i}" for i in range(n_fillers)),
            ],
            "feature_type": [*_of_genes(cells.vocab, feature_type, "protein_coding"), *[FILLER_TYPE] * n_fillers],
            "feature_length": np.concatenate((length_G, np.full(n_fillers, LENGTH, dtype=np.int64))),
        }
        summary = _summary(spool, cells, depth)
        n_values = write_store(folder / "store", spool, genes, organism=organism, source=summary)
    sizes = {name: spool.size(name) for name in spool.datasets}
    return ExportSummary(
        path=target,
        n_cells=sum(sizes.values()),
        n_values=n_values,
        datasets=sizes,
        n_genes=len(cells.vocab),
        n_fillers=n_fillers,
        counted=isinstance(cells, CountedCells),
        summary=summary,
    )


def _check(target: Path, organism: str, labels: Mapping[str, Label], depth: float, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists: give another path, or overwrite=True to replace it")
    if target.exists() and not (target / "census_info").is_dir() and not _is_empty_folder(target):
        raise InputError(f"{target} is no Census store, and overwrite=True replaces nothing else: give another path")
    if not re.fullmatch(r"[a-z]+(_[a-z]+)+", organism):
        raise InputError(f"organism is {organism!r}: write it as the Census does, such as homo_sapiens")
    for column in labels:
        if column not in DEFAULT_LABEL:
            raise InputError(f"labels names {column!r}, which is no text of obs; {nearest(column, DEFAULT_LABEL)}")
    if isinstance(labels.get("dataset_id"), Mapping):
        raise InputError("labels['dataset_id'] maps datasets to datasets: give one text, or a function of the cells")
    if not (np.isfinite(depth) and depth > 0):
        raise InputError(f"depth is {depth}: it must be above 0")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _check_genes(name: str, given: object, vocab: GeneVocab) -> None:
    """Refuse a mapping that names genes which the source does not have."""
    if isinstance(given, Mapping):
        unknown = [str(gene) for gene in given if gene not in vocab]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if unknown:
            raise InputError(f"{name} names gene {unknown[0]!r}; {nearest(unknown[0], vocab.feature_id)}")


def _of_genes(vocab: GeneVocab, given: str | Mapping[str, str], default: str | None) -> list[str]:
    """One text for each gene; ``None`` stands for its id."""
    if isinstance(given, str):
        return [given] * len(vocab)
    return [given.get(gene, gene if default is None else default) for gene in vocab.feature_id]


def _lengths(vocab: GeneVocab, given: int | Mapping[str, int]) -> NDArray[np.int64]:
    _check_genes("feature_length", given, vocab)
    lengths = [given.get(gene, LENGTH) if isinstance(given, Mapping) else given for gene in vocab.feature_id]
    length_G = np.array(lengths, dtype=np.int64)
    if (length_G < 1).any():
        gene = int((length_G < 1).argmax())
        raise InputError(f"feature_length of {vocab.feature_id[gene]} is {length_G[gene]}: it must be at least 1 base")
    return length_G


@contextmanager
def _atomic_folder(target: Path, overwrite: bool) -> Generator[Path]:
    """A folder beside ``target`` to work in; its ``store`` moves to ``target`` if nothing goes wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield folder
        if overwrite and target.exists():
            target.replace(folder / "old")
        (folder / "store").replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(spool: Spool, cells: CellSource, on_progress: OnProgress) -> None:
    n_done, n_total = 0, getattr(cells, "n_cells", None)
    for batch, count_BG in batches_of(cells):
        spool.add(batch, count_BG)
        n_done += len(batch)
        on_progress(n_done, n_total)
    if not spool.datasets:
        raise InputError("the source has no cell: there is nothing to export")
    ids, times = np.unique(spool.cell_ids(), return_counts=True)
    if (times > 1).any():
        raise InputError(f"the source gives cell {int(ids[times.argmax()])} {int(times.max())} times: ids must differ")


def _summary(spool: Spool, cells: CellSource, depth: float) -> str:
    """What was decided, in one line."""
    counted = isinstance(cells, CountedCells)
    parts = ["raw counts are the source's" if counted else f"raw counts are values times {depth:g}, rounded"]
    if spool.needs_fillers:
        parts.append(
            f"{N_FILLERS} filler genes hold what lies outside the vocabulary, up to {spool.largest_filled:.1%}"
        )
    if spool.n_empty:
        parts.append(f"{spool.n_empty} cells without any count are empty")
    parts.append("observation_joinid is the source's cell_id")
    return "written by gpcp: " + "; ".join(parts)
