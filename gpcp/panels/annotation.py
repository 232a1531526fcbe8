"""``GeneAnnotation``: symbols and biotypes of genes, from a table, an AnnData file or a Census."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab, without_version
from gpcp.sources.census.store import MEASUREMENT, experiment_of, opened_census
from gpcp.sources.gene_table import BIOTYPE_COLUMNS, read_gene_table
from gpcp.sources.h5ad.files.open_file import opened
from gpcp.sources.h5ad.gene_ids import genes_of, texts
from gpcp.sources.h5ad.layers import Values, choose_layer

if TYPE_CHECKING:
    from gpcp.sources.h5ad.files.reader import H5adFile

PROTEIN_CODING = "protein_coding"

SYMBOL_COLUMNS = ("feature_name", "gene_name", "gene_symbol", "gene_symbols", "symbol")
"""Under which names AnnData files hold symbols."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GeneAnnotation:
    """Symbols and kinds of some genes. Those of two sources are joined by ``|``; where both know, the first is right.

    Parameters
    ----------
    symbol_of, biotype_of : mapping of str to str
        By Ensembl id; a gene of which it is not known is left out.
    summary : str
        Where they are from.
    """

    symbol_of: Mapping[str, str] = field(default_factory=dict[str, str])
    biotype_of: Mapping[str, str] = field(default_factory=dict[str, str])
    summary: str = ""

    def __or__(self, other: "GeneAnnotation") -> "GeneAnnotation":
        return GeneAnnotation(
            symbol_of={**other.symbol_of, **self.symbol_of},
            biotype_of={**other.biotype_of, **self.biotype_of},
            summary="; ".join(filter(None, (self.summary, other.summary))),
        )

    def only(self, vocab: GeneVocab) -> "GeneAnnotation":
        """Those of the genes of a vocabulary."""
        return GeneAnnotation(
            symbol_of={gene: name for gene, name in self.symbol_of.items() if gene in vocab},
            biotype_of={gene: kind for gene, kind in self.biotype_of.items() if gene in vocab},
            summary=self.summary,
        )

    def of_biotype(self, biotype: str = PROTEIN_CODING) -> frozenset[str]:
        """The genes of one kind.

        Raises
        ------
        InputError
            No gene is of that kind, or no kind is known of any.
        """
        found = frozenset(gene for gene, kind in self.biotype_of.items() if kind == biotype)
        if not self.biotype_of:
            raise InputError(
                f"which genes are {biotype} is not known: neither the source nor a column says it; give a table of "
                "genes (CSV: id, symbol, version, length, biotype)"
            )
        if not found:
            kinds = sorted(set(self.biotype_of.values()))
            raise InputError(f"no gene is of biotype {biotype!r}; {nearest(biotype, kinds)}")
        return found


def notes_of_table(path: str | Path) -> GeneAnnotation:
    """From a CSV; see :func:`gpcp.sources.gene_table.read_gene_table` for its form and the errors."""
    table = read_gene_table(path)
    return GeneAnnotation(
        symbol_of=table.symbol_of, biotype_of=table.biotype_of, summary=f"symbols and biotypes from {table.name!r}"
    )


def annotation_of_census(
    *, census_version: str | None = None, uri: str | Path | None = None, organism: str = "homo_sapiens"
) -> GeneAnnotation:
    """From ``var`` of a Census, of all its genes.

    The parameters are those of :class:`gpcp.sources.census.cells.CensusCells`.

    Raises
    ------
    InputError
        There is no such Census or organism, or the network does not answer.
    """
    with opened_census(census_version, uri) as census:
        var: Any = experiment_of(census, organism).ms[MEASUREMENT].var
        names = [name for name in ("feature_name", "feature_type") if name in var.schema.names]
        table: dict[str, list[str | None]] = var.read(column_names=["feature_id", *names]).concat().to_pydict()
    genes = [without_version(str(gene)) for gene in table["feature_id"]]
    symbol_of, biotype_of = (
        {gene: text for gene, text in zip(genes, table.get(name, []), strict=False) if text}
        for name in ("feature_name", "feature_type")
    )
    return GeneAnnotation(symbol_of=symbol_of, biotype_of=biotype_of, summary=f"{' and '.join(names)} of the Census")


def annotation_of_h5ad(
    path: str | Path,
    *,
    modality: str | None = None,
    layer: str = "auto",
    values: Values = "auto",
    gene_id: str = "auto",
    gene_symbol: str | None = None,
    gene_table: str | Path | None = None,
    biotype: str | None = None,
) -> GeneAnnotation:
    """From the columns of ``var`` of an AnnData file.

    Parameters
    ----------
    path : str or Path
    modality, layer, values, gene_id, gene_symbol, gene_table
        As for :class:`gpcp.sources.h5ad.cells.H5adCells`.
    biotype : str, optional
        The column with kinds of genes; by default the first of :data:`gpcp.sources.gene_table.BIOTYPE_COLUMNS` that is
        there, if one is. Symbols are taken from the first of :data:`SYMBOL_COLUMNS`.

    Raises
    ------
    InputError
        The file, the layer or the column named does not exist, or no gene has an Ensembl id.
    """
    with opened(path, modality=modality) as file:
        found_layer = choose_layer(file, values)[0] if layer == "auto" else layer
        file.check_layer(found_layer)
        genes = genes_of(
            file, found_layer, gene_id=gene_id, gene_symbol=gene_symbol, gene_table=gene_table, missing_id="drop"
        ).id_G
        known = [str(name) for name in (*file.var_of(found_layer).columns, *file.var.columns)]
        if biotype is not None and biotype not in known:
            raise InputError(f"biotype column {biotype!r} is not in var of {file.name!r}; {nearest(biotype, known)}")
        kinds = next((name for name in ([biotype] if biotype else BIOTYPE_COLUMNS) if name in known), None)
        symbols = next((name for name in SYMBOL_COLUMNS if name in known), None)
        columns = " and ".join(repr(name) for name in (symbols, kinds) if name)
        return GeneAnnotation(
            symbol_of=_by_gene(file, found_layer, genes, symbols),
            # Some files write "protein coding".
            biotype_of={
                gene: kind.strip().replace(" ", "_") for gene, kind in _by_gene(file, found_layer, genes, kinds).items()
            },
            summary=f"{columns} of {file.name!r}" if columns else "",
        )


def _by_gene(file: "H5adFile", layer: str, genes: tuple[str, ...], column: str | None) -> dict[str, str]:
    """A column of ``var`` by gene id; ``raw`` may lack it and ``var`` have it."""
    if column is None:
        return {}
    own = file.var_of(layer)
    values = own[column] if column in own.columns else file.var[column]
    if column not in own.columns:
        if not file.var.index.is_unique:
            raise InputError(
                f"var of {file.name!r} has gene names twice, so {column!r} cannot be matched to those of raw"
            )
        values = values.reindex(own.index)
    return {gene: text for gene, text in zip(genes, texts(values), strict=True) if gene and text}
