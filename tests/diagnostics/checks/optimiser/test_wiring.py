"""From the loss to the weights: every check of the optimiser with the fault that it catches."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.subject import Subject, existing
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import model_batch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.subjects import (
    Linear,
    Mlp,
    adamw,
    failures,
    found,
    made,
    pairs_of,
    report,
    subject,
    transformer,
)

Step = Callable[[nn.Module, torch.optim.Optimizer, PairBatch], float]


def step_with(
    *,
    clear: bool = True,
    update: bool = True,
    scale: float = 1.0,
    clip: float | None = None,
    after: Callable[[nn.Module], None] | None = None,
) -> Step:
    """A training step of one's own, written out."""

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        if clear:
            optimizer.zero_grad()
        batch, after_BL = model_batch(pairs)
        loss = masked_loss(model(batch), after_BL, batch.scored_BL)
        (scale * loss).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        if update:
            optimizer.step()
        if after is not None:
            after(model)
        return float(loss.detach())

    return step


def shrink(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)


def detached_encoder(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
    optimizer.zero_grad()
    batch, after_BL = model_batch(pairs)
    frozen = [one for name, one in model.named_parameters() if name.startswith(("state", "encoder"))]
    for one in frozen:
        one.requires_grad_(False)
    loss = masked_loss(model(batch), after_BL, batch.scored_BL)
    loss.backward()
    for one in frozen:
        one.requires_grad_(True)
    optimizer.step()
    return float(loss.detach())


def detached_loss(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
    batch, after_BL = model_batch(pairs)
    with torch.no_grad():
        loss = masked_loss(model(batch), after_BL, batch.scored_BL)
    optimizer.step()
    return float(loss)


def falling_rate() -> Step:
    inner = step_with()

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        loss = inner(model, optimizer, pairs)
        for group in optimizer.param_groups:
            group["lr"] *= 0.9
        return loss

    return step


def rate_of_its_own(rate: float) -> Step:
    inner = step_with()

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        kept = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = inner(model, optimizer, pairs)
        for group, usual in zip(optimizer.param_groups, kept, strict=True):
            group["lr"] = usual
        return loss

    return step


def adam(**settings: Any) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: torch.optim.AdamW(model.parameters(), **{"lr": 1e-3, **settings})


def head_only(model: nn.Module) -> torch.optim.Optimizer:
    return adamw(model.get_submodule("out"))


def decay_inside(model: nn.Module) -> torch.optim.Optimizer:
    """Of Adam's kind that adds decay to the gradient."""
    return torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e5)


NO_DECAY: dict[str, Any] = {"make_optimizer": adam(weight_decay=0.0)}
FAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("head only", "optimiser.holds_parameters", {"make_optimizer": head_only}),
    ("a copy", "optimiser.holds_parameters", {"make_optimizer": lambda model: adamw(copy.deepcopy(model))}),
    ("detached encoder", "optimiser.gradients", {"training_step": detached_encoder}),
    ("detached loss", "optimiser.gradients", {"training_step": detached_loss}),
    ("sign in the step", "optimiser.gradients", {"training_step": step_with(scale=-1.0)}),
    ("not cleared", "optimiser.cleared", {"training_step": step_with(clear=False)}),
    ("no update", "optimiser.moves_parameters", {"training_step": step_with(update=False)}),
    ("rate 0", "optimiser.learning_rate", {"make_optimizer": adam(lr=0.0)}),
    ("rate killed", "optimiser.learning_rate", {"training_step": falling_rate()}),
    ("eps 1", "optimiser.first_step", {"make_optimizer": adam(eps=1.0)}),
    ("decay", "optimiser.decay", {"make_optimizer": adam(weight_decay=100.0)}),
    ("decay inside the gradient", "optimiser.decay", {"make_optimizer": decay_inside}),
    ("weights shrunk by hand", "optimiser.decay", {"training_step": step_with(after=shrink)}),
    ("maximize", "optimiser.descends", {"make_optimizer": adam(maximize=True)}),
    ("betas swapped", "optimiser.moments", {"make_optimizer": adam(betas=(0.999, 0.9))}),
    ("momentum 1", "optimiser.moments", {"make_optimizer": lambda model: torch.optim.SGD(
        model.parameters(), lr=1e-3, momentum=1.0)}),
    ("clipped away", "optimiser.first_step", {**NO_DECAY, "training_step": step_with(clip=1e-12)}),
    ("rate below rounding", "optimiser.first_step", {**NO_DECAY, "training_step": rate_of_its_own(1e-10)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts"), [one[1:] for one in FAULTS], ids=[one[0] for one in FAULTS])
def test_a_planted_fault_is_diagnosed_by_its_check(name: str, parts: dict[str, Any]):
    found_all = report(subject(**parts), "optimiser")
    assert [result.traceback for result in found_all.results if result.outcome == "error"] == []
    assert found_all.diagnosis is not None
    cause = "bug" if name == "optimiser.gradients" else "optimiser"
    assert (found_all.diagnosis.name, found_all.diagnosis.cause) == (name, cause)


def test_parameters_in_half_precision_are_found():
    model = transformer().bfloat16()
    result = found(subject(model), "optimiser.precision")
    assert result.outcome == "fail"
    assert result.statistic == 2.0**-8


def test_steps_that_rounding_swallows_are_not_steps_that_are_never_taken():
    def slow(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=1e-12)

    result = found(subject(make_optimizer=slow), "optimiser.moves_parameters")
    assert result.outcome == "inconclusive"
    result = found(subject(training_step=step_with(update=False)), "optimiser.moves_parameters")
    assert result.outcome == "fail"
    assert "no optimiser takes a step" in result.message

    def put_back(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        kept = copy.deepcopy(model.state_dict())
        loss = step_with()(model, optimizer, pairs)
        model.load_state_dict(kept)
        return loss

    result = found(subject(training_step=put_back), "optimiser.moves_parameters")
    assert result.outcome == "fail"
    assert "undone" in result.message


@pytest.mark.parametrize("factor", [1.0, 1e3])
def test_weights_that_begin_too_large_are_found(factor: float):
    model = made(lambda: Linear(8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    result = found(subject(model), "optimiser.start")
    assert result.outcome == ("pass" if factor == 1.0 else "fail"), result.message


HEALTHY: list[tuple[str, dict[str, Any]]] = [
    ("its own step", {"training_step": step_with()}),
    ("a scaled loss", {"training_step": step_with(scale=100.0)}),
    ("clipped", {"training_step": step_with(clip=0.01)}),
    ("sgd", {"make_optimizer": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)}),
    ("usual decay", {"make_optimizer": adam(weight_decay=0.1)}),
    ("huge rate", {"make_optimizer": adam(lr=10.0)}),
    ("adamax", {"make_optimizer": lambda model: torch.optim.Adamax(model.parameters())}),
    ("none given", {"make_optimizer": None}),
    ("step without optimiser", {"make_optimizer": None, "training_step": step_with()}),
]


@pytest.mark.parametrize("parts", [one[1] for one in HEALTHY], ids=[one[0] for one in HEALTHY])
def test_healthy_steps_pass(parts: dict[str, Any]):
    assert failures(subject(**parts), "optimiser") == []


def test_an_optimiser_with_a_past_is_asked_for_its_first_step_and_gets_its_past_back():
    model = transformer()
    optimizer = adamw(model)
    asked = subject(model, make_optimizer=existing(optimizer))
    for pairs in pairs_of().pairs(batch_size=50, seed=0):
        asked.step(model, optimizer, pairs)
    before = copy.deepcopy(optimizer.state_dict())
    assert failures(asked, "optimiser") == []
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for number, state in before["state"].items():
        assert all(torch.equal(value, after["state"][number][key]) for key, value in state.items())


def test_a_warm_up_that_begins_at_0_is_healthy():
    inner = step_with()

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        loss = inner(model, optimizer, pairs)
        for group in optimizer.param_groups:
            group["lr"] = min(1e-3, group["lr"] + 1e-4)
        return loss

    assert failures(subject(training_step=step, make_optimizer=adam(lr=0.0)), "optimiser") == []


@pytest.mark.parametrize("make", [Linear, Mlp])
def test_the_wiring_of_plain_modules_is_judged_alike(make: Callable[[int], nn.Module]):
    asked = Subject(pairs=pairs_of(), model=made(lambda: make(8)), make_optimizer=adamw)
    assert failures(asked, "optimiser") == []


class Table(nn.Module):
    """A linear model of one gene's perturbation, read from a table."""

    def __init__(self, *, plain: bool) -> None:
        super().__init__()
        table = torch.ones(8, 8)
        self.table = table.requires_grad_() if plain else nn.Parameter(table)
        self.shift = nn.Parameter(torch.zeros(8))

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        del measured_BG
        return before_BG + self.shift + perturbed_BG.to(before_BG) @ self.table.to(before_BG) + 0 * target_BG


@pytest.mark.parametrize(("plain", "outcome"), [(True, "fail"), (False, "pass")])
def test_a_table_that_is_no_parameter_is_named(plain: bool, outcome: str):
    result = found(subject(made(lambda: Table(plain=plain))), "optimiser.holds_parameters")
    assert result.outcome == outcome
    assert ("table asks for a gradient and is a plain tensor" in result.message) == plain
