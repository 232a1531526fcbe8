"""Paths through a model: every check with the fault that it catches, and healthy models that look like one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gpcp.model.attention
from diagnostics.checks.engine.intent import Intent
from gpcp.model.batch import ModelBatch
from tests.diagnostics.checks.subjects import Mlp, failures, found, made, subject, transformer


class Without(nn.Module):
    """A layer through which no gradient goes back."""

    def forward(self, value: Tensor) -> Tensor:
        return value.detach()


class Unused(nn.Module):
    """A layer that nobody asks."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(3, 3)

    def forward(self, value: Tensor) -> Tensor:
        return value


def frozen() -> nn.Module:
    """Biases, at which no draw can be recognised."""
    model = transformer()
    for name, one in model.named_parameters():
        one.requires_grad_(not name.endswith("bias"))
    return model


def mostly_frozen() -> nn.Module:
    """All but the last layer, at the weights that torch draws."""
    model = made(lambda: Mlp(8))
    for one in model.get_submodule("first").parameters():
        one.requires_grad_(False)
    return model


def pretrained() -> nn.Module:
    """The same at weights that no draw of a layer gives."""
    model = mostly_frozen()
    with torch.no_grad():
        weight = model.get_parameter("first.weight")
        weight.add_(0.3 * torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(0)))
    return model


def all_zero() -> nn.Module:
    model = transformer()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model


def dead() -> nn.Module:
    model = made(lambda: Mlp(8))
    with torch.no_grad():
        model.get_parameter("first.bias").fill_(-1e4)
    return model


def begins_at_zero() -> nn.Module:
    model = made(lambda: Mlp(8))
    with torch.no_grad():
        model.get_parameter("last.weight").zero_()
        model.get_parameter("last.bias").zero_()
    return model


class Scalar(nn.Module):
    """All that is between the genes goes through one number, bent or not."""

    def __init__(self) -> None:
        super().__init__()
        self.to_one, self.to_all = nn.Linear(32, 1), nn.Linear(1, 32)

    def forward(self, value: Tensor) -> Tensor:
        return self.to_all(torch.sin(self.to_one(value)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: made(lambda: Mlp(8, extra=Without())), "predictions depend on them: first.weight, first.bias"),
        (all_zero, "initial weights"),
        (dead, "initial weights"),
    ],
)
def test_a_parameter_without_gradient_is_named_with_the_reason(make: type[nn.Module], words: str):
    asked = subject(make())
    result = found(asked, "architecture.gradients")
    assert (result.outcome, result.cause) == ("fail", "bug")
    assert words in result.message
    assert failures(asked, "architecture")[0] == "architecture.gradients"


@pytest.mark.parametrize(
    ("make", "words", "intent"),
    [
        (frozen, "are frozen", Intent(frozen=("*bias",))),
        (pretrained, "are frozen", Intent(frozen=("first.*",))),
        (lambda: made(lambda: Mlp(8, extra=Unused())), "enter no prediction", Intent(unused=("extra.*",))),
    ],
)
def test_what_may_be_meant_is_a_note_and_what_is_meant_is_nothing(
    make: Callable[[], nn.Module], words: str, intent: Intent
):
    if words:
        noted = found(subject(make()), "architecture.gradients")
        assert noted.outcome == "pass"
        assert words in noted.message
        assert noted.next_step
        assert failures(subject(make())) == []
    meant = found(subject(make(), intent=intent), "architecture.gradients")
    assert (meant.outcome, meant.next_step) == ("pass", "")


def test_a_last_layer_that_begins_at_0_is_healthy():
    asked = subject(begins_at_zero())
    assert "once another has moved" in found(asked, "architecture.gradients").message
    assert failures(asked) == []


def test_a_gradient_that_is_not_finite_is_found():
    def root(model: nn.Module, batch: ModelBatch) -> Tensor:
        answer_BL = model(batch)
        return answer_BL + (answer_BL - answer_BL).sqrt()

    assert failures(subject(made(lambda: Mlp(8)), forward=root_dense(root)), "architecture.gradients") == [
        "architecture.gradients"
    ]


def root_dense(altered):
    from diagnostics.checks.engine.subject import forward_of

    def answer(model: nn.Module, batch: ModelBatch) -> Tensor:
        usual = forward_of(model, 8)
        return altered(lambda one: usual(model, one), batch)

    return answer


def test_identity_times_value_loses_the_gene_at_0():
    result = found(subject(transformer("seed")), "architecture.identity")
    assert (result.outcome, result.cause) == ("fail", "architecture")
    assert "expression 0" in result.message


def test_a_model_without_identities_is_perturbed_so():
    def nameless(model: nn.Module, batch: ModelBatch) -> Tensor:
        weight = next(model.parameters()).reshape(-1)[0]
        return weight * torch.where(batch.measured_BL, batch.before_BL, 0.0)

    result = found(subject(forward=nameless), "architecture.identity")
    assert result.outcome == "fail"


def test_a_pool_to_one_number_is_found_first_even_when_bent():
    assert failures(subject(made(lambda: Mlp(8, extra=Scalar()))), "architecture") == ["architecture.rank"]


def test_a_pool_to_one_number_is_found_behind_a_shortcut():
    def shortcut(model: nn.Module, batch: ModelBatch) -> Tensor:
        weight = model.get_parameter("state_identity.weight")[batch.token_BL, 0]
        pooled_B1 = torch.where(batch.measured_BL, model(batch), 0.0).sum(dim=1, keepdim=True)
        return weight * torch.where(batch.measured_BL, batch.before_BL, 0.0) + (1 + weight) * pooled_B1

    assert "architecture.rank" in failures(subject(forward=shortcut), "architecture.rank")


@pytest.mark.parametrize("end", [nn.ReLU, nn.Softplus, nn.Sigmoid, nn.Tanh, lambda: nn.Hardtanh(-1, 1)])
def test_an_answer_that_cannot_reach_the_targets_is_found(end: type[nn.Module]):
    asked = subject(made(lambda: Mlp(8, last=end())))
    result = found(asked, "architecture.range")
    assert (result.outcome, result.cause) == ("fail", "architecture")
    assert failures(asked, "architecture") == ["architecture.range"]


def test_a_change_that_cannot_fall_is_found():
    asked = subject(
        made(lambda: Mlp(8)), forward=root_dense(lambda usual, batch: batch.before_BL + usual(batch).relu())
    )
    result = found(asked, "architecture.range")
    assert result.outcome == "fail"
    assert "changes" in result.message


def test_a_softmax_over_the_wrong_axis_is_found(monkeypatch: pytest.MonkeyPatch):
    right = gpcp.model.attention._weights

    def wrong(query_BHQd: Tensor, key_BHKd: Tensor, attend_BK: Tensor | None) -> Tensor:
        return right(query_BHQd, key_BHKd, attend_BK) ** 0 * torch.softmax(
            query_BHQd @ key_BHKd.transpose(-1, -2), dim=-2
        )

    monkeypatch.setattr(gpcp.model.attention, "_weights", wrong)
    assert found(subject(), "architecture.attention").outcome == "fail"


def test_attention_is_asked_of_the_librarys_transformer_alone():
    assert found(subject(made(lambda: Mlp(8))), "architecture.attention").outcome == "not_applicable"
