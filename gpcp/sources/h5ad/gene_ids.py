"""The gene of each column of an AnnData matrix: its Ensembl id, and its length where one is asked for.

``raw`` often has a bare table of its own: a column that it lacks is taken from ``var``, for the genes that both have.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import ENSEMBL_GENE, without_version
from gpcp.sources.gene_table import read_gene_table

if TYPE_CHECKING:
    import pandas as pd

    from gpcp.sources.h5ad.reader import H5adFile

Missing = Literal["error", "drop"]

INDEX = "index"
"""How the index of ``var`` is called where a column is asked for."""


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
    length_G : float64, (G,), or None
        In bases; NaN where it is not known and the gene is dropped.
    summary : tuple of str
        What was decided.
    """

    label_G: tuple[str, ...]
    id_G: tuple[str, ...]
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
) -> MatrixGenes:
    """Identify the genes of a layer; the parameters are those of :class:`gpcp.sources.h5ad.cells.H5adCells`.

    Raises
    ------
    InputError
        A column or file that does not exist; genes without id or length that are not to be dropped; an id that two
        genes have; no gene with an id.
    """
    label_G = texts(file.var_of(layer).index)
    if gene_symbol is None:
        column = _best_column(file, layer) if gene_id == "auto" else gene_id
        id_G = _ensembl(_column(file, layer, column, "gene_id"))
        summary = [f"gene ids from {_in_words(column)}"] if gene_id == "auto" else []
        remedy = _better_columns(file, layer, column, id_G)
    else:
        column = gene_symbol
        if gene_table is None:
            raise InputError("gene_symbol is looked up in a table: pass gene_table=, a CSV of ids, symbols and lengths")
        table = read_gene_table(gene_table)
        id_G = tuple(table.ids(_column(file, layer, column, "gene_symbol")))
        summary = [f"gene ids of the symbols in {_in_words(column)} from {table.name!r}"]
        remedy = f"table {table.name!r} has no id, or several, for the others"
    n_missing = id_G.count("")
    if n_missing and (missing_id == "error" or n_missing == len(id_G)):
        drop = "" if n_missing == len(id_G) else f"; missing_id='drop' leaves the {n_missing} out"
        raise InputError(
            f"{_in_words(column)} of {file.name!r} gives an Ensembl gene id for {len(id_G) - n_missing} of {len(id_G)} "
            f"genes (none for {label_G[id_G.index('')]!r}): {remedy}{drop}"
        )
    _refuse_twice(file.name, id_G, label_G)
    if n_missing:
        summary.append(f"{n_missing} of {len(id_G)} genes without an Ensembl id dropped")
    length_G = None
    if gene_length is not None:
        length_G, length_summary = _lengths(file, layer, id_G, gene_length, missing_length)
        summary.append(length_summary)
    return MatrixGenes(label_G=label_G, id_G=id_G, length_G=length_G, summary=tuple(summary))


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
            "give a table of the same release, or missing_length='drop' to leave them out of every total"
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


def _best_column(file: "H5adFile", layer: str) -> str:
    """The column with the most Ensembl ids; the index wins ties."""
    n_of = {column: _n_ids(file, layer, column) for column in (INDEX, *_known_columns(file, layer))}
    return max(n_of, key=lambda column: n_of[column])


def _better_columns(file: "H5adFile", layer: str, column: str, id_G: Sequence[str]) -> str:
    """Where the ids may be instead, as the middle of a message."""
    found = len(id_G) - id_G.count("")
    n_of = {other: _n_ids(file, layer, other) for other in (INDEX, *_known_columns(file, layer)) if other != column}
    better = sorted((other for other in n_of if n_of[other] > found), key=lambda other: -n_of[other])[:3]
    if better:
        return ", ".join(f"gene_id={other!r} gives one for {n_of[other]}" for other in better)
    if found:
        return "no other column gives more"
    return f"no column does: pass gene_symbol={INDEX!r} and gene_table= (a CSV) to look symbols up"


def _n_ids(file: "H5adFile", layer: str, column: str) -> int:
    """How many genes a column gives an Ensembl id."""
    return sum(gene != "" for gene in _ensembl(_column(file, layer, column, "gene_id")))


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
    bare = (without_version(text.strip()) for text in texts)
    return tuple(gene if ENSEMBL_GENE.match(gene) else "" for gene in bare)


def _in_words(column: str) -> str:
    return "the index of var" if column == INDEX else f"column {column!r} of var"
