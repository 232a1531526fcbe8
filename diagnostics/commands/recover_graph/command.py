"""``gpcp recover-graph``: train on a known world, read the graph out, say how much was learnt."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.experiments import USUAL, NGenes
from diagnostics.cli.options import (
    DATA,
    PAIRS,
    REGIMES,
    RUNS,
    BatchSize,
    CommandLine,
    Fresh,
    LearningRate,
    OutputOptions,
    Preset,
    Scheduler,
    Seeds,
    SourceOptions,
    Steps,
    Workers,
)
from diagnostics.cli.values import MANY, RANGE
from diagnostics.commands.recover_graph.verdicts import thresholds_text
from gpcp.core.errors import InputError

_NOTES = """examples:
  three regimes, three seeds, 20 genes, in a minute on 2 cores
    gpcp recover-graph
  a hundred genes, one regime, in a minute
    gpcp recover-graph --world scale_free/100 --regime interventional --seeds 1
  another world
    gpcp recover-graph --world erdos_renyi/10/hill --regime interventional
  genes that attend to each other
    gpcp recover-graph --preset default
  an architecture that cannot learn, and why
    gpcp recover-graph --preset seed --seeds 1
  one perturbed gene a pair
    gpcp recover-graph --n-perturbed 1 --regime interventional
  a module of a real network
    gpcp recover-graph --world network/50 --network regulator_target.tsv
  real cells
    gpcp recover-graph --cells cells.h5ad --cell-type-key cell_type

worlds: FAMILY/GENES[/MECHANISM][/NOISE][/SCALING]; families: erdos_renyi, scale_free, modular, chain, fork, collider,
network; mechanisms: linear, tanh, hill, interaction; scalings: iscm, raw, standardised
presets: mixing (weights learnt between genes), default (a transformer), seed, seed_perturbed

"""

app = verb(
    "recover-graph",
    about="Trains a model on a world whose graph is known, reads the graph out of it, and shows every number between "
    "what an input-free baseline scores and what the exact answer scores.",
    notes=_NOTES + thresholds_text() + "\nexit code: 0 pass, 1 fail, 2 bad use, 130 interrupted",
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which data, which pairs of them, which model, and how it is trained."""

    source: SourceOptions = SourceOptions()
    world: Annotated[
        str | None,
        Parameter(group=DATA, metavar="NAME", help="short for --source synthetic:NAME (default scale_free/20)"),
    ] = None
    cells: Annotated[str | None, Parameter(group=DATA, metavar="FILE", help="short for --source h5ad:FILE")] = None
    n_genes: NGenes = None
    regimes: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(
            name="--regime", group=PAIRS, metavar="NAME", help=f"of a world: {', '.join(REGIMES)} (default: all three)"
        ),
    ] = ()
    n_perturbed: Annotated[
        tuple[int, int] | None,
        RANGE,
        Parameter(group=PAIRS, help="perturbed genes of a pair, N to M (default: 1 to all but one)"),
    ] = None
    dose_sd: Annotated[
        float | None,
        Parameter(group=PAIRS, metavar="SD", help="of a world: SD of the values that interventions set (default 2)"),
    ] = None
    preset: Preset = "mixing"
    steps: Steps = None
    batch_size: BatchSize = None
    learning_rate: LearningRate = None
    seeds: Seeds = (0, 1, 2)
    thorough: Annotated[
        bool,
        Parameter(
            negative="",
            group=RUNS,
            help="also methods and read-outs that take longer than the training: forests above 30 genes, the implied "
            "law above 40, gradients above 100, ridge above 500",
        ),
    ] = False
    workers: Workers = None
    scheduler: Scheduler = None
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()

    @property
    def text(self) -> str:
        """The source as ``KIND:PLACE``, whichever way it was given."""
        if self.cells is not None:
            return f"h5ad:{self.cells}"
        return self.source.source or (USUAL if self.world is None else f"synthetic:{self.world}")


def check(request: Request) -> None:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        The data are named twice.
    """
    given = {"--source": request.source.source, "--world": request.world, "--cells": request.cells}
    named = [flag for flag, value in given.items() if value is not None]
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)} both say where the data come from: give one of them")


@app.default
def recover_graph(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Recover the graph of a world, or compare with the partial correlations of real cells."""
    check(request)
    # Heavy imports come after the arguments are checked, so that --help and a wrong option answer at once.
    from diagnostics.commands.recover_graph.run import execute

    return execute(request, command_line)
