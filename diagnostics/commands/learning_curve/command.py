"""``gpcp learning-curve``: whether more data, a bigger model or longer training would help."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.experiments import NGenes, Regime
from diagnostics.cli.options import (
    MODEL,
    PAIRS,
    CommandLine,
    Fresh,
    OutputOptions,
    Preset,
    Scheduler,
    Seeds,
    SourceOptions,
    Steps,
    Workers,
)
from diagnostics.cli.values import MANY, POSITIVE, RANGE

_NOTES = """examples:
  the default: 500 to 8,000 pairs of 20 genes, two widths, 5 seeds, about 5 minutes on 2 cores
    gpcp learning-curve
  three capacities of another kind, with a rate chosen for each point on validation pairs
    gpcp learning-curve --capacity n_decoder_blocks=1 2 3 --learning-rate 5e-3 1.5e-2
  real cells: how far the loss gets from the input-free baseline to the best linear predictor
    gpcp learning-curve --source h5ad:cells.h5ad --cell-type-key cell_type --pairs 100 400 1600
  the sample size of a graph, by the number of genes: 60 trainings, about 15 minutes on 2 cores
    gpcp learning-curve --graph-genes 10 20 40

Started again, the same command keeps every training that is finished.

exit code: 0, 1 every training diverged, 2 bad use, 130 interrupted"""

_SIZES = Group("Sizes", sort_key=10)

app = verb(
    "learning-curve",
    about="Trains on finite numbers of pairs, with several capacities, and says what more pairs, a bigger model and "
    "longer training each win, and, in a known world, what is left to the exact answer.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which sizes, on which pairs, and how each is trained."""

    source: SourceOptions = SourceOptions()
    pairs: Annotated[
        tuple[int, ...],
        MANY,
        POSITIVE,
        Parameter(
            group=_SIZES,
            help="numbers of training pairs (default 500 2000 8000; with --graph-genes 50 100 400 1600)",
        ),
    ] = ()
    graph_genes: Annotated[
        tuple[int, ...],
        MANY,
        POSITIVE,
        Parameter(group=_SIZES, help="ask for the sample size of a graph instead, in worlds of these numbers of genes"),
    ] = ()
    capacity: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(
            group=_SIZES,
            metavar="FIELD=N",
            help="what makes the model bigger, and its values, such as width=8 16 32; width, n_encoder_blocks, "
            "n_decoder_blocks, n_rounds or feed_forward_ratio (default: the preset's width and half of it)",
        ),
    ] = ()
    n_genes: NGenes = None
    regime: Regime = None
    n_perturbed: Annotated[
        tuple[int, int] | None,
        RANGE,
        Parameter(group=PAIRS, help="perturbed genes of a pair, N to M (default: 1 to all but one)"),
    ] = None
    preset: Preset = "default"
    steps: Steps = None
    batch_size: Annotated[int, POSITIVE, Parameter(group=MODEL, help="pairs a step")] = 64
    learning_rates: Annotated[
        tuple[float, ...],
        MANY,
        Parameter(
            name="--learning-rate",
            group=MODEL,
            metavar="RATE",
            help="of several, each training takes the best on validation pairs (default 0.015)",
        ),
    ] = ()
    seeds: Seeds = (0, 1, 2, 3, 4)
    workers: Workers = None
    scheduler: Scheduler = None
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()


@app.default
def learning_curve(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Measure what more pairs, a bigger model and longer training win."""
    # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
    from diagnostics.commands.learning_curve.run import execute

    return execute(request, command_line)
