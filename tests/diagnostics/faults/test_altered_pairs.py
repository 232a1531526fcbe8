"""A finite set of pairs as a source: the contract of every source of pairs, and the same pairs every epoch."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.commands.learning_curve.pairs import drawn
from gpcp.core.pairs import FixedPairs, PairBatch, PairSource, concatenate, late_pairs
from simulators.sources import SimulatedPairs
from simulators.worlds import world

ENDLESS = SimulatedPairs(scm=world("chain/4").scm, regime="interventional", n_pairs=2**40)
SEEDS = st.integers(0, 2**31)
NAMES = ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B")


def bytes_of(pairs: PairBatch) -> bytes:
    return b"".join(getattr(pairs, name).tobytes() for name in NAMES)


@settings(max_examples=30)
@given(n=st.integers(2, 90), seed=SEEDS, size=st.integers(1, 100), other=st.integers(1, 100))
def test_a_finite_set_keeps_the_contract_of_sources(n: int, seed: int, size: int, other: int):
    held = drawn(ENDLESS, n, 0)
    source: PairSource = FixedPairs(held=held)
    batches = list(source.pairs(batch_size=size, seed=seed))
    assert {len(batch) for batch in batches[:-1]} <= {size}
    one = concatenate(batches)
    assert source.n_pairs == len(one) == n
    assert bytes_of(concatenate(source.pairs(batch_size=other, seed=seed))) == bytes_of(one)
    late = late_pairs(source, batch_size=size, seed=seed, start=1, step=2)
    assert [bytes_of(batch.dense()) for batch in late] == [bytes_of(batch) for batch in batches[1::2]]
    # The same pairs, whatever the order.
    assert bytes_of(one.rows(np.argsort(one.before_id_B))) == bytes_of(held.rows(np.argsort(held.before_id_B)))


def test_another_seed_is_another_order():
    source = FixedPairs(held=drawn(ENDLESS, 60, 0))
    first, second = (concatenate(source.pairs(batch_size=7, seed=seed)).before_id_B for seed in (1, 2))
    assert first.tolist() != second.tolist()
    assert sorted(first.tolist()) == sorted(second.tolist())


@settings(max_examples=10)
@given(few=st.integers(1, 5000), many=st.integers(1, 5000), seed=SEEDS)
def test_few_pairs_are_the_first_of_many(few: int, many: int, seed: int):
    few, many = sorted((few, many))
    assert bytes_of(drawn(ENDLESS, many, seed).rows(slice(0, few))) == bytes_of(drawn(ENDLESS, few, seed))
