"""``benchmark simulators``: drawing noise and computing expression, beside random numbers alone.

Simulators compute, so what counts is CPU time of the process: other work on the machine then matters little.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import final

from diagnostics.cli.text import table as aligned
from diagnostics.commands.benchmark.command import Request
from gpcp.core.files import check_file, write_json
from gpcp.core.random import generator
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
    rows = [
        [speed.name, f"{speed.best:.1f}", f"{speed.median:.1f}", "-" if speed.target is None else f"{speed.target:.0f}"]
        for speed in speeds
    ]
    return aligned(("million gene-cells per CPU second", "best", "median", "target"), rows)


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
