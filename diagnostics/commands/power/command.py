"""``gpcp power``: effects planted into real cells, and where tests and graph estimators stop finding them."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.audit.power.design import DIRECTIONS, PowerDesign
from diagnostics.cli.app import verb
from diagnostics.cli.options import (
    DATA,
    MODEL,
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
from diagnostics.cli.values import FLAG, POSITIVE, SHARE
from gpcp.core.errors import InputError, nearest
from simulators.spike_ins.real_cells import MAX_CELLS

_NOTES = """examples:
  what could a screen like this one show, and how many cells would a halving take?
    gpcp power --source screen:papalexi.h5ad --effect 0.69
  from unperturbed cells of a pilot, for 200 cells of a perturbation and 2,000 controls
    gpcp power --source h5ad:pilot.h5ad --cells 200 --controls 2000
  does a model find what ridge and Welch's t find? 24 small trainings, minutes
    gpcp power --source screen:papalexi.h5ad --model mixing
    gpcp power --source h5ad:pilot.h5ad --model model.py:make --learning-rate 1e-3
  the tests alone, without graphs
    gpcp power --source h5ad:pilot.h5ad --no-graph

Of a screen the controls are the pilot; of other sources all cells are. Effects are natural logarithms of
fold changes: 0.69 is a halving, or a doubling with --direction up.

exit code: 0 done, 2 bad use, 130 interrupted; what was finished is kept in the folder, and the same command goes on"""

_DESIGN = Group("Experiment that is planned", sort_key=10)

app = verb(
    "power",
    about="Plants effects of known size into real, unperturbed cells, draws experiments from them, and measures "
    "which effects Welch's t and Wilcoxon's test find, how well a planted graph is recovered, and how many cells a "
    "wanted effect would take; every figure with an interval for the size of the pilot.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The pilot and the experiment."""

    source: SourceOptions = SourceOptions()
    max_cells: Annotated[int, POSITIVE, Parameter(group=DATA, help="cells of the pilot to read")] = MAX_CELLS
    effect: Annotated[
        float, Parameter(group=_DESIGN, metavar="X", help="effect wanted: the size of a log fold change")
    ] = 0.5
    cells: Annotated[int, POSITIVE, Parameter(group=_DESIGN, help="cells of a perturbation")] = 100
    controls: Annotated[
        int | None, POSITIVE, Parameter(group=_DESIGN, help="control cells (default: as many as the pilot has)")
    ] = None
    direction: Annotated[
        str, Parameter(group=_DESIGN, metavar="NAME", help=f"whether genes fall or rise: {', '.join(DIRECTIONS)}")
    ] = "down"
    power: Annotated[float, SHARE, Parameter(group=_DESIGN, help="affected genes that are to be found")] = 0.8
    fdr: Annotated[float, SHARE, Parameter(group=_DESIGN, help="level of Benjamini and Hochberg's procedure")] = 0.05
    affected: Annotated[float, SHARE, Parameter(group=_DESIGN, help="genes that a perturbation affects")] = 0.1
    expressed: Annotated[
        float, SHARE, Parameter(group=_DESIGN, help="leave out genes that fewer cells than this express")
    ] = 0.05
    no_graph: Annotated[bool, FLAG, Parameter(group=_DESIGN, help="no planted graphs")] = False
    resamplings: Annotated[
        int, POSITIVE, Parameter(group=_DESIGN, help="bootstrap samples of the pilot, for intervals")
    ] = 100
    graph_genes: Annotated[
        int | None,
        POSITIVE,
        Parameter(group=_DESIGN, help="plant graphs on so many genes (default: all; 40 with --model)"),
    ] = None
    model: Annotated[
        str | None,
        Parameter(
            group=MODEL,
            metavar="NAME",
            help="train it on every planted graph: a preset (default, mixing, ...), package.module:factory or "
            "path/to/file.py:factory",
        ),
    ] = None
    steps: Steps = None
    batch_size: BatchSize = None
    learning_rate: LearningRate = None
    workers: Workers = None
    scheduler: Scheduler = None
    seed: Seed = 0
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()

    def design(self) -> PowerDesign:
        """The experiment.

        Raises
        ------
        InputError
            A number lies outside its range.
        """
        if self.direction not in DIRECTIONS:
            raise InputError(f"--direction is {self.direction!r}; {nearest(self.direction, DIRECTIONS)}")
        return PowerDesign(
            effect=self.effect,
            cells=self.cells,
            controls=self.controls,
            direction="up" if self.direction == "up" else "down",
            power=self.power,
            fdr=self.fdr,
            affected=self.affected,
            expressed=self.expressed,
            n_resamplings=self.resamplings,
        )


def check(request: Request) -> None:
    """Refuse options that have no effect together.

    Raises
    ------
    InputError
        A model is asked about no graph, its training is described and there is none, or a number is no good.
    """
    if request.model is not None and request.no_graph:
        raise InputError("--model is asked about planted graphs, and --no-graph plants none: give one of them")
    of_training = {
        "--steps": request.steps,
        "--batch-size": request.batch_size,
        "--learning-rate": request.learning_rate,
    }
    for name, value in of_training.items():
        if value is not None and request.model is None:
            raise InputError(f"{name} is of a model's training: give --model")
    rate = request.learning_rate
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"--learning-rate is {rate}: it must be above 0")
    if request.graph_genes is not None and request.graph_genes < 4:
        raise InputError(f"--graph-genes is {request.graph_genes}: at least 4 are needed")


@app.default
def power(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Say what such cells can show."""
    named(request.source)
    check(request)
    design = request.design()
    from diagnostics.commands.power.run import execute

    return execute(request, design, command_line)
