"""``PairDataset``: any source of pairs as a PyTorch dataset, sharded over workers and ranks, epoch after epoch."""

from collections.abc import Generator
from typing import final

import torch
from torch.utils.data import IterableDataset, get_worker_info

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.core.read_ahead import made_dense
from gpcp.loading.sharding import epoch_seed, n_sharded, rank_and_number, shard


@final
class PairDataset(IterableDataset[PairBatch]):
    """Batches of pairs for a ``DataLoader``, which gives them as they are with ``batch_size=None``.

    ::

        dataset = PairDataset(source, batch_size=128, seed=0)
        loader = DataLoader(dataset, batch_size=None, num_workers=2, collate_fn=model_batch)
        for epoch in range(n_epochs):
            dataset.set_epoch(epoch)
            for batch, after_BL in loader: ...

    Without ``collate_fn`` the loader gives each :class:`gpcp.core.pairs.PairBatch` itself. What it gives, and in which
    order, does not depend on the number of workers: batch ``k`` of rank ``r`` of ``R`` is batch ``r + R k`` of the
    pass, and worker ``w`` of ``W`` makes every ``k`` that is ``w`` modulo ``W``. Workers are processes that each go
    through the source, so they pay where batches cost more than reading, or where the source can skip
    (:class:`gpcp.core.pairs.LatePairSource`); to read while the model computes,
    :class:`gpcp.loading.prefetch.Prefetched` is
    lighter. Sources that read TileDB do not survive ``fork``: give the loader ``multiprocessing_context="spawn"``.

    Parameters
    ----------
    pairs : PairSource
    batch_size : int
    seed : int
        With the epoch it decides the pass, as in :func:`gpcp.training.fit.fit`.
    even : bool
        Give every rank equally many batches, as training over several processes needs: fewer than ``n_ranks`` batches
        at the end of a pass are dropped. Otherwise the ranks together give every pair once.
    rank, n_ranks : int, optional
        By default those of ``torch.distributed`` where it is initialised, or else ``RANK`` and ``WORLD_SIZE`` as
        ``torchrun`` sets them, or else 0 and 1; looked up here, once.

    Raises
    ------
    InputError
        ``batch_size`` is below 1, ``seed`` is negative, or ``rank`` is not one of ``n_ranks``.
    """

    def __init__(
        self,
        pairs: PairSource,
        *,
        batch_size: int,
        seed: int = 0,
        even: bool = True,
        rank: int | None = None,
        n_ranks: int | None = None,
    ) -> None:
        super().__init__()
        found_rank, found_n_ranks = _ranks()
        self.rank = found_rank if rank is None else rank
        self.n_ranks = found_n_ranks if n_ranks is None else n_ranks
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: it must be at least 1")
        if seed < 0:
            raise InputError(f"seed is {seed}: it must be 0 or more")
        if not 0 <= self.rank < self.n_ranks:
            raise InputError(f"PairDataset.rank is {self.rank} of {self.n_ranks}: ranks count from 0")
        self.pairs, self.batch_size, self.seed, self.even = pairs, batch_size, seed, even
        # In shared memory, so that workers that outlive an epoch (persistent_workers) see the next one.
        self._place: torch.Tensor = torch.zeros(2, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int, *, n_done: int = 0) -> None:
        """Choose the pass of the next iteration; another epoch is another order.

        Parameters
        ----------
        epoch : int
        n_done : int
            Batches of this pass that this rank has had already, to resume in the midst of an epoch.

        Raises
        ------
        InputError
            One of them is negative.
        """
        for name, value in (("epoch", epoch), ("n_done", n_done)):
            if value < 0:
                raise InputError(f"{name} is {value}: it must be 0 or more")
        self._place[0], self._place[1] = epoch, n_done

    def __len__(self) -> int:
        """Batches that this rank gives in the pass chosen.

        Raises
        ------
        TypeError
            The source does not know its length: what Python expects of things that have none.
        """
        if self.pairs.n_pairs is None:
            raise TypeError("the source does not know beforehand how many pairs it gives, so its batches have no len()")
        return n_sharded(
            self.pairs.n_pairs,
            batch_size=self.batch_size,
            start=self.n_ranks * int(self._place[1]),
            rank=self.rank,
            n_ranks=self.n_ranks,
            even=self.even,
        )

    def __iter__(self) -> Generator[PairBatch]:
        """The batches of this rank, or of this worker's share of them."""
        info = get_worker_info()
        epoch, n_done = int(self._place[0]), int(self._place[1])
        batches = shard(
            self.pairs,
            batch_size=self.batch_size,
            seed=epoch_seed(self.seed, epoch),
            start=self.n_ranks * n_done,
            rank=self.rank,
            n_ranks=self.n_ranks,
            worker=0 if info is None else info.id,
            n_workers=1 if info is None else info.num_workers,
            even=self.even,
        )
        return made_dense(batches)


def _ranks() -> tuple[int, int]:
    """Which process it is, and of how many."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return rank_and_number()
