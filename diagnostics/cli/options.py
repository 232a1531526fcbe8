"""Options that several commands have, each declared once: where cells come from, how they become pairs."""

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from diagnostics.cli.parser import positive, share, whole
from gpcp.opening.cells import OPTIONS, SCHEMES
from gpcp.opening.pairs import MAX_CELLS

KINDS: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {"text": str, "positive": positive, "whole": whole, "share": share}
)
"""From an option's text to its value, by :attr:`gpcp.opening.cells.Option.kind`."""


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--source`` and every option of sources to a command.

    The values are given on to :func:`open_cells` by :func:`source_options`; ``--genes`` is its ``genes``.
    """
    group = parser.add_argument_group("the cells")
    ways = "; ".join(f"{name}:{SCHEMES[name].summary}" for name in SCHEMES)
    group.add_argument("--source", metavar="KIND:PLACE", help=f"where cells come from: {ways}")
    group.add_argument("--genes", metavar="FILE", help="keep the genes of this panel, or of this list of ids")
    groups = {name: parser.add_argument_group(f"{name} sources") for name in SCHEMES if SCHEMES[name].options}
    for option in OPTIONS:
        what = OPTIONS[option]
        taker = next((name for name in groups if option in SCHEMES[name].options), None)
        add = (group if taker is None else groups[taker]).add_argument
        flag = f"--{option.replace('_', '-')}"
        if not what.metavar:
            # None unless it is given, as with every other option.
            add(flag, action="store_const", const=True, help=what.summary)
        elif what.many:
            add(flag, action="append", metavar=what.metavar, type=KINDS[what.kind], help=what.summary)
        else:
            add(flag, metavar=what.metavar, type=KINDS[what.kind], help=what.summary)


def add_pair_arguments(parser: argparse.ArgumentParser, *, stored: bool = False) -> None:
    """Add what :class:`PairOptions` holds to a command; ``stored``: one that keeps no cells."""
    add = parser.add_argument_group("the pairs").add_argument
    regimes = "counterfactual, interventional or matched (default interventional)"
    add("--regime", metavar="NAME", help=f"of a simulated world: {regimes}")
    add(
        "--n-perturbed",
        metavar="N",
        type=positive,
        nargs=2,
        help="fewest and most genes told (default: 1 to all but one)",
    )
    add("--match-on", metavar="NAME", nargs="*", help="what two cells share (default cell_type, where it is known)")
    add("--differ-on", metavar="NAME", nargs="+", default=[], help="what they differ in, such as disease")
    if not stored:
        add("--max-cells", metavar="N", type=positive, default=MAX_CELLS, help=f"cells to read (default {MAX_CELLS:,})")
