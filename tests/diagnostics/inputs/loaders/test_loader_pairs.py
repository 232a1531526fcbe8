"""A loader as a source of pairs: every batch comes back as it was, with what else it holds."""

import random
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from diagnostics.checks.engine.copies import Drawn
from diagnostics.inputs.loaders.batch_fields import BatchFields
from diagnostics.inputs.loaders.loader_pairs import LoaderPairs
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairSource, concatenate

N_GENES = 4


def batch_of(n: int, seed: int, *, measured: bool = False) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    gene_B = rng.integers(N_GENES, size=n)
    batch: dict[str, object] = {
        "x": torch.as_tensor(rng.normal(size=(n, N_GENES)).astype(np.float32)),
        "gene": torch.as_tensor(gene_B),
        "y": torch.as_tensor(rng.normal(size=(n, N_GENES))),
        "dose": torch.as_tensor(rng.normal(size=n)),
        "name": [f"cell {i} of {seed}" for i in range(n)],
        "graph": torch.ones(2, 7),
        "donor": torch.as_tensor(rng.integers(5, size=n)),
    }
    batch["covariates"] = {"donor": batch["donor"], "of all": 1}
    if measured:
        seen = rng.random((n, N_GENES)) < 0.7
        seen[np.arange(n), gene_B] = True
        batch["seen"] = torch.as_tensor(seen)
        batch["x"] = torch.where(batch["seen"], batch["x"], 0)  # pyright: ignore[reportArgumentType, reportCallIssue]
        batch["y"] = torch.where(batch["seen"], batch["y"], 0)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return batch


def source(batches: list[dict[str, object]], **parts: object) -> LoaderPairs:
    fields = {"before": "x", "perturbation": "gene", "after": "y", "dose": "dose"}
    if "seen" in batches[0]:
        fields["measured"] = "seen"
    return LoaderPairs(batches, BatchFields.of(fields), **parts)  # pyright: ignore[reportArgumentType]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 100), measured=st.booleans(), order=st.randoms(use_true_random=False))
def test_a_batch_comes_back_whatever_its_order(seed: int, measured: bool, order: random.Random):
    batches = [batch_of(5, seed, measured=measured), batch_of(3, seed + 1, measured=measured)]
    pairs = source(batches)
    assert isinstance(pairs, PairSource)
    found = concatenate(pairs.pairs(batch_size=3, seed=0))
    assert len(found) == 8
    rows = list(range(8))
    order.shuffle(rows)
    again = pairs.batch_of(found.rows(np.array(rows)))
    for name in ("x", "gene", "y", "dose", *(["seen"] if measured else [])):
        whole = torch.cat([batch[name] for batch in batches])[rows]  # pyright: ignore[reportArgumentType, reportCallIssue]
        torch.testing.assert_close(again[name], whole.to(again[name].dtype), rtol=1e-6, atol=1e-6)
    names = [name for batch in batches for name in batch["name"]]  # pyright: ignore[reportGeneralTypeIssues]
    assert again["name"] == [names[row] for row in rows]
    assert again["graph"].shape == (2, 7)
    assert torch.equal(again["covariates"]["donor"], torch.cat([batch["donor"] for batch in batches])[rows])  # pyright: ignore[reportArgumentType, reportCallIssue]


class Pairs(NamedTuple):
    x: Tensor
    y: Tensor
    gene: Tensor


BY_NAME: dict[str, str | int] = {"before": "x", "perturbation": "gene", "after": "y"}


@pytest.mark.parametrize("fields", [{"before": 0, "perturbation": 2, "after": 1}, BY_NAME])
def test_a_named_tuple_is_read_by_names_and_by_positions(fields: dict[str, str | int]):
    values = batch_of(5, 0)
    batch = Pairs(*(cast("Tensor", values[name]) for name in Pairs._fields))
    pairs = LoaderPairs([batch], BatchFields.of(fields))
    assert dict(pairs.fields.present) == BY_NAME
    few = next(pairs.pairs(batch_size=5, seed=0))
    again = pairs.batch_of(few.rows(np.arange(5)[::-1].copy()))
    assert isinstance(again, Pairs)
    assert torch.equal(again.x, batch.x.flip(0))
    assert pairs.beside(few) == {}


