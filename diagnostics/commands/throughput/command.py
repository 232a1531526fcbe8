"""``python -m diagnostics throughput``: whether input limits training, a thread helps, and CPU is to spare.

The command line alone: what is asked is checked before anything is read.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# Registers the scheme `synthetic:`.
import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
import gpcp
from diagnostics.cli.options import add_pair_arguments, add_source_arguments
from diagnostics.cli.parser import Parser, exit_code_of, positive, whole
from gpcp.core.errors import InputError, nearest
from gpcp.pairing.rules import PairRule
from simulators.scm.regimes import REGIMES

_EXAMPLES = """examples:
  a preset on the pairs of a simulated world, some 30 s
    python -m diagnostics throughput --source synthetic:scale_free/20
  a model of one's own on cells of a file, read as a training reads them
    python -m diagnostics throughput --source h5ad:cells.h5ad --cell-type-key cell_type --genes panel.json \\
        --model my_package.models:build
  blood of the Census; more batches than a block holds, so that more than one read is seen
    python -m diagnostics throughput --source census:2025-11-08 --tissue blood --genes panel.json --batches 300

Every round makes four passes over the same batches, in an order that turns round with every round: the loader alone
(drain), the model alone on a batch that is there (cached), both in turn (synchronous), and a thread that reads while
the model computes (prefetched). Times are from the first batch to the last. Nothing is resumed: what another minute of
the machine has measured cannot be compared with this one. Files that were read before may lie in the system's own
cache, and an AnnData file is read when it is opened: of what then is left to read, this measures the time.

exit code: 0 measured, whatever was found; 2 bad use; 130 interrupted"""

_MODEL = (
    "a preset (default, seed, ...), package.module:factory or path/to/file.py:factory; a factory takes the number of "
    "genes, or nothing, and gives a torch.nn.Module or a diagnostics.checks.engine.subject.Subject (default: default)"
)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = Parser(
        prog="python -m diagnostics throughput",
        description="Says what share of training is lost to input, what a thread that reads ahead hides of it, what\n"
        "it could hide at most, whether processors are idle meanwhile, and how deep a queue should be.",
        epilog=_EXAMPLES,
    )
    made.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    add_source_arguments(made)
    add_pair_arguments(made, stored=True)
    add = made.add_argument_group("the model").add_argument
    add("--model", metavar="NAME", default="default", help=_MODEL)
    add("--batch-size", metavar="N", type=positive, default=128, help="pairs a step (default 128)")
    add("--device", metavar="NAME", default="auto", help="auto, cpu or cuda (default auto: cuda where there is one)")
    add = made.add_argument_group("what is measured").add_argument
    add("--batches", metavar="N", type=positive, default=64, help="batches of a pass, at least 3 (default 64)")
    add("--rounds", metavar="N", type=positive, default=5, help="rounds of four passes, at least 2 (default 5)")
    add("--depth", metavar="N", type=positive, default=64, help="batches that may lie ready (default 64)")
    dense = "make batches dense in the reader's thread, not as the model takes them"
    add("--dense-ahead", action="store_true", help=dense)
    stall = "a longer wait after the first batch counts as a stall (default 0.05)"
    add("--stall", metavar="SECONDS", type=float, default=0.05, help=stall)
    add("--seed", metavar="N", type=whole, default=0, help="decides pairs and weights (default 0)")
    add = made.add_argument_group("output").add_argument
    place = "report.txt, results.json, timeline.png (default runs/throughput)"
    add("--out", metavar="DIR", type=Path, default=Path("runs/throughput"), help=place)
    add("--json", metavar="FILE", type=Path, help="write everything that was measured to this file too")
    add("--quiet", action="store_true", help="no progress; the report alone")
    return made


def _checked(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parser().parse_args(argv)
    if arguments.source is None:
        raise InputError("--source is missing: name what is read, such as --source synthetic:scale_free/20")
    if arguments.regime is not None and arguments.regime not in REGIMES:
        raise InputError(f"--regime is {arguments.regime!r}; {nearest(arguments.regime, REGIMES)}")
    for flag, value, least in (("--batches", arguments.batches, 3), ("--rounds", arguments.rounds, 2)):
        if value < least:
            raise InputError(f"{flag} is {value}: it must be at least {least}, or there is nothing to compare")
    if not 0 <= arguments.stall < float("inf"):
        raise InputError(f"--stall is {arguments.stall}: it must be 0 seconds or more")
    PairRule(match_on=tuple(arguments.match_on or ()), differ_on=tuple(arguments.differ_on))
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 measured, 2 bad use, 130 interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        arguments = _checked(given)
        # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
        from diagnostics.commands.throughput.run import execute

        return execute(arguments, given)

    return exit_code_of("throughput", run, interrupted="nothing has been written")


if __name__ == "__main__":
    sys.exit(main())
