"""``gpcp select-genes``: one pass over a source, a panel of genes by rules, a table, a figure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import DATA, OUTPUT, CommandLine, Seed, SourceOptions
from diagnostics.cli.values import FLAG, MANY, POSITIVE, SHARE
from gpcp.core.errors import InputError, nearest
from gpcp.panels.panel import ORDERS

_NOTES = """examples:
  2,000 protein-coding genes of an AnnData file
    gpcp select-genes --source cells.h5ad --protein-coding --gene-table genes.csv.gz \\
        --out panel.json --plot panel.png
  liver T cells of a release of the Census; its counts are kept
    gpcp select-genes --source census:2025-11-08 --tissue liver --cell-type "T cell" \\
        --protein-coding --statistics liver.npz --out panel.json
  another choice from the same counts, without another pass
    gpcp select-genes --statistics liver.npz --protein-coding --by variance \\
        --n-genes 500 --keep TP53 transcription_factors.txt --out variable.json
  the first 100 protein-coding genes, for comparison
    gpcp select-genes --statistics liver.npz --protein-coding --by first --n-genes 100 \\
        --min-measured 0 --min-expressed 0 --out first.json

exit code: 0 done, 2 bad use, 130 interrupted; files are written atomically, the counts as soon as the pass
has ended, since another choice can be made from them"""

_RULES = Group("Rules", sort_key=18)

app = verb(
    "select-genes",
    about="Counts in one pass in how many cells each gene is measured and expressed, and chooses a panel of genes by "
    "stated rules; a later run names its file.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which cells are counted, and by which rules genes are chosen."""

    source: SourceOptions = SourceOptions()
    max_cells: Annotated[
        int | None, POSITIVE, Parameter(group=DATA, help="count a random sample of N cells (default: all)")
    ] = None
    seed: Seed = 0
    statistics: Annotated[
        Path | None,
        Parameter(
            group=DATA,
            metavar="FILE",
            help="keep the counts in this file; where it has those of this source already, there is no pass, and "
            "without --source they are taken from it",
        ),
    ] = None
    n_genes: Annotated[int, POSITIVE, Parameter(group=_RULES, help="genes of the panel")] = 2000
    min_measured: Annotated[float, SHARE, Parameter(group=_RULES, help="least share of cells measuring a gene")] = 0.5
    min_expressed: Annotated[float, SHARE, Parameter(group=_RULES, help="least share of these expressing it")] = 0.01
    by: Annotated[
        str,
        Parameter(
            group=_RULES,
            metavar="ORDER",
            help="which of the genes that meet the rules: "
            + "; ".join(f"{name}, {summary}" for name, (summary, _) in ORDERS.items()),
        ),
    ] = "expressed"
    protein_coding: Annotated[bool, FLAG, Parameter(group=_RULES, help="protein-coding genes alone")] = False
    biotype_key: Annotated[
        str | None,
        Parameter(group=_RULES, metavar="COLUMN", help="column of an AnnData file's var that holds biotypes"),
    ] = None
    keep: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(
            group=_RULES, metavar="GENE", help="genes that are in whatever the rules say: ids, symbols, files of ids"
        ),
    ] = ()
    exclude: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(group=_RULES, metavar="GENE", help="genes that are out: ids, symbols, files of ids"),
    ] = ()
    out: Annotated[Path | None, Parameter(group=OUTPUT, metavar="FILE.json", help="the panel")] = None
    plot: Annotated[Path | None, Parameter(group=OUTPUT, metavar="FILE.png", help="the figure: png, pdf or svg")] = None
    quiet: Annotated[bool, FLAG, Parameter(group=OUTPUT, help="no progress and no table")] = False


def check(request: Request) -> None:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        A name is unknown, or a figure would be of an unknown kind.
    """
    if request.by not in ORDERS:
        raise InputError(f"--by is {request.by!r}; {nearest(request.by, ORDERS)}")
    if request.plot is not None and request.plot.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"--plot: {str(request.plot)!r} does not end in .png, .pdf or .svg")


@app.default
def select_genes(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Choose a panel of genes."""
    del command_line
    check(request)
    from diagnostics.commands.select_genes.run import execute

    return execute(request)
