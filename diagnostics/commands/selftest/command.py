"""``gpcp selftest``: the checks measured on planted faults and on healthy subjects."""

from dataclasses import dataclass
from typing import Annotated, final

from cyclopts import Group, Parameter

from diagnostics.cli.app import verb
from diagnostics.cli.options import CommandLine, Fresh, OutputOptions, Scheduler, Seeds, Workers
from diagnostics.cli.values import MANY, WHOLE

_NOTES = """examples:
  the exact checks alone, on every fault, a second each
    gpcp selftest --only exact --seeds 1 --healthy 10
  one fault
    gpcp selftest --faults position_leak --healthy 0
  the whole calibration; started again it goes on where it was
    gpcp selftest --seeds 3 --healthy 300 --workers 2

exit code: 0 the thresholds are met (98 % of faults alarm, 90 % are named, 1 % of healthy subjects alarm), 1 they
are not, 2 bad use, 130 interrupted"""

_SUBJECTS = Group("Subjects and checks", sort_key=1)

app = verb(
    "selftest",
    about="Plants every known fault in healthy subjects and says how many the checks find, and how often they alarm "
    "where nothing is wrong.",
    notes=_NOTES,
)


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which faults, in how many worlds, beside how many healthy subjects, by which checks."""

    faults: Annotated[
        tuple[str, ...], MANY, Parameter(group=_SUBJECTS, metavar="NAME", help="some faults (default: all)")
    ] = ()
    healthy: Annotated[int, WHOLE, Parameter(group=_SUBJECTS, help="healthy subjects")] = 300
    only: Annotated[
        tuple[str, ...],
        MANY,
        Parameter(group=_SUBJECTS, metavar="NAME", help="checks, families or kinds to run (default: all)"),
    ] = ()
    seeds: Seeds = (0, 1, 2)
    workers: Workers = 1
    scheduler: Scheduler = None
    fresh: Fresh = False
    output: OutputOptions = OutputOptions()


@app.default
def selftest(*, request: Request = Request(), command_line: CommandLine = ()) -> int:
    """Measure the checks."""
    # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
    from diagnostics.commands.selftest.run import execute

    return execute(request, command_line)
