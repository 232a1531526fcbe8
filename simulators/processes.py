"""The cells and pairs of a world from several processes.

Each block is drawn from a random stream of its own, whoever draws it, and blocks are given in their order: the bytes
are those of one process, whatever the number.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar, final

from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from simulators.counted import CountedBatch
from simulators.sources import SimulatedCells, SimulatedPairs

_T = TypeVar("_T")

_AHEAD = 4
"""Blocks of each process that wait to be taken: a few megabytes."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CellsInProcesses:
    """Simulated cells, their blocks drawn by processes that a pass starts and ends.

    Meets :class:`gpcp.core.cells.CellSource` and, with an assay, :class:`simulators.counted.CountedCells`. Processes
    are spawned: a script that starts them needs ``if __name__ == "__main__":``, and starting takes a second or so.

    Parameters
    ----------
    source : SimulatedCells
    n_processes : int

    Raises
    ------
    InputError
        ``n_processes`` is below 1.
    """

    source: SimulatedCells
    n_processes: int

    def __post_init__(self) -> None:
        _check(self.n_processes)

    @property
    def vocab(self) -> GeneVocab:
        """The source's genes."""
        return self.source.vocab

    @property
    def n_cells(self) -> int:
        """The source's cells."""
        return self.source.n_cells

    @property
    def provenance(self) -> str:
        """The source's: who draws the cells decides nothing."""
        return self.source.provenance

    def cells(self, *, batch_size: int, seed: int) -> Iterator[CellBatch]:
        """As :meth:`SimulatedCells.cells`, to the last byte."""
        return self.source.cells(batch_size=batch_size, seed=seed, spread=_Processes(n=self.n_processes))

    def counted(self, *, batch_size: int, seed: int) -> Iterator[CountedBatch]:
        """As :meth:`SimulatedCells.counted`, to the last byte."""
        return self.source.counted(batch_size=batch_size, seed=seed, spread=_Processes(n=self.n_processes))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PairsInProcesses:
    """Simulated pairs, their blocks drawn by processes that a pass starts and ends.

    Meets :class:`gpcp.core.pairs.PairSource`; parameters and errors as :class:`CellsInProcesses`.
    """

    source: SimulatedPairs
    n_processes: int

    def __post_init__(self) -> None:
        _check(self.n_processes)

    @property
    def vocab(self) -> GeneVocab:
        """The source's genes."""
        return self.source.vocab

    @property
    def n_pairs(self) -> int:
        """The source's pairs of one pass."""
        return self.source.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """As :meth:`SimulatedPairs.pairs`, to the last byte."""
        return self.source.pairs(batch_size=batch_size, seed=seed, spread=_Processes(n=self.n_processes))


def _check(n_processes: int) -> None:
    if n_processes < 1:
        raise InputError(f"n_processes is {n_processes}: it must be at least 1")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class _Processes:
    """Makes blocks in ``n`` processes, or in this one where ``n`` is 1; meets :class:`simulators.sources.Spread`."""

    n: int

    def __call__(self, make: Callable[[int], _T], blocks: Iterable[int]) -> Iterator[_T]:
        return map(make, blocks) if self.n == 1 else self._spread(make, blocks)

    def _spread(self, make: Callable[[int], _T], blocks: Iterable[int]) -> Iterator[_T]:
        # Each process is given the world once; forked ones would inherit threads.
        pool = ProcessPoolExecutor(self.n, get_context("spawn"), initializer=_hold, initargs=(make,))
        waiting: deque[Future[_T]] = deque()
        try:
            for block in blocks:
                waiting.append(pool.submit(_made, block))
                if len(waiting) > _AHEAD * self.n:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


_held: list[Callable[[int], Any]] = []
"""What a process was started for."""


def _hold(make: Callable[[int], Any]) -> None:
    _held[:] = [make]


def _made(block: int) -> Any:
    return _held[0](block)
