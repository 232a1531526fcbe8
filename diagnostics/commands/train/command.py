"""``gpcp train``: train a model on the pairs of any source, by one process or several."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Parameter

from diagnostics.cli.app import BAD_USE, verb
from diagnostics.cli.options import (
    RUNS,
    BatchSize,
    CommandLine,
    Fresh,
    LearningRate,
    MaxCells,
    OutputOptions,
    PairChoice,
    Preset,
    Seed,
    Settings,
    SourceOptions,
    Steps,
    named,
)
from diagnostics.cli.values import POSITIVE
from gpcp.core.errors import InputError
from gpcp.loading.sharding import rank_and_number
from gpcp.opening.pairs import MAX_CELLS

_NOTES = """examples:
  a preset on the pairs of a simulated world
    gpcp train --source synthetic:scale_free/100 --preset mixing --steps 250
  cells of a file, a panel of genes, another width
    gpcp train --source h5ad:cells.h5ad --cell-type-key cell_type --genes panel.json --set width=64 --steps 2000
  the same by two processes, each with half of every batch
    torchrun --nproc-per-node 2 -m diagnostics train --source synthetic:scale_free/100 --preset mixing --steps 250

Of several processes each takes an equal share of every batch and only the first prints and writes: loss and weights are
those of one process up to rounding. Started again, by any number of processes, the same command goes on from its
checkpoint, checkpoint.pt in the folder of results, which is the trained model at the end.

exit code: 0, 1 the training diverged, 2 bad use, 130 interrupted"""

app = verb(
    "train",
    about="Trains a model on the pairs of a source, and shows its held-out loss between what an input-free baseline, "
    "ridge regression and, in a known world, the exact answer come to on the same pairs.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which pairs, which model, and how it is trained."""

    source: SourceOptions = SourceOptions()
    pairs: PairChoice = PairChoice()
    max_cells: MaxCells = MAX_CELLS
    preset: Preset = "default"
    set: Settings = ()
    steps: Steps = None
    batch_size: BatchSize = None
    learning_rate: LearningRate = None
    held_out: Annotated[int, POSITIVE, Parameter(group=RUNS, help="pairs to be judged by")] = 2_000
    seed: Seed = 0
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()


def check(request: Request) -> None:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        No source is named, or an option of the pairs is no good.
    """
    named(request.source)
    request.pairs.options(max_cells=request.max_cells)


@app.default
def train(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Train a model."""
    try:
        check(request)
        # Heavy imports come after the arguments are checked, so that --help and a wrong option answer at once.
        from diagnostics.commands.train.run import execute

        return execute(request, command_line)
    except InputError:
        # Every process finds the same; one of them says it.
        if rank_and_number()[0]:
            return BAD_USE
        raise
