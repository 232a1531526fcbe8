"""From pairs to batches: every mishap on the way is found by its check first, and named."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diagnostics.checks.data.collation import Arrived
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import ModelBatch, model_batch
from tests.diagnostics.checks.sources import Changed, pairs_of, partly_measured, with_before
from tests.diagnostics.checks.subjects import failures, found

Collate = Callable[[PairBatch], tuple[ModelBatch, Tensor]]
NAMES = ("data.masks", "data.before", "data.perturbed", "data.target", "data.leak", "data.collate_alone")


def changing(**changes: Callable[[ModelBatch, Tensor], Tensor]) -> Collate:
    """The library's collation with some tensors replaced; ``after_BL`` is the target's."""

    def collate(pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
        batch, after_BL = model_batch(pairs)
        fields = {name: change(batch, after_BL) for name, change in changes.items() if name != "after_BL"}
        other_BL = changes["after_BL"](batch, after_BL) if "after_BL" in changes else after_BL
        return replace(batch, **fields), other_BL

    return collate


def on_pairs(change: Callable[[PairBatch], PairBatch]) -> Collate:
    return lambda pairs: model_batch(change(pairs))


def log(value: Tensor) -> Tensor:
    return value.sign() * value.abs().log1p()


def delta(batch: ModelBatch, after_BL: Tensor) -> Tensor:
    return after_BL - batch.before_BL


FAULTS: list[tuple[str, Collate, str]] = [
    ("data.masks", changing(perturbed_BL=lambda b, _: b.measured_BL & ~b.perturbed_BL), "inverted"),
    ("data.masks", changing(perturbed_BL=lambda b, _: torch.zeros_like(b.perturbed_BL)), "False throughout"),
    ("data.masks", changing(perturbed_BL=lambda b, _: b.perturbed_BL.roll(1, dims=0) & b.measured_BL), "perturbed"),
    ("data.masks", changing(measured_BL=lambda b, _: torch.ones_like(b.measured_BL)), "measured"),
    ("data.masks", changing(token_BL=lambda b, _: torch.zeros_like(b.token_BL)), "more than one position"),
    ("data.before", changing(before_BL=lambda b, _: log(b.before_BL)), "log1p of the right values"),
    ("data.before", changing(before_BL=lambda b, _: 1e6 * b.before_BL), "1e+06 times the right values"),
    ("data.before", changing(before_BL=lambda b, _: b.before_BL.roll(1, dims=0)), "data"),
    ("data.before", changing(before_BL=lambda _, a: a), "the cell after"),
    (
        "data.perturbed",
        changing(target_BL=lambda b, a: torch.where(b.perturbed_BL, delta(b, a), 0.0)),
        "the change instead",
    ),
    ("data.perturbed", changing(target_BL=lambda b, _: -b.target_BL), "sign turned"),
    ("data.perturbed", changing(target_BL=lambda b, _: torch.where(b.perturbed_BL, 1.0, 0.0)), "1, whatever the dose"),
    ("data.perturbed", changing(target_BL=lambda b, _: torch.zeros_like(b.target_BL)), "0 throughout"),
    ("data.target", changing(after_BL=lambda b, _: b.before_BL), "the cell before"),
    ("data.target", changing(after_BL=delta), "the change instead of the cell after"),
    ("data.target", changing(after_BL=lambda _, a: log(a)), "log1p of the right values"),
    ("data.target", changing(after_BL=lambda _, a: a.roll(1, dims=0)), "target"),
    ("data.leak", changing(target_BL=lambda b, a: torch.where(b.measured_BL, a, 0.0)), "target_BL"),
]


@pytest.mark.parametrize(("name", "collate", "words"), FAULTS)
@pytest.mark.parametrize("measured", ["all", "some"])
def test_a_mishap_is_found_first_by_its_check_and_named(name: str, collate: Collate, words: str, measured: str):
    pairs = pairs_of() if measured == "all" else Changed(pairs_of(), partly_measured)
    asked = Subject(pairs=pairs, collate=collate)
    if (words, measured) == ("measured", "all"):
        # Where every gene is measured this is no mishap.
        assert not failures(asked, *NAMES)
        return
    assert failures(asked, *NAMES)[0] == name
    result = found(asked, name)
    assert result.cause == ("bug" if name == "data.masks" else "data")
    if measured == "all":
        assert words in result.message or words in name


def test_an_order_of_genes_of_its_own_is_named():
    other_order = on_pairs(lambda pairs: with_before(pairs, np.roll(pairs.before_BG, 1, axis=1)))
    result = found(Subject(pairs=pairs_of(), collate=other_order), "data.before")
    assert result.outcome == "fail"
    assert "other genes" in result.message


def test_units_of_the_batch_are_found():
    def in_units_of_the_batch(pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
        batch, after_BL = model_batch(pairs)
        return replace(batch, before_BL=batch.before_BL - batch.before_BL.mean(dim=0)), after_BL

    asked = Subject(pairs=pairs_of(), collate=in_units_of_the_batch)
    assert failures(asked, *NAMES) == ["data.before", "data.collate_alone"]
    assert "the other pairs of its batch" in found(asked, "data.collate_alone").message


def test_a_collation_that_draws_is_perturbed_so():
    rng = np.random.default_rng(0)

    def noisy(pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
        batch, after_BL = model_batch(pairs)
        noise = torch.as_tensor(rng.normal(0, 0.1, tuple(batch.before_BL.shape))).to(batch.before_BL)
        return replace(batch, before_BL=batch.before_BL + noise), after_BL

    assert "draws at random" in found(Subject(pairs=pairs_of(), collate=noisy), "data.collate_alone").message


@pytest.mark.parametrize("measured", ["all", "some"])
@pytest.mark.parametrize(
    "collate",
    [
        model_batch,
        # Places in another order, each with its token, and padding that holds anything: all the same to a set.
        changing(
            token_BL=lambda b, _: b.token_BL.flip(1),
            before_BL=lambda b, _: b.before_BL.flip(1),
            target_BL=lambda b, _: b.target_BL.flip(1),
            measured_BL=lambda b, _: b.measured_BL.flip(1),
            perturbed_BL=lambda b, _: b.perturbed_BL.flip(1),
            after_BL=lambda _, a: a.flip(1),
        ),
        changing(before_BL=lambda b, _: torch.where(b.measured_BL, b.before_BL, float("nan"))),
    ],
)
def test_healthy_collations_pass(measured: str, collate: Collate):
    pairs = pairs_of() if measured == "all" else Changed(pairs_of(), partly_measured)
    assert failures(Subject(pairs=pairs, collate=collate), *NAMES) == []


def test_what_arrives_is_read_gene_by_gene():
    probe = Probe(Subject(pairs=Changed(pairs_of(), partly_measured)))
    arrived = Arrived.of(*model_batch(probe.few), len(probe.vocab))
    measured_BG = probe.few.measured_BG
    assert (arrived.measured_BG == measured_BG).all()
    assert (np.isnan(arrived.before_BG) == ~measured_BG).all()
    assert (arrived.after_BG[measured_BG] == probe.few.after_BG[measured_BG]).all()
    assert arrived.n_twice == 0
