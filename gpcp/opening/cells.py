"""Sources of cells by name, ``SCHEME:PLACE``: the form in which commands name where cells come from.

``h5ad:FILE``, ``census:VERSION-OR-FOLDER`` and ``cache:FOLDER`` are here; a package above registers its own with
``SCHEMES.register(name)(Scheme(...))``, and options of its own with ``OPTIONS.register(name)(Option(...))``.
"""

import re
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError, nearest
from gpcp.core.registry import Registry
from gpcp.panels.annotation import GeneAnnotation, annotation_of_census, annotation_of_h5ad
from gpcp.panels.panel_file import read_genes
from gpcp.sources.cache.cells import CachedCells
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.h5ad.cells import H5adCells
from gpcp.sources.h5ad.files.open_file import KINDS, SUFFIXES, is_cells_folder
from gpcp.sources.subsets import OnlyGenes

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """An option of sources, on the command line with dashes.

    Parameters
    ----------
    summary : str
        The line of ``--help``.
    metavar : str
        What stands for the value there; none for an option that is there or not.
    many : bool
        It may be given several times, for a list.
    kind : str
        What its text stands for: text as it is, a whole number from 1 or from 0 up, or a share, 0 .. 1.
    """

    summary: str
    metavar: str = ""
    many: bool = False
    kind: Literal["text", "positive", "whole", "share"] = "text"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """A kind of source.

    Parameters
    ----------
    summary : str
        ``PLACE`` and what it is, as ``--help`` shows it.
    cells : callable
        ``cells(place, **options)`` opens the source; it is given the options that the caller gave.
    options : tuple of str
        Names of :data:`OPTIONS` that it takes, besides ``genes``.
    notes : callable, optional
        ``notes(place, **options)``: symbols and kinds of its genes. It takes the same options.
    in_passes : callable, optional
        As ``cells``, of a source that is gone through once or twice: it keeps little in memory. ``cells`` by default.
    passed_on : tuple of str
        Names of further options, which are those of the source that its place names.
    """

    summary: str
    cells: Callable[..., CellSource]
    options: tuple[str, ...] = ()
    notes: Callable[..., GeneAnnotation] | None = None
    in_passes: Callable[..., CellSource] | None = None
    passed_on: tuple[str, ...] = ()


SCHEMES: Registry[Scheme] = Registry("source of cells")
OPTIONS: Registry[Option] = Registry("option of sources")

_RELEASE = re.compile(r"\d{4}-\d{2}-\d{2}|stable|latest|V\d+")


def open_cells(
    text: "str | Path | AnnData",
    *,
    genes: Sequence[str] | str | Path | None = None,
    in_memory: bool = True,
    **options: Any,
) -> CellSource:
    """Open the source that a text names.

    Parameters
    ----------
    text : str, Path or AnnData
        ``SCHEME:PLACE`` of :data:`SCHEMES`; what is of an AnnData file's kinds may be named without a scheme. An
        object takes the options of such a file.
    genes : sequence of str, or str or Path, optional
        Ensembl ids to keep, in this order, or a file of them (:func:`gpcp.panels.panel_file.read_genes`); all by
        default.
    in_memory : bool
        False for a source that is gone through once or twice and may be larger than memory.
    **options
        Of :data:`OPTIONS`; None is as if it were not given.

    Raises
    ------
    InputError
        The scheme or an option is unknown (the message names the nearest), the scheme does not take an option, or
        as the source itself.
    """
    scheme, place, given = _resolved(text, options)
    ids = read_genes(genes) if isinstance(genes, (str, Path)) else genes
    cells = scheme.cells if in_memory else scheme.in_passes or scheme.cells
    with _as_options():
        return cells(place, **given) if ids is None else cells(place, genes=tuple(ids), **given)


def open_annotation(text: str, *, biotype: str | None = None, **options: Any) -> GeneAnnotation:
    """Symbols and kinds of the genes of the source that a text names; nothing where it does not know.

    ``biotype`` is the column of ``var`` of an AnnData file that holds the kinds.

    Raises
    ------
    InputError
        As :func:`open_cells`.
    """
    scheme, place, given = _resolved(text, options)
    with _as_options():
        column = {} if biotype is None else {"biotype": biotype}
        return GeneAnnotation() if scheme.notes is None else scheme.notes(place, **given, **column)


def options_taken(text: str, options: Mapping[str, Any], *, but: Collection[str] = ()) -> dict[str, Any]:
    """The options, less those of ``but`` that the source does not take: what else they are for is the caller's.

    Raises
    ------
    InputError
        As :func:`open_cells`.
    """
    scheme = SCHEMES[scheme_and_place(text)[0]]
    return {
        name: value
        for name, value in options.items()
        if name not in but or name in (*scheme.options, *scheme.passed_on)
    }


