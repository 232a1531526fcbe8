"""``python -m diagnostics selftest``: the checks measured on planted faults and on healthy subjects.

The command line alone: what is asked is checked before anything is run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import gpcp
from diagnostics.cli.parser import BAD_USE, INTERRUPTED, Parser, positive, whole
from gpcp.core.errors import InputError

_EXAMPLES = """examples:
  the exact checks alone, on every fault, a second each
    python -m diagnostics selftest --only exact --seeds 1 --healthy 10
  one fault
    python -m diagnostics selftest --faults position_leak --healthy 0
  the whole calibration; started again it goes on where it was
    python -m diagnostics selftest --seeds 3 --healthy 300 --jobs 2

exit code: 0 the aims are met (98 % of faults alarm, 90 % are named, 1 % of healthy subjects alarm), 1 they are not,
2 bad use, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = Parser(
        prog="python -m diagnostics selftest",
        description="Plant every known fault in healthy subjects and say how many the checks find, and how often\n"
        "they alarm where nothing is wrong.",
        epilog=_EXAMPLES,
    )
    made.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    add = made.add_argument
    add("--faults", metavar="NAME", nargs="+", default=[], help="some faults (default: all)")
    add("--seeds", metavar="N", type=positive, default=3, help="worlds in which each fault is planted (default 3)")
    add("--healthy", metavar="N", type=whole, default=300, help="healthy subjects (default 300)")
    add("--only", metavar="NAME", nargs="+", default=[], help="checks, families or kinds to run (default: all)")
    add("--jobs", metavar="N", type=positive, default=1, help="worker processes, a thread each (default 1)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the runs instead")
    add("--out", metavar="DIR", type=Path, default=Path("runs/selftest"), help="runs.jsonl and selftest.md")
    add("--json", action="store_true", help="print the figures as JSON instead of the table")
    add("--quiet", action="store_true", help="no progress")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 the aims are met, 1 they are not, 2 bad use, 130 interrupted.
    """
    try:
        arguments = parser().parse_args(argv)
        # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
        from diagnostics.commands.selftest.runs import execute

        return execute(arguments)
    except InputError as error:
        print(f"selftest: error: {error}", file=sys.stderr)
        return BAD_USE
    except KeyboardInterrupt:
        print("\nselftest: interrupted; what was run is kept, and the same command goes on", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
