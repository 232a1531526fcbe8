"""Statistics of a pass: exact while all pairs fit the sample, a random sample of them beyond."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpcp.pairing.stats
from gpcp.core.pairs import concatenate
from gpcp.pairing.paired import Paired
from gpcp.pairing.stats import Sample, mean_and_error
from tests.gpcp.held_cells import FIRST, HeldCells, IndexedHeld, held, held_cells


def jaccard(source: HeldCells, one: int, other: int) -> float:
    both = source.measured(one) & source.measured(other)
    a, b = source.expressed(one) & both, source.expressed(other) & both
    return len(a & b) / len(a | b) if a | b else 0.0


@given(held_cells(), st.sampled_from(["planned", "streaming"]), st.sampled_from([1, 3]), st.integers(0, 99))
def test_likeness_is_that_of_the_pairs(source: HeldCells, engine: Any, best_of: int, seed: int):
    paired = Paired(IndexedHeld(source), engine=engine, best_of=best_of, match_on=())
    batches = list(paired.pairs(batch_size=4, seed=seed))
    stats = paired.stats
    if not batches:
        assert (stats.jaccard, stats.shared_genes) == (None, None)
        return
    pairs = concatenate(batches)
    assert stats.shared_genes == pytest.approx(pairs.measured_BG.sum(axis=1).mean())
    if len(pairs) == 1:
        assert (stats.jaccard, stats.jaccard_se) == (None, None)
        return
    two = zip((pairs.before_id_B - FIRST).tolist(), (pairs.after_id_B - FIRST).tolist(), strict=True)
    mean, error = mean_and_error(np.array([jaccard(source, one, other) for one, other in two]))
    # The same numbers, summed in another order.
    assert stats.jaccard == pytest.approx(mean)
    assert stats.jaccard_se == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize("engine", ["planned", "streaming"])
def test_the_best_of_many_are_more_alike_than_random_ones(engine: Any):
    source = IndexedHeld(held(600, 40, cell_type=["a", "b"] * 300))
    stats = {}
    for best_of in (1, 32):
        paired = Paired(source, engine=engine, best_of=best_of)
        list(paired.late_pairs(batch_size=64, seed=1))
        stats[best_of] = paired.stats
    one, best = stats[1], stats[32]
    for found in (one, best):
        # Independent halves of 40 genes: 20 * .5 / 30 = 1/3, a little more; 5 standard errors.
        assert abs(found.random_jaccard - one.jaccard) < 5 * np.hypot(found.random_jaccard_se, one.jaccard_se)
    assert best.jaccard > one.jaccard + 5 * np.hypot(best.jaccard_se, one.jaccard_se)


def test_only_a_sample_is_looked_at(monkeypatch: pytest.MonkeyPatch):
    source = IndexedHeld(held(400, 6, cell_type=["a"] * 400))
    whole = Paired(source, engine="streaming")
    list(whole.late_pairs(batch_size=8, seed=1))
    monkeypatch.setattr(gpcp.pairing.stats, "SAMPLE_PAIRS", 50)
    monkeypatch.setattr(gpcp.pairing.stats, "SAMPLE_CELLS", 50)
    some = Paired(source, engine="streaming")
    list(some.late_pairs(batch_size=8, seed=1))
    # 50 of 200 pairs, 25 pairs of 50 cells: the errors grow, the means stay.
    (jaccard, error, random_error), (of_all, error_of_all, random_error_of_all) = (
        (stats.jaccard or 0.0, stats.jaccard_se or 0.0, stats.random_jaccard_se or 0.0)
        for stats in (some.stats, whole.stats)
    )
    assert min(error, error_of_all, random_error_of_all) > 0
    assert error == pytest.approx(2 * error_of_all, rel=0.3)
    assert random_error > 2 * random_error_of_all
    assert abs(jaccard - of_all) < 5 * error


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 12), st.integers(0, 99))
def test_a_sample_depends_on_no_block(blocks: list[int], room: int, seed: int):
    def sampled(sizes: list[int]) -> list[int]:
        sample = Sample(room, np.random.default_rng(seed))
        start = 0
        for size in sizes:
            sample.keep(start + sample.choose(size))
            start += size
        return sample.parts[0].tolist() if sample.parts else []

    found = sampled(blocks)
    assert found == sampled([sum(blocks)] if blocks else [])
    assert len(set(found)) == len(found) == min(room, sum(blocks))


def test_every_row_is_as_likely_in_a_sample():
    counts = np.zeros(12)
    for seed in range(3000):
        sample = Sample(4, np.random.default_rng(seed))
        for start in (0, 5, 6):
            sample.keep(start + sample.choose({0: 5, 5: 1, 6: 6}[start]))
        counts[np.asarray(sample.parts[0], dtype=np.int64)] += 1
    # A third of 3,000 each, within 5 standard deviations of sqrt(3000 * 2 / 9) = 25.8.
    assert np.abs(counts - 1000).max() < 129