@contextmanager
def _as_options() -> Generator[None]:
    """Parameters of sources that a message advises are called as the options are."""
    try:
        yield
    except InputError as error:
        raise type(error)(_PARAMETER.sub(_option_of, str(error))) from error


_PARAMETERS = "gene_id|gene_symbol|gene_table|gene_length|layer|values|nan|par_y|total|genes"
_PARAMETER = re.compile(rf"\b({_PARAMETERS})=('[^']*')?|^({_PARAMETERS})(?= is )")


def _option_of(found: "re.Match[str]") -> str:
    parameter = found[1] or found[3]
    name = {"gene_id": "gene-id-key", "total": "total-key"}.get(parameter, parameter.replace("_", "-"))
    return f"--{name} {found[2].strip(chr(39))}" if found[2] else f"--{name}"


def scheme_and_place(text: str) -> tuple[str, str]:
    """Scheme and place of a source's name.

    Raises
    ------
    InputError
        The scheme is unknown or the place is missing.
    """
    scheme, colon, place = text.partition(":")
    if colon and scheme in SCHEMES:
        if not place:
            raise InputError(f"source {text!r} names no place: {SCHEMES[scheme].summary}")
        return scheme, place
    path = Path(text)
    if path.is_file() or path.suffix in SUFFIXES or is_cells_folder(path):
        return "h5ad", text
    ways = "; ".join(f"{name}:{SCHEMES[name].summary}" for name in SCHEMES)
    if path.is_dir():
        raise InputError(f"source {text!r} is a folder: say of what kind ({ways})")
    if colon and "/" not in scheme:
        raise InputError(f"source {text!r} is of an unknown kind {scheme!r}; {nearest(scheme, SCHEMES)} ({ways})")
    raise InputError(f"source {text!r} is no file that exists and has no kind before a colon ({ways})")


def shown_as(text: "str | Path | AnnData") -> str:
    """What a source is called in messages and reports."""
    return str(text) if isinstance(text, (str, Path)) else "the AnnData object"


def _resolved(text: "str | Path | AnnData", options: Mapping[str, Any]) -> tuple[Scheme, Any, dict[str, Any]]:
    """The scheme, the place, and the options given, checked."""
    shown = shown_as(text)
    name, place = scheme_and_place(shown) if isinstance(text, (str, Path)) else ("h5ad", text)
    scheme = SCHEMES[name]
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in OPTIONS:
            raise InputError(f"option {option!r} of sources is unknown; {nearest(option, OPTIONS)}")
        if option not in (*scheme.options, *scheme.passed_on):
            takers = [other for other in SCHEMES if option in SCHEMES[other].options]
            raise InputError(
                f"--{option.replace('_', '-')} is for {' and '.join(takers) or 'no'} sources, and {shown!r} is of kind "
                f"{name}: leave it out"
            )
    return scheme, place, given


def _h5ad(
    place: "str | AnnData", *, genes: tuple[str, ...] | None = None, modality: str | None = None, **options: Any
) -> CellSource:
    return H5adCells(place, modality=modality, genes=genes, **h5ad_arguments(**options))


def h5ad_arguments(*, gene_id_key: str = "auto", total_key: str | None = None, **options: Any) -> dict[str, Any]:
    """Arguments of ``H5adCells`` from the options of such a file; what lacks an id, a length or a label is left out."""
    given: dict[str, Any] = {"layer": "auto", "nan": "error", "gene_id": gene_id_key, "total": total_key}
    given |= {"missing_id": "drop", "missing_length": "drop", "missing_label": "drop"}
    return given | {key.removesuffix("_key") if key in COLUMNS else key: value for key, value in options.items()}


def _h5ad_notes(place: str, *, gene_id_key: str = "auto", **options: Any) -> GeneAnnotation:
    names = ("modality", "layer", "values", "gene_symbol", "gene_table", "biotype")
    known = {key: options[key] for key in names if key in options}
    return annotation_of_h5ad(place, gene_id=gene_id_key, **known)


def _census_place(place: str) -> dict[str, str]:
    """A release or an address, as the Census takes it."""
    return {"census_version": place} if _RELEASE.fullmatch(place) else {"uri": place}


def _census(place: str, *, all_cells: bool = False, **options: Any) -> CellSource:
    where: dict[str, Any] = _census_place(place)
    return CensusCells(**where, is_primary_data=None if all_cells else True, **options)


