"""``python -m diagnostics.recover_graph``: train on a known world, read the graph out, say how much was learnt.

The command line alone: what is asked is checked to the end before anything is trained or written.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import gpcp
from diagnostics.cli.parser import Parser, exit_code_of, number_range, positive, whole
from diagnostics.commands.recover_graph.verdicts import thresholds_text

_EXAMPLES = """examples:
  three regimes, three seeds, 20 genes, in less than 4 minutes on 2 cores
    python -m diagnostics.recover_graph
  another world, one regime
    python -m diagnostics.recover_graph --world erdos_renyi/10/hill --regime interventional
  an architecture that cannot learn, and why
    python -m diagnostics.recover_graph --preset seed --seed 0
  one gene told a pair
    python -m diagnostics.recover_graph --n-perturbed 1 --regime interventional
  a module of a real network
    python -m diagnostics.recover_graph --world network/50 --network regulator_target.tsv
  real cells
    python -m diagnostics.recover_graph --cells cells.h5ad --cell-type-key cell_type

"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m diagnostics.recover_graph",
        description="Train a model on a world whose graph is known, read the graph out of it, and show every number\n"
        "between what knowing nothing scores and what the exact answer scores.",
        epilog=_EXAMPLES + thresholds_text() + "\nexit code: 0 pass, 1 fail, 2 bad use, 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    _add_world_options(parser.add_argument_group("the data: a simulated world").add_argument)
    _add_cell_options(parser.add_argument_group("the data: real cells instead").add_argument)
    _add_training_options(parser.add_argument_group("the model and its training").add_argument)
    _add_output_options(parser.add_argument_group("output").add_argument)
    return parser


def _add_world_options(add: Callable[..., object]) -> None:
    add(
        "--world",
        metavar="NAME",
        help="FAMILY/GENES[/MECHANISM][/NOISE][/SCALING], default scale_free/20; families: erdos_renyi, scale_free, "
        "modular, chain, fork, collider, network; mechanisms: linear, tanh, hill, interaction; scalings: iscm, raw, "
        "standardised",
    )
    add("--network", metavar="FILE", help="regulator-target table for a world network/GENES")
    regimes = "counterfactual, interventional or matched; repeat it for several (default: all three)"
    add("--regime", action="append", metavar="NAME", help=regimes)
    add(
        "--n-perturbed",
        metavar="N[-M]",
        type=number_range,
        help="genes told a pair, N to M (default: 1 to all but one)",
    )
    add("--dose-sd", metavar="SD", type=float, help="SD of the values that interventions set (default 2)")


def _add_cell_options(add: Callable[..., object]) -> None:
    add("--cells", metavar="FILE.h5ad", help="train on matched pairs of these cells")
    add("--cell-type-key", metavar="COLUMN", help="column of obs with cell types: a pair is of one type")
    add("--gene-id-key", metavar="COLUMN", help="column of var with Ensembl ids (default: the one with most)")
    layers = "X, raw or a layer's name (default: the first that looks like counts or log values)"
    add("--layer", metavar="NAME", help=layers)
    add("--values", metavar="KIND", help="what the values are: auto, counts or log (default auto)")
    add("--nan", metavar="KIND", help="NaN in the file: error, or unmeasured (default error)")
    add("--n-genes", metavar="N", type=positive, help="keep the N genes of largest variance (default 20)")


def _add_training_options(add: Callable[..., object]) -> None:
    add("--preset", default="default", metavar="NAME", help="architecture: default, seed, seed_perturbed")
    add("--steps", metavar="N", type=positive, help="training steps (default: by preset and regime)")
    add("--batch-size", metavar="N", type=positive, help="pairs a step (default: by preset and regime)")
    add("--lr", metavar="RATE", type=float, help="learning rate (default: by preset and regime)")
    seeds = "each seed is a world, its data and a model's beginning (default 0 1 2)"
    add("--seed", metavar="N", type=whole, nargs="+", default=[0, 1, 2], help=seeds)


def _add_output_options(add: Callable[..., object]) -> None:
    place = "figures, results, checkpoints and histories (default runs/recover_graph)"
    add("--out", metavar="DIR", type=Path, default=Path("runs/recover_graph"), help=place)
    add("--json", metavar="FILE", type=Path, help="write everything that was measured to this file too")
    add("--jobs", metavar="N", type=positive, help="worker processes (default: one for each core)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the runs instead")
    add("--resume", action="store_true", help="keep finished runs of the same settings, continue others")
    add("--quiet", action="store_true", help="no progress; the table and the verdict alone")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 pass, 1 fail, 2 bad use, 130 interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        arguments = _parser().parse_args(given)
        # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
        from diagnostics.commands.recover_graph.run import execute

        return execute(arguments, given)

    return exit_code_of("recover_graph", run, interrupted="nothing has been trained")


if __name__ == "__main__":
    sys.exit(main())
