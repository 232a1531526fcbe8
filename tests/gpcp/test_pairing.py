"""The contract of pairing, over sources, batch sizes and told ranges."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import gpcp.pairing
from gpcp.cells import CellBatch, CellSource
from gpcp.errors import InputError
from gpcp.genes import GeneVocab
from gpcp.pairing import Paired, PairingStats, first_come, told_genes
from gpcp.pairs import PairBatch, PairSource, concatenate
from tests.strategies import adjectives


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeldCells:
    """Cells in memory; row ``i`` is named ``1000 + i``."""

    vocab: GeneVocab
    value_NG: NDArray[np.float32]
    measured_NG: NDArray[np.bool_]
    covariates: dict[str, NDArray[np.str_]]

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        order = np.random.default_rng(seed).permutation(len(self.value_NG))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield CellBatch(
                vocab=self.vocab,
                expression_BG=np.where(self.measured_NG[rows], self.value_NG[rows], np.float32(0)),
                measured_BG=self.measured_NG[rows],
                cell_id_B=1000 + rows,
                covariates={name: values[rows] for name, values in self.covariates.items()},
            )


def held(
    n_cells: int, n_genes: int, *, measured: NDArray[np.bool_] | None = None, **covariates: list[str]
) -> HeldCells:
    rng = np.random.default_rng(7)
    return HeldCells(
        vocab=GeneVocab(feature_id=tuple(f"g{i}" for i in range(n_genes))),
        value_NG=rng.normal(size=(n_cells, n_genes)).astype(np.float32),
        measured_NG=np.ones((n_cells, n_genes), dtype=np.bool_) if measured is None else measured,
        covariates={name: np.array(values, dtype=np.str_) for name, values in covariates.items()},
    )


@st.composite
def sources(draw: st.DrawFn) -> HeldCells:
    n_cells, n_genes = draw(st.integers(0, 14)), draw(st.integers(2, 5))
    words = st.lists(st.sampled_from(["T cell", "B", ""]), min_size=n_cells, max_size=n_cells)
    all_measured = draw(st.booleans())
    measured = None if all_measured else draw(adjectives(n_cells, n_genes))
    return held(n_cells, n_genes, measured=measured, cell_type=draw(words), donor=draw(words))


@st.composite
def told_ranges(draw: st.DrawFn, n_genes: int) -> tuple[int, int] | None:
    lo = draw(st.integers(1, n_genes - 1))
    return draw(st.sampled_from([None, (lo, draw(st.integers(lo, n_genes - 1)))]))


def bytes_of(pairs: PairBatch) -> bytes:
    names = ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B")
    return b"".join(getattr(pairs, name).tobytes() for name in names)


@given(
    source=sources(),
    batch_size=st.integers(1, 6),
    block_cells=st.integers(1, 16),
    match_on=st.sampled_from([("cell_type",), ("cell_type", "donor"), ("donor", "cell_type"), ()]),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_contract(
    source: HeldCells,
    batch_size: int,
    block_cells: int,
    match_on: tuple[str, ...],
    seed: int,
    data: st.DataObject,
):
    told = data.draw(told_ranges(len(source.vocab)))
    paired = Paired(source, told=told, match_on=match_on)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.pairing, "BLOCK_CELLS", block_cells)
        batches = list(paired.pairs(batch_size=batch_size, seed=seed))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    used = [int(i) - 1000 for batch in batches for i in (*batch.before_id_B, *batch.after_id_B)]
    assert max(Counter(used).values(), default=1) == 1
    stats = paired.stats
    assert stats.n_cells == len(source.value_NG) == stats.n_paired + stats.n_left_over + stats.n_unscorable
    assert stats.n_paired == len(used)
    keys = [tuple(source.covariates[name][i] for name in match_on) for i in range(stats.n_cells)]
    assert stats.n_left_over == sum(n % 2 for n in Counter(keys).values())
    if not batches:
        return
    pairs = concatenate(batches)
    before, after = pairs.before_id_B - 1000, pairs.after_id_B - 1000
    assert [keys[i] for i in before] == [keys[i] for i in after]
    both = source.measured_NG[before] & source.measured_NG[after]
    np.testing.assert_array_equal(pairs.measured_BG, both)
    np.testing.assert_array_equal(pairs.before_BG, np.where(both, source.value_NG[before], 0))
    np.testing.assert_array_equal(pairs.after_BG, np.where(both, source.value_NG[after], 0))
    assert pairs.scored_BG.any(axis=1).all()
    lo, hi = told or (1, len(source.vocab) - 1)
    most = both.sum(axis=1) - 1
    n_told = pairs.perturbed_BG.sum(axis=1)
    assert (np.minimum(lo, most) <= n_told).all()
    assert (n_told <= np.minimum(hi, most)).all()
    # Neither batches nor blocks leave a trace.
    again = Paired(source, told=told, match_on=match_on)
    assert bytes_of(concatenate(list(again.pairs(batch_size=1000, seed=seed)))) == bytes_of(pairs)


@given(st.lists(st.integers(0, 4), max_size=20))
def test_first_come_is_what_a_queue_of_one_does(keys: list[int]):
    waiting: dict[int, int] = {}
    expected: list[tuple[int, int]] = []
    for row, key in enumerate(keys):
        if key in waiting:
            expected.append((waiting.pop(key), row))
        else:
            waiting[key] = row
    first, second, left = first_come(np.array(keys, dtype=np.int64))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert left.tolist() == sorted(waiting.values())


def test_it_is_a_source_of_pairs():
    source = held(6, 3, cell_type=["a"] * 6)
    assert isinstance(source, CellSource)
    assert isinstance(Paired(source), PairSource)
    assert Paired(source).n_pairs is None
    assert Paired(source).vocab is source.vocab


def test_another_seed_gives_other_pairs():
    paired = Paired(held(40, 3, cell_type=["a", "b"] * 20))

    def partners(seed: int) -> frozenset[frozenset[int]]:
        pairs = concatenate(list(paired.pairs(batch_size=8, seed=seed)))
        return frozenset(
            frozenset(two) for two in zip(pairs.before_id_B.tolist(), pairs.after_id_B.tolist(), strict=True)
        )

    # 19!! ** 2 matchings: two seeds that agree are no accident.
    assert len({partners(seed) for seed in range(5)}) == 5
    assert partners(3) == partners(3)


def test_what_is_told_does_not_decide_who_meets():
    source = held(40, 6, cell_type=["a"] * 40)
    few, many = (concatenate(list(Paired(source, told=told).pairs(batch_size=8, seed=3))) for told in ((1, 1), (5, 5)))
    assert few.before_id_B.tolist() == many.before_id_B.tolist()
    assert few.after_BG.tobytes() == many.after_BG.tobytes()
    assert (few.perturbed_BG.sum(axis=1) == 1).all()
    assert (many.perturbed_BG.sum(axis=1) == 5).all()


def test_a_coin_decides_which_cell_is_before():
    source = held(4000, 2, cell_type=["a"] * 4000)
    pairs = concatenate(list(Paired(source).pairs(batch_size=500, seed=1)))
    ids = np.concatenate([batch.cell_id_B for batch in source.cells(batch_size=4000, seed=1)])
    came = np.empty(5000)
    came[ids] = np.arange(4000)
    n_swapped = int((came[pairs.before_id_B] > came[pairs.after_id_B]).sum())
    # 2,000 fair coins: 1,000 within 5 standard deviations of sqrt(2000) / 2 = 22.
    assert abs(n_swapped - 1000) < 112


def test_told_sets_are_random_sets_of_uniform_size():
    measured = np.ones((20_000, 5), dtype=np.bool_)
    measured[:, 2] = False
    told = told_genes(measured, (1, 3), rng=np.random.default_rng(0))
    sizes = np.bincount(told.sum(axis=1), minlength=5)
    assert sizes[[0, 4]].tolist() == [0, 0]
    # A third each, and each of the four genes 2 of 4 times: within 5 standard errors, at most sqrt(20,000 / 4) = 71.
    assert (np.abs(sizes[1:4] - 20_000 / 3) < 355).all()
    assert (np.abs(told.sum(axis=0)[[0, 1, 3, 4]] - 10_000) < 355).all()
    assert not told[:, 2].any()
    # Which gene is told says nothing of the next: of the sets of two, each of the six is as frequent.
    pairs = Counter(tuple(np.flatnonzero(row)) for row in told[told.sum(axis=1) == 2])
    assert len(pairs) == 6
    assert all(abs(n - sizes[2] / 6) < 5 * np.sqrt(sizes[2] / 6) for n in pairs.values())


def test_pairs_with_nothing_to_score_are_dropped_and_counted():
    measured = np.array([[True, False, False]] * 4 + [[True, True, False]] * 2, dtype=np.bool_)
    paired = Paired(held(6, 3, measured=measured, cell_type=["a"] * 4 + ["b"] * 2))
    (pairs,) = paired.pairs(batch_size=8, seed=0)
    assert sorted([*pairs.before_id_B, *pairs.after_id_B]) == [1004, 1005]
    assert paired.stats == PairingStats(n_cells=6, n_paired=2, n_left_over=0, n_unscorable=4)


def test_stats_are_of_the_last_pass_begun(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpcp.pairing, "BLOCK_CELLS", 4)
    paired = Paired(held(13, 2, cell_type=["a"] * 13))
    assert paired.stats == PairingStats()
    first = paired.pairs(batch_size=1, seed=0)
    list(islice(first, 2))
    early = paired.stats
    assert early == PairingStats(n_cells=4, n_paired=4)
    second = paired.pairs(batch_size=1, seed=1)
    assert paired.stats == PairingStats()
    list(first)
    assert paired.stats == PairingStats()
    assert len(list(second)) == 6
    assert paired.stats == PairingStats(n_cells=13, n_paired=12, n_left_over=1)
    assert early == PairingStats(n_cells=4, n_paired=4)


def test_waiting_cells_are_copies():
    ready = held(3, 4, cell_type=["a", "b", "c"])
    (block,) = ready.cells(batch_size=3, seed=0)
    waiting = block.rows(np.array([1]))
    assert not np.shares_memory(waiting.expression_BG, block.expression_BG)


@pytest.mark.parametrize(
    ("told", "match_on", "message"),
    [
        ((0, 2), ("cell_type",), r"told is \(0, 2\): it must be \(fewest, most\) within 1 .. 3 genes"),
        ((2, 1), ("cell_type",), r"told is \(2, 1\)"),
        ((1, 4), ("cell_type",), r"told is \(1, 4\)"),
        (None, ("celltype",), "match_on names 'celltype', which is no covariate; nearest: cell_type"),
    ],
)
def test_bad_use(told: tuple[int, int] | None, match_on: tuple[str, ...], message: str):
    with pytest.raises(InputError, match=message):
        Paired(held(4, 4, cell_type=["a"] * 4), told=told, match_on=match_on)


def test_a_source_without_the_covariate_to_match_on():
    paired = Paired(held(4, 3, donor=["a"] * 4), match_on="cell_type")
    with pytest.raises(InputError, match=r"'cell_type', which the source does not give \(it gives: donor\)"):
        next(paired.pairs(batch_size=2, seed=0))


def test_one_gene_makes_no_pairs():
    with pytest.raises(InputError, match="at least two genes"):
        Paired(held(4, 1, cell_type=["a"] * 4))


@pytest.mark.parametrize(("batch_size", "seed", "field"), [(0, 0, "batch_size"), (1, -1, "seed")])
def test_bad_iteration_is_refused_at_the_call(batch_size: int, seed: int, field: str):
    with pytest.raises(InputError, match=f"{field} is"):
        Paired(held(4, 3, cell_type=["a"] * 4)).pairs(batch_size=batch_size, seed=seed)
