"""``python -m diagnostics audit``: is it my data? What the change between paired cells is made of.

The command line alone: what is asked is checked before anything is read.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# Registers the scheme `synthetic:`.
import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
import gpcp
from diagnostics.audit.verdicts import thresholds_text
from diagnostics.cli.options import add_source_arguments
from diagnostics.cli.parser import Parser, exit_code_of, positive, whole
from gpcp.core.errors import InputError, nearest
from gpcp.pairing.rules import KEYS, PairRule
from gpcp.panels.panel import ORDERS

_EXAMPLES = """examples:
  the first hundred genes of a file against its hundred most variable
    python -m diagnostics audit --source h5ad:cells.h5ad --cell-type-key cell_type
  a panel chosen before, patients against controls of one cell type and dataset
    python -m diagnostics audit --source census:2025-11-08 --tissue blood \\
        --panel panel.json --match-on cell_type dataset --differ-on disease
  simulated cells, sequenced to 5,000 counts
    python -m diagnostics audit --source synthetic:scale_free/20 --library-size 5000

"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = Parser(
        prog="python -m diagnostics audit",
        description="How much of the change between paired cells is regression to the mean, counting noise, depth,\n"
        "dataset or cell type; what is measured and expressed; what matching buys; and what the best\n"
        "linear predictor can gain on cells it has not seen. The author's setting, the first hundred\n"
        "protein-coding genes, stands beside the chosen panel.",
        epilog=_EXAMPLES + thresholds_text() + "\nexit code: 0 ran, 1 ran and the pairs cannot teach, 2 bad use, "
        "130 interrupted",
    )
    made.add_argument("--version", action="version", version=f"gpcp {gpcp.__version__}")
    add_source_arguments(made)
    add = made.add_argument_group("the chosen panel").add_argument
    add("--panel", metavar="FILE", help="genes of diagnostics.commands.select_genes.command, or one id a line")
    add("--n-genes", metavar="N", type=positive, help="else: so many genes (default: 100, or all that there are)")
    orders = ", ".join(ORDERS)
    add("--by", metavar="ORDER", default="variance", help=f"ranked by one of {orders} (default variance)")
    add("--gene-table", metavar="FILE", help="CSV of genes with their biotypes, where the source does not give them")
    add = made.add_argument_group("the pairs of the chosen panel").add_argument
    names = ", ".join(KEYS)
    add("--match-on", metavar="NAME", nargs="*", help=f"what both cells share: {names} (default cell_type)")
    add("--differ-on", metavar="NAME", nargs="+", default=[], help="what they differ in, such as disease")
    add("--prefer-on", metavar="NAME", nargs="+", default=[], help="what they share if it can be had")
    add("--best-of", metavar="K", type=positive, default=1, help="most alike of K candidates (default 1: any)")
    add(
        "--n-perturbed",
        metavar="N",
        type=positive,
        nargs=2,
        help="fewest and most genes told (default: 1 to all but one)",
    )
    add = made.add_argument_group("size and output").add_argument
    add("--max-cells", metavar="N", type=positive, default=40_000, help="cells to read (default 40,000)")
    add("--max-pairs", metavar="N", type=positive, default=20_000, help="pairs to measure (default 20,000)")
    add("--seed", metavar="N", type=whole, default=0, help="decides the sample, the pairs, every draw (default 0)")
    place = "audit.txt, audit.json, audit.png (default runs/audit_pairs)"
    add("--out", metavar="DIR", type=Path, default=Path("runs/audit_pairs"), help=place)
    add("--quiet", action="store_true", help="no progress; the table and the verdict alone")
    return made


def _checked(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parser().parse_args(argv)
    if arguments.source is None:
        raise InputError("--source is missing: name the cells, such as --source h5ad:cells.h5ad")
    if arguments.by not in ORDERS:
        raise InputError(f"--by is {arguments.by!r}; {nearest(arguments.by, ORDERS)}")
    if arguments.panel is not None and arguments.n_genes is not None:
        raise InputError("--panel and --n-genes both say which genes: give one of them")
    PairRule(
        match_on=("cell_type",) if arguments.match_on is None else tuple(arguments.match_on),
        differ_on=tuple(arguments.differ_on),
        prefer_on=tuple(arguments.prefer_on),
    )
    if arguments.n_perturbed is not None:
        arguments.n_perturbed = tuple(arguments.n_perturbed)
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
        0 ran, 1 ran and the pairs cannot teach, 2 bad use, 130 interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        arguments = _checked(given)
        # Heavy imports come after the arguments are read, so that --help and a wrong option answer at once.
        from diagnostics.commands.audit.run import execute

        return execute(arguments, given)

    return exit_code_of("audit_pairs", run, interrupted="nothing has been written")


if __name__ == "__main__":
    sys.exit(main())
