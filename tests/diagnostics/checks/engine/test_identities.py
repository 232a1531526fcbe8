"""Answers held together, batches altered in one respect, and what is done to weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from diagnostics.checks.engine.batches import columns, invented, padded, perturbed
from diagnostics.checks.engine.identities import LARGEST, deviation, must_equal, must_move
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.engine.weights import flat, scaled, unregistered, with_generic_weights, without_dropout
from tests.diagnostics.checks.subjects import Mlp, PartlyMeasured, made, pairs_of
from tests.gpcp.model.model_cases import batches, fields_of


@given(st.floats(1e-300, 1e200), st.floats(0, 1e-10))
def test_rounding_is_judged_relative_to_the_answers(size: float, relative: float):
    one = torch.tensor([size, -size / 2], dtype=torch.float64)
    assert deviation(one, one * (1 + relative)).equal
    assert not deviation(one, one * 1.001).equal


def test_no_answer_but_0_leaves_no_slack():
    zero = torch.zeros(3, dtype=torch.float64)
    assert deviation(zero, zero).equal
    assert not deviation(zero, zero + 1e-200).equal


@pytest.mark.parametrize("junk", [float("nan"), float("inf")])
def test_what_is_not_finite_is_a_deviation_and_a_finite_number(junk: float):
    found = deviation(torch.zeros(2), torch.tensor([0.0, junk]))
    assert found.largest == LARGEST
    finding = must_equal(found, same="same", differs="differs", next_step="do")
    assert finding.outcome == "fail"
    assert "not finite" in finding.message
    assert deviation(torch.zeros(2), torch.tensor([0.0, junk]), torch.tensor([True, False])).equal


def test_nothing_to_compare_is_not_a_verdict_on_movement():
    nothing = deviation(torch.zeros(2), torch.ones(2), torch.zeros(2, dtype=torch.bool))
    assert must_move(nothing, moves="moves", stays="stays", next_step="do").outcome == "not_applicable"


@given(batches(), st.data())
def test_altered_batches_are_the_old_one_in_every_other_respect(batch, data):
    n_pairs, n_places = batch.before_BL.shape
    order = torch.tensor(data.draw(st.permutations(range(n_places))))
    back = torch.argsort(order)
    for name, value in fields_of(columns(columns(batch, order), back)).items():
        assert torch.equal(value, getattr(batch, name))
    wide = padded(batch, torch.tensor([0, 3]))
    assert not wide.measured_BL[:, n_places:].any()
    for name, value in fields_of(wide).items():
        assert torch.equal(value[:, :n_places], getattr(batch, name))
    which = torch.tensor(data.draw(st.permutations(range(n_pairs))))
    assert torch.equal(batch.rows(which).before_BL, batch.before_BL[which])
    place_B = np.array(data.draw(st.lists(st.integers(0, n_places - 1), min_size=n_pairs, max_size=n_pairs)))
    more = perturbed(batch, place_B, np.full(n_pairs, 7.0))
    row_B = torch.arange(n_pairs)
    assert more.perturbed_BL[row_B, torch.as_tensor(place_B)].all()
    assert (more.target_BL[row_B, torch.as_tensor(place_B)] == 7).all()
    assert int((more.perturbed_BL ^ batch.perturbed_BL).sum(dim=1).max()) <= 1


@pytest.mark.parametrize("n_genes", [2, 8, 400])
def test_invented_cells_hold_values_of_the_pairs_range_and_some_of_either_kind(n_genes: int):
    pairs = PartlyMeasured(pairs_of(n_genes, n_pairs=20))
    probe = Probe(Subject(pairs=pairs, model=made(lambda: Mlp(n_genes))))
    lo, hi = probe.value_range
    batch, again = (invented(probe, "test", p_perturbed=1 / 3, p_measured=2 / 3, masked_anyway=True) for _ in range(2))
    assert batch.before_BL.shape[1] == min(n_genes, 256)
    assert lo <= float(batch.before_BL.min()) <= float(batch.before_BL.max()) <= hi
    assert batch.measured_BL.any(dim=1).all()
    assert (~batch.measured_BL).any(dim=1).all()
    assert not (batch.perturbed_BL & ~batch.measured_BL).any()
    assert torch.equal(batch.before_BL, again.before_BL)


def test_weights_are_drawn_scaled_and_read_without_touching_the_model():
    model = made(lambda: Mlp(4, extra=nn.LayerNorm(32)))
    parameters = list(model.parameters())
    before = flat(parameters, parameters)
    drawn = with_generic_weights(model, np.random.default_rng(0))
    tripled = scaled(model, 3.0, np.random.default_rng(0))
    assert np.array_equal(flat(parameters, parameters), before)
    assert np.allclose(np.abs(flat(tripled.parameters(), parameters)), 3 * np.abs(before), rtol=1e-6)
    assert all(bool((one != 0).all()) for one in drawn.parameters())
    norm = drawn.get_parameter("extra.weight")
    assert 0.5 < float(norm.mean().detach()) < 1.5


@pytest.mark.parametrize("raises", [False, True])
def test_dropout_is_put_back(raises: bool):
    model = nn.Sequential(nn.Dropout(0.3), nn.MultiheadAttention(4, 2, dropout=0.2))
    try:
        with without_dropout(model):
            assert model[0].p == model[1].dropout == 0.0
            if raises:
                raise KeyError
    except KeyError:
        assert raises
    assert (model[0].p, model[1].dropout) == (0.3, 0.2)


def test_hidden_layers_are_named_and_references_to_known_ones_are_not():
    model = made(lambda: Mlp(4))
    vars(model)["again"] = [model.get_submodule("first")]
    assert unregistered(model) == []
    vars(model)["spare"] = {"one": (nn.Linear(2, 2),)}
    vars(model.get_submodule("end"))["weight"] = nn.Parameter(torch.zeros(1))
    assert unregistered(model) == ["spare", "end.weight"]