def test_dtypes_are_kept_and_floats_follow_the_precision_asked_for():
    pairs = source([batch_of(5, 0)])
    few = next(pairs.pairs(batch_size=5, seed=0))
    batch, _ = pairs.model_batch(few)
    single, double = pairs.written(batch), pairs.written(batch.to(torch.device("cpu"), torch.float64))
    assert (single["x"].dtype, single["gene"].dtype) == (torch.float32, torch.int64)
    assert (double["x"].dtype, double["dose"].dtype, double["gene"].dtype) == (
        torch.float64,
        torch.float64,
        torch.int64,
    )


def test_at_perturbed_genes_pairs_hold_what_is_given_and_batches_what_was_measured():
    batch = batch_of(5, 3)
    pairs = source([batch])
    few = next(pairs.pairs(batch_size=5, seed=0))
    row = np.arange(5)
    gene = np.asarray(batch["gene"])
    shift = (few.after_BG - few.before_BG)[row, gene]
    np.testing.assert_allclose(shift, np.asarray(batch["dose"]), rtol=1e-5)
    _, after_BL = pairs.model_batch(few)
    torch.testing.assert_close(after_BL, batch["y"].float())  # pyright: ignore[reportAttributeAccessIssue]


def test_nan_is_unmeasured_and_comes_back():
    batch = batch_of(5, 4)
    batch["x"][0, 1] = batch["y"][0, 1] = float("nan")  # pyright: ignore[reportIndexIssue]
    batch["gene"][0] = 2  # pyright: ignore[reportIndexIssue]
    pairs = source([batch])
    few = next(pairs.pairs(batch_size=5, seed=0))
    assert pairs.masked
    assert not few.measured_BG[0, 1]
    again = pairs.batch_of(few)
    assert torch.isnan(again["x"][0, 1])
    assert int(torch.isnan(again["x"]).sum()) == 1


def numpy_state() -> Any:
    state: Any = np.random.get_state()  # noqa: NPY002
    return state[1]


def test_a_seed_decides_a_pass_and_global_generators_stay_where_they_were():
    data = TensorDataset(*(torch.arange(80.0).reshape(20, 4) + 100 * k for k in range(3)))
    fields = BatchFields(before=0, perturbation=1, after=2)
    pairs = LoaderPairs(DataLoader(data, batch_size=6, shuffle=True), fields)
    states = torch.get_rng_state(), numpy_state().copy(), random.getstate()
    one, again, other = (concatenate(pairs.pairs(batch_size=8, seed=seed)).before_BG for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    assert (np.sort(one, axis=0) == np.sort(other, axis=0)).all()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (numpy_state() == states[1]).all()
    assert random.getstate() == states[2]
    assert pairs.n_pairs == 20


def test_a_draw_goes_on_where_it_was():
    whole, parts = Drawn(5), Drawn(5)
    with whole:
        expected = [torch.rand(()).item(), np.random.rand(), random.random(), torch.rand(()).item()]  # noqa: NPY002
    with parts:
        found = [torch.rand(()).item(), np.random.rand(), random.random()]  # noqa: NPY002
    torch.rand(3, generator=torch.Generator().manual_seed(0))
    with parts:
        found.append(torch.rand(()).item())
    assert found == expected


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "gives no batch"),
        ([{"x": torch.zeros(3, 2), "y": torch.zeros(3, 3), "gene": torch.zeros(3), "dose": torch.zeros(3)}], "shape"),
        ([{"x": torch.zeros(3), "y": torch.zeros(3), "gene": torch.zeros(3), "dose": torch.zeros(3)}], "'before' is"),
        ([{"x": torch.zeros(3, 2)}], "no entry"),
    ],
)
def test_what_is_no_pair_is_one_line(batches: list[dict[str, object]], message: str):
    with pytest.raises(InputError, match=message):
        LoaderPairs(batches, BatchFields(before="x", perturbation="gene", after="y", dose="dose"))
