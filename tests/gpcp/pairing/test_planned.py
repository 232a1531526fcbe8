"""Plans: as many pairs for every seed, a largest matching where that is simple, random where nothing is asked for."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.pairing.jaccard import expressed_words
from gpcp.pairing.planned import PlannedPairs, Planning, signature_words
from gpcp.pairing.rules import KeyedCells, Keys, PairRule
from gpcp.sources.subsets import OnlyCells
from tests.gpcp.held_cells import FIRST, HeldCells, IndexedHeld, held, held_cells
from tests.gpcp.pairing.pairing_cases import Case, cases
from tests.gpcp.pairing.test_matching import n_largest


def keyed(source: HeldCells, rule: PairRule) -> KeyedCells:
    cells = IndexedHeld(source)
    return Keys(rule).of(cells.index, signature_words(cells))


@given(case=cases(max_cells=40), seeds=st.lists(st.integers(0, 99), min_size=3, max_size=3, unique=True))
def test_every_seed_gives_as_many_pairs_of_each_key(case: Case, seeds: list[int]):
    names = ("match_on", "differ_on", "prefer_on", "min_shared")
    cells = keyed(case.held, PairRule(**{name: case.options[name] for name in names}))
    planning = Planning(cells, best_of=case.options["best_of"])
    counts = [Counter(cells.hard_B[planning.pairs(seed)[:, 0]].tolist()) for seed in seeds]
    assert counts[0] == counts[1] == counts[2]
    assert counts[0].total() == planning.n_pairs


@given(held_cells(max_cells=24, all_measured=True), st.sampled_from([1, 3]), st.sampled_from([(), ("donor",)]))
def test_cells_that_differ_in_one_thing_make_a_largest_matching(
    source: HeldCells, best_of: int, prefer_on: tuple[str, ...]
):
    cells = keyed(source, PairRule(match_on=("cell_type",), differ_on=("disease",), prefer_on=prefer_on))
    planning = Planning(cells, best_of=best_of)
    assert planning.n_pairs == n_largest(cells.label_CB[0], cells.hard_B)
    for seed in range(3):
        pairs = planning.pairs(seed)
        assert len(pairs) == planning.n_pairs
        assert (cells.label_CB[0][pairs[:, 0]] != cells.label_CB[0][pairs[:, 1]]).all()


@pytest.mark.parametrize("n_sick", [150, 300, 500])
def test_many_cells_and_few_that_may_meet(n_sick: int):
    disease = ["normal"] * (1000 - n_sick) + ["flu"] * n_sick
    source = held(1000, 3, cell_type=["a"] * 1000, disease=disease)
    planning = Planning(keyed(source, PairRule(match_on=("cell_type",), differ_on=("disease",))))
    assert planning.n_pairs == n_sick
    assert len(planning.pairs(1)) == n_sick


def test_preferences_are_kept_as_far_as_they_go():
    # Of each donor an odd number: one of each meets one of another.
    donor = ["ann"] * 5 + ["bob"] * 7 + ["eve"] * 3 + ["kim"]
    cells = keyed(held(16, 3, donor=donor), PairRule(match_on=(), prefer_on=("donor",)))
    for best_of in (1, 2, 64):
        pairs = Planning(cells, best_of=best_of).pairs(5)
        assert len(pairs) == 8
        assert int((cells.full_B[pairs[:, 0]] != cells.full_B[pairs[:, 1]]).sum()) == 2


def test_as_many_pairs_where_no_exchange_leads_to_the_most():
    # Measured sets in a ring, each sharing two genes with the next alone: how many pairs there are depends on the draw.
    ring = np.zeros((9, 18), dtype=np.bool_)
    for one in range(9):
        ring[one, np.arange(2 * one, 2 * one + 4) % 18] = True
    source = held(63, 18, measured=np.tile(ring, (7, 1)), donor=["a", "b", "c"] * 21, disease=["x", "y"] * 31 + ["x"])
    rule = PairRule(match_on=(), differ_on=("donor", "disease"))
    for best_of in (1, 4):
        planning = Planning(keyed(source, rule), best_of=best_of)
        assert {len(planning.pairs(seed)) for seed in range(40)} == {planning.n_pairs}


def test_pairs_are_in_a_random_order():
    cells = keyed(held(120, 3, donor=[f"d{i // 3}" for i in range(120)]), PairRule(match_on=(), prefer_on=("donor",)))
    pairs = Planning(cells).pairs(1)
    relaxed = cells.full_B[pairs[:, 0]] != cells.full_B[pairs[:, 1]]
    assert relaxed.sum() == 20
    # Made last, they lie anywhere: their places have the mean 29.5, and a standard error of 17.3 / sqrt(20) = 3.9.
    assert abs(np.flatnonzero(relaxed).mean() - 29.5) < 16


def test_who_differs_meets_anyone_who_does():
    source = held(8, 2, donor=["a", "a", "b", "b", "c", "c", "d", "d"])
    planning = Planning(keyed(source, PairRule(match_on=(), differ_on=("donor",))))
    met: Counter[int] = Counter()
    for seed in range(1200):
        pairs = planning.pairs(seed)
        met[int(pairs[(pairs == 0).any(axis=1)].sum())] += 1
    # Six partners, each 200 times of 1,200 by symmetry: within 4 standard deviations of sqrt(1200 * 5 / 36) = 12.9.
    assert set(met) == {2, 3, 4, 5, 6, 7}
    assert max(abs(n - 200) for n in met.values()) < 52


def test_kept_signatures_are_used_and_others_read_once():
    source = IndexedHeld(held(50, 9, cell_type=["a"] * 50))
    words = expressed_words(source.all_cells)
    options = {"rule": PairRule(match_on=("cell_type",)), "n_perturbed": (1, 8), "best_of": 4}
    planned = PlannedPairs(source, **options)  # pyright: ignore[reportArgumentType]
    first = planned.plan(0).pair_PT
    planned.plan(1)
    assert sorted(source.asked) == list(range(50))

    class Signed(IndexedHeld):
        @property
        def signature_NW(self) -> np.ndarray:
            return np.packbits(self.held.value_NG > 0, axis=1)

    signed = Signed(source.held)
    again = PlannedPairs(signed, **options)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(again.plan(0).pair_PT, first)
    assert signed.asked == []
    # Some of its cells have some of its signatures.
    part = OnlyCells(signed, FIRST + np.arange(10, 20)).indexed()
    assert part is not None
    np.testing.assert_array_equal(signature_words(part), words[10:20])


def test_the_last_plan_is_kept():
    rule = PairRule(match_on=())
    planned = PlannedPairs(IndexedHeld(held(20, 3)), rule=rule, n_perturbed=(1, 2), best_of=1)
    assert planned.plan(3) is planned.plan(3)
    assert planned.plan(3).pair_PT.tolist() != planned.plan(4).pair_PT.tolist()


def test_a_set_too_small_for_any_pair():
    source = held(5, 3, measured=np.array([[True, False, False]] + [[True] * 3] * 4), donor=["a"] * 5)
    planning = Planning(keyed(source, PairRule(match_on=("donor",), min_shared=3)))
    assert (planning.n_usable, planning.n_pairs) == (4, 2)
    assert 0 not in planning.pairs(0)
    assert len(replace(source, measured_NG=np.ones((5, 3), dtype=np.bool_))) == 5
