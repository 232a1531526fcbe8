"""One contract, which every source of cells keeps, and every way of pairing them.

The order of a pass is decided by its seed alone: batch size, I/O size, workers and ranks leave no trace.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from gpcp.core.cells import CellBatch, CellSource, concatenate_cells
from gpcp.core.pairs import PairBatch, PairSource, concatenate, late_pairs
from gpcp.loading.prefetch import Prefetched
from gpcp.loading.sharding import epoch_seed, shard
from gpcp.loading.torch_dataset import PairDataset
from gpcp.pairing.paired import Engine, Paired
from gpcp.sources.census.cells import CensusCells
from tests.contract_cases import SOURCES, made

# A machine of one or two cores is enough for what is tested here, whatever torch says of it.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

SEEDS = st.integers(0, 2**31)
SIZES = st.integers(1, 90)
RULES = st.sampled_from([((), ()), (("cell_type",), ()), (("cell_type", "dataset"), ()), (("measured",), ()),
                         (("dataset",), ("donor",)), (("depth",), ())])  # fmt: skip
MOST_HELD = 40
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name == "census")) for name in SOURCES]
"""A pass over a store takes ten times as long as one over its cache, which is met in every run."""


def whole(cells: CellSource, *, batch_size: int, seed: int) -> CellBatch:
    return concatenate_cells(list(cells.cells(batch_size=batch_size, seed=seed)))


def bytes_of_cells(cells: CellBatch) -> bytes:
    values = (cells.cell_id_B, cells.expression_BG, cells.measured_BG)
    return (
        b"".join(array.tobytes() for array in values)
        + repr({name: cells.covariates[name].tolist() for name in sorted(cells.covariates)}).encode()
    )


def bytes_of(pairs: PairBatch) -> bytes:
    names = ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B")
    return b"".join(getattr(pairs, name).tobytes() for name in names)


@pytest.mark.parametrize("name", SOURCES)
@settings(max_examples=6)
@given(seed=SEEDS, batch_size=SIZES, other_size=SIZES)
def test_a_source_gives_every_cell_once_in_an_order_of_its_seed(name: str, seed: int, batch_size: int, other_size: int):
    source = SOURCES[name]()
    batches = list(source.cells(batch_size=batch_size, seed=seed))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    cells = concatenate_cells(batches)
    assert len(np.unique(cells.cell_id_B)) == len(cells)
    assert bytes_of_cells(whole(source, batch_size=other_size, seed=seed)) == bytes_of_cells(cells)
    other = whole(source, batch_size=batch_size, seed=seed + 1)
    assert other.cell_id_B.tolist() != cells.cell_id_B.tolist()
    # The same cells, whatever the order.
    first, second = np.argsort(cells.cell_id_B), np.argsort(other.cell_id_B)
    assert bytes_of_cells(cells.rows(first)) == bytes_of_cells(other.rows(second))


@settings(max_examples=4)
@given(seed=SEEDS, io_batch_size=st.integers(1, 300))
def test_the_size_of_an_io_batch_leaves_no_trace(seed: int, io_batch_size: int):
    one, other = (
        CensusCells(uri=made().summary.path, shuffle_chunk=8, io_batch_size=size) for size in (64, io_batch_size)
    )
    assert bytes_of_cells(whole(one, batch_size=50, seed=seed)) == bytes_of_cells(
        whole(other, batch_size=50, seed=seed)
    )


@pytest.mark.parametrize("engine", ["streaming", "auto"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8)
@given(rule=RULES, best_of=st.sampled_from([1, 5]), seed=SEEDS, batch_size=SIZES, held=st.booleans())
def test_pairs(
    name: str, engine: Engine, rule: tuple[tuple[str, ...], tuple[str, ...]], best_of: int, seed: int, batch_size: int,
    held: bool,
):  # fmt: skip
    match_on, differ_on = rule
    source = SOURCES[name]()
    cells = whole(source, batch_size=1000, seed=0)
    match_on = tuple(one for one in match_on if one in cells.covariates or one in ("measured", "depth"))
    differ_on = tuple(one for one in differ_on if one in cells.covariates)
    paired = Paired(
        source, match_on=match_on, differ_on=differ_on, best_of=best_of, engine=engine,
        max_held=MOST_HELD if held else 10_000,
    )  # fmt: skip
    batches = list(paired.pairs(batch_size=batch_size, seed=seed))
    stats = paired.stats
    assert stats.n_cells == len(cells) == stats.n_paired + stats.n_left_over + stats.n_filtered
    assert stats.most_held <= (MOST_HELD if held else 10_000)
    assert paired.n_pairs in (None, stats.n_paired // 2)
    assert sum(map(len, batches)) == stats.n_paired // 2
    if not batches:
        return
    pairs = concatenate(batches)
    ids = np.concatenate([pairs.before_id_B, pairs.after_id_B])
    assert max(Counter(ids.tolist()).values()) == 1, "no cell twice in a pass"
    order = np.argsort(cells.cell_id_B)
    before, after = (
        order[np.searchsorted(cells.cell_id_B[order], id_B)] for id_B in (pairs.before_id_B, pairs.after_id_B)
    )
    for one in match_on:
        if one in cells.covariates:
            assert (cells.covariates[one][before] == cells.covariates[one][after]).all()
    if "measured" in match_on:
        assert (cells.measured_BG[before] == cells.measured_BG[after]).all()
    for one in differ_on:
        assert (cells.covariates[one][before] != cells.covariates[one][after]).all()
    both = cells.measured_BG[before] & cells.measured_BG[after]
    assert np.array_equal(pairs.measured_BG, both)
    assert np.array_equal(pairs.before_BG, np.where(both, cells.expression_BG[before], 0))
    assert np.array_equal(pairs.after_BG, np.where(both, cells.expression_BG[after], 0))
    assert pairs.scored_BG.any(axis=1).all()
    assert pairs.perturbed_BG.any(axis=1).all()
    # The seed decides, and nothing else.
    assert bytes_of(concatenate(paired.pairs(batch_size=1000, seed=seed))) == bytes_of(pairs)


@pytest.mark.parametrize("engine", ["streaming", "auto"])
@pytest.mark.parametrize("name", SOURCES)
def test_another_seed_gives_other_pairs(name: str, engine: Engine):
    paired = Paired(SOURCES[name](), match_on=(), engine=engine)

    def partners(seed: int) -> set[frozenset[int]]:
        pairs = concatenate(paired.pairs(batch_size=100, seed=seed))
        return {frozenset(two) for two in zip(pairs.before_id_B.tolist(), pairs.after_id_B.tolist(), strict=True)}

    assert partners(0) == partners(0)
    # Of 40 pairs or more of some 80 cells or more, half a pair is expected to be met again: 5 are an accident of 1e-4.
    assert len(partners(0) & partners(1)) < 6


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("engine", ["streaming", "auto"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5)
@given(seed=SEEDS, batch_size=st.integers(3, 60), n_ranks=st.integers(1, 3), start=st.integers(0, 3))
def test_ranks_share_the_pairs_and_a_pass_is_resumed(
    name: str, engine: Engine, ahead: bool, seed: int, batch_size: int, n_ranks: int, start: int
):
    paired: PairSource = Paired(SOURCES[name](), match_on=("cell_type",) if name != "simulated" else (), engine=engine)
    source = Prefetched(paired) if ahead else paired
    batches = [bytes_of(batch) for batch in paired.pairs(batch_size=batch_size, seed=seed)]
    assert [bytes_of(batch) for batch in source.pairs(batch_size=batch_size, seed=seed)] == batches
    late = late_pairs(source, batch_size=batch_size, seed=seed, start=start, step=n_ranks)
    assert [bytes_of(batch.dense()) for batch in late] == batches[start::n_ranks]
    shared = [
        [
            bytes_of(b.dense())
            for b in shard(source, batch_size=batch_size, seed=seed, rank=rank, n_ranks=n_ranks, even=False)
        ]
        for rank in range(n_ranks)
    ]
    assert shared == [batches[rank::n_ranks] for rank in range(n_ranks)]


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize("name", [name for name in SOURCES if name != "census"])
def test_workers_of_a_loader_leave_no_trace(name: str, n_workers: int):
    paired = Paired(SOURCES[name](), match_on=())
    dataset = PairDataset(paired, batch_size=32, seed=4)
    dataset.set_epoch(2)
    given = [bytes_of(batch) for batch in DataLoader(dataset, batch_size=None, num_workers=n_workers)]
    assert given == [bytes_of(batch) for batch in paired.pairs(batch_size=32, seed=epoch_seed(4, 2))]
