"""``gpcp compare``: which heads, value embeddings, query forms or query mixings lose information."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.experiments import NGenes, Regime
from diagnostics.cli.options import (
    PAIRS,
    RUNS,
    CommandLine,
    Fresh,
    OutputOptions,
    Preset,
    Scheduler,
    Seed,
    Seeds,
    Settings,
    SourceOptions,
    Workers,
)
from diagnostics.cli.values import MANY, POSITIVE, RANGE

_NOTES = """examples:
  every head, five seeds, 20 genes: about 4 minutes on 2 free cores; started again it goes on where it was
    gpcp compare
  is `out` losing information?
    gpcp compare --heads linear mlp pooled_scalar
  many perturbed genes, and no skip connection
    gpcp compare --n-perturbed 1-19 --set skip=false --steps 600
  where only the perturbed genes are queries
    gpcp compare --heads pooled pooled_scalar --set query_form=perturbed_genes
  the same for how values become tokens, and for which genes are queries
    gpcp compare --value-embeddings
    gpcp compare --query-forms --set head=pooled
  and for how genes meet
    gpcp compare --query-mixings --preset mixing --source synthetic:scale_free/100 --n-perturbed 1-99 --steps 250
  on real cells, between the input-free baseline and the best linear predictor
    gpcp compare --source h5ad:cells.h5ad --cell-type-key cell_type --n-perturbed 1-19

"tie" is a paired interval that holds 0; "worse" and "better" are of the loss, within these steps. Information
is called lost only where the rank argument (the output rank of the head beside what the exact answer needs)
and the measurement (another head came below what that rank allows) both say so; of real cells, whose exact
answer is not known, that is not known.

exit code: 0 compared, 2 bad use, 130 interrupted"""

_PARTS = Group("What is compared (one of these)", sort_key=0)

app = verb(
    "compare",
    about="Trains configurations that differ in one part on the same pairs, from the same seeds, and says which learn "
    "more, which tie, and which lose information.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which part is compared, on which pairs, and how it is trained."""

    heads: Annotated[
        tuple[str, ...] | None,
        MANY,
        Parameter(group=_PARTS, metavar="NAME", help="output heads (no name: all that fit)"),
    ] = None
    value_embeddings: Annotated[
        tuple[str, ...] | None,
        MANY,
        Parameter(group=_PARTS, metavar="NAME", help="value embeddings instead (no name: all)"),
    ] = None
    query_forms: Annotated[
        tuple[str, ...] | None,
        MANY,
        Parameter(group=_PARTS, metavar="NAME", help="query forms instead (no name: all), by the head 'pooled'"),
    ] = None
    query_mixings: Annotated[
        tuple[str, ...] | None,
        MANY,
        Parameter(group=_PARTS, metavar="NAME", help="ways in which queries meet instead (no name: all)"),
    ] = None
    reference: Annotated[
        str | None,
        Parameter(group=_PARTS, metavar="NAME", help="beside which the others are judged (default: the best)"),
    ] = None
    source: SourceOptions = SourceOptions()
    n_genes: NGenes = None
    regime: Regime = None
    n_perturbed: Annotated[tuple[int, int], RANGE, Parameter(group=PAIRS, help="perturbed genes of a pair, N to M")] = (
        1,
        1,
    )
    preset: Preset = "default"
    set: Settings = ()
    steps: Annotated[int, POSITIVE, Parameter(group=RUNS, help="training steps (8 s for 20 genes and a free core)")] = (
        200
    )
    seeds: Seeds = (0, 1, 2, 3, 4)
    seed: Seed = 0
    workers: Workers = None
    scheduler: Scheduler = None
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()


@app.default
def compare(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Compare heads, value embeddings, query forms or query mixings."""
    # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
    from diagnostics.commands.compare.run import execute

    return execute(request, command_line)
