"""``benchmark simulators``: drawing noise and computing expression, beside random numbers alone and other packages.

Simulators compute, so what counts is CPU time of the process: other work on the machine then matters little.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import final

from diagnostics.cli.text import table as aligned
from diagnostics.commands.benchmark.command import Request
from diagnostics.commands.benchmark.simulator_packages import PACKAGES, drawing_of
from gpcp.core.files import check_file, write_json
from gpcp.core.random import generator
from simulators.worlds import world

TARGETS = {"linear": 0.75, "hill": 0.60}
"""Speed of noise and expression as a share of that of the noise alone, at 1,000 genes x 10,000 cells."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """One row: what ran, its speed in million gene-cells per CPU second, and its share of the floor's in each round."""

    name: str
    best: float
    median: float
    shares: tuple[float, ...]
    target: float | None
    seconds: tuple[float, ...]


def measured(works: Sequence[Callable[[], object]], *, repeats: int) -> list[list[float]]:
    """CPU seconds of each of ``works``, which take turns, so that what slows the machine slows all of them.

    Each is called once more than it is timed: the first call pays for fresh memory.
    """
    seconds: list[list[float]] = [[] for _ in works]
    for number in range(repeats + 1):
        for of_work, work in zip(seconds, works, strict=True):
            start_s = time.process_time()
            work()
            if number:
                of_work.append(max(time.process_time() - start_s, 1e-9))
    return seconds


def simulator_speeds(*, n_genes: int, n_cells: int, repeats: int, seed: int) -> list[Speed]:
    """The random numbers alone, each world's noise and expression together, and the packages that are installed."""
    rng = generator("benchmark", seed)
    shape = (n_genes, n_cells)
    works: dict[str, Callable[[], object]] = {"normal random numbers alone": lambda: rng.standard_normal(shape)}
    targets: list[float | None] = [None]
    for mechanism, target in TARGETS.items():
        made = world(f"scale_free/{n_genes}/{mechanism}", seed=seed)
        works[f"{mechanism}, noise and expression"] = lambda scm=made.scm: scm.sample(n_cells, rng)
        targets.append(target if shape == (1_000, 10_000) else None)
        for name, package in PACKAGES.items():
            if package.mechanism == mechanism and not package.missing:
                works[f"{mechanism}, {name}"] = drawing_of(name, made, n_cells, seed)
                targets.append(None)
    seconds = measured(list(works.values()), repeats=repeats)
    n_items = n_genes * n_cells
    return [
        Speed(
            name=name,
            best=n_items / min(of_work) / 1e6,
            median=n_items / statistics.median(of_work) / 1e6,
            shares=tuple(floor / own for floor, own in zip(seconds[0], of_work, strict=True)),
            target=target,
            seconds=tuple(of_work),
        )
        for name, of_work, target in zip(works, seconds, targets, strict=True)
    ]


def table(speeds: Sequence[Speed]) -> str:
    """Rows of name, best, median, and the share of the floor: its median, lowest and highest, and the target."""
    rows = [
        [
            speed.name,
            f"{speed.best:.1f}",
            f"{speed.median:.1f}",
            f"{statistics.median(speed.shares):.2f}",
            f"{min(speed.shares):.2f} .. {max(speed.shares):.2f}",
            "-" if speed.target is None else f"{speed.target:.2f}",
        ]
        for speed in speeds
    ]
    return aligned(("million gene-cells per CPU second", "best", "median", "share", "of rounds", "target"), rows)


def ahead(speeds: Sequence[Speed]) -> list[str]:
    """How many times as fast as the fastest package of others each world is, by medians; and what is not installed."""
    lines: list[str] = []
    for mechanism in TARGETS:
        here = [speed for speed in speeds if speed.name.startswith(f"{mechanism}, ")]
        others = sorted(here[1:], key=lambda speed: speed.median)
        if others:
            times, name = here[0].median / others[-1].median, others[-1].name.partition(", ")[2]
            lines.append(f"{mechanism}: {times:.1f} times as fast as {name}, the fastest of the others that are here")
    return lines + [package.missing for package in PACKAGES.values() if package.missing]


def execute(request: Request) -> int:
    """Measure, show and write.

    Raises
    ------
    InputError
        The file of the figures cannot be written.
    """
    n_genes, n_cells, repeats, seed = (
        request.n_genes or 1_000,
        request.n_cells or 10_000,
        request.repeats or 7,
        request.seed,
    )
    check_file(request.json, "--json")
    speeds = simulator_speeds(n_genes=n_genes, n_cells=n_cells, repeats=repeats, seed=seed)
    print(f"simulators: {n_genes:,} genes x {n_cells:,} cells, {repeats} repeats, seed {seed}")
    print(table(speeds))
    print("\n".join(ahead(speeds)))
    if request.json is not None:
        document = {
            "what": "simulators",
            "unit": "million gene-cells per CPU second",
            "n_genes": n_genes,
            "n_cells": n_cells,
            "repeats": repeats,
            "seed": seed,
            "speeds": [asdict(speed) for speed in speeds],
        }
        write_json(request.json, document)
    return 0
