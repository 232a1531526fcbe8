"""``python -m diagnostics sweep``: short trainings over hyperparameters, and which are best.

The command line alone: what is asked is checked to the end before anything is trained or written.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
import gpcp
from diagnostics.cli.options import add_pair_arguments, add_source_arguments
from diagnostics.cli.parser import Parser, exit_code_of, positive, whole

_EXAMPLES = """examples:
  learning rate, dropout, width, depth, head, ... on a simulated world: 24 trials, some 8 minutes on 2 cores
    python -m diagnostics sweep --source synthetic:scale_free/20 --workers 2
  learning rate and two heads alone, over a range of one's own
    python -m diagnostics sweep --source synthetic:scale_free/20 --over learning_rate=1e-5..1 head=linear,mlp
  cells of a file, another base
    python -m diagnostics sweep --source h5ad:cells.h5ad --cell-type-key cell_type --genes panel.json --set width=64
  several machines on one database: the same command on each
    python -m diagnostics sweep --source cache:panel_cache --storage postgresql://user@host/sweeps --trials 200
  started again, a sweep goes on where it was; with more --trials it goes further

what a trial comes to:
  finished   trained from every seed
  worse      given up: worse than the best trial on every seed so far (Wilcoxon's signed-rank test)
  flat       given up: its first seed won less than a tenth of what the best trial wins on it
  diverged   a loss was no longer finite
  failed     it could not be trained, see the message

exit code: 0 all trials ended, 1 none of them finished, 2 bad use, 130 interrupted (nothing is lost: start it again)"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = Parser(
        prog="python -m diagnostics sweep",
        description="Train many configurations for a few short epochs each, every one from the same seeds, and say\n"
        "which are best, which tie with the best within the noise between seeds, and at which learning\n"
        "rates the loss stays flat.",
        epilog=_EXAMPLES,
    )
    made.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    add_source_arguments(made)
    add_pair_arguments(made)
    _add_space(made.add_argument_group("what is varied").add_argument)
    _add_amount(made.add_argument_group("how much").add_argument)
    _add_output(made.add_argument_group("where it is kept, and output").add_argument)
    return made


def _add_space(add: Callable[..., object]) -> None:
    over = (
        "NAME, over its usual range, NAME=LOW..HIGH or NAME=A,B,C; any field of gpcp.model.config.ModelConfig and "
        "gpcp.training.config.FitConfig (default: learning_rate dropout weight_decay batch_size width n_decoder_blocks "
        "value_embedding query_form head)"
    )
    add("--over", metavar="WHAT", nargs="+", help=over)
    add("--preset", metavar="NAME", default="default", help="what is not varied (default: the preset default)")
    add("--set", metavar="NAME=VALUE", nargs="+", default=[], help="other values of what is not varied")
    no_range_test = "do not begin with the learning-rate ladder, whose rate is tried first and which sets the range"
    add("--no-range-test", action="store_true", help=no_range_test)


def _add_amount(add: Callable[..., object]) -> None:
    add("--trials", metavar="N", type=positive, default=24, help="configurations, all workers together (default 24)")
    spread = "of them, spread evenly over the space before Optuna's TPE begins (default: half)"
    add("--spread", metavar="N", type=whole, help=spread)
    add("--seeds", metavar="N", type=positive, default=4, help="trainings of each (default 4)")
    add("--epochs", metavar="N", type=positive, default=3, help="passes of a training (default 3)")
    pairs = "pairs of a pass (default: 8,192, or all where there are fewer)"
    add("--epoch-pairs", metavar="N", type=positive, help=pairs)
    add("--held-out", metavar="N", type=positive, default=2_000, help="pairs to be judged by (default 2,000)")
    add("--workers", metavar="N", type=positive, default=1, help="processes that share the trials (default 1)")
    threads = "threads of torch in each; small models are fastest with one (default 1)"
    add("--threads", metavar="N", type=positive, default=1, help=threads)
    add("--seed", metavar="N", type=whole, default=0, help="decides every draw (default 0)")


def _add_output(add: Callable[..., object]) -> None:
    out = "the journal, table.txt, sweep.json and figures (default runs/sweep)"
    add("--out", metavar="DIR", type=Path, default=Path("runs/sweep"), help=out)
    storage = (
        "instead of a journal in --out: a journal FILE, an address of a database (postgresql://..., mysql://..., "
        "sqlite:///FILE for one worker), or grpc://HOST:PORT of Optuna's storage proxy (needs grpcio)"
    )
    add("--storage", metavar="PLACE", help=storage)
    add("--name", metavar="NAME", default="sweep", help="of the sweep in its storage (default sweep)")
    add("--json", metavar="FILE", type=Path, help="write the results to this file too")
    add("--quiet", action="store_true", help="no progress; the results alone")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 all trials ended, 1 none finished, 2 bad use, 130 interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        arguments = parser().parse_args(given)
        # Heavy imports come after the arguments are read, so that --help and a wrong option answer soon.
        from diagnostics.commands.sweep.run import execute

        return execute(arguments, given)

    return exit_code_of("sweep", run, interrupted="what was trained is kept, and the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
