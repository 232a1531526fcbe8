"""The probe: what it lends to a trial comes back as it was, and what it draws depends on its purpose alone."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.checks.engine.intent import Intent
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject, existing
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.subjects import Mlp, PartlyMeasured, adamw, made, pairs_of, subject


class Failure(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("raises", [None, Failure, KeyboardInterrupt])
def test_a_trial_puts_everything_back(raises: type[BaseException] | None):
    model = made(lambda: Mlp(8, extra=nn.Sequential(nn.BatchNorm1d(32), nn.Dropout(0.5))))
    model.train()
    model.get_submodule("extra").eval()
    optimizer = adamw(model)
    asked = subject(model, make_optimizer=existing(optimizer))
    batch = next(pairs_of().pairs(batch_size=16, seed=0))
    asked.step(model, optimizer, batch)
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    objects = [id(one) for one in model.parameters()]
    gradients = [None if one.grad is None else one.grad.clone() for one in model.parameters()]
    modes = [one.training for one in model.modules()]
    random_state = torch.random.get_rng_state()
    try:
        with Probe(asked).trial("trial", learning_rate=0.5) as (lent, lent_optimizer):
            assert lent is model
            assert all(one.grad is None for one in lent.parameters())
            assert {group["lr"] for group in lent_optimizer.param_groups} == {0.5}
            for _ in range(3):
                asked.step(lent, lent_optimizer, batch)
            assert not torch.equal(lent.state_dict()["first.weight"], weights["first.weight"])
            if raises is not None:
                raise raises
    except (Failure, KeyboardInterrupt):
        assert raises is not None
    assert [id(one) for one in model.parameters()] == objects
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert [one.training for one in model.modules()] == modes
    for one, gradient in zip(model.parameters(), gradients, strict=True):
        if one.grad is None or gradient is None:
            assert one.grad is gradient
        else:
            assert torch.equal(one.grad, gradient)
    now = optimizer.state_dict()
    assert now["param_groups"] == state["param_groups"]
    for number, held in state["state"].items():
        assert all(torch.equal(value, now["state"][number][name]) for name, value in held.items())
    assert torch.equal(torch.random.get_rng_state(), random_state)


def test_a_trial_trains_in_the_mode_that_is_asked_for():
    probe = Probe(subject())
    with probe.trial("one") as (model, _):
        assert model.training
    with probe.trial("two", dropout=False) as (model, _):
        assert not model.training


def test_trials_of_one_purpose_draw_the_same_and_of_another_other():
    probe = Probe(subject())

    def drawn(purpose: str) -> torch.Tensor:
        with probe.trial(purpose):
            return nn.functional.dropout(torch.ones(64))

    assert torch.equal(drawn("one"), drawn("one"))
    assert not torch.equal(drawn("one"), drawn("two"))


def test_an_optimiser_that_does_not_come_to_be_leaves_the_model_alone():
    def refuses(model: nn.Module) -> torch.optim.Optimizer:
        raise Failure

    asked = subject(make_optimizer=refuses)
    assert asked.model is not None
    asked.model.train()
    with pytest.raises(Failure), Probe(asked).trial("trial"):
        pass
    assert asked.model.training


def test_the_exact_copy_is_a_copy_in_double_precision_and_evaluation_mode():
    asked = subject()
    probe = Probe(asked)
    assert {one.dtype for one in probe.exact_model.parameters()} == {torch.float64}
    assert not probe.exact_model.training
    assert asked.model is not None
    assert {one.dtype for one in asked.model.parameters()} == {torch.float32}
    assert not {id(one) for one in asked.model.parameters()} & {id(one) for one in probe.exact_model.parameters()}
    batch, _ = probe.exact(probe.few)
    assert probe.answer(batch).dtype == torch.float64


def test_generic_weights_hide_nothing_behind_a_layer_that_begins_at_0():
    model = made(lambda: Mlp(8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    probe = Probe(subject(model))
    batch, _ = probe.exact(probe.few)
    assert not probe.answer(batch).any()
    assert probe.answer(batch, probe.generic_model).std() > 0.1


def test_answers_are_put_back_at_their_genes():
    pairs = PartlyMeasured(pairs_of(6))
    asked = Subject(
        pairs=pairs, model=made(lambda: Mlp(6)), forward=lambda model, batch: batch.token_BL * 1.0 + 0 * batch.before_BL
    )
    probe = Probe(asked)
    answer_BG = probe.answer_of(probe.few)
    measured_BG = probe.few.measured_BG
    assert np.array_equal(np.isfinite(answer_BG), measured_BG)
    assert np.array_equal(answer_BG[measured_BG], np.broadcast_to(np.arange(6.0), answer_BG.shape)[measured_BG])


def test_masked_pairs_hide_more_and_keep_something_perturbed_and_something_scored():
    assert Probe(Subject(pairs=pairs_of(12))).masked.measured_BG.all()
    probe = Probe(Subject(pairs=PartlyMeasured(pairs_of(12))))
    few, masked = probe.few, probe.masked
    assert (few.measured_BG & ~masked.measured_BG).any(axis=1).any()
    assert not (masked.measured_BG & ~few.measured_BG).any()
    assert masked.perturbed_BG.any(axis=1).all()
    assert masked.scored_BG.any(axis=1).all()
    assert np.array_equal(masked.before_BG[masked.measured_BG], few.before_BG[masked.measured_BG])


def test_pairs_are_drawn_from_as_many_passes_as_it_takes():
    probe = Probe(Subject(pairs=pairs_of(5, n_pairs=30)), n_sample=70)
    assert len(probe.sample) == 70
    assert len({row.tobytes() for row in probe.sample.before_BG}) == 70
    assert np.array_equal(probe.sample.before_BG, Probe(probe.subject, n_sample=70).sample.before_BG)
    assert not np.array_equal(probe.sample.before_BG, Probe(probe.subject, seed=1, n_sample=70).sample.before_BG)


def test_without_a_source_pairs_are_made_up_and_training_is_refused():
    from tests.diagnostics.checks.subjects import transformer

    probe = Probe(Subject(model=transformer("default", 6)))
    assert isinstance(probe.few, PairBatch)
    assert probe.few.measured_BG.all()
    assert probe.few.perturbed_BG.any(axis=1).all()
    assert probe.few.scored_BG.any(axis=1).all()
    with pytest.raises(InputError, match="no source of pairs"):
        next(probe.batches("train"))
    with pytest.raises(InputError, match="no source of pairs"):
        probe.drawn(3, "some")


def test_many_genes_are_asked_with_fewer_pairs():
    assert Probe(Subject(pairs=pairs_of(20))).n_exact == 12
    assert Probe(subject(n_genes=8)).n_exact == 12
    assert len(Probe(Subject(pairs=pairs_of(2000, n_pairs=20))).few) == 3


def test_batches_hold_whole_sets_however_few_pairs_are_asked_for():
    probe = Probe(subject(made(lambda: Mlp(8)), intent=Intent(set_size=16)))
    assert len(next(probe.batches("a few", batch_size=3))) == 16
    with pytest.raises(InputError, match="no whole set"):
        next(Probe(subject(made(lambda: Mlp(8)), intent=Intent(set_size=500))).batches("none", batch_size=3))
