"""``gpcp check-screen``: whether the file of a perturbation screen is sound, and what a tool would do with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import DATA, OUTPUT, CommandLine, Seed
from diagnostics.cli.values import FLAG, MANY, POSITIVE
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import check_file

TOOL_NAMES = ("gears", "cell-load", "cell-eval2", "cpa", "pertpy")

_NOTES = """examples:
  labels, controls, guides, duplicates, and labels against expression
    gpcp check-screen screen.h5ad
  the same, with columns that are not recognised
    gpcp check-screen screen.h5ad --perturbation target --control AAVS1 --batch lane
  what GEARS would do with the file, and the file that it wants
    gpcp check-screen screen.h5ad --for gears --fix for_gears.h5ad

Expression is looked at in a sample of the cells where there are many, drawn by --seed; labels, totals,
duplicates and the targets' own values are read of all cells.

exit code: 0 nothing was found, 1 a check failed or the tool cannot use the file, 2 bad use, 130 interrupted"""

_MEANING = Group("Meaning of columns (default: recognised by the tools' names)", sort_key=18)
_TOOL = Group("For another tool", sort_key=20)

app = verb(
    "check-screen",
    about="Checks the AnnData file of a perturbation screen: counts or logarithms, depth by batch, controls by "
    "context, guides, misspelt labels, duplicates, cells shared between splits, whether targets change in the "
    "direction of their kind, and whether labels and cell types go with the expression of their rows.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """How the columns are to be read, and what is to be written."""

    perturbation: Annotated[str | None, Parameter(group=_MEANING, metavar="COLUMN", help="what was done")] = None
    control: Annotated[
        tuple[str, ...], MANY, Parameter(group=_MEANING, metavar="LABEL", help="its labels that mean control")
    ] = ()
    separator: Annotated[
        str | None, Parameter(group=_MEANING, metavar="TEXT", help="what joins the targets of a combination")
    ] = None
    guide: Annotated[str | None, Parameter(group=_MEANING, metavar="COLUMN", help="guides")] = None
    dose: Annotated[str | None, Parameter(group=_MEANING, metavar="COLUMN", help="doses")] = None
    kind: Annotated[
        str | None, Parameter(group=_MEANING, metavar="KIND", help="knocked down, knocked out, activated, compound")
    ] = None
    cell_type: Annotated[str | None, Parameter(group=_MEANING, metavar="COLUMN", help="cell types")] = None
    batch: Annotated[str | None, Parameter(group=_MEANING, metavar="COLUMN", help="batches")] = None
    layer: Annotated[str, Parameter(group=DATA, metavar="NAME", help="the matrix: X, raw or a layer")] = "X"
    max_cells: Annotated[int, POSITIVE, Parameter(group=DATA, help="cells whose expression is looked at")] = 30_000
    seed: Seed = 0
    tool: Annotated[
        str | None,
        Parameter(
            name="--for", group=_TOOL, metavar="TOOL", help=f"what it would do with the file: {', '.join(TOOL_NAMES)}"
        ),
    ] = None
    fix: Annotated[
        Path | None, Parameter(group=_TOOL, metavar="FILE", help="write the file in the form that --for wants")
    ] = None
    json: Annotated[Path | None, Parameter(group=OUTPUT, metavar="FILE", help="write what was found")] = None
    quiet: Annotated[bool, FLAG, Parameter(group=OUTPUT, help="what failed, alone")] = False


def check(file: Path, request: Request) -> None:
    """Refuse what cannot be done, as far as it can be known before anything is read.

    Raises
    ------
    InputError
        A name is unknown, or a file cannot be written.
    """
    check_file(request.json)
    if request.tool is not None and request.tool not in TOOL_NAMES:
        raise InputError(f"--for is {request.tool!r}; {nearest(request.tool, TOOL_NAMES)}")
    if request.fix is None:
        return
    if request.tool is None:
        raise InputError("--fix writes the form that a tool wants: name it with --for")
    check_file(request.fix, "--fix")
    if request.fix.exists() and request.fix.resolve() == file.resolve():
        raise InputError(f"--fix: {request.fix} is the file that is checked, which stays as it is; name another")
    if request.fix.suffix != ".h5ad":
        raise InputError(f"--fix: {str(request.fix)!r} does not end in .h5ad")


@app.default
def check_screen(
    file: Annotated[Path | None, Parameter(metavar="FILE", help="the AnnData file")] = None,
    *,
    request: Request = Request(),
    command_line: CommandLine = (),
) -> int:
    """Check one file."""
    if file is None:
        raise InputError("name the file to check: gpcp check-screen screen.h5ad")
    check(file, request)
    # Heavy imports come after the arguments are checked, so that --help and a wrong option answer at once.
    from diagnostics.commands.screens.check_screen.run import execute

    return execute(file, request, command_line)
