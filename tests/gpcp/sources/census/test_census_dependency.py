"""What ``CensusCells`` relies on in tiledbsoma-ml 0.1, and works around: a release that mends it is noticed here."""

import multiprocessing
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from tiledbsoma_ml import ExperimentDataset
from tiledbsoma_ml._query_ids import QueryIDs
from tiledbsoma_ml.x_locator import XLocator

from gpcp.core.errors import InputError
from gpcp.sources.census.cells import CensusCells
from gpcp.sources.census.store import soma_context
from tests.gpcp.sources.census import census_cases as cases


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cases.write(cases.truth(120), tmp_path_factory.mktemp("census"))


@pytest.mark.slow
def test_set_epoch_changes_nothing_but_our_seeds_do(store: Path):
    import tiledbsoma

    with tiledbsoma.open(str(store / "census_data" / "homo_sapiens"), context=soma_context()) as opened:
        experiment: Any = opened
        locator = XLocator.create(experiment, measurement_name="RNA", layer_name="normalized")
        with experiment.axis_query(measurement_name="RNA") as query:
            ids = QueryIDs.create(query)
    dataset = ExperimentDataset(
        x_locator=locator,
        query_ids=ids,
        batch_size=16,
        io_batch_size=64,
        shuffle_chunk_size=4,
        seed=0,
        use_eager_fetch=False,
    )
    orders: list[list[int]] = []
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        orders.append([cell for _, obs in dataset for cell in obs["soma_joinid"].tolist()])
    assert sorted(orders[0]) == list(range(120))
    # Should this fail, epochs differ in a new release, and gpcp may leave the order to it.
    assert orders[0] == orders[1]

    cells = CensusCells(uri=store, is_primary_data=None)
    ours = [
        [cell for batch in cells.cells(batch_size=16, seed=seed) for cell in batch.cell_id_B.tolist()]
        for seed in (0, 1)
    ]
    assert sorted(ours[0]) == sorted(ours[1]) == list(range(120))
    assert ours[0] != ours[1]


def _pass_in_worker(cells: CensusCells) -> list[int]:
    """What a DataLoader with one worker gets of a pass."""
    from torch.utils.data import DataLoader, IterableDataset

    class Ids(IterableDataset[int]):
        def __iter__(self) -> Any:
            for batch in cells.cells(batch_size=50, seed=0):
                yield from batch.cell_id_B.tolist()

    # The worker is forked here, in a process that has opened no store yet: a copy of TileDB's threads would hang.
    return [int(one) for one in DataLoader(Ids(), batch_size=None, num_workers=1, multiprocessing_context="fork")]


def _child(pickled: bytes, in_worker: bool, answer: Any) -> None:
    cells: CensusCells = pickle.loads(pickled)
    try:
        if in_worker:
            answer.send(_pass_in_worker(cells))
        else:
            answer.send([cell for batch in cells.cells(batch_size=50, seed=0) for cell in batch.cell_id_B.tolist()])
    except InputError as error:
        answer.send(str(error))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a worker is forked")
@pytest.mark.parametrize("in_worker", [False, True], ids=["process", "worker of a DataLoader"])
def test_another_process_reads_the_same_and_a_worker_is_perturbed_where_to_read(store: Path, in_worker: bool):
    cells = CensusCells(uri=store)
    expected = [cell for batch in cells.cells(batch_size=50, seed=0) for cell in batch.cell_id_B.tolist()]
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    child = spawn.Process(target=_child, args=(pickle.dumps(cells), in_worker, theirs))
    child.start()
    # 120 seconds: a process imports torch and compiles numba's functions first.
    assert ours.poll(120), "the process does not answer"
    answer = ours.recv()
    child.join(60)
    if in_worker:
        assert "cannot be read in a worker of a DataLoader" in answer
        assert "num_workers=0" in answer
    else:
        assert answer == expected
