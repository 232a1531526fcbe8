"""``python -m diagnostics benchmark``: how fast the parts are, beside the floor that no code of ours can beat.

Dimension key: none; simulators in million gene-cells per CPU second, input in cells per second of wall time.

Simulators compute, so what counts is CPU time of the process: other work on the machine then matters little. Input
waits, for disks and for other threads, so what counts is the clock on the wall, and ratios within one run.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from diagnostics.cli.progress import Stages
from diagnostics.cli.text import table as aligned
from gpcp.core.errors import InputError
from gpcp.core.files import write_json
from gpcp.core.random import generator
from simulators.worlds import world

if TYPE_CHECKING:
    from diagnostics.throughput.store_benchmark import InputBenchmark

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
    rows = [
        [speed.name, f"{speed.best:.1f}", f"{speed.median:.1f}", "-" if speed.target is None else f"{speed.target:.0f}"]
        for speed in speeds
    ]
    return aligned(("million gene-cells per CPU second", "best", "median", "target"), rows)


def input_table(found: "InputBenchmark") -> str:
    """Rows of speed, then the ratios that are asked for and whether each is reached."""
    speeds = [
        [speed.name, f"{speed.cells_per_s:,.0f}", " ".join(f"{one:.2f}" for one in speed.seconds)]
        for speed in found.speeds
    ]
    ratios = [
        [
            ratio.name,
            f"{ratio.value:,.0f}" if ratio.at_most else f"{ratio.value:.3f}",
            f"{'<=' if ratio.at_most else '>='} {ratio.threshold:g}",
            "reached" if ratio.reached else "NOT REACHED",
        ]
        for ratio in found.ratios
    ]
    paired, ahead = found.streaming, found.prefetched
    return "\n".join(
        [
            aligned(("", "cells/s", "seconds a pass"), speeds),
            "",
            aligned(("", "found", "asked for", ""), ratios, align="lrrl"),
            "",
            "random partners of the same key: Jaccard index "
            f"{paired.random_jaccard or 0:.3f} +- {paired.random_jaccard_se or 0:.3f}; "
            f"best of 64: {paired.jaccard or 0:.3f} +- {paired.jaccard_se or 0:.3f}",
            f"reading ahead: first batch after {1e3 * (ahead.first_batch_s or 0):.0f} ms; longest wait after it "
            f"{1e3 * ahead.longest_wait_s:.1f} ms, "
            f"all waits {1e3 * ahead.waited_s:.0f} ms of {ahead.n_batches} batches",
        ]
    )


def _input(arguments: argparse.Namespace) -> None:
    from diagnostics.throughput.store_benchmark import CHUNK, input_benchmark
    from simulators.census.embedded import embedded_census

    n_genes, n_cells, repeats, seed = (int(getattr(arguments, n)) for n in ("genes", "cells", "repeats", "seed"))
    destination = _json_file(arguments.json)
    if int(arguments.io) % CHUNK:
        raise InputError(f"--io is {arguments.io}: the store's reader takes multiples of {CHUNK}, its shuffle chunk")
    with _folder(arguments.store) as folder:
        store = folder / f"census_{n_cells}x{n_genes}_{seed}"
        if not store.is_dir():
            print(f"writing a store of {n_cells:,} cells x {n_genes:,} genes", file=sys.stderr)
            # Six datasets of seven types make 42 keys; so few counts leave partners of a key as unlike as real ones.
            embedded_census(
                store, seed=seed, n_cells=n_cells, n_genes=n_genes, n_datasets=6, n_cell_types=7, library_size=400.0
            )
        with Stages(None) as stages:
            found = input_benchmark(
                store,
                folder / f"{store.name}_cache",
                io_batch_size=int(arguments.io),
                repeats=repeats,
                seed=seed,
                on_row=stages,
            )
    print(f"input: {found.n_cells:,} cells x {found.n_genes:,} genes, {found.io_batch_size:,} cells an I/O batch")
    print(input_table(found))
    if destination is not None:
        write_json(destination, {"what": "input", "unit": "cells per second", "seed": seed, **asdict(found)})


@contextmanager
def _folder(kept: str | None) -> Generator[Path, None, None]:
    """The folder that stores are kept in, or a passing one."""
    if kept is not None:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory() as passing:
        yield Path(passing)


def _json_file(name: str | None) -> Path | None:
    destination = None if name is None else Path(name)
    if destination is not None and destination.is_dir():
        raise InputError(f"--json {str(destination)!r} is a folder: name a file in it")
    return destination


def _simulators(arguments: argparse.Namespace) -> None:
    n_genes, n_cells, repeats, seed = (int(getattr(arguments, n)) for n in ("genes", "cells", "repeats", "seed"))
    destination = _json_file(arguments.json)
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
        prog="python -m diagnostics benchmark",
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
    _shared(simulators, genes=1_000, cells=10_000, repeats=7)
    simulators.set_defaults(run=_simulators)
    of_input = commands.add_parser(
        "input",
        help="cells and pairs out of a Census-shaped store, beside the store's own reader",
        description="Cells per second of the same store read plainly, paired as it streams by, cached and planned, and "
        "whether a consumer ever waits. Takes minutes at the default size.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _shared(of_input, genes=2_000, cells=60_000, repeats=3)
    of_input.add_argument("--io", type=_at_least(64), default=16_384, metavar="N", help="cells of an I/O batch")
    of_input.add_argument("--store", metavar="FOLDER", help="keep store and cache here, and use what is here already")
    of_input.set_defaults(run=_input)
    return top


def _shared(command: argparse.ArgumentParser, *, genes: int, cells: int, repeats: int) -> None:
    command.add_argument("--genes", type=_at_least(2), default=genes, metavar="N", help="genes of the world")
    command.add_argument("--cells", type=_at_least(1), default=cells, metavar="N", help="cells of each repeat")
    command.add_argument("--repeats", type=_at_least(1), default=repeats, metavar="N", help="timed calls of each row")
    command.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="of world and cells")
    command.add_argument("--json", metavar="FILE", help="also write the figures here")


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
