"""``gpcp benchmark``: how fast the parts are, beside the floor that no code of ours can beat."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import DATA, OUTPUT, RUNS, Seed
from diagnostics.cli.values import MANY, POSITIVE

app = verb(
    "benchmark",
    about="Times a part of the library beside the floor that its work cannot beat, and beside the packages of others.",
    notes="exit code: 0 measured, 2 bad use, 130 interrupted",
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """How much is timed, and how often; what is not given is chosen by the part."""

    n_genes: Annotated[int | None, POSITIVE, Parameter(group=RUNS, help="genes of the world")] = None
    n_cells: Annotated[int | None, POSITIVE, Parameter(group=RUNS, help="cells of each repeat")] = None
    repeats: Annotated[int | None, POSITIVE, Parameter(group=RUNS, help="timed calls of each row")] = None
    seed: Seed = 0
    json: Annotated[Path | None, Parameter(group=OUTPUT, metavar="FILE", help="also write the figures here")] = None


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryRequest:
    """Which worlds, how many pairs of them, and which methods."""

    mechanisms: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(
            name="--mechanism", group=DATA, metavar="NAME", help="of the worlds: linear, tanh, hill, interaction"
        ),
    ] = ("linear", "tanh", "hill")
    sizes: Annotated[
        tuple[int, ...], MANY, POSITIVE, Parameter(name="--n-genes", group=DATA, metavar="N", help="of the worlds")
    ] = (50, 100)
    family: Annotated[str, Parameter(group=DATA, metavar="NAME", help="of the graphs")] = "erdos_renyi"
    regime: Annotated[str, Parameter(group=DATA, metavar="NAME", help="counterfactual, interventional or matched")] = (
        "interventional"
    )
    n_pairs: Annotated[int, POSITIVE, Parameter(group=DATA, help="pairs of cells that every method is given")] = 40_000
    methods: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(group=RUNS, metavar="NAME", help="mixing, ridge, classical, genie3, grnboost2, ... (default: all)"),
    ] = ()
    limit: Annotated[
        int, POSITIVE, Parameter(group=RUNS, metavar="SECONDS", help="of CPU time, after which a method is ended")
    ] = 1800
    steps: Annotated[
        int | None, POSITIVE, Parameter(group=RUNS, help="of our trainings (default: the usual budget)")
    ] = None
    seed: Seed = 0
    json: Annotated[Path | None, Parameter(group=OUTPUT, metavar="FILE", help="also write the figures here")] = None


@app.command
def recovery(*, request: RecoveryRequest = RecoveryRequest()) -> int:
    """AUPRC and CPU time of our model, classical methods and packages that are installed, on the same pairs (hours)."""
    from diagnostics.commands.benchmark.recovery import execute

    return execute(request)


@app.command
def simulators(*, request: Request = Request()) -> int:
    """Million gene-cells per CPU second of linear and Hill worlds, beside random numbers alone (1,000 x 10,000)."""
    from diagnostics.commands.benchmark.simulators import execute

    return execute(request)


@app.command(name="input")
def input_(
    *,
    request: Request = Request(),
    io_batch_size: Annotated[int, POSITIVE, Parameter(group=RUNS, help="cells of an I/O batch")] = 16_384,
    store: Annotated[
        Path | None,
        Parameter(group=OUTPUT, metavar="FOLDER", help="keep store and cache here, and use what is here already"),
    ] = None,
) -> int:
    """Cells per second of a store read plainly, paired, cached and planned (60,000 x 2,000; takes minutes)."""
    from diagnostics.commands.benchmark.input import execute

    return execute(request, io_batch_size=io_batch_size, store=store)
