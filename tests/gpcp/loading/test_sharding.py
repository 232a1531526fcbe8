"""Batches dealt to ranks and workers: each once, in an order that no number of processes changes."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairSource
from gpcp.core.random import stream
from gpcp.loading.prefetch import Prefetched
from gpcp.loading.sharding import epoch_seed, n_sharded, shard
from tests.gpcp.held_pairs import KINDS, HeldPairs, LateHeldPairs, content, reading_threads


def in_turn(parts: list[list[tuple[bytes, ...]]]) -> list[tuple[bytes, ...]]:
    """One of each part in turn, until all are at their end."""
    longest = max(map(len, parts))
    return [part[turn] for turn in range(longest) for part in parts if turn < len(part)]


@given(
    st.sampled_from(KINDS), st.booleans(), st.booleans(), st.booleans(),
    st.integers(0, 20), st.integers(1, 4), st.integers(0, 5), st.integers(1, 4), st.integers(1, 3),
)  # fmt: skip
def test_together_they_give_the_pass(
    kind: type[HeldPairs], known: bool, ahead: bool, even: bool,
    n: int, batch_size: int, start: int, n_ranks: int, n_workers: int,
):  # fmt: skip
    source: PairSource = kind(n, known=known)
    whole = content(source.pairs(batch_size=batch_size, seed=5))[start:]
    source = Prefetched(source, depth=2) if ahead else source
    of_rank: list[list[tuple[bytes, ...]]] = []
    for rank in range(n_ranks):
        of_worker = [
            content(
                batch.dense()
                for batch in shard(
                    source, batch_size=batch_size, seed=5, start=start, rank=rank, n_ranks=n_ranks,
                    worker=worker, n_workers=n_workers, even=even,
                )
            )
            for worker in range(n_workers)
        ]  # fmt: skip
        of_rank.append(in_turn(of_worker))
        wanted = n_sharded(n, batch_size=batch_size, start=start, rank=rank, n_ranks=n_ranks, even=even)
        assert len(of_rank[-1]) == wanted
    if even:
        assert len({len(part) for part in of_rank}) == 1
        whole = whole[: len(whole) - len(whole) % n_ranks]
    assert in_turn(of_rank) == whole
    assert reading_threads() == []


@given(st.booleans(), st.integers(0, 20), st.integers(0, 5), st.integers(1, 4), st.integers(0, 3))
def test_only_one_s_own_batches_are_made_dense(known: bool, n: int, start: int, n_ranks: int, rank: int):
    source, rank = LateHeldPairs(n, known=known), rank % n_ranks
    own = [batch.dense() for batch in shard(source, batch_size=2, seed=0, start=start, rank=rank, n_ranks=n_ranks)]
    made = [number for number, _ in source.made_dense]
    assert made == list(range(start + rank, start + n_ranks * len(own), n_ranks))


def test_a_share_left_early_ends_the_pass_though_a_traceback_holds_it():
    batches = shard(Prefetched(HeldPairs(20), depth=1), batch_size=1, seed=0, n_ranks=2)
    assert len(list(islice(batches, 3))) == 3
    assert len(reading_threads()) == 1
    batches.close()
    assert reading_threads() == []


def test_a_source_that_promises_too_much_is_refused_rather_than_waited_for():
    promised = Promises(HeldPairs(5), 9)
    with pytest.raises(InputError, match=r"promises 9 pairs and ends before batch 3 of 2: n_pairs has to be"):
        list(shard(promised, batch_size=2, seed=0, rank=1, n_ranks=2))
    assert len(list(shard(promised, batch_size=2, seed=0))) == 3


class Promises:
    """Another source, with its own idea of how many pairs there are."""

    def __init__(self, source: HeldPairs, n_pairs: int) -> None:
        self.vocab, self.pairs, self.n_pairs = source.vocab, source.pairs, n_pairs


@given(st.integers(0, 2**40), st.integers(0, 2**31))
def test_the_seed_of_an_epoch(seed: int, epoch: int):
    # The formula is a promise: checkpoints resume by it.
    assert epoch_seed(seed, epoch) == int(stream(seed, "epoch", epoch).integers(2**31))
    assert epoch_seed(seed, epoch) != epoch_seed(seed, epoch + 1)
