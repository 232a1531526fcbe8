"""Benchmark of input: cells per second of the same store read plainly, paired, cached and prefetched.

Every row goes over the same Census-shaped store. The reference is ``tiledbsoma_ml.ExperimentDataset``, the store's own
reader, and the requirements are ratios to it, since speeds are those of one machine. It fetches ahead in a thread, by
its default; pairs that are streamed are read ahead by :class:`gpcp.loading.prefetch.Prefetched`.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np

from gpcp.core.pairs import PairSource
from gpcp.loading.prefetch import Prefetched, PrefetchStats
from gpcp.pairing.paired import Paired
from gpcp.pairing.stats import PairingStats
from gpcp.sources.cache.build import cached
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.census.store import soma_context

CHUNK = 64
"""Neighbouring cells that ``ExperimentDataset`` keeps together when it shuffles, by its default."""

BATCH = 128
"""Cells or pairs of a batch, as a training step takes them."""

MATCH_ON = ("cell_type", "dataset")
BEST_OF = 64
MAX_HELD = 4_096
"""Cells that wait for their partner at once, at most: 64 for each of the 42 keys, and half as many again."""

LEAST_STEP_S = 0.005
"""A consumer that computes for less than this is no training step."""

PLAIN = "ExperimentDataset, shuffled"
FIRST_COME = "CensusCells, pairs, first come"
STREAMING = "CensusCells, pairs, best of 64"
CACHE = "panel cache, shuffled"
PLANNED = "panel cache, pairs"

OnePass: TypeAlias = Callable[[int], Iterator[Any]]
"""From the number of a repeat to things that have a length."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpeed:
    """One way of getting at the cells.

    Parameters
    ----------
    name : str
    seconds : tuple of float
        Of each repeat, a whole pass.
    n_cells : int
        Cells of a pass; a pair counts as two.
    """

    name: str
    seconds: tuple[float, ...]
    n_cells: int

    @property
    def cells_per_s(self) -> float:
        """Cells per second, by the median of the repeats."""
        return self.n_cells / statistics.median(self.seconds)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """A required figure: what was measured, and the threshold that it must reach (or stay below)."""

    name: str
    value: float
    threshold: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """Whether the threshold is met."""
        return self.value <= self.threshold if self.at_most else self.value >= self.threshold


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class InputBenchmark:
    """All rows of one run.

    Parameters
    ----------
    speeds : tuple of InputSpeed
    ratios : tuple of Ratio
    streaming : PairingStats
        Of a pass that pairs the best of 64.
    prefetched : PrefetchStats
        Of a pass whose consumer computes twice as long as reading takes.
    n_cells, n_genes, io_batch_size : int
    """

    speeds: tuple[InputSpeed, ...]
    ratios: tuple[Ratio, ...]
    streaming: PairingStats
    prefetched: PrefetchStats
    n_cells: int
    n_genes: int
    io_batch_size: int


def timed(one_pass: OnePass, number: int, *, cells_each: int) -> tuple[int, float]:
    """Cells of one whole pass, and its seconds; ``cells_each`` is 2 where a batch's rows are pairs."""
    start_s = time.perf_counter()
    n_cells = cells_each * sum(len(batch) for batch in one_pass(number))
    return n_cells, time.perf_counter() - start_s


def plain_reading(uri: Path, *, io_batch_size: int, shuffle: bool, seed: int) -> Iterator[Any]:
    """What ``tiledbsoma_ml.ExperimentDataset`` gives by itself: dense batches of the layer ``normalized``."""
    import warnings

    import tiledbsoma
    from tiledbsoma_ml import ExperimentDataset

    experiment_uri = str(uri / "census_data" / "homo_sapiens")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            tiledbsoma.Experiment.open(experiment_uri, context=soma_context()) as experiment,
            experiment.axis_query("RNA") as query,
        ):
            dataset = ExperimentDataset(
                query,
                layer_name="normalized",
                batch_size=BATCH,
                io_batch_size=io_batch_size,
                shuffle=shuffle,
                seed=seed,
            )
            for values, _ in dataset:
                yield values


def computing(seconds: float) -> None:
    """Keep one core busy for so long, in code that lets other threads run, as a training step does."""
    square = np.ones((160, 160), dtype=np.float32)
    until_s = time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        np.matmul(square, square)


def stalls(pairs: PairSource, *, seconds_a_batch: float, seed: int) -> PrefetchStats:
    """One pass, read ahead, with a consumer that computes ``seconds_a_batch`` on every batch.

    The queue is as deep as :class:`gpcp.loading.prefetch.Prefetched` recommends: it lasts as long as reading one block
    takes.
    """
    trial = Prefetched(pairs)
    for _ in trial.pairs(batch_size=BATCH, seed=seed):
        pass
    depth = max(64, int(np.ceil(2 * trial.stats.longest_read_s / seconds_a_batch)))
    prefetched = Prefetched(pairs, depth=depth)
    for _ in prefetched.pairs(batch_size=BATCH, seed=seed + 1):
        computing(seconds_a_batch)
    return prefetched.stats


