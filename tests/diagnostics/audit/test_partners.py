"""Random partners of a key: dealt once each, and the three ways of meeting compared by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.audit.partners import deal, key_codes, partners
from diagnostics.audit.sample import sample_pairs
from gpcp.pairing.paired import Paired
from tests.diagnostics.audit.audit_cases import neighbours, sampled_cells


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(0, 99))
def test_everyone_is_dealt_once_within_the_key_and_not_to_itself(keys: list[int], seed: int):
    key_P = np.array(keys, dtype=np.int64)
    given_P = deal(key_P, np.random.default_rng(seed))
    assert sorted(given_P.tolist()) == list(range(len(keys)))
    assert (key_P[given_P] == key_P).all()
    alone_P = np.array([keys.count(key) == 1 for key in keys], dtype=np.bool_)
    assert ((given_P == np.arange(len(keys))) == alone_P).all()


def test_a_key_is_what_all_its_parts_say():
    measured_BG = np.array([[1, 1], [1, 1], [1, 0], [1, 1]], dtype=np.bool_)
    cells = sampled_cells(
        np.ones((4, 2)),
        {"cell_type": np.array([0, 0, 0, 1]), "dataset": np.array([0, 1, 0, 0])},
        measured_BG=measured_BG,
    )
    assert len(np.unique(key_codes(cells.index, ()))) == 1
    assert key_codes(cells.index, ("cell_type",)).tolist() == [0, 0, 0, 1]
    assert len(np.unique(key_codes(cells.index, ("cell_type", "dataset")))) == 3
    assert len(np.unique(key_codes(cells.index, ("cell_type", "dataset", "measured")))) == 4


def test_pairs_as_they_are_by_brute_force():
    rng = np.random.default_rng(0)
    value_BG = rng.integers(3, size=(40, 6)).astype(np.float64)
    sampled = neighbours(sampled_cells(value_BG, measured_BG=rng.random((40, 6)) < 0.8))
    pairs = sampled.pairs
    before_PG, after_PG = pairs.before_BG > 0, pairs.after_BG > 0
    either_P = (before_PG | after_PG).sum(axis=1)
    jaccard_P = np.where(either_P > 0, (before_PG & after_PG).sum(axis=1) / np.maximum(either_P, 1), 1.0)
    found = partners(sampled, (), rng)
    assert found.jaccard_chosen.value == pytest.approx(jaccard_P.mean())
    assert found.square_chosen.value == pytest.approx((pairs.delta_BG**2).sum() / pairs.measured_BG.sum())


def test_what_the_key_buys_is_the_variance_between_types():
    rng = np.random.default_rng(1)
    mean_TG = 2 * rng.normal(size=(5, 10))
    type_B = np.repeat(rng.integers(5, size=3000), 2)
    cells = sampled_cells(mean_TG[type_B] + rng.normal(size=(6000, 10)), {"cell_type": type_B})
    found = partners(neighbours(cells), ("cell_type",), rng)
    between = (mean_TG[type_B].var(axis=0)).sum()
    # 3,000 pairs: a standard error of .01 on the share.
    assert found.key_buys.value == pytest.approx(between / (between + 10), abs=0.03)
    assert found.choice_buys.low < 0 < found.choice_buys.high
    assert found.square_same_key.value == pytest.approx(2.0, rel=0.05)
    assert "key: cell_type, 5 of them" in found.summary


def test_the_best_of_many_is_nearer_than_a_random_one():
    rng = np.random.default_rng(2)
    cells = sampled_cells(
        rng.integers(2, size=(2000, 30)).astype(np.float64), {"cell_type": np.zeros(2000, dtype=np.int64)}
    )
    chosen = sample_pairs(Paired(cells, best_of=32), cells, max_pairs=1000, seed=0)
    random = sample_pairs(Paired(cells), cells, max_pairs=1000, seed=0)
    assert partners(chosen, ("cell_type",), rng).choice_buys.low > 0.1
    assert abs(partners(random, ("cell_type",), rng).choice_buys.value) < 0.05
