"""The gene of each column of an AnnData matrix: its Ensembl id, and its length where one is asked for.

``raw`` often has a bare table of its own: a column that it lacks is taken from ``var``, for the genes that both have.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import ENSEMBL_GENE, PAR_Y, without_version
from gpcp.sources.gene_table import GeneTable, read_gene_table
from gpcp.sources.h5ad.feature_types import genes_among

if TYPE_CHECKING:
    import pandas as pd

    from gpcp.sources.h5ad.files.reader import H5adFile

Missing = Literal["error", "drop"]
ParY = Literal["keep", "drop"]

_OLD_PAR_Y = re.compile(r"^ENSGR(\d{10})$")
"""How Ensembl wrote ``_PAR_Y`` until GENCODE 24."""

_GENOME = re.compile(r"^(GRCh3[78]|GRCm3[89]|hg19|hg38|mm10|mm39)_+")
"""What Cell Ranger writes before the ids of a reference of several genomes."""

INDEX = "index"
"""How the index of ``var`` is called where a column is asked for."""

NAMES = "names"
"""What is asked for where genes go by their names in the index of ``var``, whatever these are."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MatrixGenes:
    """The columns of a matrix.

    Parameters
    ----------
    label_G : tuple of str
        As the file's index calls them: the name that messages use.
    id_G : tuple of str
        Ensembl ids without version; ``""`` where a gene has none and is dropped.
    is_gene_G : bool, (G,)
        False for guides, antibodies, spike-ins and the like, which have no id and are no part of a total.
    length_G : float64, (G,), or None
        In bases; NaN where it is not known and the gene is dropped.
    summary : tuple of str
        What was decided.
    """

    label_G: tuple[str, ...]
    id_G: tuple[str, ...]
    is_gene_G: NDArray[np.bool_]
    length_G: NDArray[np.float64] | None
    summary: tuple[str, ...]

    @property
    def kept_G(self) -> NDArray[np.bool_]:
        """True where the gene has all that is needed."""
        kept_G = np.array([gene != "" for gene in self.id_G], dtype=np.bool_)
        return kept_G if self.length_G is None else kept_G & ~np.isnan(self.length_G)


def genes_of(
    file: "H5adFile",
    layer: str,
    *,
    gene_id: str = INDEX,
    gene_symbol: str | None = None,
    gene_table: str | Path | None = None,
    gene_length: str | Path | None = None,
    missing_id: Missing = "error",
    missing_length: Missing = "error",
    par_y: ParY = "keep",
) -> MatrixGenes:
    """Identify the genes of a layer; the parameters are those of :class:`gpcp.sources.h5ad.cells.H5adCells`.

    Raises
    ------
    InputError
        A column or file that does not exist; genes without id or length that are not to be dropped; an id that two
        genes have; columns that disagree; no gene with an id.
    """
    label_G = texts(file.var_of(layer).index)
    is_gene_G, summary = genes_among(file.var_of(layer), label_G)
    table = None if gene_table is None else read_gene_table(gene_table)
    id_G, remedy, how = _identified(file, layer, gene_id, gene_symbol, table, is_gene_G)
    summary += how
    id_G = tuple(gene if is_gene else "" for gene, is_gene in zip(id_G, is_gene_G.tolist(), strict=True))
    n_genes = int(is_gene_G.sum())
    missing = [label for label, gene, is_gene in zip(label_G, id_G, is_gene_G, strict=True) if is_gene and not gene]
    if n_genes == 0 or (missing and (missing_id == "error" or len(missing) == n_genes)):
        drop = "" if len(missing) == n_genes else f"; missing_id='drop' leaves the {len(missing)} out"
        none = f"none for {missing[0]!r}" if missing else "none of its features is a gene"
        raise InputError(
            f"{file.name!r} has an Ensembl gene id for {n_genes - len(missing)} of {n_genes} genes ({none}): "
            f"{remedy}{drop}"
        )
    if par_y == "drop":
        n_par = sum(gene.endswith(PAR_Y) for gene in id_G)
        id_G = tuple("" if gene.endswith(PAR_Y) else gene for gene in id_G)
        summary.append(f"{n_par} {PAR_Y} genes dropped")
    _refuse_twice(file.name, id_G, label_G)
    if missing:
        summary.append(f"{len(missing)} of {n_genes} genes without an Ensembl id dropped")
    length_G = None
    if gene_length is not None:
        length_G, length_summary = _lengths(file, layer, id_G, gene_length, missing_length)
        summary.append(length_summary)
    return MatrixGenes(label_G=label_G, id_G=id_G, is_gene_G=is_gene_G, length_G=length_G, summary=tuple(summary))


