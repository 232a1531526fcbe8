"""``python -m diagnostics.benchmark``: how fast the parts are, beside the floor that no code of ours can beat.

Dimension key: none; speeds are in million gene-cells per CPU second.

CPU time of the process, not wall time: other work on the machine then matters little, though it still costs caches.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from gpcp.atomic import write_json
from gpcp.errors import InputError
from simulators.randomness import generator
from simulators.worlds import world

TARGETS = {"linear": 50.0, "hill": 40.0}
"""Million gene-cells per CPU second, noise drawn and expression computed, at 1,000 genes x 10,000 cells."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """One row: what ran, its speed in million gene-cells per CPU second, and the speed asked for, if any."""

    name: str
    best: float
    median: float
    target: float | None
    seconds: tuple[float, ...]


def measured(
    name: str, work: Callable[[], object], *, n_items: int, repeats: int, target: float | None = None
) -> Speed:
    """Speed of ``work``, which handles ``n_items`` gene-cells each time it is called.

    It is called once more than it is timed: the first call pays for fresh memory.
    """
    work()
    seconds: list[float] = []
    for _ in range(repeats):
        start_s = time.process_time()
        work()
        seconds.append(max(time.process_time() - start_s, 1e-9))
    return Speed(
        name=name,
        best=n_items / min(seconds) / 1e6,
        median=n_items / statistics.median(seconds) / 1e6,
        target=target,
        seconds=tuple(seconds),
    )


def simulator_speeds(*, n_genes: int, n_cells: int, repeats: int, seed: int) -> list[Speed]:
    """The random numbers alone, then each world's noise and expression together."""
    n_items = n_genes * n_cells
    rng = generator("benchmark", seed)
    shape = (n_genes, n_cells)
    speeds = [
        measured("normal random numbers alone", lambda: rng.standard_normal(shape), n_items=n_items, repeats=repeats)
    ]
    for mechanism, target in TARGETS.items():
        scm = world(f"scale_free/{n_genes}/{mechanism}", seed=seed).scm
        speeds.append(
            measured(
                f"{mechanism}, noise and expression",
                lambda scm=scm: scm.sample(n_cells, rng),
                n_items=n_items,
                repeats=repeats,
                target=target if shape == (1_000, 10_000) else None,
            )
        )
    return speeds


def table(speeds: Sequence[Speed]) -> str:
    """Rows of name, best, median and target."""
    lines = [f"{'million gene-cells per CPU second':40s}{'best':>8s}{'median':>8s}{'target':>8s}"]
    for speed in speeds:
        target = "-" if speed.target is None else f"{speed.target:.0f}"
        lines.append(f"{speed.name:40s}{speed.best:8.1f}{speed.median:8.1f}{target:>8s}")
    return "\n".join(lines)


def _simulators(arguments: argparse.Namespace) -> None:
    n_genes, n_cells, repeats, seed = (int(getattr(arguments, n)) for n in ("genes", "cells", "repeats", "seed"))
    destination = None if arguments.json is None else Path(arguments.json)
    if destination is not None and destination.is_dir():
        raise InputError(f"--json {str(destination)!r} is a folder: name a file in it")
    speeds = simulator_speeds(n_genes=n_genes, n_cells=n_cells, repeats=repeats, seed=seed)
    print(f"simulators: {n_genes:,} genes x {n_cells:,} cells, {repeats} repeats, seed {seed}")
    print(table(speeds))
    if destination is not None:
        document = {
            "what": "simulators",
            "unit": "million gene-cells per CPU second",
            "n_genes": n_genes,
            "n_cells": n_cells,
            "repeats": repeats,
            "seed": seed,
            "speeds": [asdict(speed) for speed in speeds],
        }
        write_json(destination, document)


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return number


def parser() -> argparse.ArgumentParser:
    """The command's arguments; one subcommand for each part that can be timed."""
    top = argparse.ArgumentParser(
        prog="python -m diagnostics.benchmark",
        description="Time a part of the library beside the floor that its work cannot beat.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="PART")
    simulators = commands.add_parser(
        "simulators",
        help="drawing noise and computing expression, beside random numbers alone",
        description="Million gene-cells per CPU second of linear and Hill worlds (scale_free), beside the speed of "
        "drawing as many normal random numbers and doing nothing with them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    simulators.add_argument("--genes", type=_at_least(2), default=1_000, metavar="N", help="genes of the world")
    simulators.add_argument("--cells", type=_at_least(1), default=10_000, metavar="N", help="cells of each repeat")
    simulators.add_argument("--repeats", type=_at_least(1), default=7, metavar="N", help="timed calls of each row")
    simulators.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="of world and cells")
    simulators.add_argument("--json", metavar="FILE", help="also write the figures here")
    simulators.set_defaults(run=_simulators)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 where it ran, 2 where it was used wrongly."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
