"""``python -m diagnostics``: why does my model not learn? Data, optimiser, architecture or a bug.

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
from gpcp.opening.cells import source_options
from gpcp.pairing.rules import PairRule
from simulators.scm.regimes import REGIMES

_EXAMPLES = """examples:
  a preset on the pairs of a simulated world, every check, with a page to look at
    python -m diagnostics --source synthetic:scale_free/20 --model default --html verdict.html
  a model of one's own, without data: what must hold exactly, in seconds
    python -m diagnostics --model my_model.py:build --n-genes 50 --only exact
  a model of one's own on cells of a file, trained by AdamW at the rate given
    python -m diagnostics --source h5ad:cells.h5ad --cell-type-key cell_type --genes panel.json \\
        --model my_package.models:build --learning-rate 1e-3
  pairs alone: is there anything to learn?
    python -m diagnostics --source cache:panel_cache

exit code: 0 nothing found, 1 a cause found or a check that could not be carried out, 2 bad use,
130 interrupted (what was found by then is reported and written)"""


_MODEL = (
    "a preset (default, seed, ...), package.module:factory or path/to/file.py:factory; a factory takes the number of "
    "genes, or nothing, and gives a torch.nn.Module or a diagnostics.checks.engine.subject.Subject"
)
_RATE = (
    "of AdamW (default for presets: that of gpcp.training.fit.fit; without it the training of a module of one's own is "
    "not judged)"
)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = Parser(
        prog="python -m diagnostics",
        description="Looks at a model, its training step and its data, in this order: data, loss, architecture,\n"
        "optimiser, a short training. The first failing check is the diagnosis; what follows from it is\n"
        "listed as a consequence. What is not given is not judged.",
        epilog=_EXAMPLES,
    )
    made.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    add_source_arguments(made)
    add_pair_arguments(made)
    add = made.add_argument_group("the model").add_argument
    add("--model", metavar="NAME", help=_MODEL)
    add("--n-genes", metavar="N", type=positive, help="genes of the model, where there is no source")
    add("--checkpoint", metavar="FILE", type=Path, help="its weights; of gpcp.training.fit.fit: the model too")
    add("--learning-rate", metavar="RATE", type=float, help=_RATE)
    add = made.add_argument_group("the checks").add_argument
    add("--only", metavar="NAME", nargs="+", default=[], help="names, families or kinds (exact, statistical)")
    add(
        "--stop-early",
        action="store_true",
        help="train nothing on trial once a check has failed: the same diagnosis, sooner",
    )
    add("--list", action="store_true", help="show every check and what it asks, and end")
    add("--seed", metavar="N", type=whole, default=0, help="decides every draw (default 0)")
    add = made.add_argument_group("output").add_argument
    add("--json", metavar="FILE", type=Path, help="write the report, with tracebacks and versions")
    add("--html", metavar="FILE", type=Path, help="write a page with figures, one file that needs no network")
    add("--quiet", action="store_true", help="the verdict alone, without a line for each check and progress")
    return made


def _checked(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parser().parse_args(argv)
    if arguments.list:
        return arguments
    if arguments.source is None:
        _check_without_source(arguments)
    elif arguments.n_genes is not None:
        raise InputError("--n-genes is for a model without a source: the genes of --source are known; leave it out")
    if arguments.regime is not None and arguments.regime not in REGIMES:
        raise InputError(f"--regime is {arguments.regime!r}; {nearest(arguments.regime, REGIMES)}")
    if arguments.learning_rate is not None and not 0 < arguments.learning_rate < float("inf"):
        raise InputError(f"--learning-rate is {arguments.learning_rate}: it must be above 0")
    if arguments.learning_rate is not None and arguments.model is None and arguments.checkpoint is None:
        raise InputError("--learning-rate is of a model's training: give --model too")
    PairRule(match_on=tuple(arguments.match_on or ()), differ_on=tuple(arguments.differ_on))
    return arguments


def _check_without_source(arguments: argparse.Namespace) -> None:
    if arguments.model is None and arguments.checkpoint is None:
        raise InputError("there is nothing to diagnose: give --source, --model, or both (--help shows examples)")
    given = [
        *source_options(arguments),
        *[name for name in ("genes", "regime", "n_perturbed") if getattr(arguments, name)],
    ]
    if given:
        raise InputError(f"--{given[0].replace('_', '-')} says how pairs are made: give --source too")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 nothing found, 1 a cause found, 2 bad use, 130 interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        arguments = _checked(given)
        # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
        from diagnostics.commands.diagnose.run import execute, list_checks

        return list_checks() if arguments.list else execute(arguments, given)

    return exit_code_of("diagnostics", run, interrupted="nothing has been judged or written")


if __name__ == "__main__":
    sys.exit(main())
