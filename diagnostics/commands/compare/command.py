"""``python -m diagnostics compare``: is `out` losing information? Heads compared, or embeddings, or query forms.

The command line alone: what is asked is checked to the end before anything is trained or written.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import gpcp
from diagnostics.cli.parser import Parser, exit_code_of, number_range, positive, whole

_EXAMPLES = """examples:
  every head, five seeds, 20 genes: about 4 minutes on 2 free cores; started again it goes on where it was
    python -m diagnostics compare
  is `out` losing information?
    python -m diagnostics compare --heads linear mlp pooled_scalar
  many genes told, and no skip connection
    python -m diagnostics compare --n-perturbed 1-19 --set skip=false --steps 600
  where only the genes that are told ask
    python -m diagnostics compare --heads pooled pooled_scalar --set query_form=perturbed_genes
  the same for how values become tokens, and for which genes ask
    python -m diagnostics compare --value-embeddings
    python -m diagnostics compare --query-forms --set head=pooled

"tie" is a paired interval that holds 0; "worse" and "better" are of the loss, within these steps. Information is
called lost only where the rank argument (what the head can carry, beside what the exact answer needs) and the
measurement (another head came below what that rank allows) both say so.

exit code: 0 compared, 2 bad use, 130 interrupted
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m diagnostics compare",
        description="Train configurations that differ in one part on the same pairs, from the same seeds, and say\n"
        "which learn more, which tie, and which lose information.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    _add_parts(parser.add_argument_group("what is compared (one of these)").add_argument)
    _add_data(parser.add_argument_group("the data").add_argument)
    _add_training(parser.add_argument_group("the model and its training").add_argument)
    _add_output(parser.add_argument_group("output").add_argument)
    return parser


def _add_parts(add: Callable[..., object]) -> None:
    add("--heads", metavar="NAME", nargs="*", help="output heads (default: all that fit)")
    add("--value-embeddings", metavar="NAME", nargs="*", help="value embeddings instead (no name: all)")
    add("--query-forms", metavar="NAME", nargs="*", help="query forms instead (no name: all), by the head 'pooled'")
    add("--reference", metavar="NAME", help="beside which the others are judged (default: the best)")


def _add_data(add: Callable[..., object]) -> None:
    worlds = "FAMILY/GENES[/MECHANISM][/NOISE][/SCALING] (default scale_free/20)"
    add("--world", metavar="NAME", default="scale_free/20", help=worlds)
    add("--network", metavar="FILE", help="regulator-target table for a world network/GENES")
    add(
        "--regime", metavar="NAME", default="interventional", help="counterfactual, interventional (default) or matched"
    )
    add(
        "--n-perturbed",
        metavar="N[-M]",
        type=number_range,
        default=(1, 1),
        help="genes told a pair, N to M (default 1)",
    )
    add("--seed", metavar="N", type=whole, default=0, help="of the world and its held-out pairs (default 0)")


def _add_training(add: Callable[..., object]) -> None:
    add("--preset", metavar="NAME", default="default", help="architecture around the part (default: default)")
    changes = "a field of ModelConfig or FitConfig, such as skip=false or learning_rate=0.003"
    add("--set", metavar="NAME=VALUE", nargs="+", default=[], action="extend", help=changes)
    add("--seeds", metavar="N", type=positive, default=5, help="trainings of each, paired (default 5)")
    steps = "training steps (default 200: 8 s for 20 genes and a free core)"
    add("--steps", metavar="N", type=positive, default=200, help=steps)


def _add_output(add: Callable[..., object]) -> None:
    place = "table, figure, results and finished trainings (default runs/compare_heads)"
    add("--out", metavar="DIR", type=Path, default=Path("runs/compare_heads"), help=place)
    add("--json", metavar="FILE", type=Path, help="write everything that was measured to this file too")
    add("--jobs", metavar="N", type=positive, help="worker processes, a thread each (default: one for each core)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the runs instead")
    add("--quiet", action="store_true", help="no progress; the table and the verdicts alone")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 compared, 2 bad use, 130 interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        arguments = _parser().parse_args(given)
        # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
        from diagnostics.commands.compare.run import execute

        return execute(arguments, given)

    left = "finished trainings are kept in --out; the same command goes on from there"
    return exit_code_of("compare_heads", run, interrupted=left)


if __name__ == "__main__":
    sys.exit(main())
