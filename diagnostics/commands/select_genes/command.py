"""``python -m diagnostics select-genes``: one pass over a source, a panel of genes by rules, a table, a figure.

No dimension key: nothing here is an array.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import gpcp
from diagnostics.cli.options import add_source_arguments
from diagnostics.cli.parser import Parser, exit_code_of, positive, share, whole
from diagnostics.cli.progress import Progress
from diagnostics.commands.select_genes.report import draw, screen
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab, without_version
from gpcp.opening.cells import open_annotation, open_cells, source_options, stamp_of
from gpcp.panels.annotation import PROTEIN_CODING, GeneAnnotation, annotation_of_h5ad, notes_of_table
from gpcp.panels.first_pass import gene_statistics
from gpcp.panels.panel import ORDERS, GenePanel, choose_genes
from gpcp.panels.panel_file import read_genes, save_panel
from gpcp.panels.statistics_file import SavedStatistics, load_statistics, save_statistics

if TYPE_CHECKING:
    from gpcp.core.cells import CellSource

_EXAMPLES = """examples:
  2,000 protein-coding genes of an AnnData file
    python -m diagnostics select-genes --source cells.h5ad --protein-coding --gene-table genes.csv.gz
      --out panel.json --plot panel.png
  liver T cells of a release of the Census; its counts are kept
    python -m diagnostics select-genes --source census:2025-11-08 --tissue liver --cell-type "T cell"
      --protein-coding --statistics liver.npz --out panel.json
  another choice from the same counts, without another pass
    python -m diagnostics select-genes --statistics liver.npz --protein-coding --by variance
      --n-genes 500 --keep TP53 transcription_factors.txt --out variable.json
  the first 100 protein-coding genes, for comparison
    python -m diagnostics select-genes --statistics liver.npz --protein-coding --by first --n-genes 100
      --min-measured 0 --min-expressed 0 --out first.json

