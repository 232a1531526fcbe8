"""``gpcp predict-screen``: what a trained model answers to every perturbation in many cells, as an AnnData file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import DATA, OUTPUT, CommandLine, Seed, SourceOptions, named
from diagnostics.cli.values import FLAG, MANY, POSITIVE
from gpcp.core.errors import InputError, nearest

_NOTES = """examples:
  every gene knocked out, one after the other, in 200 cells of a file
    gpcp predict-screen runs/train/checkpoint.pt \\
        --source h5ad:cells.h5ad --out knock_outs.h5ad
  two genes and two pairs of them, doubled where expression is log1p
    gpcp predict-screen checkpoint.pt --source h5ad:cells.h5ad --shift .69 \\
        --combinations ENSG00000141510 ENSG00000136997 \\
        ENSG00000141510+ENSG00000136997 --max-cells 1000 --out pairs.zarr

in Python: gpcp.predict_screen, for any gpcp.Predictor

exit code: 0 done, 2 bad use, 130 interrupted; what was finished is kept beside --out, and the same command goes on"""

_SCREEN = Group("Screen", sort_key=18)

FORMS = ("auto", "cells", "summary")

app = verb(
    "predict-screen",
    about="Predicts every single-gene perturbation, or chosen combinations, in many cells, and writes expression after "
    "of each cell or the mean response and its standard error. A perturbed gene ends at the value that is set.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which cells, and what is done to them."""

    source: SourceOptions = SourceOptions()
    max_cells: Annotated[int, POSITIVE, Parameter(group=DATA, help="cells to predict, a random sample")] = 200
    seed: Seed = 0
    combinations: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(
            group=_SCREEN,
            metavar="A|A+B|FILE",
            help="genes, combinations of genes, or files of one a line (default: every measured gene alone)",
        ),
    ] = ()
    to: Annotated[
        str | None,
        Parameter(group=_SCREEN, metavar="NUMBER|mean", help="set to this expression, or to its mean (default 0)"),
    ] = None
    shift: Annotated[
        float | None, Parameter(group=_SCREEN, metavar="NUMBER", help="instead of setting: add to what each cell has")
    ] = None
    form: Annotated[
        str,
        Parameter(
            group=OUTPUT,
            metavar="NAME",
            help="cells: a row for each perturbation of each cell; summary: mean response and standard error of each "
            "perturbation; auto: cells up to 2 GiB",
        ),
    ] = "auto"
    out: Annotated[Path | None, Parameter(group=OUTPUT, metavar="FILE", help="AnnData, NAME.h5ad or NAME.zarr")] = None
    quiet: Annotated[bool, FLAG, Parameter(group=OUTPUT, help="no progress and no table")] = False


def check(checkpoint: Path | None, request: Request) -> Path:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        Something is missing or of an unknown name, or two options exclude each other.
    """
    if checkpoint is None:
        raise InputError("name the checkpoint of a trained model: gpcp predict-screen CHECKPOINT --source KIND:PLACE")
    from gpcp.core.files import check_folder, existing_file

    existing_file(checkpoint, what="checkpoint")
    named(request.source)
    if request.source.genes is not None:
        raise InputError("--genes: the genes are those of the checkpoint: leave it out, or name some by --combinations")
    if request.out is None:
        raise InputError("name the file of the results: --out screen.h5ad")
    if request.form not in FORMS:
        raise InputError(f"--form is {request.form!r}; {nearest(request.form, FORMS)}")
    if request.to is not None and request.shift is not None:
        raise InputError("--to and --shift both say what becomes of a gene: give one of them")
    check_folder(request.out.parent)
    return request.out


@app.default
def predict_screen(
    checkpoint: Annotated[
        Path | None, Parameter(group=DATA, help="of a training, such as runs/train/checkpoint.pt")
    ] = None,
    /,
    *,
    request: Request = Request(),
    command_line: CommandLine = (),
) -> int:
    """Predict a screen."""
    out = check(checkpoint, request)
    from diagnostics.commands.screens.predict_screen.run import execute

    assert checkpoint is not None
    return execute(checkpoint, out, request, command_line)
