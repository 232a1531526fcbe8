"""``python -m diagnostics learning-curve``: more data or a bigger model, and how many pairs a graph takes.

The command line alone: what is asked is checked to the end before anything is trained or written.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import gpcp
from diagnostics.cli.parser import Parser, exit_code_of, number_range, positive, whole

_EXAMPLES = """examples:
  the default: 500 to 8,000 pairs of 20 genes, two widths, 5 seeds, about 5 minutes on 2 cores
    python -m diagnostics learning-curve
  three capacities of another kind, with a rate chosen for each point on validation pairs
    python -m diagnostics learning-curve --capacity n_decoder_blocks=1 2 3 --lr 5e-3 1.5e-2
  the sample size of a graph, by the number of genes: 60 trainings, about 15 minutes on 2 cores
    python -m diagnostics learning-curve --genes 10 20 40

Started again, the same command keeps every training that is finished.

exit code: 0, 1 every training diverged, 2 bad use, 130 interrupted
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m diagnostics learning-curve",
        description="Train on finite numbers of pairs of a world that is known, with several capacities, and say what\n"
        "more pairs, a bigger model and longer training each win, and what is left to the exact answer.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    _add_data_options(parser.add_argument_group("the data").add_argument)
    _add_training_options(parser.add_argument_group("the model and its training").add_argument)
    _add_output_options(parser.add_argument_group("output").add_argument)
    return parser


def _add_data_options(add: Callable[..., object]) -> None:
    world = "FAMILY/GENES[/MECHANISM][/NOISE][/SCALING], as recover_graph reads it (default scale_free/20)"
    add("--world", default="scale_free/20", metavar="NAME", help=world)
    regime = "interventional (default), counterfactual or matched"
    add("--regime", default="interventional", metavar="NAME", help=regime)
    add(
        "--n-perturbed",
        metavar="N[-M]",
        type=number_range,
        help="genes told a pair, N to M (default: 1 to all but one)",
    )
    pairs = "numbers of training pairs (default 500 2000 8000; with --genes 50 100 400 1600)"
    add("--pairs", metavar="N", type=positive, nargs="+", help=pairs)
    genes = "ask for the sample size of a graph instead, in worlds of these numbers of genes"
    add("--genes", metavar="N", type=positive, nargs="+", help=genes)


def _add_training_options(add: Callable[..., object]) -> None:
    add("--preset", default="default", metavar="NAME", help="architecture: default, seed, seed_perturbed")
    capacity = (
        "what makes the model bigger, and its values, such as width=8 16 32; width, n_encoder_blocks, "
        "n_decoder_blocks, n_rounds or feed_forward_ratio (default: the preset's width and half of it)"
    )
    add("--capacity", metavar="FIELD=N", nargs="+", help=capacity)
    steps = "the budget of each training (default 600, and 900 above 30 genes)"
    add("--steps", metavar="N", type=positive, help=steps)
    add("--batch-size", metavar="N", type=positive, default=64, help="pairs a step (default 64)")
    rates = "learning rates; of several, each training takes the best on validation pairs (default 0.015)"
    add("--lr", metavar="RATE", type=float, nargs="+", help=rates)
    seeds = "each a world, its pairs and a model's beginning (default 5)"
    add("--seeds", metavar="N", type=positive, default=5, help=seeds)
    add("--seed", metavar="N", type=whole, default=0, help="the first of them (default 0)")


def _add_output_options(add: Callable[..., object]) -> None:
    place = "runs.jsonl, table.txt, results.json and figures (default runs/learning_curve)"
    add("--out", metavar="DIR", type=Path, default=Path("runs/learning_curve"), help=place)
    add("--json", metavar="FILE", type=Path, help="write everything that was measured to this file too")
    add("--jobs", metavar="N", type=positive, help="worker processes, a thread each (default: one for each core)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the runs instead")
    add("--quiet", action="store_true", help="no progress; the table and the answer alone")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0, 1 every training diverged, 2 bad use, 130 interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        arguments = _parser().parse_args(given)
        # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
        from diagnostics.commands.learning_curve.run import execute

        return execute(arguments, given)

    kept = "finished trainings are kept, and the same command goes on"
    return exit_code_of("learning_curve", run, interrupted=kept)


if __name__ == "__main__":
    sys.exit(main())
