"""A table of genes: which Ensembl id a symbol has, how long each gene is, and what kind of gene.

A symbol that several genes bear (``Y_RNA`` names 758) names none of them.
"""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.files import existing_file
from gpcp.core.genes import ENSEMBL_GENE, PAR_Y, without_version

HEADER: Mapping[str, tuple[str, ...]] = {
    "feature_id": ("feature_id", "gene_id", "ensembl_id", "id"),
    "feature_name": ("feature_name", "gene_name", "gene_symbol", "symbol", "name"),
    "feature_length": ("feature_length", "gene_length", "length"),
}
"""Columns of a table with a header, and how else they are called; ids are needed, and symbols or lengths."""

BIOTYPE_COLUMNS = ("feature_type", "gene_type", "gene_biotype", "biotype")
"""Under which names tables say what kind of gene each is; the first that is there is taken."""

_HEADLESS = {"feature_id": 0, "feature_name": 1, "feature_length": 3}
_HEADLESS_BIOTYPE = 4
"""CELLxGENE's own tables have no header: id, symbol, version, length, biotype."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GeneTable:
    """Ids, symbols, lengths and kinds of the genes of a species.

    Parameters
    ----------
    name : str
        What messages call it.
    id_of_symbol : mapping of str to str
        Ensembl id without version, of each symbol that only one gene bears.
    length_of : mapping of str to int
        Length in bases, of each id.
    symbol_of, biotype_of : mapping of str to str
        Symbol, and kind such as ``"protein_coding"``, of each id for which the table gives one.
    """

    name: str
    id_of_symbol: Mapping[str, str]
    length_of: Mapping[str, int]
    symbol_of: Mapping[str, str]
    biotype_of: Mapping[str, str]

    def ids(self, symbols: Sequence[str]) -> list[str]:
        """The Ensembl id of each symbol, ``""`` where the table has none or several."""
        return [self.id_of_symbol.get(symbol, "") for symbol in symbols]

    def lengths(self, genes: Sequence[str]) -> NDArray[np.float64]:
        """Length of each gene id in bases, float64 (G,), NaN where the table has none."""
        return np.array([self.length_of.get(gene, np.nan) for gene in genes], dtype=np.float64)


def read_gene_table(path: str | Path) -> GeneTable:
    """Read a table of genes from a CSV file, gzipped or not.

    Parameters
    ----------
    path : str or Path
        With a header that has the columns :data:`HEADER`, and may have one of :data:`BIOTYPE_COLUMNS`, or without
        one in CELLxGENE's order (id, symbol, version, length, biotype).

    Raises
    ------
    InputError
        The file is missing or is no such table, or a row has no Ensembl id, no positive length, or an id that an
        earlier row has; the message names the line.
    """
    file = existing_file(path, what="gene table")
    rows = _rows(file)
    if not rows:
        raise InputError(f"gene table {file.name!r} is empty")
    first = 0 if ENSEMBL_GENE.match(without_version(rows[0][0])) else 1
    column = _HEADLESS if first == 0 else _columns(file.name, rows[0])
    of_kind = _HEADLESS_BIOTYPE if first == 0 else _biotype_column(rows[0])
    length_of: dict[str, int] = {}
    symbol_of: dict[str, str] = {}
    biotype_of: dict[str, str] = {}
    for line, row in enumerate(rows[first:], start=first + 1):
        if len(row) <= max(column.values()):
            needed = ", ".join(column)
            raise InputError(f"gene table {file.name!r}, line {line} has {len(row)} fields: one of {needed} is missing")
        gene = without_version(row[column["feature_id"]])
        if not ENSEMBL_GENE.match(gene):
            raise InputError(f"gene table {file.name!r}, line {line}: {gene!r} is not an Ensembl gene id")
        if gene in symbol_of:
            raise InputError(f"gene table {file.name!r}, line {line}: {gene} is there twice; keep one")
        symbol_of[gene] = row[column["feature_name"]] if "feature_name" in column else ""
        if "feature_length" in column:
            length = row[column["feature_length"]]
            if not length.isdigit() or int(length) < 1:
                raise InputError(
                    f"gene table {file.name!r}, line {line}: the length of {gene} is {length!r}, not in bases"
                )
            length_of[gene] = int(length)
        if of_kind is not None and len(row) > of_kind and row[of_kind]:
            biotype_of[gene] = row[of_kind]
    # A gene of both X and Y bears one symbol: it stands for the gene on X.
    on_x = {gene: symbol for gene, symbol in symbol_of.items() if not gene.endswith(PAR_Y)}
    bearers = Counter(on_x.values())
    id_of_symbol = {symbol: gene for gene, symbol in on_x.items() if bearers[symbol] == 1}
    return GeneTable(
        name=file.name,
        id_of_symbol=id_of_symbol,
        length_of=length_of,
        symbol_of={gene: symbol for gene, symbol in symbol_of.items() if symbol},
        biotype_of=biotype_of,
    )


def _rows(file: Path) -> list[list[str]]:
    """All non-empty rows of the file."""
    try:
        packed = file.read_bytes()
        text = (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed).decode()
        return [row for row in csv.reader(io.StringIO(text)) if row]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"gene table {file.name!r} cannot be read as CSV text: {error}") from None


def _columns(name: str, header: Sequence[str]) -> dict[str, int]:
    """Where the columns of :data:`HEADER` stand: that of ids, and those of symbols and lengths that are there."""
    lowered = [title.strip().lower() for title in header]
    found: dict[str, int] = {}
    for wanted, names in HEADER.items():
        known = next((lowered.index(other) for other in names if other in lowered), None)
        if known is not None:
            found[wanted] = known
        elif wanted == "feature_id" or get_close_matches(wanted, lowered, cutoff=0.9):
            raise InputError(
                f"gene table {name!r} has no column {wanted!r}; {nearest(wanted, header)} "
                f"(without a header: id, symbol, version, length, biotype)"
            )
    if len(found) == 1:
        raise InputError(
            f"gene table {name!r} has ids and nothing of them: give a column feature_name (symbols) or feature_length"
        )
    return found


def _biotype_column(header: Sequence[str]) -> int | None:
    """Where the kind of gene stands, if the table has it."""
    return next((list(header).index(name) for name in BIOTYPE_COLUMNS if name in header), None)
