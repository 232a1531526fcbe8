"""How a module is called is inferred from its arguments; what cannot be is one line with the remedy."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.inputs.calls import asking_of, loss_of, scalar_of, tensor_of
from diagnostics.inputs.diagnose import diagnose
from diagnostics.inputs.loaders.batch_fields import BatchFields
from gpcp.core.errors import InputError

X, P, Y = torch.arange(6.0).reshape(2, 3), torch.eye(3)[:2], torch.ones(2, 3)
TUPLE, DICT = (X, P, Y), {"x": X, "p": P, "y": Y, "type": torch.zeros(2)}
BY_POSITION, BY_NAME = (
    BatchFields(before=0, perturbation=1, after=2),
    BatchFields(before="x", perturbation="p", after="y"),
)


class Two(nn.Module):
    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        return x + 10 * p


class Optional(nn.Module):
    def forward(self, x: Tensor, p: Tensor, type: Tensor | None = None) -> Tensor:
        return x + 10 * p + (0 if type is None else 100)


class Whole(nn.Module):
    def forward(self, batch: Any) -> Tensor:
        return batch["x"] + 10 * batch["p"]


class Batch(nn.Module):
    """Its one argument bears the name of a covariate."""

    def forward(self, type: Any) -> Tensor:
        return type["x"] + 10 * type["p"]


class Odd(nn.Module):
    def forward(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> Tensor:
        return a


@pytest.mark.parametrize(
    ("model", "fields", "batch", "summary", "extra"),
    [
        (Two(), BY_POSITION, TUPLE, "model(batch[0], batch[1])", 0),
        (Two(), BY_NAME, DICT, "model(x=batch['x'], p=batch['p'])", 0),
        (Optional(), BY_NAME, DICT, "model(x=batch['x'], p=batch['p'], type=batch['type'])", 100),
        (Whole(), BY_NAME, DICT, "model(batch)", 0),
        (Batch(), BY_NAME, DICT, "model(batch)", 0),
    ],
)
def test_inferred_calls(model: nn.Module, fields: BatchFields, batch: Any, summary: str, extra: float):
    asking = asking_of(model, None, fields, batch)
    assert asking.summary == summary
    assert torch.equal(asking.ask(model, batch), X + 10 * P + extra)


def test_what_cannot_be_inferred_shows_what_to_write():
    with pytest.raises(InputError, match=r"takes \(a, b, c, d, e\).*0 \(2, 3\).*\n +predict=lambda batch: model\("):
        asking_of(Odd(), None, BY_POSITION, TUPLE)


def test_a_prediction_that_holds_on_to_its_model_asks_the_copy_that_is_meant():
    model, copy = nn.Linear(3, 3), nn.Linear(3, 3)
    asking = asking_of(model, lambda batch: model(batch[0]), BY_POSITION, TUPLE)
    assert torch.equal(asking.ask(copy, TUPLE), copy(X))
    assert torch.equal(asking.ask(model, TUPLE), model(X))
    assert not torch.equal(copy(X), model(X))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"logits": X}, r"a dict with 'logits'.*\n.*model\(batch\)\['logits'\]"),
        ((X, X), r"2 parts \(\(2, 3\), \(2, 3\)\).*\n.*model\(batch\)\[0\]"),
        (torch.zeros(2, 3, 7), "its last axis has 7 numbers"),
        (torch.zeros(2), r"shape \(2,\), expected \(2, 3\)"),
        (None, "answers with NoneType"),
    ],
)
def test_odd_answers(answer: object, message: str):
    with pytest.raises(InputError, match=message):
        tensor_of(answer, (2, 3), "model(batch)")


def test_losses_of_two_arguments_are_handed_what_counts():
    counted = torch.tensor([[True, False, True], [True, True, True]])
    assert float(loss_of(functional.mse_loss, masked=False)(X, Y, counted)) == float(functional.mse_loss(X, Y))
    assert float(loss_of(nn.MSELoss(), masked=True)(X, Y, counted)) == float(
        functional.mse_loss(X[counted], Y[counted])
    )
    seen: list[Tensor] = []
    loss_of(lambda a, b, m: seen.append(m) or (a - b).mean(), masked=True)(X, Y, counted)
    assert seen[0] is counted


@pytest.mark.parametrize("value", [1.5, torch.tensor(1.5), torch.tensor([1.5]), {"loss": torch.tensor(1.5)}])
def test_a_step_gives_a_number(value: object):
    assert float(scalar_of(value, "training_step")) == 1.5


@pytest.mark.parametrize(("value", "message"), [(None, "gives nothing"), (X, r"shape \(2, 3\)"), ("a", "gives str")])
def test_a_step_that_gives_no_number(value: object, message: str):
    with pytest.raises(InputError, match=message):
        scalar_of(value, "training_step")


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        return self.layer(torch.cat((x, p), dim=1))


def _raises(batch: object) -> Tensor:
    raise KeyError("my own mistake")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, r"which entries of a batch are the cells is not known.*0: \(2, 3\) torch.float32.*\n +fields="),
        ({"fields": {"before": 0, "after": 9}}, "no entry 9"),
        (
            {"predict": _raises},
            r"predict\(batch\) fails on a batch of the loader.*\n.*test_calls.py(.|\n)*my own mistake",
        ),
        ({"predict": lambda batch: {"mean": batch[0]}}, r"\['mean'\]"),
        ({"loss": lambda a: a.mean()}, r"loss\(prediction"),
        ({"loss": nn.MSELoss(reduction="none")}, r"a loss is one number(.|\n)*\.mean\(\)"),
        ({"training_step": lambda batch: None}, "gives nothing"),
        ({"training_step": _raises}, r"training_step fails(.|\n)*my own mistake"),
        ({"forward": lambda model, batch: X}, "give predict="),
        ({"targets": [0, 1, 2, 3]}, "targets= names 4 perturbations"),
    ],
)
def test_what_fails_is_one_error_before_anything_is_judged(parts: dict[str, Any], message: str):
    fields = {"fields": {"before": 0, "perturbation": 1, "after": 2}} if parts else {}
    heard: list[object] = []
    with pytest.raises(InputError, match=message):
        diagnose(Model(), [TUPLE], on_check=heard.append, **{**fields, **parts})
    assert heard == []


def test_arrays_are_pairs_too():
    said: Callable[..., Any] = diagnose
    arrays = {"before": X.numpy(), "perturbation": P.numpy(), "after": Y.numpy()}
    report = said(
        Model(), arrays, predict=lambda model, b: model(b["before"], b["perturbation"]), only=["architecture.gradients"]
    )
    assert report.diagnosis is None
    with pytest.raises(InputError, match="different numbers of pairs"):
        said(Model(), {**arrays, "after": Y[:1].numpy()})
