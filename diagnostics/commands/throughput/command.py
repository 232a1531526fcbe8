"""``gpcp throughput``: whether input limits the training, and whether reading ahead would help."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import MODEL, CommandLine, OutputOptions, PairChoice, Seed, SourceOptions, named
from diagnostics.cli.values import FLAG, POSITIVE
from gpcp.core.errors import InputError

_NOTES = """examples:
  a preset on the pairs of a simulated world, some 30 s
    gpcp throughput --source synthetic:scale_free/20
  a model of one's own on cells of a file, read as a training reads them
    gpcp throughput --source h5ad:cells.h5ad --cell-type-key cell_type --genes panel.json \\
        --model my_package.models:build
  blood of the Census; more batches than a block holds, so that more than one read is seen
    gpcp throughput --source census:2025-11-08 --tissue blood --genes panel.json --batches 300

Every round makes four passes over the same batches, in an order that turns round with every round: the
loader alone (drain), the model alone on a batch that is there (cached), both in turn (synchronous), and a
thread that reads while the model computes (prefetched). Times are from the first batch to the last. Nothing
is resumed: what another minute of the machine has measured cannot be compared with this one. Files that
were read before may lie in the system's own cache, and an AnnData file is read when it is opened: of what
then is left to read, this measures the time.

exit code: 0 measured, whatever was found; 2 bad use; 130 interrupted"""

_PASSES = Group("Passes", sort_key=35)

app = verb(
    "throughput",
    about="Says what share of training is lost to input, what a thread that reads ahead hides of it, what it could "
    "hide at most, whether processors are idle meanwhile, and how deep a queue should be.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is read, by which model it is used, and how often."""

    source: SourceOptions = SourceOptions()
    pairs: PairChoice = PairChoice()
    model: Annotated[
        str,
        Parameter(
            group=MODEL,
            metavar="NAME",
            help="a preset (default, mixing, seed, ...), package.module:factory or path/to/file.py:factory; a factory "
            "takes the number of genes, or nothing, and gives a torch.nn.Module or a Subject",
        ),
    ] = "default"
    batch_size: Annotated[int, POSITIVE, Parameter(group=MODEL, help="pairs a step")] = 128
    device: Annotated[
        str, Parameter(group=MODEL, metavar="NAME", help="auto, cpu or cuda; auto is cuda where there is one")
    ] = "auto"
    batches: Annotated[int, POSITIVE, Parameter(group=_PASSES, help="batches of a pass, at least 3")] = 64
    rounds: Annotated[int, POSITIVE, Parameter(group=_PASSES, help="rounds of four passes, at least 2")] = 5
    depth: Annotated[int, POSITIVE, Parameter(group=_PASSES, help="batches that may lie ready")] = 64
    dense_ahead: Annotated[
        bool,
        FLAG,
        Parameter(group=_PASSES, help="make batches dense in the reader's thread, not as the model takes them"),
    ] = False
    stall: Annotated[
        float, Parameter(group=_PASSES, metavar="SECONDS", help="a longer wait after the first batch is a stall")
    ] = 0.05
    seed: Seed = 0
    output: OutputOptions = OutputOptions()


def check(request: Request) -> None:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        A name is unknown, or a number is too small.
    """
    named(request.source)
    request.pairs.options(max_cells=None)
    for flag, value, least in (("--batches", request.batches, 3), ("--rounds", request.rounds, 2)):
        if value < least:
            raise InputError(f"{flag} is {value}: it must be at least {least}, or there is nothing to compare")
    if not 0 <= request.stall < float("inf"):
        raise InputError(f"--stall is {request.stall}: it must be 0 seconds or more")


@app.default
def throughput(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Time the loader, the model and both together."""
    check(request)
    # Heavy imports come after the arguments are checked, so that --help and a wrong option answer at once.
    from diagnostics.commands.throughput.run import execute

    return execute(request, command_line)
