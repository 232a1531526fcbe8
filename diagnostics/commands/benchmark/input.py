"""``benchmark input``: cells and pairs out of a Census-shaped store, beside the store's own reader.

Input waits, for disks and for other threads, so what counts is the clock on the wall, and ratios within one run.
"""

import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from diagnostics.cli.progress import Stages
from diagnostics.cli.text import table as aligned
from diagnostics.commands.benchmark.command import Request
from diagnostics.runs.lock import alone
from gpcp.core.errors import InputError
from gpcp.core.files import check_file, check_folder, errors_named, write_json

if TYPE_CHECKING:
    from diagnostics.throughput.store_benchmark import InputBenchmark


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


def execute(request: Request, *, io_batch_size: int, store: Path | None) -> int:
    """Measure, show and write.

    Raises
    ------
    InputError
        A number does not fit the store's reader, or the file of the figures cannot be written.
    """
    from diagnostics.throughput.store_benchmark import CHUNK, input_benchmark
    from simulators.census.embedded import embedded_census

    n_genes, n_cells, repeats, seed = (
        request.n_genes or 2_000,
        request.n_cells or 60_000,
        request.repeats or 3,
        request.seed,
    )
    check_file(request.json, "--json")
    if io_batch_size % CHUNK:
        raise InputError(
            f"--io-batch-size is {io_batch_size}: the store's reader takes multiples of {CHUNK}, its shuffle chunk"
        )
    with _folder(store) as folder:
        kept = folder / f"census_{n_cells}x{n_genes}_{seed}"
        if not kept.is_dir():
            print(f"writing a store of {n_cells:,} cells x {n_genes:,} genes", file=sys.stderr)
            # Six datasets of seven types make 42 keys; so few counts leave partners of a key as unlike as real ones.
            with errors_named(kept):
                embedded_census(
                    kept, seed=seed, n_cells=n_cells, n_genes=n_genes, n_datasets=6, n_cell_types=7, library_size=400.0
                )
        with Stages(None) as stages:
            found = input_benchmark(
                kept,
                folder / f"{kept.name}_cache",
                io_batch_size=io_batch_size,
                repeats=repeats,
                seed=seed,
                on_row=stages,
            )
    print(f"input: {found.n_cells:,} cells x {found.n_genes:,} genes, {found.io_batch_size:,} cells an I/O batch")
    print(input_table(found))
    if request.json is not None:
        write_json(request.json, {"what": "input", "unit": "cells per second", "seed": seed, **asdict(found)})
    return 0


@contextmanager
def _folder(kept: Path | None) -> Generator[Path, None, None]:
    """The folder that stores are kept in, or a passing one."""
    if kept is not None:
        check_folder(kept, "--store")
        with alone(kept / ".gpcp.lock", what=f"--store: {kept}"):
            yield kept
        return
    with tempfile.TemporaryDirectory() as passing:
        yield Path(passing)
