"""Several processes: the bytes of one."""

import multiprocessing
from collections.abc import Iterator

import pytest

from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.core.random import generator
from simulators.assay import build_assay
from simulators.counted import CountedBatch, CountedCells
from simulators.processes import CellsInProcesses, PairsInProcesses
from simulators.scm.regimes import REGIMES
from simulators.sources import SimulatedCells, SimulatedPairs
from simulators.worlds import world

SCM = world("scale_free/300/hill").scm
N = 3_000  # four blocks of 873
CELLS = SimulatedCells(scm=SCM, n_cells=N)
COUNTED = SimulatedCells(scm=SCM, n_cells=N, assay=build_assay(SCM.graph.vocab, rng=generator("assay")))


def cell_bytes(batch: CellBatch) -> tuple[bytes, ...]:
    covariates = [batch.covariates[name].tobytes() for name in sorted(batch.covariates)]
    return batch.expression_BG.tobytes(), batch.measured_BG.tobytes(), batch.cell_id_B.tobytes(), *covariates


def pair_bytes(batch: PairBatch) -> tuple[bytes, ...]:
    parts = (batch.before_BG, batch.after_BG, batch.perturbed_BG, batch.before_id_B, batch.after_id_B)
    return tuple(part.tobytes() for part in parts)


def counted_bytes(batches: Iterator[CountedBatch]) -> list[tuple[bytes, ...]]:
    return [(*cell_bytes(batch.cells), batch.count_BG.tobytes()) for batch in batches]


@pytest.mark.parametrize("n_processes", [1, 2, 3])
def test_cells_have_the_same_bytes_whatever_the_number_of_processes(n_processes: int):
    spread = CellsInProcesses(source=CELLS, n_processes=n_processes)
    assert isinstance(spread, CellSource)
    one, other = (list(map(cell_bytes, source.cells(batch_size=700, seed=1))) for source in (CELLS, spread))
    assert one == other
    assert (spread.vocab, spread.n_cells, spread.provenance) == (CELLS.vocab, N, CELLS.provenance)


@pytest.mark.parametrize("n_processes", [2, 3])
def test_counts_too(n_processes: int):
    spread = CellsInProcesses(source=COUNTED, n_processes=n_processes)
    assert isinstance(spread, CountedCells)
    assert counted_bytes(spread.counted(batch_size=900, seed=2)) == counted_bytes(
        COUNTED.counted(batch_size=900, seed=2)
    )


@pytest.mark.parametrize(("regime", "n_processes"), [(REGIMES[0], 3), (REGIMES[1], 2), (REGIMES[2], 1)])
def test_pairs_have_the_same_bytes_whatever_the_number_of_processes(regime: str, n_processes: int):
    pairs = SimulatedPairs(scm=SCM, regime=regime, n_pairs=N)  # pyright: ignore[reportArgumentType]
    spread = PairsInProcesses(source=pairs, n_processes=n_processes)
    assert isinstance(spread, PairSource)
    one, other = (list(map(pair_bytes, source.pairs(batch_size=512, seed=3))) for source in (pairs, spread))
    assert one == other


def test_a_pass_that_is_left_early_ends_its_processes():
    batches = CellsInProcesses(source=CELLS, n_processes=2).cells(batch_size=100, seed=0)
    assert len(next(batches)) == 100
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert multiprocessing.active_children() == []


def test_a_number_of_processes_below_one_is_refused():
    for make in (
        lambda: CellsInProcesses(source=CELLS, n_processes=0),
        lambda: PairsInProcesses(source=SimulatedPairs(scm=SCM, regime="matched", n_pairs=1), n_processes=-1),
    ):
        with pytest.raises(InputError, match="n_processes is"):
            make()
