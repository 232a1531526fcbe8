"""Sharding: the batches of a pass that belong to each rank and worker, and the seed of each epoch's pass.

Batches are dealt one by one, so that every process sees every part of a source. Each makes dense only its own.
"""

import os
from collections.abc import Generator
from contextlib import closing
from itertools import islice

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairSource, PairsToCome, late_pairs
from gpcp.core.random import stream
from gpcp.core.read_ahead import closed


def rank_and_number() -> tuple[int, int]:
    """Which process this is and of how many, as ``torchrun`` says; 0 and 1 where nobody says."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one pass of many: another for every epoch, the same on every rank."""
    return int(stream(seed, "epoch", epoch).integers(2**31))


def n_sharded(n_pairs: int, *, batch_size: int, start: int = 0, rank: int = 0, n_ranks: int = 1, even: bool) -> int:
    """Batches of one rank from batch ``start`` of a pass on; see :func:`shard`."""
    n_left = max(0, -(-n_pairs // batch_size) - start)
    return n_left // n_ranks if even else len(range(rank, n_left, n_ranks))


def shard(
    pairs: PairSource,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    rank: int = 0,
    n_ranks: int = 1,
    worker: int = 0,
    n_workers: int = 1,
    even: bool = True,
) -> Generator[PairsToCome]:
    """The batches of one worker of one rank in a pass.

    Rank ``r`` has batches ``start + r``, ``start + r + n_ranks``, ...; its workers take them in turn. A source that
    knows its length is asked for these alone; of others everything is gone through, and only these are made dense.

    Parameters
    ----------
    pairs : PairSource
    batch_size, seed : int
        Of the pass, the same on every rank.
    start : int
        Batches of the pass that are done already, by all ranks together.
    rank, n_ranks, worker, n_workers : int
    even : bool
        Every rank gets the same number: what is left after the last whole round of ranks, fewer than ``n_ranks``
        batches, is dropped. Otherwise every batch has a rank, and the first ranks may have one more.

    Raises
    ------
    InputError
        The source gives fewer batches than its ``n_pairs`` promises, which would leave a rank waiting for another.
    """
    own, every = rank + n_ranks * worker, n_ranks * n_workers
    if even and n_ranks > 1 and pairs.n_pairs is None:
        with closing(_whole_rounds(pairs, batch_size=batch_size, seed=seed, start=start, n_ranks=n_ranks)) as rounds:
            yield from (batches[rank] for batches in islice(rounds, worker, None, n_workers))
        return
    batches = late_pairs(pairs, batch_size=batch_size, seed=seed, start=start + own, step=every)
    try:
        if not even or n_ranks == 1 or pairs.n_pairs is None:
            yield from batches
            return
        n_rank = n_sharded(pairs.n_pairs, batch_size=batch_size, start=start, n_ranks=n_ranks, even=True)
        for place in range(worker, n_rank, n_workers):
            batch = next(batches, None)
            if batch is None:
                raise InputError(
                    f"the source promises {pairs.n_pairs} pairs and ends before batch {start + rank + n_ranks * place} "
                    f"of {batch_size}: n_pairs has to be what a pass gives, or None"
                )
            yield batch
    finally:
        closed(batches)


def _whole_rounds(
    pairs: PairSource, *, batch_size: int, seed: int, start: int, n_ranks: int
) -> Generator[list[PairsToCome]]:
    """Consecutive groups of as many batches as there are ranks; a rest is dropped."""
    batches = late_pairs(pairs, batch_size=batch_size, seed=seed, start=start)
    try:
        while len(one_round := list(islice(batches, n_ranks))) == n_ranks:
            yield one_round
    finally:
        closed(batches)
