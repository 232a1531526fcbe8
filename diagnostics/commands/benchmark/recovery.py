"""``benchmark recovery``: how well and how fast methods read the graph from the same pairs of the same worlds.

Every method is a process of its own with one thread; what counts is its CPU time, from the pairs to scores of edges,
without imports and without drawing the pairs.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, final

import numpy as np

from diagnostics.cli.progress import Stages
from diagnostics.cli.text import table as aligned
from diagnostics.commands.benchmark.apart import Ended, apart
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import check_file, write_json
from simulators.scm.regimes import regime_of
from simulators.worlds import world

if TYPE_CHECKING:
    from diagnostics.commands.benchmark.command import RecoveryRequest

PACKAGES = ("numpy", "torch", "scikit-learn", "arboreto", "gcastle", "dagma")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One method in one world.

    Parameters
    ----------
    mechanism : str
    n_genes : int
    method : str
    auprc, cpu_s, peak_mib : float or None
        None where there is no answer, for the reason ``note``.
    note : str
    """

    mechanism: str
    n_genes: int
    method: str
    auprc: float | None
    cpu_s: float | None
    peak_mib: float | None
    note: str


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """Exponent of a method's CPU time in genes, from a line through the logarithms of all its sizes."""

    mechanism: str
    method: str
    sizes: tuple[int, ...]
    exponent: float


def read_one(name: str, method: str, *, regime: str, n_pairs: int, seed: int, steps: int | None) -> tuple[float, float]:
    """AUPRC and CPU seconds of a method in the world of a name; imports and pairs are not counted."""
    from diagnostics.commands.benchmark.readers import READERS, Given
    from diagnostics.graphs.evaluate import TARGET_OF
    from diagnostics.graphs.scores import auprc_of, target_graph
    from diagnostics.runs.experiment import one_thread
    from gpcp.core.pairs import concatenate
    from gpcp.core.random import seed_of
    from simulators.sources import SimulatedPairs

    made, checked = world(name, seed=seed), regime_of(regime)
    source = SimulatedPairs(scm=made.scm, regime=checked, n_pairs=n_pairs)
    pairs = concatenate(source.pairs(batch_size=n_pairs, seed=seed_of(seed, "benchmark recovery", "pairs")))
    given = Given(world=made, regime=regime, pairs=pairs, seed=seed, n_steps=steps)
    reader = READERS[method]
    if reader.module:
        __import__(reader.module)
    with one_thread():
        start_s = time.process_time()
        score_GG = reader.read(given)
        cpu_s = time.process_time() - start_s
    return auprc_of(score_GG, target_graph(made.graph, TARGET_OF[checked])), cpu_s


def rows(request: "RecoveryRequest", methods: Sequence[str], *, quiet: bool = False) -> list[Row]:
    """Every method in every world, one after the other."""
    from diagnostics.commands.benchmark.readers import READERS

    found: list[Row] = []
    n_stages = len(request.mechanisms) * len(request.sizes) * len(methods)
    with Stages(n_stages, quiet=quiet) as stages:
        for mechanism in request.mechanisms:
            for n_genes in request.sizes:
                for method in methods:
                    stages(f"{mechanism}, {n_genes} genes: {method}")
                    reader = READERS[method]
                    if reader.package and find_spec(reader.module.split(".")[0]) is None:
                        ended = Ended(note=f"not installed: pip install {reader.package}, or 'gpcp[benchmark]'")
                    else:
                        work = partial(
                            read_one,
                            _name(request.family, n_genes, mechanism),
                            method,
                            regime=request.regime,
                            n_pairs=request.n_pairs,
                            seed=request.seed,
                            steps=request.steps,
                        )
                        ended = apart(work, limit_s=request.limit)
                    found.append(
                        Row(
                            mechanism=mechanism,
                            n_genes=n_genes,
                            method=method,
                            auprc=ended.value,
                            cpu_s=ended.cpu_s,
                            peak_mib=ended.peak_mib,
                            note=ended.note,
                        )
                    )
    return found


