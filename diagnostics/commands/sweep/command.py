"""``gpcp sweep``: short trainings over hyperparameters, and which are best."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import (
    OUTPUT,
    RUNS,
    CommandLine,
    Fresh,
    MaxCells,
    OutputOptions,
    PairChoice,
    Preset,
    Scheduler,
    Seed,
    Settings,
    SourceOptions,
    Workers,
    named,
)
from diagnostics.cli.values import FLAG, MANY, POSITIVE, WHOLE
from gpcp.core.errors import InputError
from gpcp.opening.pairs import MAX_CELLS

_NOTES = """examples:
  the default hyperparameters on the pairs of a simulated world: minutes on two cores
    gpcp sweep --source synthetic:scale_free/20 --workers 2
  which learning rate, and which head?
    gpcp sweep --source synthetic:scale_free/20 --over learning_rate=1e-5..1 head=linear,mlp
  cells of a file, another base
    gpcp sweep --source h5ad:cells.h5ad --cell-type-key cell_type --genes panel.json --set width=64
  several machines on one database: the same command on each
    gpcp sweep --source cache:panel_cache --storage postgresql://user@host/sweeps --trials 200
  a Dask cluster, whose workers see the same disk
    gpcp sweep --source cache:panel_cache --scheduler tcp://10.0.0.1:8786 --out /shared/sweep --trials 200
  started again, a sweep goes on where it was; with more --trials it goes further

what a trial comes to:
  finished   trained from every seed
  worse      given up: worse than the best trial on every seed so far (Wilcoxon's signed-rank test)
  flat       given up: its first seed won less than a tenth of what the best trial wins on it
  diverged   a loss was no longer finite
  failed     it could not be trained, see the message

exit code: 0 all trials ended, 1 none of them finished, 2 bad use, 130 interrupted (nothing is lost: start it
again)"""

_SPACE = Group("What is varied", sort_key=28)

app = verb(
    "sweep",
    about="Trains many configurations for a few short epochs each, every one from the same seeds, and says which are "
    "best, which tie with the best within the noise between seeds, and at which learning rates the loss stays flat.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is varied, on which pairs, and how many trainings are spent on it."""

    source: SourceOptions = SourceOptions()
    pairs: PairChoice = PairChoice()
    max_cells: MaxCells = MAX_CELLS
    over: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(
            group=_SPACE,
            metavar="WHAT",
            help="NAME, over its usual range, NAME=LOW..HIGH or NAME=A,B,C; any field of ModelConfig and FitConfig "
            "(default: learning_rate dropout weight_decay batch_size width n_decoder_blocks value_embedding "
            "query_form head)",
        ),
    ] = ()
    no_range_test: Annotated[
        bool,
        FLAG,
        Parameter(
            group=_SPACE,
            help="do not begin with the learning-rate range test, whose rate is tried first and which sets the range",
        ),
    ] = False
    preset: Preset = "default"
    set: Settings = ()
    trials: Annotated[int, POSITIVE, Parameter(group=RUNS, help="configurations, all workers together")] = 24
    spread: Annotated[
        int | None,
        WHOLE,
        Parameter(group=RUNS, help="of them, spread evenly over the space before Optuna's TPE begins (default: half)"),
    ] = None
    n_seeds: Annotated[
        int, POSITIVE, Parameter(name="--seeds", group=RUNS, help="trainings of each, seeds 0 to N-1")
    ] = 4
    epochs: Annotated[int, POSITIVE, Parameter(group=RUNS, help="passes of a training")] = 3
    epoch_pairs: Annotated[
        int | None,
        POSITIVE,
        Parameter(group=RUNS, help="pairs of a pass (default: 8,192, or all where there are fewer)"),
    ] = None
    held_out: Annotated[int, POSITIVE, Parameter(group=RUNS, help="pairs to be judged by")] = 2_000
    workers: Workers = 1
    scheduler: Scheduler = None
    threads: Annotated[
        int, POSITIVE, Parameter(group=RUNS, help="threads of torch in each; small models are fastest with one")
    ] = 1
    seed: Seed = 0
    storage: Annotated[
        str | None,
        Parameter(
            group=OUTPUT,
            metavar="STORAGE",
            help="instead of a journal in --out: a journal FILE, an address of a database (postgresql://..., "
            "mysql://..., sqlite:///FILE for one worker), or grpc://HOST:PORT of Optuna's proxy (needs grpcio); all "
            "workers must reach it: a journal on a disk that they share",
        ),
    ] = None
    name: Annotated[str, Parameter(group=OUTPUT, metavar="NAME", help="of the sweep in its storage")] = "sweep"
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()


def check(request: Request) -> Path:
    """Refuse what cannot be done, as far as it can be known before anything is read; the folder of results.

    Raises
    ------
    InputError
        No source is given, a path cannot be written to, or a database cannot be shared by so many workers.
    """
    named(request.source)
    request.pairs.options(max_cells=request.max_cells)
    if ((request.workers or 1) > 1 or request.scheduler is not None) and str(request.storage).startswith("sqlite:"):
        raise InputError("--storage: SQLite breaks when several processes write: use a journal, or --workers 1")
    if request.fresh and request.storage is not None:
        raise InputError(
            "--fresh forgets the journal in --out; a sweep in --storage is begun anew under another --name"
        )
    return request.output.folder("sweep")


@app.default
def sweep(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Sweep over hyperparameters."""
    out = check(request)
    # Heavy imports come after the arguments are checked, so that --help and a wrong option answer at once.
    from diagnostics.commands.sweep.run import execute

    return execute(request, command_line, out)