def _identified(
    file: "H5adFile",
    layer: str,
    gene_id: str,
    gene_symbol: str | None,
    table: GeneTable | None,
    is_gene_G: NDArray[np.bool_],
) -> tuple[tuple[str, ...], str, list[str]]:
    """An id for each feature; what to do about those without; what was decided."""
    found: tuple[str, ...] = ()
    if gene_id == NAMES:
        names = tuple(name.strip() for name in texts(file.var_of(layer).index))
        return names, "the others have no name", ["genes by their names in the index of var"]
    if gene_symbol is None:
        column, how = _best_column(file, layer, is_gene_G) if gene_id == "auto" else (gene_id, [])
        found = _ensembl(_column(file, layer, column, "gene_id"))
        if table is None or _n_ids(found, is_gene_G) or gene_id != "auto":
            return found, _better_columns(file, layer, column, found), how
        # A table, and no id in any column: names are symbols.
        gene_symbol = _column_of_symbols(file, layer, table)
    if table is None:
        raise InputError("gene_symbol is looked up in a table: pass gene_table=, a CSV of ids, symbols and lengths")
    found = tuple(table.ids(_column(file, layer, gene_symbol, "gene_symbol")))
    how = [f"gene ids of the symbols in {_in_words(gene_symbol)} from {table.name!r}"]
    return found, f"table {table.name!r} has no id, or several, for the others", how


def _lengths(
    file: "H5adFile", layer: str, id_G: tuple[str, ...], gene_length: str | Path, missing_length: Missing
) -> tuple[NDArray[np.float64], str]:
    """Length of each gene, from a column or else from a table."""
    columns = _known_columns(file, layer)
    if str(gene_length) in columns:
        length_G = _numbers(file, layer, str(gene_length))
        source = f"column {str(gene_length)!r}"
    elif Path(gene_length).suffix or Path(gene_length).exists():
        table = read_gene_table(gene_length)
        length_G = table.lengths(id_G)
        source = f"table {table.name!r}"
    else:
        raise InputError(
            f"gene_length {str(gene_length)!r} is neither a column of var in {file.name!r} nor a file; "
            f"{nearest(str(gene_length), columns)}"
        )
    unknown = [gene for gene, length in zip(id_G, length_G, strict=True) if gene and np.isnan(length)]
    if unknown and (missing_length == "error" or np.isnan(length_G).all()):
        raise InputError(
            f"{source} gives no length for {len(unknown)} genes of {file.name!r}, {unknown[0]} first: "
            "give a table of the same release, or missing_length='drop' to leave them out of these totals"
        )
    left_out = f", {len(unknown)} genes without one dropped" if unknown else ""
    return length_G, f"gene lengths from {source}{left_out}"


def _numbers(file: "H5adFile", layer: str, column: str) -> NDArray[np.float64]:
    """A column of positive numbers, NaN where empty."""
    number_texts = _column(file, layer, column, "gene_length")
    try:
        number_G = np.array([float(text) if text else np.nan for text in number_texts], dtype=np.float64)
    except ValueError as error:
        raise InputError(f"gene_length column {column!r} of {file.name!r} holds no numbers: {error}") from None
    bad_G = (number_G <= 0) | np.isinf(number_G)
    if bad_G.any():
        label = texts(file.var_of(layer).index)[int(bad_G.argmax())]
        raise InputError(
            f"gene_length column {column!r} of {file.name!r} is {number_G[bad_G][0]} for gene {label!r}: "
            "a length is positive"
        )
    return number_G


def _refuse_twice(name: str, id_G: Sequence[str], label_G: Sequence[str]) -> None:
    """Refuse an id that two genes have."""
    twice = [gene for gene, n in Counter(gene for gene in id_G if gene).items() if n > 1]
    if twice:
        first = [repr(label) for gene, label in zip(id_G, label_G, strict=True) if gene == twice[0]]
        more = f" (and {', '.join(twice[1:4])}{', ...' if len(twice) > 4 else ''})" if len(twice) > 1 else ""
        raise InputError(
            f"{len(twice)} Ensembl ids of {name!r} belong to several genes once their version is dropped: "
            f"{twice[0]} to {', '.join(first[:4])}{more}; keep one gene of each in the file"
        )


def _column_of_symbols(file: "H5adFile", layer: str, table: GeneTable) -> str:
    """The column with the most symbols that the table knows; the index wins ties."""
    columns = (INDEX, *_known_columns(file, layer))
    n_of = {column: sum(map(bool, table.ids(_column(file, layer, column, "gene_symbol")))) for column in columns}
    return max(n_of, key=lambda column: n_of[column])


