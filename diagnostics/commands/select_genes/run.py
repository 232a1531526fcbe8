"""What ``select-genes`` does: count in one pass, choose, show and write."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from diagnostics.cli.options import named
from diagnostics.cli.progress import Progress
from diagnostics.commands.select_genes.command import Request
from diagnostics.commands.select_genes.report import draw, screen
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab, without_version
from gpcp.opening.cells import open_annotation, open_cells, options_taken, scheme_and_place
from gpcp.opening.stamps import stamp_of
from gpcp.panels.annotation import PROTEIN_CODING, GeneAnnotation, notes_of_table
from gpcp.panels.first_pass import gene_statistics
from gpcp.panels.panel import GenePanel, choose_genes
from gpcp.panels.panel_file import read_genes, save_panel
from gpcp.panels.statistics_file import SavedStatistics, load_statistics, save_statistics

if TYPE_CHECKING:
    from gpcp.core.cells import CellSource


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """The genes named on the command line, as ids."""

    keep: tuple[str, ...]
    exclude: tuple[str, ...]
    among: frozenset[str] | None


def execute(request: Request) -> int:
    """Count, choose, show and write.

    Raises
    ------
    InputError
        Something asked for cannot be done. What can be known before the pass is refused before it.
    """
    out = _checked(request)
    saved, not_kept = _known(request), None
    if saved is None:
        options = _options(request)
        cells = open_cells(named(request.source), genes=request.source.genes, in_memory=False, **options)
        about = _about(request, open_annotation(named(request.source), **options))
        wanted = _wanted(request, about, cells.vocab)
        saved = _counted(request, cells, about.only(cells.vocab))
        if request.statistics is not None:
            try:
                save_statistics(request.statistics, saved)
            except OSError as error:
                # The panel can be chosen and shown all the same.
                not_kept = error
    else:
        about = _about(request, saved.about)
        wanted = _wanted(request, about, saved.statistics.vocab)
    panel = choose_genes(
        saved.statistics,
        n_genes=request.n_genes,
        min_measured=request.min_measured,
        min_expressed=request.min_expressed,
        keep=wanted.keep,
        among=wanted.among,
        exclude=wanted.exclude,
        by=request.by,
        about=about,
        provenance="\n".join(filter(None, (_in_words(saved), saved.provenance, about.summary))),
    )
    _write(request, out, saved, panel)
    if not_kept is not None:
        raise not_kept
    return 0


def _checked(request: Request) -> Path:
    """The panel's file; what is missing and paths that nothing can be written to are refused before a long pass."""
    if request.source.source is None and request.statistics is None:
        raise InputError("name where cells come from: --source KIND:PLACE, or --statistics FILE of an earlier pass")
    if request.out is None:
        raise InputError("name the file of the panel: --out panel.json")
    for option, path in (("out", request.out), ("plot", request.plot), ("statistics", request.statistics)):
        if path is None:
            continue
        if path.is_dir():
            raise InputError(f"--{option}: {str(path)!r} is a folder; name a file in it")
        existing = next(parent for parent in path.absolute().parents if parent.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise InputError(f"--{option}: nothing can be written in {str(existing)!r}; name another path")
    return request.out


def _options(request: Request) -> dict[str, Any]:
    """Options of the source; a table that it does not take says what its genes are all the same."""
    return options_taken(named(request.source), request.source.given(), but=("gene_table",))


def _asked(request: Request) -> dict[str, str]:
    """What decides the counts of a pass."""
    options = _options(request)
    text = named(request.source)
    asked = {"source": text, "files": stamp_of(text, **options)}
    asked |= {f"--{option.replace('_', '-')}": str(options[option]) for option in sorted(options)}
    if request.source.genes is not None:
        asked["--genes"] = ",".join(read_genes(request.source.genes))
    if request.max_cells is not None:
        asked |= {"--max-cells": str(request.max_cells), "--seed": str(request.seed)}
    return asked


def _known(request: Request) -> SavedStatistics | None:
    """The counts of an earlier pass, where the file of ``--statistics`` has those asked for."""
    file: Path | None = request.statistics
    if request.source.source is None:
        given = [*(request.source.given().keys() - {"gene_table"}), *(["genes"] if request.source.genes else [])]
        given += ["max_cells"] if request.max_cells else []
        if given:
            raise InputError(f"--{given[0].replace('_', '-')} is for a pass over a source: name it with --source")
        return load_statistics(file or Path())
    if file is None or not file.exists():
        return None
    saved, asked = load_statistics(file), _asked(request)
    for name in (*asked, *saved.asked):
        had, wants = saved.asked.get(name), asked.get(name)
        if had != wants:
            what = "the files of the source have changed since" if name == "files" else f"{name} was {had}, now {wants}"
            raise InputError(
                f"--statistics: {str(file)!r} holds the counts of another pass ({_short(what)}); name another file, or "
                "leave --source out to choose from those counts"
            )
    _say(request, f"no pass: the counts are those of {str(file)!r}")
    return saved


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _about(request: Request, source: GeneAnnotation) -> GeneAnnotation:
    """Symbols and kinds of genes: what was named, before what the source says."""
    about = source
    table: str | None = request.source.given().get("gene_table")
    if request.biotype_key is not None:
        if scheme_and_place(named(request.source))[0] != "h5ad":
            raise InputError("--biotype-key is a column of an AnnData file: name it with --source, or use --gene-table")
        own = open_annotation(named(request.source), **_options(request), biotype=request.biotype_key)
        about = own | about
    return about if table is None else notes_of_table(table) | about


def _wanted(request: Request, about: GeneAnnotation, vocab: GeneVocab) -> _Wanted:
    """The genes named on the command line, found before the pass."""
    among = None
    if request.protein_coding:
        try:
            among = about.of_biotype(PROTEIN_CODING)
        except InputError as error:
            raise InputError(f"--protein-coding: {error}: --gene-table FILE, or --biotype-key COLUMN") from None
        if not any(gene in vocab for gene in among):
            raise InputError(f"--protein-coding: none of the {len(vocab)} genes of the source is ({about.summary})")
    if request.n_genes > len(vocab):
        raise InputError(f"--n-genes is {request.n_genes}, but the source has {len(vocab)} genes: ask for fewer")
    return _Wanted(
        keep=_ids(request.keep, about, vocab, option="keep"),
        exclude=_ids(request.exclude, about, vocab, option="exclude"),
        among=among,
    )


def _ids(named: Sequence[str], about: GeneAnnotation, vocab: GeneVocab, *, option: str) -> tuple[str, ...]:
    """Ids of genes named by id, by symbol, or by a file of ids."""
    ids_of: dict[str, list[str]] = {}  # by symbol
    for gene, symbol in about.symbol_of.items():
        if gene in vocab:
            ids_of.setdefault(symbol, []).append(gene)
    found: list[str] = []
    for name in named:
        gene = without_version(name)
        bearers = ids_of.get(name, [])
        if gene in vocab:
            found.append(gene)
        elif len(bearers) == 1:
            found += bearers
        elif bearers:
            raise InputError(
                f"--{option}: {len(bearers)} genes are called {name!r}: give the id, {bearers[0]} or another"
            )
        elif Path(name).is_file():
            found += read_genes(name)
        else:
            known = nearest(name, [*ids_of, *vocab.feature_id])
            raise InputError(f"--{option}: {name!r} is no gene of the source and no file; {known}")
    return tuple(found)


def _counted(request: Request, cells: "CellSource", about: GeneAnnotation) -> SavedStatistics:
    """The pass."""
    with Progress("first pass", None, unit="cells", quiet=request.quiet, opening=False) as progress:
        statistics = gene_statistics(
            cells, max_cells=request.max_cells, seed=request.seed, on_progress=progress.of_total
        )
    stated: Any = getattr(cells, "provenance", "")
    return SavedStatistics(
        statistics=statistics,
        about=about,
        provenance=stated if isinstance(stated, str) else "",
        asked=_asked(request),
    )


def _in_words(saved: SavedStatistics) -> str:
    """What the pass was asked for."""
    given = [f"{name} {_short(value)}" for name, value in saved.asked.items() if name.startswith("--")]
    return " ".join([saved.asked.get("source", ""), *given])


def _write(request: Request, out: Path, saved: SavedStatistics, panel: GenePanel) -> None:
    """Show and write what came out."""
    if not request.quiet:
        print(screen(saved.statistics, panel, by=request.by), flush=True)
    save_panel(out, panel)
    if request.plot is not None:
        draw(
            request.plot,
            saved.statistics,
            panel,
            min_measured=request.min_measured,
            min_expressed=request.min_expressed,
        )
    if not request.quiet:
        written = [str(path) for path in (out, request.plot, request.statistics) if path is not None]
        print(f"\n{len(panel):,} genes in {written[0]}{''.join(f'; {path}' for path in written[1:])}")


def _say(request: Request, text: str) -> None:
    if not request.quiet:
        print(f"select_genes: {text}", file=sys.stderr)
