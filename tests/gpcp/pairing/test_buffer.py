"""Streamed pairs against the same policy written down in plain Python, one cell after the other."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpcp.pairing.streaming
from gpcp.core.pairs import concatenate
from gpcp.pairing.buffer import BufferLimits, PairingBuffer
from gpcp.pairing.jaccard import packed
from gpcp.pairing.rules import KeyedCells, PairRule
from tests.gpcp.held_cells import FIRST
from tests.gpcp.pairing.pairing_cases import Case, cases


class Matcher:
    """What pairing is to do, with lists and sets. Cells are named by their rows, and wait in the order they came."""

    def __init__(self, case: Case) -> None:
        self.case, self.options = case, case.options
        self.waiting: list[int] = []
        self.overdue: set[int] = set()
        self.came: dict[int, int] = {}
        self.pairs: list[tuple[set[int], int]] = []
        self.most_held = 0
        soft, hard = self.options["prefer_on"], self.options["match_on"]
        self.levels = [(*hard, *soft[:n]) for n in reversed(range(len(soft) + 1))]

    def may_meet(self, one: int, other: int) -> bool:
        differ = all(self.case.key(one, (name,)) != self.case.key(other, (name,)) for name in self.options["differ_on"])
        shared = self.case.held.measured(one) & self.case.held.measured(other)
        return differ and len(shared) >= self.options["min_shared"]

    def likeness(self, one: int, other: int) -> Fraction:
        cells = self.case.held
        both = cells.measured(one) & cells.measured(other)
        a, b = cells.expressed(one) & both, cells.expressed(other) & both
        return Fraction(len(a & b), len(a | b)) if a | b else Fraction(0)

    def best(self, row: int, names: tuple[str, ...]) -> int | None:
        of_key = [other for other in self.waiting if self.case.key(other, names) == self.case.key(row, names)]
        fit = [other for other in of_key if other != row and self.may_meet(row, other)][: self.options["best_of"]]
        if not fit or self.options["best_of"] == 1:
            return fit[0] if fit else None
        return max(fit, key=lambda other: self.likeness(row, other))

    def pair(self, one: int, other: int, now: int) -> None:
        older = min(self.came[one], self.came[other])
        self.pairs.append(({one, other}, now - older))
        self.waiting = [row for row in self.waiting if row not in (one, other)]
        self.overdue -= {one, other}

    def leaves_relaxed(self, row: int, now: int) -> bool:
        for names in self.levels:
            if (partner := self.best(row, names)) is not None:
                self.pair(row, partner, now)
                return True
        return False

    def arrive(self, row: int, now: int) -> None:
        self.came[row] = now
        full, hard = self.levels[0], self.levels[-1]
        late = [
            other
            for other in self.waiting
            if other in self.overdue
            and self.case.key(other, hard) == self.case.key(row, hard)
            and self.may_meet(row, other)
        ]
        same = [other for other in self.waiting if self.case.key(other, full) == self.case.key(row, full)]
        partner = late[0] if late else self.best(row, full) if len(same) >= self.options["best_of"] else None
        if partner is None:
            self.waiting.append(row)
        else:
            self.pair(row, partner, now)
        max_age: int | None = self.options["max_age"]
        for old in list(self.waiting):
            waits = old in self.waiting and old not in self.overdue
            expired = waits and max_age is not None and now - self.came[old] >= max_age
            if expired and not self.leaves_relaxed(old, now):
                self.overdue.add(old)
        while len(self.waiting) > self.options["max_held"]:
            if not self.leaves_relaxed(self.waiting[0], now):
                self.overdue.discard(self.waiting.pop(0))
        self.most_held = max(self.most_held, len(self.waiting))

    def flush(self, now: int) -> None:
        for names in self.levels:
            for row in list(self.waiting):
                if row in self.waiting and (partner := self.best(row, names)) is not None:
                    self.pair(row, partner, now)


def expected(case: Case, seed: int) -> Matcher:
    matcher = Matcher(case)
    rows = [row for row in case.held.order(seed).tolist() if len(case.held.measured(row)) >= case.options["min_shared"]]
    for now, row in enumerate(rows):
        matcher.arrive(row, now)
    matcher.flush(len(rows) - 1)
    return matcher


@pytest.mark.parametrize("whole", [False, True], ids=["measured sets", "all measured"])
@given(case=cases(max_cells=40, max_genes=12), seed=st.integers(0, 2**32))
def test_streamed_pairs_are_those_of_the_policy(whole: bool, case: Case, seed: int):
    cells = replace(case.held, measured_NG=np.ones_like(case.held.measured_NG)) if whole else case.held
    case = replace(case, engine="streaming", held=cells)
    matcher = expected(case, seed)
    paired = case.paired()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpcp.pairing.streaming, "BLOCK_CELLS", case.block_cells)
        batches = list(paired.pairs(batch_size=case.batch_size, seed=seed))
    pairs = concatenate(batches) if batches else None
    found = (
        [set(two) for two in zip(pairs.before_id_B.tolist(), pairs.after_id_B.tolist(), strict=True)] if pairs else []
    )
    assert found == [{FIRST + row for row in two} for two, _ in matcher.pairs]
    stats = paired.stats
    assert stats.most_held == matcher.most_held
    ages = [age for _, age in matcher.pairs]
    assert stats.age_most == (max(ages) if ages else None)
    if ages:
        # Sums of whole numbers, divided once.
        assert stats.age_mean == sum(ages) / len(ages)
        assert stats.age_p95 == np.percentile(ages, 95)


def test_the_best_of_two_is_one_of_the_two_oldest_that_may_be_met():
    # Three of one donor wait, since they may not meet; the third would suit the cell of another donor best.
    expressed = packed(np.array([[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]], dtype=np.bool_))
    cells = KeyedCells(
        rule=PairRule(match_on=(), differ_on=("donor",)),
        level_keys=np.zeros((1, 4), dtype=np.int64),
        label_CB=np.array([[0, 0, 0, 1]]),
        set_B=np.zeros(4, dtype=np.int64),
        measured_SW=packed(np.ones((1, 4), dtype=np.bool_)),
        word_BW=expressed,
    )
    for best_of, partner in ((1, 0), (2, 1), (3, 2)):
        buffer = PairingBuffer(cells, BufferLimits(best_of=best_of), np.arange(4))
        buffer.arrive(0)
        assert buffer.pair_PT.tolist() == [[partner, 3]]