def input_benchmark(
    store: Path,
    cache: Path,
    *,
    io_batch_size: int,
    repeats: int,
    seed: int = 0,
    on_row: Callable[[str], None] | None = None,
) -> InputBenchmark:
    """Every row over one store; the cache is built where there is none.

    Parameters
    ----------
    store, cache : Path
        A Census-shaped store, and the folder of its panel cache.
    io_batch_size : int
        Cells that are read from the store at a time, in every row that reads it.
    repeats : int
    seed : int
        Of the first repeat.
    on_row : callable, optional
        Called with the name of each row before it is measured.
    """
    show = on_row or _say_nothing
    cells = CensusCells(uri=store, io_batch_size=io_batch_size)
    show("warming up: compiling what reads the store")
    for _ in plain_reading(store, io_batch_size=io_batch_size, shuffle=True, seed=seed):
        pass
    panel = cached(cells, cache)
    streaming = Paired(cells, match_on=MATCH_ON, best_of=BEST_OF, engine="streaming", max_held=MAX_HELD)
    first_come = Paired(cells, match_on=MATCH_ON, engine="streaming", max_held=MAX_HELD)
    planned = Paired(panel, match_on=MATCH_ON)
    similar = Paired(panel, match_on=MATCH_ON, best_of=BEST_OF)

    def read(shuffle: bool) -> OnePass:
        return lambda one: plain_reading(store, io_batch_size=io_batch_size, shuffle=shuffle, seed=seed + one)

    passes: dict[str, tuple[OnePass, int]] = {
        PLAIN: (read(True), 1),
        "ExperimentDataset, in order": (read(False), 1),
        "CensusCells, shuffled": (lambda one: cells.cells(batch_size=BATCH, seed=seed + one), 1),
        FIRST_COME: (lambda one: Prefetched(first_come).pairs(batch_size=BATCH, seed=seed + one), 2),
        STREAMING: (lambda one: Prefetched(streaming).pairs(batch_size=BATCH, seed=seed + one), 2),
        CACHE: (lambda one: panel.cells(batch_size=BATCH, seed=seed + one), 1),
        "panel cache, kept sparse": (lambda one: panel.sparse_cells(batch_size=BATCH, seed=seed + one), 1),
        PLANNED: (lambda one: planned.pairs(batch_size=BATCH, seed=seed + one), 2),
        "panel cache, pairs, best of 64": (lambda one: similar.pairs(batch_size=BATCH, seed=seed + one), 2),
    }
    # Row by row within each repeat, so that a slow minute of the machine does not fall on one row alone.
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    n_cells: dict[str, int] = {}
    for one in range(repeats):
        for name, (one_pass, cells_each) in passes.items():
            show(f"{name}, pass {one + 1} of {repeats}")
            n_cells[name], spent_s = timed(one_pass, one, cells_each=cells_each)
            seconds[name].append(spent_s)
    speeds = tuple(InputSpeed(name=name, seconds=tuple(seconds[name]), n_cells=n_cells[name]) for name in passes)
    show("reading ahead of a consumer that computes")
    reading_s = 2 * BATCH / _speed(speeds, PLANNED).cells_per_s
    prefetched = stalls(planned, seconds_a_batch=max(2 * reading_s, LEAST_STEP_S), seed=seed)
    return InputBenchmark(
        speeds=speeds,
        ratios=_ratios(speeds, streaming.stats, prefetched),
        streaming=streaming.stats,
        prefetched=prefetched,
        n_cells=cells.n_cells,
        n_genes=len(cells.vocab),
        io_batch_size=io_batch_size,
    )


def _say_nothing(name: str) -> None:
    del name


def _speed(speeds: Sequence[InputSpeed], name: str) -> InputSpeed:
    return next(speed for speed in speeds if speed.name == name)


def _times(speeds: Sequence[InputSpeed], name: str, other: str) -> float:
    """How many times as fast the first is as the second: the median over repeats of their ratio within each."""
    first, second = _speed(speeds, name), _speed(speeds, other)
    ratios = [
        (first.n_cells / one_s) / (second.n_cells / other_s)
        for one_s, other_s in zip(first.seconds, second.seconds, strict=True)
    ]
    return statistics.median(ratios)


def _ratios(speeds: Sequence[InputSpeed], paired: PairingStats, prefetched: PrefetchStats) -> tuple[Ratio, ...]:
    """The required figures."""
    return (
        Ratio(name="pairs, first come, to plain reading", value=_times(speeds, FIRST_COME, PLAIN), threshold=0.9),
        Ratio(name="pairs, best of 64, to plain reading", value=_times(speeds, STREAMING, PLAIN), threshold=0.9),
        Ratio(name="panel cache to plain reading", value=_times(speeds, CACHE, PLAIN), threshold=8.0),
        Ratio(name="mean Jaccard index, best of 64", value=paired.jaccard or 0.0, threshold=0.30),
        Ratio(name="cells left over, best of 64", value=float(paired.n_left_over), threshold=42.0, at_most=True),
        Ratio(name="cells held at most, best of 64", value=float(paired.most_held), threshold=MAX_HELD, at_most=True),
        Ratio(
            name="stalls above 50 ms after the first batch",
            value=float(prefetched.n_stalls),
            threshold=0.0,
            at_most=True,
        ),
    )
