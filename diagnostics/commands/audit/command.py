"""``gpcp audit``: is it my data? What the change between paired cells is made of."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.audit.verdicts import thresholds_text
from diagnostics.cli.app import verb
from diagnostics.cli.options import (
    DATA,
    PAIRS,
    CommandLine,
    MaxCells,
    OutputOptions,
    PairChoice,
    Seed,
    SourceOptions,
    named,
)
from diagnostics.cli.values import MANY, POSITIVE
from gpcp.core.errors import InputError, nearest
from gpcp.opening.pairs import MAX_CELLS
from gpcp.pairing.rules import PairRule
from gpcp.panels.panel import ORDERS

_NOTES = """examples:
  the first hundred genes of a file against its hundred most variable
    gpcp audit --source h5ad:cells.h5ad --cell-type-key cell_type
  a panel chosen before, patients against controls of one cell type and dataset
    gpcp audit --source census:2025-11-08 --tissue blood \\
        --panel panel.json --match-on cell_type dataset --differ-on disease
  simulated cells, sequenced to 5,000 counts
    gpcp audit --source synthetic:scale_free/20 --library-size 5000

"""

_PANEL = Group("Chosen panel", sort_key=18)

app = verb(
    "audit",
    about="How much of the change between paired cells is regression to the mean, counting noise, depth, dataset or "
    "cell type; what is measured and expressed; what matching buys; and what the best linear predictor can "
    "gain on cells it has not seen. The first hundred protein-coding genes stand beside the chosen panel.",
    notes=_NOTES + thresholds_text() + "\nexit code: 0 ran, 1 ran and the pairs cannot teach, 2 bad use, "
    "130 interrupted",
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which cells, which genes of them, and how they are paired."""

    source: SourceOptions = SourceOptions()
    max_cells: MaxCells = MAX_CELLS
    panel: Annotated[
        str | None, Parameter(group=_PANEL, metavar="FILE", help="genes of gpcp select-genes, or one id a line")
    ] = None
    n_genes: Annotated[
        int | None, POSITIVE, Parameter(group=_PANEL, help="else: so many genes (default: 100, or all that there are)")
    ] = None
    by: Annotated[str, Parameter(group=_PANEL, metavar="ORDER", help=f"ranked by one of {', '.join(ORDERS)}")] = (
        "variance"
    )
    pairs: PairChoice = PairChoice()
    prefer_on: Annotated[
        tuple[str, ...], MANY, Parameter(group=PAIRS, metavar="NAME", help="what they share if it can be had")
    ] = ()
    best_of: Annotated[int, POSITIVE, Parameter(group=PAIRS, metavar="K", help="most alike of K candidates")] = 1
    max_pairs: Annotated[int, POSITIVE, Parameter(group=DATA, help="pairs to measure")] = 20_000
    seed: Seed = 0
    output: OutputOptions = OutputOptions()


def check(request: Request) -> None:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        A name is unknown, or options exclude each other.
    """
    named(request.source)
    if request.by not in ORDERS:
        raise InputError(f"--by is {request.by!r}; {nearest(request.by, ORDERS)}")
    if request.panel is not None and request.n_genes is not None:
        raise InputError("--panel and --n-genes both say which genes: give one of them")
    if request.pairs.regime not in (None, "matched"):
        raise InputError(
            "--regime is for pairs that a world makes; an audit looks at cells matched two by two: leave it out"
        )
    match_on = request.pairs.match_on
    PairRule(
        match_on=("cell_type",) if match_on is None else match_on,
        differ_on=request.pairs.differ_on,
        prefer_on=request.prefer_on,
    )


@app.default
def audit(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Audit the pairs of some cells."""
    check(request)
    # Heavy imports come after the arguments are checked, so that --help and a wrong option answer at once.
    from diagnostics.commands.audit.run import execute

    return execute(request, command_line)
