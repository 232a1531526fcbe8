"""Values of a Census in any order of its cells, and the order of a pass.

tiledbsoma-ml's ``ExperimentDataset`` reads, but does not decide the order: the one it makes depends on the size of its
I/O batches and is the same in every epoch (its ``set_epoch`` changes nothing). It is given cells that are in order.
"""

import gc
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.random import stream
from gpcp.sources.assays import full_length
from gpcp.sources.census.store import MEASUREMENT, ValuesPlace, readable
from gpcp.sources.sparse import SparseValues

WINDOW_CHUNKS = 256
"""Chunks of neighbouring cells that are mixed with one another: with chunks of 64 cells a window is 16,384 cells, which
is what is read at a time. A smaller read within a window would touch as many places for fewer cells."""

PER_MILLION = 1e6


def layer_of(experiment: Any, assays: Iterable[str], *, has_total: bool) -> str:
    """The layer of ``X`` to read: ``normalized``, or ``raw`` where that is as good.

    Raises
    ------
    InputError
        The store has no ``normalized``, and ``raw`` will not do: cells of full-length assays are among those asked
        for, whose totals over lengths are in no column, or ``obs`` has no ``raw_sum``.
    """
    layers = [str(name) for name in experiment.ms[MEASUREMENT].X]
    if "normalized" in layers:
        return "normalized"
    why = "" if "raw" in layers else "nor raw"
    if not why and not has_total:
        why = "and obs no raw_sum, by which counts could be divided"
    long = full_length(assays)
    if not why and long:
        why = (
            f"and counts of {', '.join(map(repr, long[:3]))} cannot be normalised without gene lengths: leave them out"
        )
    if why:
        raise InputError(f"the Census has no layer normalized, {why} (X has: {', '.join(sorted(layers)) or 'nothing'})")
    return "raw"


def order_of(n_cells: int, *, seed: int, shuffle_chunk: int) -> NDArray[np.int64]:
    """A permutation of the cells, int64 (N,), that ``seed`` and ``shuffle_chunk`` decide.

    Chunks of ``shuffle_chunk`` neighbours are permuted, then cells within windows of :data:`WINDOW_CHUNKS` chunks:
    every cell may come anywhere, and yet a window needs only some places of the store.

    Raises
    ------
    InputError
        ``seed`` is negative.
    """
    rng = stream(seed, "census", "cells")
    starts = rng.permutation(np.arange(0, n_cells, shuffle_chunk, dtype=np.int64))
    sizes = np.minimum(shuffle_chunk, n_cells - starts)
    firsts = np.cumsum(sizes) - sizes
    order_N = np.arange(n_cells, dtype=np.int64) + np.repeat(starts - firsts, sizes)
    for start in range(0, n_cells, WINDOW_CHUNKS * shuffle_chunk):
        rng.shuffle(order_N[start : start + WINDOW_CHUNKS * shuffle_chunk])
    return order_N


def value_blocks(
    place: ValuesPlace, obs_id_N: NDArray[np.int64], var_id_G: NDArray[np.int64], *, io_batch_size: int
) -> Iterator[SparseValues]:
    """The stored values of some cells and genes, in their order, in blocks of ``io_batch_size`` cells.

    The store is opened at the first block and closed after the last, or when the iterator is closed.

    Raises
    ------
    InputError
        In a worker of a DataLoader, or TileDB cannot read the store.
    """
    from tiledbsoma_ml import ExperimentDataset
    from tiledbsoma_ml._query_ids import QueryIDs
    from tiledbsoma_ml.x_locator import XLocator

    locator = XLocator(
        uri=place.uri,
        measurement_name=MEASUREMENT,
        layer_name=place.layer,
        tiledb_timestamp_ms=place.timestamp_ms,
        tiledb_config=dict(place.config),
    )
    # A batch is a whole I/O batch: cutting is done once, in gpcp. Eager fetching reads in a thread that goes on when
    # the store is closed under it.
    reader: Any = ExperimentDataset(
        x_locator=locator,
        query_ids=QueryIDs(obs_joinids=obs_id_N, var_joinids=var_id_G),
        batch_size=io_batch_size,
        io_batch_size=io_batch_size,
        shuffle=False,
        return_sparse_X=True,
        use_eager_fetch=False,
    )
    # Processes share pairs, not cells: each reads all of them. Taken by rank, a process would see few datasets.
    reader.rank, reader.world_size = 0, 1
    start = 0
    blocks: Iterator[tuple[Any, Any]] = iter(reader)
    while True:
        try:
            with readable(place.uri), _torch_keeps_its_threads(), _collecting_little():
                values, table = next(blocks)
        except StopIteration:
            break
        except NotImplementedError:
            raise InputError(
                "CensusCells cannot be read in a worker of a DataLoader: read it in the process itself "
                "(num_workers=0), behind gpcp.loading.prefetch.Prefetched, or from a panel cache"
            ) from None
        _check_ids(table["soma_joinid"].to_numpy(), obs_id_N[start : start + io_batch_size])
        start += len(table)
        yield _canonical(values)
    _check_ids(obs_id_N[:start], obs_id_N)


@contextmanager
def _torch_keeps_its_threads() -> Generator[None]:
    """Let torch have as many threads after reading as before.

    The first parallel loop of numba, with which tiledbsoma-ml sorts, sets the number of OpenMP threads for torch, too:
    all cores, where one was asked for. On busy cores a training step then takes ten times as long.
    """
    torch: Any = sys.modules["torch"]  # imported by tiledbsoma-ml, and too heavy for this floor
    before = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


@contextmanager
def _collecting_little() -> Generator[None]:
    """Spare the garbage collector what was there before.

    tiledbsoma-ml has it walk through every object of the process twice in each I/O batch, which in a process that has
    loaded torch and pandas is a third of the time of reading. What is frozen meanwhile is not walked through.
    """
    mine = gc.get_freeze_count() == 0
    if mine:
        gc.freeze()
    try:
        yield
    finally:
        if mine:
            gc.unfreeze()


def _check_ids(got_B: NDArray[np.int64], asked_B: NDArray[np.int64]) -> None:
    """Refuse to go on with other cells than were asked for."""
    if not np.array_equal(got_B, asked_B):
        raise InputError(
            "tiledbsoma-ml gave other cells than it was asked for; unset WORKER and NUM_WORKERS, by which it takes a "
            "share of them"
        )


def _canonical(values: Any) -> SparseValues:
    """Sparse float32 whose columns are sorted, without stored zeros."""
    block = cast("SparseValues", sp.csr_array(values, dtype=np.float32))
    block.sort_indices()
    if not block.data.all():
        block.eliminate_zeros()
    return block


def log_values(block: SparseValues, total_B: NDArray[np.float64] | None) -> SparseValues:
    """log1p of parts per million, of shares, or of counts and the ``total_B`` of each cell."""
    data = block.data.astype(np.float64)
    if total_B is not None:
        data /= np.repeat(total_B, np.diff(block.indptr))
    data *= PER_MILLION
    block.data = np.log1p(data).astype(np.float32)
    return block
