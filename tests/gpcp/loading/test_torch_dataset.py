"""PyTorch's loader gives one process's batches in its order, whatever the workers; ranks share them; epochs differ."""

import pickle
from itertools import islice
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from gpcp.loading.prefetch import Prefetched
from gpcp.loading.sharding import epoch_seed
from gpcp.loading.torch_dataset import PairDataset
from gpcp.model.batch import TENSORS, ModelBatch, model_batch
from tests.gpcp.held_pairs import KINDS, HeldPairs, SparseHeldPairs, content, reading_threads

# A machine of one or two cores is enough for what is tested here, whatever torch says of it.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def one_pass(n: int, batch_size: int, *, seed: int = 0, epoch: int = 0) -> list[tuple[bytes, ...]]:
    return content(HeldPairs(n).pairs(batch_size=batch_size, seed=epoch_seed(seed, epoch)))


@settings(max_examples=25)  # up to nine processes each
@given(
    st.sampled_from(KINDS), st.booleans(), st.booleans(), st.booleans(),
    st.integers(0, 14), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3), st.integers(0, 2),
)  # fmt: skip
def test_each_batch_once_and_in_order(
    kind: type[HeldPairs], known: bool, ahead: bool, even: bool,
    n: int, batch_size: int, n_workers: int, n_ranks: int, epoch: int,
):  # fmt: skip
    whole = one_pass(n, batch_size, seed=3, epoch=epoch)
    source = kind(n, known=known)
    for rank in range(n_ranks):
        dataset = PairDataset(
            Prefetched(source) if ahead else source,
            batch_size=batch_size, seed=3, even=even, rank=rank, n_ranks=n_ranks,
        )  # fmt: skip
        dataset.set_epoch(epoch)
        wanted = whole[rank : len(whole) - len(whole) % n_ranks if even else None : n_ranks]
        loader = DataLoader(dataset, batch_size=None, num_workers=n_workers)
        assert content(loader) == wanted
        if known:
            assert len(dataset) == len(loader) == len(wanted)
        else:
            with pytest.raises(TypeError, match="does not know beforehand"):
                len(dataset)
    assert reading_threads() == []


@pytest.mark.parametrize("n_workers", [0, 2])
def test_an_epoch_is_an_order_and_workers_that_stay_hear_of_it(n_workers: int):
    dataset = PairDataset(HeldPairs(10), batch_size=3, seed=1)
    loader = DataLoader(dataset, batch_size=None, num_workers=n_workers, persistent_workers=n_workers > 0)
    for epoch in (0, 0, 5, 1):
        dataset.set_epoch(epoch)
        assert content(loader) == one_pass(10, 3, seed=1, epoch=epoch)
    assert one_pass(10, 3, seed=1, epoch=0) != one_pass(10, 3, seed=1, epoch=1)


@given(st.integers(0, 12), st.integers(1, 3), st.integers(0, 2), st.integers(0, 5), st.booleans())
def test_an_epoch_is_resumed_in_its_midst(n: int, n_ranks: int, rank: int, n_done: int, even: bool):
    dataset = PairDataset(HeldPairs(n), batch_size=2, seed=1, even=even, rank=rank % n_ranks, n_ranks=n_ranks)
    dataset.set_epoch(4)
    whole = content(dataset)
    dataset.set_epoch(4, n_done=n_done)
    assert content(dataset) == whole[n_done:]
    assert len(dataset) == len(whole[n_done:])


def test_an_epoch_is_chosen_when_the_pass_begins():
    dataset = PairDataset(HeldPairs(10), batch_size=3)
    batches = iter(dataset)
    dataset.set_epoch(1)
    assert content(batches) == one_pass(10, 3)
    assert content(dataset) == one_pass(10, 3, epoch=1)


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [False, True])
def test_workers_that_are_spawned(ahead: bool):
    source = SparseHeldPairs(11)
    dataset = PairDataset(Prefetched(source) if ahead else source, batch_size=2, seed=2)
    options = {"num_workers": 2, "multiprocessing_context": "spawn", "persistent_workers": True}
    loader = DataLoader(dataset, batch_size=None, **options)  # type: ignore[arg-type]
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        assert content(loader) == one_pass(11, 2, seed=2, epoch=epoch)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_batches_as_the_model_eats_them(n_workers: int):
    dataset = PairDataset(SparseHeldPairs(7), batch_size=3)
    wanted = [model_batch(pairs) for pairs in dataset]
    # Torch's types say that it collates a list, which it is not given with batch_size=None.
    collate_fn = cast(Any, model_batch)
    got = list(DataLoader(dataset, batch_size=None, num_workers=n_workers, collate_fn=collate_fn))
    for (batch, after_BL), (wanted_batch, wanted_after_BL) in zip(got, wanted, strict=True):
        assert isinstance(batch, ModelBatch)
        assert torch.equal(after_BL, wanted_after_BL)
        for name in TENSORS:
            assert torch.equal(getattr(batch, name), getattr(wanted_batch, name))


def test_without_it_the_loader_leaves_batches_as_they_are():
    got = list(DataLoader(PairDataset(HeldPairs(7), batch_size=3), batch_size=None))
    assert [type(batch) for batch in got] == [PairBatch] * 3
    np.testing.assert_array_equal(got[0].scored_BG, got[0].measured_BG & ~got[0].perturbed_BG)


def test_a_pass_left_early_leaves_no_thread():
    loader = DataLoader(PairDataset(Prefetched(HeldPairs(50), depth=1), batch_size=1), batch_size=None)
    for _ in islice(loader, 3):
        pass
    assert reading_threads() == []


def test_it_pickles_with_its_place():
    dataset = PairDataset(HeldPairs(10), batch_size=3)
    dataset.set_epoch(2, n_done=1)
    assert content(pickle.loads(pickle.dumps(dataset))) == one_pass(10, 3, epoch=2)[1:]


def test_ranks_are_those_of_torchrun(monkeypatch: pytest.MonkeyPatch):
    dataset = PairDataset(HeldPairs(9), batch_size=2)
    assert (dataset.rank, dataset.n_ranks, len(dataset)) == (0, 1, 5)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    dataset = PairDataset(HeldPairs(9), batch_size=2)
    assert (dataset.rank, dataset.n_ranks, len(dataset)) == (1, 2, 2)


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ({"batch_size": 0}, "batch_size is 0: it must be at least 1"),
        ({"seed": -1}, "seed is -1: it must be 0 or more"),
        ({"rank": 2, "n_ranks": 2}, r"PairDataset\.rank is 2 of 2: ranks count from 0"),
    ],
)
def test_wrong_use_is_refused(options: dict[str, int], summary: str):
    with pytest.raises(InputError, match=summary):
        PairDataset(HeldPairs(3), **{"batch_size": 2, **options})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="epoch is -1: it must be 0 or more"):
        PairDataset(HeldPairs(3), batch_size=2).set_epoch(-1)