def _census_notes(place: str, *, organism: str = "homo_sapiens", **_: object) -> GeneAnnotation:
    where: dict[str, Any] = _census_place(place)
    return annotation_of_census(**where, organism=organism)


def _cache(place: str, *, genes: tuple[str, ...] | None = None) -> CellSource:
    cells = CachedCells(place)
    return cells if genes is None or genes == cells.vocab.feature_id else OnlyGenes(cells, genes)


COLUMNS: Mapping[str, str] = {
    f"{covariate}_key": f"column of obs with {what}"
    for covariate, what in {
        "cell_type": "cell types",
        "dataset": "datasets, which measure different genes",
        "assay": "assays",
        "donor": "donors",
        "tissue": "tissues",
        "disease": "diseases",
        "batch": "batches",
    }.items()
}
"""One option for each of :data:`gpcp.core.cells.COVARIATES`, and its line of ``--help``."""

_FILTERS = ("tissue", "tissue_general", "cell_type", "disease", "assay", "dataset")

H5AD_OPTIONS: Mapping[str, Option] = {
    "modality": Option(metavar="NAME", summary="of a .h5mu: which of its modalities (default: rna, or the only one)"),
    "layer": Option(metavar="NAME", summary="X, raw or a layer's name (default: counts by name, else log values of X)"),
    "values": Option(metavar="KIND", summary="what the values are: auto, counts or log (default auto)"),
    "gene_id_key": Option(
        metavar="COLUMN",
        summary="column of var with Ensembl ids, or names: the index as it is (default: best)",
    ),
    "gene_symbol": Option(metavar="COLUMN", summary="column of var with symbols, or index, looked up in --gene-table"),
    "gene_table": Option(
        metavar="FILE", summary="CSV of genes: id, symbol, version, length, biotype; for files that lack some of these"
    ),
    "gene_length": Option(
        metavar="COLUMN", summary="gene lengths of full-length assays: a column of var (feature_length), a CSV, or none"
    ),
    "par_y": Option(metavar="KIND", summary="genes of Y that X has too, ..._PAR_Y: keep or drop (default keep)"),
    "total_key": Option(
        metavar="COLUMN", summary="column of obs with totals of counts, or none (default: of raw or obs, if larger)"
    ),
    "nan": Option(metavar="KIND", summary="NaN in the file: error, or unmeasured (default error)"),
}

SCHEMES.register("h5ad")(
    Scheme(
        summary=f"FILE, {KINDS}",
        cells=_h5ad,
        in_passes=partial(_h5ad, in_memory=False),
        notes=_h5ad_notes,
        options=(*COLUMNS, *H5AD_OPTIONS),
    )
)
SCHEMES.register("census")(
    Scheme(
        summary="VERSION, a release of CELLxGENE Census, or FOLDER, a copy of one",
        cells=_census,
        notes=_census_notes,
        options=("organism", *_FILTERS, "all_cells", "value_filter", "io_batch_size"),
    )
)
SCHEMES.register("cache")(Scheme(summary="FOLDER, a panel cache", cells=_cache))

for _name, _option in {
    **{name: Option(metavar="COLUMN", summary=summary) for name, summary in COLUMNS.items()},
    **H5AD_OPTIONS,
    "organism": Option(metavar="NAME", summary="organism (default homo_sapiens)"),
    "tissue": Option(
        metavar="NAME", many=True, summary="tissue to keep, as the Census writes it; repeat it for several"
    ),
    "tissue_general": Option(metavar="NAME", many=True, summary="organ or system to keep; repeat it for several"),
    "cell_type": Option(metavar="NAME", many=True, summary="cell type to keep; repeat it for several"),
    "disease": Option(metavar="NAME", many=True, summary="disease to keep, such as normal; repeat it for several"),
    "assay": Option(metavar="NAME", many=True, summary="assay to keep; repeat it for several"),
    "dataset": Option(metavar="ID", many=True, summary="dataset to keep; repeat it for several"),
    "all_cells": Option(summary="cells that are in several datasets as often as they are (default: once)"),
    "value_filter": Option(metavar="TEXT", summary="a further condition in SOMA's language, such as 'nnz > 500'"),
    "io_batch_size": Option(metavar="N", kind="positive", summary="cells read at a time: memory against time"),
}.items():
    OPTIONS.register(_name)(_option)


def source_options(arguments: object) -> dict[str, Any]:
    """The options of sources among the attributes of a command's arguments, as :func:`open_cells` takes them."""
    given = {option: getattr(arguments, option, None) for option in OPTIONS}
    return {option: value for option, value in given.items() if value is not None}