def _best_column(file: "H5adFile", layer: str, is_gene_G: NDArray[np.bool_]) -> tuple[str, list[str]]:
    """The index where most of it is ids, else the column with the most; a rival that disagrees is refused."""
    ids_of = _ids_by_column(file, layer)
    n_of = {column: _n_ids(id_G, is_gene_G) for column, id_G in ids_of.items()}
    best = max(n_of, key=lambda column: n_of[column])
    if 2 * n_of[INDEX] > int(is_gene_G.sum()):
        best = INDEX
    else:
        rivals = [name for name in n_of if name != best and 2 * n_of[name] >= n_of[best] > 0]
        for rival in rivals:
            differ = sum(a != b for a, b in zip(ids_of[best], ids_of[rival], strict=True) if a and b)
            if differ:
                raise InputError(
                    f"columns {best!r} and {rival!r} of var in {file.name!r} hold different Ensembl ids for {differ} "
                    "genes: name the one meant with gene_id="
                )
    others = [name for name in n_of if name != best and n_of[name]]
    not_used = f" (not used: {', '.join(map(repr, others))})" if others else ""
    return best, [f"gene ids from {_in_words(best)}{not_used}"]


def _better_columns(file: "H5adFile", layer: str, column: str, id_G: Sequence[str]) -> str:
    """Where the ids may be instead, as the middle of a message."""
    n_found = len(id_G) - id_G.count("")
    n_of = {other: len(ids) - ids.count("") for other, ids in _ids_by_column(file, layer).items() if other != column}
    better = sorted((other for other in n_of if n_of[other] > n_found), key=lambda other: -n_of[other])[:3]
    if better:
        return ", ".join(f"gene_id={other!r} gives one for {n_of[other]}" for other in better)
    if n_found:
        return "no other column gives more"
    return (
        f"no column does: if they are symbols, pass gene_symbol={INDEX!r} (or a column) and gene_table= (a CSV of "
        "ids, symbols and lengths)"
    )


def _ids_by_column(file: "H5adFile", layer: str) -> dict[str, tuple[str, ...]]:
    columns = (INDEX, *_known_columns(file, layer))
    return {column: _ensembl(_column(file, layer, column, "gene_id")) for column in columns}


def has_ids(var: "pd.DataFrame") -> bool:
    """Whether a gene of ``var`` has an Ensembl id in its index or in any column."""
    columns = (var.index, *(var[name] for name in var.columns))
    return any(gene for column in columns for gene in _ensembl(texts(column)))


def _n_ids(id_G: Sequence[str], is_gene_G: NDArray[np.bool_]) -> int:
    """How many genes have an Ensembl id."""
    return sum(gene != "" for gene, is_gene in zip(id_G, is_gene_G.tolist(), strict=True) if is_gene)


def _known_columns(file: "H5adFile", layer: str) -> list[str]:
    """Columns that the genes of a layer have, in ``raw`` or in ``var``."""
    return list(dict.fromkeys(str(name) for name in (*file.var_of(layer).columns, *file.var.columns)))


def _column(file: "H5adFile", layer: str, column: str, field: str) -> tuple[str, ...]:
    """A column of ``var`` as text, ``""`` where empty."""
    own = file.var_of(layer)
    if column == INDEX:
        return texts(own.index)
    if column in own.columns:
        return texts(own[column])
    if column not in file.var.columns:
        raise InputError(
            f"{field} {column!r} is not a column of var in {file.name!r}; "
            f"{nearest(column, (INDEX, *_known_columns(file, layer)))}"
        )
    if not file.var.index.is_unique:
        raise InputError(f"var of {file.name!r} has gene names twice, so {column!r} cannot be matched to those of raw")
    return texts(file.var[column].reindex(own.index))


def texts(values: "pd.Series[Any] | pd.Index[Any]") -> tuple[str, ...]:
    """Values as text, ``""`` where missing."""
    missing = np.asarray(values.isna(), dtype=np.bool_).tolist()
    return tuple("" if gone else str(value) for value, gone in zip(values.tolist(), missing, strict=True))


def _ensembl(texts: Sequence[str]) -> tuple[str, ...]:
    """Ensembl ids without version, ``""`` where the text is none."""
    bare = (_OLD_PAR_Y.sub(rf"ENSG0\1{PAR_Y}", without_version(_GENOME.sub("", text.strip()))) for text in texts)
    return tuple(gene if ENSEMBL_GENE.match(gene) else "" for gene in bare)


def _in_words(column: str) -> str:
    return "the index of var" if column == INDEX else f"column {column!r} of var"
