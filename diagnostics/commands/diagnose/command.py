"""``gpcp diagnose``: why does my model not learn? Data, optimiser, architecture or a bug."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import (
    MODEL,
    OUTPUT,
    CommandLine,
    LearningRate,
    MaxCells,
    PairChoice,
    Seed,
    SourceOptions,
)
from diagnostics.cli.values import FLAG, MANY, POSITIVE
from gpcp.core.errors import InputError
from gpcp.opening.pairs import MAX_CELLS

_NOTES = """examples:
  a preset on the pairs of a simulated world, every check, with a page to look at
    gpcp diagnose --source synthetic:scale_free/20 --model default --html verdict.html
  a model of one's own, without data: what must hold exactly, in seconds
    gpcp diagnose --model my_model.py:build --n-genes 50 --only exact
  a model of one's own on cells of a file, trained by AdamW at the rate given
    gpcp diagnose --source h5ad:cells.h5ad --cell-type-key cell_type --genes panel.json \\
        --model my_package.models:build --learning-rate 1e-3
  pairs alone: is there anything to learn?
    gpcp diagnose --source cache:panel_cache
  what a check measures, what it tolerates, and how its fault is mended
    gpcp diagnose --explain GP203

exit code: 0 nothing found, 1 a cause found or a check that could not be carried out, 2 bad use,
130 interrupted (what was found by then is reported and written)"""

_CHECKS = Group("Checks", sort_key=35)

app = verb(
    "diagnose",
    about="Looks at a model, its training step and its data, in this order: data, loss, architecture, optimiser, "
    "a short training. The first failing check is the diagnosis; what follows from it is listed as a "
    "consequence. What is not given is not judged.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is to be diagnosed, by which checks, and where the report goes."""

    source: SourceOptions = SourceOptions()
    pairs: PairChoice = PairChoice()
    max_cells: MaxCells = MAX_CELLS
    model: Annotated[
        str | None,
        Parameter(
            group=MODEL,
            metavar="NAME",
            help="a preset (default, mixing, seed, ...), package.module:factory or path/to/file.py:factory; a factory "
            "takes the number of genes, or nothing, and gives a torch.nn.Module or a Subject",
        ),
    ] = None
    n_genes: Annotated[
        int | None, POSITIVE, Parameter(group=MODEL, help="genes of the model, where there is no source")
    ] = None
    checkpoint: Annotated[
        Path | None,
        Parameter(group=MODEL, metavar="FILE", help="weights of the model; of gpcp's own training: the model too"),
    ] = None
    learning_rate: LearningRate = None
    only: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(group=_CHECKS, metavar="NAME", help="codes, names, families or kinds (exact, statistical)"),
    ] = ()
    ignore: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(
            group=_CHECKS, metavar="CODE[=REASON]", help="checks that are not asked; the report keeps the reason"
        ),
    ] = ()
    stop_early: Annotated[
        bool, FLAG, Parameter(group=_CHECKS, help="train nothing once a check has failed: the same diagnosis, sooner")
    ] = False
    cures: Annotated[
        bool,
        FLAG,
        Parameter(
            group=_CHECKS,
            help="after a failure, try cures in short paired trainings and show what they gain: a minute",
        ),
    ] = False
    show_checks: Annotated[
        bool, FLAG, Parameter(name="--list", group=_CHECKS, help="show every check and what it asks, and end")
    ] = False
    explain: Annotated[
        str | None,
        Parameter(group=_CHECKS, metavar="CODE", help="what one check measures, its tolerance, its fix; end"),
    ] = None
    seed: Seed = 0
    json: Annotated[
        Path | None, Parameter(group=OUTPUT, metavar="FILE", help="write the report, with tracebacks and versions")
    ] = None
    html: Annotated[
        Path | None,
        Parameter(group=OUTPUT, metavar="FILE", help="write a page with figures, one file that needs no network"),
    ] = None
    quiet: Annotated[bool, FLAG, Parameter(group=OUTPUT, help="the verdict alone, without a line for each check")] = (
        False
    )


def check(request: Request) -> None:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        Options do not go together, or a number is out of range.
    """
    if request.source.source is None:
        if request.model is None and request.checkpoint is None:
            raise InputError("there is nothing to diagnose: give --source, --model, or both (--help shows examples)")
        given = [f"--{name.replace('_', '-')}" for name in request.source.given()]
        given += ["--genes"] if request.source.genes else []
        for flag in (*given, *request.pairs.given()):
            raise InputError(f"{flag} says how pairs are made: give --source too")
    elif request.n_genes is not None:
        raise InputError("--n-genes is for a model without a source: the genes of --source are known; leave it out")
    rate = request.learning_rate
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"--learning-rate is {rate}: it must be above 0")
    if rate is not None and request.model is None and request.checkpoint is None:
        raise InputError("--learning-rate is of a model's training: give --model too")
    request.pairs.options(max_cells=None)


@app.default
def diagnose(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Diagnose a model, its data, or both."""
    if request.show_checks:
        from diagnostics.commands.diagnose.run import list_checks

        return list_checks()
    if request.explain is not None:
        from diagnostics.commands.diagnose.run import explain

        return explain(request.explain)
    check(request)
    # Heavy imports come after the arguments are checked, so that --help and a wrong option answer at once.
    from diagnostics.commands.diagnose.run import execute

    return execute(request, command_line)
