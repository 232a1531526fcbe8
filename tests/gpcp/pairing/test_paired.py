"""The contract of pairing, over engines, sources, rules, batch sizes, blocks, caps and ages."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpcp.pairing.planned
import gpcp.pairing.streaming
from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.core.pairs import LatePairSource, PairBatch, PairSource, concatenate
from gpcp.pairing.paired import Paired
from gpcp.pairing.stats import PairingStats
from tests.gpcp.held_cells import FIRST, IndexedHeld, held
from tests.gpcp.pairing.pairing_cases import Case, cases


def bytes_of(pairs: PairBatch) -> bytes:
    names = ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B")
    return b"".join(getattr(pairs, name).tobytes() for name in names)


def check_pairs(case: Case, pairs: PairBatch) -> None:
    """Keys and differences hold; what is measured, given and perturbed is right."""
    source, options = case.held, case.options
    before, after = pairs.before_id_B - FIRST, pairs.after_id_B - FIRST
    for one, other in zip(before.tolist(), after.tolist(), strict=True):
        assert case.key(one, options["match_on"]) == case.key(other, options["match_on"])
        for name in options["differ_on"]:
            assert case.key(one, (name,)) != case.key(other, (name,))
    both = source.measured_NG[before] & source.measured_NG[after]
    np.testing.assert_array_equal(pairs.measured_BG, both)
    np.testing.assert_array_equal(pairs.before_BG, np.where(both, source.value_NG[before], 0))
    np.testing.assert_array_equal(pairs.after_BG, np.where(both, source.value_NG[after], 0))
    assert (both.sum(axis=1) >= options["min_shared"]).all()
    lo, hi = options["n_perturbed"] or (1, len(source.vocab) - 1)
    most = both.sum(axis=1) - 1
    n_perturbed = pairs.perturbed_BG.sum(axis=1)
    assert (np.minimum(lo, most) <= n_perturbed).all()
    assert (n_perturbed <= np.minimum(hi, most)).all()


@given(case=cases(), seed=st.integers(0, 2**32))
def test_contract(case: Case, seed: int):
    paired = case.paired()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.pairing.streaming, "BLOCK_CELLS", case.block_cells)
        patch.setattr(gpcp.pairing.streaming, "MOST_CELLS", case.block_cells)
        patch.setattr(gpcp.pairing.planned, "READ_PAIRS", case.block_cells)
        patch.setattr(gpcp.pairing.planned, "READ_CELLS", case.block_cells)
        batches = list(paired.pairs(batch_size=case.batch_size, seed=seed))
        stats = paired.stats
    assert [len(batch) for batch in batches[:-1]] == [case.batch_size] * (len(batches) - 1)
    used = [int(i) for batch in batches for i in (*batch.before_id_B, *batch.after_id_B)]
    assert max(Counter(used).values(), default=1) == 1
    assert stats.n_cells == len(case.held) == stats.n_paired + stats.n_left_over + stats.n_filtered
    assert stats.n_paired == len(used)
    options = case.options
    assert stats.n_filtered == int((case.held.measured_NG.sum(axis=1) < options["min_shared"]).sum())
    if case.engine == "planned":
        assert paired.n_pairs == len(used) // 2 == case.paired().n_pairs
        assert (stats.most_held, stats.age_most) == (0, None)
    else:
        assert paired.n_pairs is None
        assert stats.most_held <= options["max_held"]
    soft = (*options["match_on"], *options["prefer_on"])
    n_relaxed = 0
    for batch in batches:
        check_pairs(case, batch)
        rows = zip((batch.before_id_B - FIRST).tolist(), (batch.after_id_B - FIRST).tolist(), strict=True)
        n_relaxed += sum(case.key(one, soft) != case.key(other, soft) for one, other in rows)
    assert stats.n_relaxed == n_relaxed
    # Neither batches nor blocks leave a trace, in pairs or in statistics.
    again = case.paired()
    whole = list(again.pairs(batch_size=1000, seed=seed))
    assert b"".join(map(bytes_of, whole)) == (bytes_of(concatenate(batches)) if batches else b"")
    assert again.stats == stats


@given(case=cases(), seed=st.integers(0, 99), start=st.integers(0, 3), step=st.integers(1, 3))
def test_start_and_step_give_every_nth_batch(case: Case, seed: int, start: int, step: int):
    whole = case.pairs(seed)
    paired = case.paired()
    some = [late.dense() for late in paired.late_pairs(batch_size=case.batch_size, seed=seed, start=start, step=step)]
    assert list(map(bytes_of, some)) == list(map(bytes_of, whole[start::step]))
    assert paired.stats.n_paired == 2 * sum(map(len, whole))


@given(case=cases(), seed=st.integers(0, 99))
def test_without_cap_or_differences_only_parity_is_left_over(case: Case, seed: int):
    options = case.options | {"differ_on": (), "max_held": 1000, "min_shared": 2}
    whole = replace(case.held, measured_NG=np.ones_like(case.held.measured_NG))
    free = replace(case, held=whole, options=options)
    paired = free.paired()
    list(paired.pairs(batch_size=8, seed=seed))
    keys = Counter(free.key(row, options["match_on"]) for row in range(len(whole)))
    assert paired.stats.n_left_over == sum(n % 2 for n in keys.values())


@given(case=cases(), seed=st.integers(0, 99))
def test_a_cell_leaves_at_its_age_or_with_the_next_that_comes(case: Case, seed: int):
    options = case.options | {"max_age": 4, "differ_on": (), "min_shared": 2, "match_on": ()}
    whole = replace(case.held, measured_NG=np.ones_like(case.held.measured_NG))
    paired = replace(case, held=whole, engine="streaming", options=options).paired()
    list(paired.pairs(batch_size=8, seed=seed))
    # Alone at the age of 4, it meets the next cell, which is of its key as all are.
    assert (paired.stats.age_most or 0) <= 5


def test_planned_pairs_read_no_other_cell():
    source = IndexedHeld(held(200, 4, cell_type=["a", "b"] * 100))
    paired = Paired(source)
    batches = list(paired.late_pairs(batch_size=10, seed=1, start=3, step=4))
    assert [len(batch) for batch in batches] == [10, 10]
    assert len(source.asked) == 40


def test_a_cell_that_waits_keeps_no_measured_set_of_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpcp.pairing.streaming, "BLOCK_CELLS", 4)
    measured = np.unpackbits(np.arange(1, 201, dtype=np.uint8)[:, None], axis=1).astype(np.bool_)
    measured = np.concatenate([measured, np.ones((200, 2), dtype=np.bool_)], axis=1)
    alone = [f"type {i}" for i in range(9)]
    paired = Paired(held(200, 10, measured=measured, cell_type=["a"] * 191 + alone))
    # At most ten wait, and three blocks of four are as many: no table holds a set of more than these.
    for pairs in paired.late_pairs(batch_size=1, seed=0):
        assert len(pairs.before.index.measured_SG) <= 22
    assert paired.stats.n_paired == 190


def test_the_engine_is_chosen_by_what_the_source_can_do():
    cells = held(6, 3, cell_type=["a"] * 6)
    assert not Paired(cells).planned
    assert Paired(IndexedHeld(cells)).planned
    assert not Paired(IndexedHeld(cells, cheap_rows=False)).planned
    assert Paired(IndexedHeld(cells, cheap_rows=False), engine="planned").planned
    assert not Paired(IndexedHeld(cells), engine="streaming").planned
    with pytest.raises(InputError, match="engine='planned' needs a source that gives any of its cells"):
        Paired(cells, engine="planned")


@pytest.mark.parametrize("engine", ["planned", "streaming"])
def test_it_is_a_source_of_pairs(engine: Any):
    source = IndexedHeld(held(7, 3, cell_type=["a"] * 7))
    assert isinstance(source, CellSource)
    paired = Paired(source, engine=engine)
    assert isinstance(paired, PairSource)
    assert isinstance(paired, LatePairSource)
    assert paired.n_pairs == (3 if engine == "planned" else None)
    assert paired.vocab is source.vocab


@pytest.mark.parametrize("best_of", [1, 4])
@pytest.mark.parametrize("engine", ["planned", "streaming"])
def test_another_seed_gives_other_pairs(engine: Any, best_of: int):
    paired = Paired(IndexedHeld(held(40, 9, cell_type=["a", "b"] * 20)), engine=engine, best_of=best_of)

    def partners(seed: int) -> frozenset[frozenset[int]]:
        pairs = concatenate(list(paired.pairs(batch_size=8, seed=seed)))
        return frozenset(
            frozenset(two) for two in zip(pairs.before_id_B.tolist(), pairs.after_id_B.tolist(), strict=True)
        )

    # 19!! ** 2 matchings at random: two seeds that agree are no accident.
    assert len({partners(seed) for seed in range(5)}) == 5
    assert partners(3) == partners(3)


@pytest.mark.parametrize("engine", ["planned", "streaming"])
def test_what_is_perturbed_does_not_decide_who_meets(engine: Any):
    source = IndexedHeld(held(40, 6, cell_type=["a"] * 40))
    few, many = (
        concatenate(list(Paired(source, engine=engine, n_perturbed=n_perturbed).pairs(batch_size=8, seed=3)))
        for n_perturbed in ((1, 1), (5, 5))
    )
    assert few.before_id_B.tolist() == many.before_id_B.tolist()
    assert few.after_BG.tobytes() == many.after_BG.tobytes()
    assert (few.perturbed_BG.sum(axis=1) == 1).all()
    assert (many.perturbed_BG.sum(axis=1) == 5).all()


def test_a_coin_decides_which_cell_is_before():
    source = held(4000, 2, cell_type=["a"] * 4000)
    pairs = concatenate(list(Paired(source).pairs(batch_size=500, seed=1)))
    came = np.argsort(source.order(1))
    n_swapped = int((came[pairs.before_id_B - FIRST] > came[pairs.after_id_B - FIRST]).sum())
    # 2,000 fair coins: 1,000 within 5 standard deviations of sqrt(2000) / 2 = 22.
    assert abs(n_swapped - 1000) < 112


@pytest.mark.parametrize("engine", ["planned", "streaming"])
def test_random_partners_are_any_other_cell_of_the_key(engine: Any):
    paired = Paired(IndexedHeld(held(6, 2, cell_type=["a"] * 6)), engine=engine)
    met: Counter[int] = Counter()
    for seed in range(1000):
        pairs = concatenate(list(paired.pairs(batch_size=8, seed=seed)))
        two = np.stack([pairs.before_id_B, pairs.after_id_B], axis=1) - FIRST
        met[int(two[(two == 0).any(axis=1)].sum())] += 1
    assert set(met) == {1, 2, 3, 4, 5}
    # A fifth of 1,000 each, within 4 standard deviations of sqrt(1000 * .2 * .8) = 12.6.
    assert max(abs(n - 200) for n in met.values()) < 51


@pytest.mark.parametrize("engine", ["planned", "streaming"])
def test_cells_with_nothing_to_score_are_filtered_and_counted(engine: Any):
    measured = np.array([[True, False, False]] * 4 + [[True, True, False]] * 2, dtype=np.bool_)
    source = IndexedHeld(held(6, 3, measured=measured, cell_type=["a"] * 4 + ["b"] * 2))
    paired = Paired(source, engine=engine)
    (pairs,) = paired.pairs(batch_size=8, seed=0)
    assert sorted([*pairs.before_id_B, *pairs.after_id_B]) == [1004, 1005]
    stats = paired.stats
    assert (stats.n_cells, stats.n_paired, stats.n_left_over, stats.n_filtered) == (6, 2, 0, 4)
    assert stats.shared_genes == 2


def test_stats_are_of_the_last_pass_begun(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpcp.pairing.streaming, "BLOCK_CELLS", 4)
    paired = Paired(held(13, 2, cell_type=["a"] * 13))
    assert paired.stats == PairingStats()
    first = paired.pairs(batch_size=1, seed=0)
    list(islice(first, 2))
    early = paired.stats
    assert (early.n_cells, early.n_paired, early.most_held, early.age_mean, early.age_most) == (4, 4, 1, 1, 1)
    second = paired.pairs(batch_size=1, seed=1)
    assert paired.stats == PairingStats()
    list(first)
    assert paired.stats == PairingStats()
    assert len(list(second)) == 6
    late = paired.stats
    assert (late.n_cells, late.n_paired, late.n_left_over) == (13, 12, 1)
    assert early.n_cells == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_perturbed": (0, 2)}, r"n_perturbed is \(0, 2\): it must be \(fewest, most\) within 1 .. 3 genes"),
        ({"n_perturbed": (2, 1)}, r"n_perturbed is \(2, 1\)"),
        ({"n_perturbed": (1, 4)}, r"n_perturbed is \(1, 4\)"),
        ({"match_on": ["celltype"]}, "match_on names 'celltype', which is no covariate; nearest: cell_type"),
        ({"prefer_on": ["dept"]}, "prefer_on names 'dept', which is no covariate; nearest: depth"),
        ({"differ_on": ["depth"]}, "differ_on names 'depth', which is no covariate"),
        ({"differ_on": "cell_type"}, "'cell_type' is in match_on and in differ_on"),
        ({"differ_on": "donor", "prefer_on": "donor"}, "'donor' is named twice"),
        ({"engine": "stream"}, "engine is 'stream'; nearest: streaming"),
        ({"best_of": 0}, "best_of is 0: it must be at least 1"),
        ({"max_age": 0}, "max_age is 0: it must be at least 1"),
        ({"max_held": 1}, "max_held is 1: it must be at least 2"),
        ({"min_shared": 1}, "min_shared is 1: it must be at least 2"),
        ({"min_shared": 5}, "min_shared is 5, but the source has 4 genes"),
    ],
)
def test_bad_use(options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        Paired(held(4, 4, cell_type=["a"] * 4), **options)


@pytest.mark.parametrize("option", ["match_on", "differ_on", "prefer_on"])
def test_a_source_without_the_covariate(option: str):
    options = {"match_on": (), option: "cell_type"}
    message = rf"{option} names 'cell_type', which the source does not give \(it gives: donor\)"
    paired = Paired(held(4, 3, donor=["a"] * 4), **options)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=message):
        next(paired.pairs(batch_size=2, seed=0))
    with pytest.raises(InputError, match=message):
        Paired(IndexedHeld(held(4, 3, donor=["a"] * 4)), **options)  # pyright: ignore[reportArgumentType]


def test_one_gene_makes_no_pairs():
    with pytest.raises(InputError, match="at least two genes"):
        Paired(held(4, 1, cell_type=["a"] * 4))


@pytest.mark.parametrize("engine", ["planned", "streaming"])
@pytest.mark.parametrize(
    ("options", "field"),
    [({"batch_size": 0}, "batch_size"), ({"seed": -1}, "seed"), ({"start": -1}, "start"), ({"step": 0}, "step")],
)
def test_bad_iteration_is_refused_at_the_call(engine: Any, options: dict[str, int], field: str):
    paired = Paired(IndexedHeld(held(4, 3, cell_type=["a"] * 4)), engine=engine)
    with pytest.raises(InputError, match=f"{field} is"):
        paired.late_pairs(**({"batch_size": 1, "seed": 0} | options))