def growth(found: Sequence[Row]) -> list[Growth]:
    """The exponent of each method in each kind of world that it was timed in at two sizes or more."""
    grown: list[Growth] = []
    for mechanism, method in dict.fromkeys((row.mechanism, row.method) for row in found):
        timed = {
            row.n_genes: row.cpu_s for row in found if (row.mechanism, row.method) == (mechanism, method) and row.cpu_s
        }
        if len(timed) > 1:
            slope = statistics.linear_regression(
                [float(np.log(n_genes)) for n_genes in timed], [float(np.log(cpu_s)) for cpu_s in timed.values()]
            ).slope
            grown.append(Growth(mechanism=mechanism, method=method, sizes=tuple(timed), exponent=slope))
    return grown


def table(found: Sequence[Row], grown: Sequence[Growth]) -> str:
    """A row a method and world, best first; who is ahead; and the exponents."""
    blocks: list[str] = []
    for mechanism, n_genes in dict.fromkeys((row.mechanism, row.n_genes) for row in found):
        here = [row for row in found if (row.mechanism, row.n_genes) == (mechanism, n_genes)]
        here.sort(key=lambda row: -1.0 if row.auprc is None else row.auprc, reverse=True)
        cells = [
            [row.method, _shown(row.auprc, ".3f"), _shown(row.cpu_s, ",.1f"), _shown(row.peak_mib, ",.0f"), row.note]
            for row in here
        ]
        blocks.append(aligned((f"{mechanism}, {n_genes} genes", "AUPRC", "CPU s", "MiB", ""), cells, align="lrrrl"))
    if grown:
        cells = [
            [f"{one.mechanism}: {one.method}", f"{one.exponent:.2f}", " ".join(map(str, one.sizes))] for one in grown
        ]
        blocks.append(aligned(("CPU time grows with genes to the power", "", "sizes"), cells, align="lrl"))
    return "\n\n".join(blocks)


def execute(request: "RecoveryRequest") -> int:
    """Measure, show and write.

    Raises
    ------
    InputError
        There is no such method, world or regime, or the file of the figures cannot be written.
    """
    from diagnostics.commands.benchmark.readers import READERS

    methods = request.methods or tuple(READERS)
    for method in methods:
        if method not in READERS:
            raise InputError(f"--methods {method}: unknown; {nearest(method, READERS)}")
    regime_of(request.regime)
    for mechanism in request.mechanisms:
        world(_name(request.family, 3, mechanism))
    if min(request.sizes) < 3:
        raise InputError(f"--n-genes {min(request.sizes)}: a graph to recover has at least 3 genes")
    check_file(request.json, "--json")
    found = rows(request, methods)
    grown = growth(found)
    print(
        f"recovery: {request.family}, {request.regime}, {request.n_pairs:,} pairs, seed {request.seed}; "
        "CPU seconds from pairs to scores, one thread"
    )
    print(f"{machine()}; {', '.join(f'{name} {number}' for name, number in versions().items())}\n")
    print(table(found, grown))
    print("\n" + "\n".join(f"{method}: {READERS[method].about}" for method in methods))
    if request.json is not None:
        write_json(request.json, _document(request, found, grown))
    return 0


def _document(request: "RecoveryRequest", found: Sequence[Row], grown: Sequence[Growth]) -> dict[str, Any]:
    return {
        "what": "recovery",
        "family": request.family,
        "regime": request.regime,
        "n_pairs": request.n_pairs,
        "seed": request.seed,
        "limit_s": request.limit,
        "machine": machine(),
        "versions": versions(),
        "rows": [asdict(row) for row in found],
        "growth": [asdict(one) for one in grown],
        "command": ["gpcp", *sys.argv[1:]],
    }


def machine() -> str:
    """The processor's kind, cores and Python."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Of the packages whose code is measured, where they are installed."""
    known: dict[str, str] = {}
    for name in PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known


def _name(family: str, n_genes: int, mechanism: str) -> str:
    return f"{family}/{n_genes}/{mechanism}"


def _shown(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)
