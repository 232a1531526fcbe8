"""``gpcp evaluate``: predictions of a screen, scored by the field's own package, beside what bounds them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.audit.evaluation.cell_eval import Scorer
from diagnostics.cli.app import verb
from diagnostics.cli.options import DATA, CommandLine, Fresh, OutputOptions, Seed
from diagnostics.cli.values import FLAG, MANY, SHARE, WHOLE
from gpcp.core.errors import InputError

_NOTES = """examples:
  every baseline on a screen, a quarter of its perturbations held out
    gpcp evaluate screen.h5ad --baselines
  two predictions of the same held-out perturbations
    gpcp evaluate screen.h5ad --test STAT1 IRF1 JAK2 \\
        --prediction mine=mine.h5ad theirs=theirs.h5ad
  a program that is given the training cells and writes its predictions of the others
    gpcp evaluate screen.h5ad --program "mine=python my_program.py"
  a module of PyTorch and the function that fits it
    gpcp evaluate screen.h5ad --model "net=my_model.py:make"
  what the exact law of a known world scores
    gpcp make-screen scale_free/200 known.h5ad
    gpcp evaluate known.h5ad --baselines --test-share 1

A file of predictions holds, in the columns and units of the screen, cells of every test
perturbation, or one row for each: its mean. Nothing that is missing is filled in. A program
is called with a folder as its last argument (docs/how_to/predictors.md); its answer is kept in
--out and used again for the same question.

exit code: 0 done, 2 bad use, 130 interrupted; files are written atomically"""

_SCORES = Group("Scores", sort_key=10)

app = verb(
    "evaluate",
    about="Scores predictions of a screen with cell-eval2, each with an interval over perturbations, beside the mean "
    "response, the replicate, a copy of the reference and, of a known world, the exact mean and the exact law.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is scored, on which perturbations, and by which scores."""

    prediction: Annotated[
        tuple[str, ...], MANY, Parameter(group=DATA, metavar="NAME=FILE", help="AnnData files of predictions")
    ] = ()
    program: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(group=DATA, metavar="NAME=COMMAND", help="programs that predict, in any environment"),
    ] = ()
    model: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(group=DATA, metavar="NAME=FILE.py:FACTORY", help="modules of PyTorch, as diagnose takes them"),
    ] = ()
    time_limit: Annotated[
        float | None, Parameter(group=DATA, metavar="SECONDS", help="after which a program is ended (none)")
    ] = None
    baselines: Annotated[
        bool, FLAG, Parameter(group=DATA, help="every baseline, not only those that predictions are compared with")
    ] = False
    perturbation: Annotated[
        str | None, Parameter(group=DATA, metavar="COLUMN", help="of obs, where it is not recognised")
    ] = None
    control: Annotated[
        str | None, Parameter(group=DATA, metavar="LABEL", help="of the controls, where it is not recognised")
    ] = None
    test: Annotated[
        tuple[str, ...], MANY, Parameter(group=DATA, metavar="LABEL", help="perturbations that are held out")
    ] = ()
    test_share: Annotated[
        float, SHARE, Parameter(group=DATA, help="or the share of them, drawn by the seed; 1 holds all out")
    ] = 0.25
    preset: Annotated[str, Parameter(group=_SCORES, metavar="NAME", help="of cell-eval2: vcc2026, v2")] = "vcc2026"
    scorer: Annotated[
        Scorer,
        Parameter(
            group=_SCORES, help="fast: the rank tests of cell-eval2 by illico, with equal scores; or cell-eval2 alone"
        ),
    ] = "fast"
    ablations: Annotated[
        bool,
        FLAG,
        Parameter(
            group=_SCORES,
            help="what each prediction loses without the perturbation, the context and, asked again, the cell",
        ),
    ] = False
    splits: Annotated[
        int, WHOLE, Parameter(group=_SCORES, help="halvings of the replicate; 0 leaves it and the scale out")
    ] = 3
    seed: Seed = 0
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()


@app.default
def evaluate(
    screen: Annotated[Path | None, Parameter(group=DATA, help="the AnnData file that was measured")] = None,
    /,
    *,
    request: Request = Request(),
    command_line: CommandLine = (),
) -> int:
    """Evaluate predictions of a screen."""
    if screen is None:
        raise InputError("name the screen that was measured: gpcp evaluate screen.h5ad --baselines")
    # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
    from diagnostics.commands.screens.evaluate.run import execute

    return execute(screen, request, command_line)
