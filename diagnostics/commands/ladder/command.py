"""``gpcp ladder``: the same model on data that come closer to real cells rung by rung, and a verdict."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.experiments import NGenes
from diagnostics.cli.options import (
    MODEL,
    PAIRS,
    RUNS,
    BatchSize,
    CommandLine,
    Fresh,
    LearningRate,
    OutputOptions,
    Scheduler,
    Seed,
    SourceOptions,
    Steps,
    Workers,
    named,
)
from diagnostics.cli.values import FLAG, MANY, RANGE
from gpcp.core.errors import InputError

_NOTES = """examples:
  is my data good enough, with the default model? about a minute
    gpcp ladder --source h5ad:cells.h5ad --cell-type-key cell_type
  my own model: a function of the number of genes that gives a torch.nn.Module, or a dict of what diagnose() takes
    gpcp ladder --source h5ad:cells.h5ad --cell-type-key cell_type --model model.py:make --learning-rate 1e-3
  a perturbation screen: its perturbations by name, a fifth of them held out of the last rung
    gpcp ladder --source screen:screen.h5ad
  how close does the simulated twin of the cells come?
    gpcp ladder --source h5ad:cells.h5ad --rungs twin
  all rungs, though one fails
    gpcp ladder --source cache:panel --all

rungs: exact (checks of the untrained model), counterfactual and interventional (pairs of a known world), pairing
(simulated cells, paired as the real ones), assay (the same, measured as the real ones), spike-in (a known graph in the
real cells), real; and twin, the table of how close the simulated cells come, where it is named. Of a screen the pairs
are a control and a perturbed cell, and effects take the place of the graph

causes: a bug, the learning rate, the architecture, the pairing, the measurement, too little data, no signal; or ready
for the real thing

exit code: 0 ready, 1 a rung failed or not all were asked, 2 bad use, 130 interrupted"""

app = verb(
    "ladder",
    about="Trains one model with one budget on data that come closer to your cells rung by rung: where it stops "
    "learning names the cause.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which cells, how they are paired, which model, which rungs."""

    source: SourceOptions = SourceOptions()
    n_genes: NGenes = None
    match_on: Annotated[
        tuple[str, ...] | None,
        MANY,
        Parameter(
            group=PAIRS,
            metavar="NAME",
            help="what both cells of a pair share, or 'nothing' (default cell_type, where it is known; of a screen "
            "batch, donor and dataset too)",
        ),
    ] = None
    n_perturbed: Annotated[
        tuple[int, int] | None,
        RANGE,
        Parameter(group=PAIRS, help="perturbed genes of a pair, N to M (default: 1 to all but one)"),
    ] = None
    model: Annotated[
        str,
        Parameter(
            group=MODEL,
            metavar="NAME",
            help="a preset (default, mixing, ...), package.module:factory or path/to/file.py:factory",
        ),
    ] = "default"
    steps: Steps = None
    batch_size: BatchSize = None
    learning_rate: LearningRate = None
    rungs: Annotated[
        tuple[str, ...], MANY, Parameter(group=RUNS, metavar="NAME", help="these alone (default: all but twin)")
    ] = ()
    go_on: Annotated[bool, FLAG, Parameter(name="--all", group=RUNS, help="all rungs, though one fails")] = False
    seed: Seed = 0
    workers: Workers = None
    scheduler: Scheduler = None
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()


NOTHING = "nothing"
"""Of ``--match-on``: any two cells make a pair."""


def check(request: Request) -> None:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        No source is named, or options exclude each other.
    """
    named(request.source)
    if request.n_genes is not None and request.source.genes is not None:
        raise InputError("--n-genes chooses genes and --genes names them: give one of them")
    rate = request.learning_rate
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"--learning-rate is {rate}: it must be above 0")
    if request.match_on is not None and NOTHING in request.match_on and len(request.match_on) > 1:
        raise InputError("--match-on nothing pairs any two cells: give no other name beside it")


@app.default
def ladder(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Name what keeps a model from learning these cells."""
    check(request)
    # Heavy imports come after the arguments are checked, so that --help and a wrong option answer at once.
    from diagnostics.commands.ladder.run import execute

    return execute(request, command_line)