exit code: 0 done, 2 bad use, 130 interrupted; a panel is written whole or not at all, and the counts as soon as the
pass has ended, since another choice can be made from them"""


def _parser() -> Parser:
    parser = Parser(
        prog="python -m diagnostics select-genes",
        description="Count in one pass in how many cells each gene is measured and expressed, and choose a panel of "
        "genes by\nstated rules; a later run names its file.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    add_source_arguments(parser)
    add = parser.add_argument_group("the pass").add_argument
    add("--max-cells", metavar="N", type=positive, help="count a random sample of N cells (default: all)")
    add("--seed", metavar="N", type=whole, default=0, help="which cells --max-cells takes (default 0)")
    kept = "keep the counts in this file; where it has those of this source already, there is no pass"
    add("--statistics", metavar="FILE", type=Path, help=f"{kept}, and without --source they are taken from it")
    add = parser.add_argument_group("the rules").add_argument
    add("--n-genes", metavar="N", type=positive, default=2000, help="genes of the panel (default 2000)")
    least = "least share of cells measuring a gene (default .5)"
    add("--min-measured", metavar="SHARE", type=share, default=0.5, help=least)
    least = "least share of these expressing it (default .01)"
    add("--min-expressed", metavar="SHARE", type=share, default=0.01, help=least)
    orders = "; ".join(f"{name}, {summary}" for name, (summary, _) in ORDERS.items())
    add("--by", metavar="ORDER", default="expressed", help=f"which of the genes that meet the rules: {orders}")
    add("--protein-coding", action="store_true", help="protein-coding genes alone")
    table = "CSV of ids, symbols and biotypes (default: what the source says of its genes)"
    add("--gene-table", metavar="FILE", help=table)
    add("--biotype-key", metavar="COLUMN", help="column of an AnnData file's var that holds biotypes")
    ids = "ids, symbols, or files of ids"
    add("--keep", metavar="GENE", nargs="+", default=[], help=f"genes that are in whatever the rules say: {ids}")
    add("--exclude", metavar="GENE", nargs="+", default=[], help=f"genes that are out: {ids}")
    add = parser.add_argument_group("output").add_argument
    add("--out", metavar="FILE.json", type=Path, help="the panel")
    add("--plot", metavar="FILE.png", type=Path, help="the figure: png, pdf or svg")
    add("--quiet", action="store_true", help="no progress and no table")
    return parser


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """The genes named on the command line, as ids."""

    keep: tuple[str, ...]
    exclude: tuple[str, ...]
    among: frozenset[str] | None


def execute(arguments: argparse.Namespace) -> None:
    """Count, choose, show and write.

    Raises
    ------
    InputError
        Something asked for cannot be done. What can be known before the pass is refused before it.
    """
    _check_places(arguments)
    saved = _known(arguments)
    if saved is None:
        cells = open_cells(arguments.source, genes=arguments.genes, **source_options(arguments))
        about = _about(arguments, open_annotation(arguments.source, **source_options(arguments)))
        wanted = _wanted(arguments, about, cells.vocab)
        saved = _counted(arguments, cells, about.only(cells.vocab))
        if arguments.statistics is not None:
            save_statistics(arguments.statistics, saved)
    else:
        about = _about(arguments, saved.about)
        wanted = _wanted(arguments, about, saved.statistics.vocab)
    panel = choose_genes(
        saved.statistics,
        n_genes=arguments.n_genes,
        min_measured=arguments.min_measured,
        min_expressed=arguments.min_expressed,
        keep=wanted.keep,
        among=wanted.among,
        exclude=wanted.exclude,
        by=arguments.by,
        about=about,
        provenance="\n".join(filter(None, (_in_words(saved), saved.provenance, about.summary))),
    )
    _write(arguments, saved, panel)


def _check_places(arguments: argparse.Namespace) -> None:
    """Refuse what is missing, and places that nothing can be written to, before a long pass ends there."""
    if arguments.source is None and arguments.statistics is None:
        raise InputError("name where cells come from: --source KIND:PLACE, or --statistics FILE of an earlier pass")
    if arguments.out is None:
        raise InputError("name the file of the panel: --out panel.json")
    if arguments.by not in ORDERS:
        raise InputError(f"--by is {arguments.by!r}; {nearest(arguments.by, ORDERS)}")
    if arguments.plot is not None and arguments.plot.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"--plot: {str(arguments.plot)!r} does not end in .png, .pdf or .svg")
    for option in ("out", "plot", "statistics"):
        path: Path | None = getattr(arguments, option)
        if path is None:
            continue
        if path.is_dir():
            raise InputError(f"--{option}: {str(path)!r} is a folder; name a file in it")
        existing = next(parent for parent in path.absolute().parents if parent.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise InputError(f"--{option}: nothing can be written in {str(existing)!r}; name another place")


def _asked(arguments: argparse.Namespace) -> dict[str, str]:
    """What decides the counts of a pass."""
    options = source_options(arguments)
    asked = {"source": arguments.source, "files": stamp_of(arguments.source)}
    asked |= {f"--{option.replace('_', '-')}": str(options[option]) for option in sorted(options)}
    if arguments.genes is not None:
        asked["--genes"] = ",".join(read_genes(arguments.genes))
    if arguments.max_cells is not None:
        asked |= {"--max-cells": str(arguments.max_cells), "--seed": str(arguments.seed)}
    return asked


def _known(arguments: argparse.Namespace) -> SavedStatistics | None:
    """The counts of an earlier pass, where the file of ``--statistics`` has those asked for."""
    file: Path | None = arguments.statistics
    if arguments.source is None:
        given = [*source_options(arguments), *(name for name in ("genes", "max_cells") if getattr(arguments, name))]
        if given:
            raise InputError(f"--{given[0].replace('_', '-')} is for a pass over a source: name it with --source")
        return load_statistics(file or Path())
    if file is None or not file.exists():
        return None
    saved, asked = load_statistics(file), _asked(arguments)
    for name in (*asked, *saved.asked):
        had, wants = saved.asked.get(name), asked.get(name)
        if had != wants:
            what = "the files of the source have changed since" if name == "files" else f"{name} was {had}, now {wants}"
            raise InputError(
                f"--statistics: {str(file)!r} holds the counts of another pass ({_short(what)}); name another file, or "
                "leave --source out to choose from those counts"
            )
    _say(arguments, f"no pass: the counts are those of {str(file)!r}")
    return saved


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _about(arguments: argparse.Namespace, source: GeneAnnotation) -> GeneAnnotation:
    """Symbols and kinds of genes: what was named, before what the source says."""
    about = source
    if arguments.biotype_key is not None:
        if arguments.source is None or ".h5ad" not in arguments.source:
            raise InputError("--biotype-key is a column of an AnnData file: name it with --source, or use --gene-table")
        about = _h5ad_notes(arguments) | about
    return about if arguments.gene_table is None else notes_of_table(arguments.gene_table) | about


def _h5ad_notes(arguments: argparse.Namespace) -> GeneAnnotation:
    options = source_options(arguments)
    return annotation_of_h5ad(
        arguments.source.removeprefix("h5ad:"),
        layer=options.get("layer", "auto"),
        values=options.get("values", "auto"),
        gene_id=options.get("gene_id_key", "auto"),
        biotype=arguments.biotype_key,
    )


def _wanted(arguments: argparse.Namespace, about: GeneAnnotation, vocab: GeneVocab) -> _Wanted:
    """The genes named on the command line, found before the pass."""
    among = None
    if arguments.protein_coding:
        try:
            among = about.of_biotype(PROTEIN_CODING)
        except InputError as error:
            raise InputError(f"--protein-coding: {error}: --gene-table FILE, or --biotype-key COLUMN") from None
        if not any(gene in vocab for gene in among):
            raise InputError(f"--protein-coding: none of the {len(vocab)} genes of the source is ({about.summary})")
    if arguments.n_genes > len(vocab):
        raise InputError(f"--n-genes is {arguments.n_genes}, but the source has {len(vocab)} genes: ask for fewer")
    return _Wanted(
        keep=_ids(arguments.keep, about, vocab, option="keep"),
        exclude=_ids(arguments.exclude, about, vocab, option="exclude"),
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


def _counted(arguments: argparse.Namespace, cells: "CellSource", about: GeneAnnotation) -> SavedStatistics:
    """The pass."""
    with Progress("first pass", None, unit="cells", quiet=arguments.quiet, opening=False) as progress:
        statistics = gene_statistics(
            cells, max_cells=arguments.max_cells, seed=arguments.seed, on_progress=progress.of_total
        )
    said: Any = getattr(cells, "provenance", "")
    return SavedStatistics(
        statistics=statistics,
        about=about,
        provenance=said if isinstance(said, str) else "",
        asked=_asked(arguments),
    )


def _in_words(saved: SavedStatistics) -> str:
    """What the pass was asked for."""
    given = [f"{name} {_short(value)}" for name, value in saved.asked.items() if name.startswith("--")]
    return " ".join([saved.asked.get("source", ""), *given])


def _write(arguments: argparse.Namespace, saved: SavedStatistics, panel: GenePanel) -> None:
    """Show and write what came out."""
    if arguments.plot is not None:
        draw(
            arguments.plot,
            saved.statistics,
            panel,
            min_measured=arguments.min_measured,
            min_expressed=arguments.min_expressed,
        )
    save_panel(arguments.out, panel)
    if not arguments.quiet:
        print(screen(saved.statistics, panel, by=arguments.by))
        written = [str(path) for path in (arguments.out, arguments.plot, arguments.statistics) if path is not None]
        print(f"\n{len(panel):,} genes in {written[0]}{''.join(f'; {path}' for path in written[1:])}")


def _say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.quiet:
        print(f"select_genes: {text}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 done, 2 bad use, 130 interrupted.
    """

    def run() -> int:
        execute(_parser().parse_args(argv))
        return 0

    return exit_code_of("select_genes", run, interrupted="no panel was written")


if __name__ == "__main__":
    sys.exit(main())
