"""Healthy training steps of many kinds pass every check of the optimiser, and the faults in them are found."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject, TrainingStep, existing
from diagnostics.checks.optimiser.one_step import habits_of, objective_of
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import model_batch
from gpcp.training.loss import masked_loss
from tests.diagnostics.checks.subjects import Mlp, adamw, failures, found, made, pairs_of, subject

Dense = tuple[Tensor, Tensor, Tensor, Tensor]


def dense(pairs: PairBatch) -> tuple[Dense, Tensor, Tensor]:
    batch, after_BL = model_batch(pairs)
    target_BL = torch.where(batch.perturbed_BL, batch.target_BL, 0.0)
    return (batch.before_BL, target_BL, batch.measured_BL, batch.perturbed_BL), after_BL, batch.scored_BL


class Variational(nn.Module):
    """A code that is drawn in training; it keeps its divergence."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.mean, self.spread = nn.Linear(32, 16), nn.Linear(16, 4), nn.Linear(16, 4)
        self.decoder = nn.Linear(4 + 16, 8)
        self.divergence = torch.zeros(())

    def forward(self, before: Tensor, target: Tensor, measured: Tensor, perturbed: Tensor) -> Tensor:
        done = torch.cat((target, perturbed.to(before)), dim=1)
        hidden = torch.relu(self.encoder(torch.cat((before, measured.to(before), done), dim=1)))
        mean, spread = self.mean(hidden), self.spread(hidden)
        code = mean + torch.randn_like(mean) * (0.5 * spread).exp() if self.training else mean
        self.divergence = -0.5 * (1 + spread - mean**2 - spread.exp()).sum(dim=1).mean()
        return self.decoder(torch.cat((code, done), dim=1))


class TwoHeads(nn.Module):
    """A mean and a spread, of which forward answers the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.mean, self.spread = nn.Linear(32, 32), nn.Linear(32, 8), nn.Linear(32, 8)

    def both(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.relu(self.body(torch.cat([value.to(values[0]) for value in values], dim=1)))
        return self.mean(hidden), self.spread(hidden)

    def forward(self, before: Tensor, target: Tensor, measured: Tensor, perturbed: Tensor) -> Tensor:
        return self.both(before, target, measured, perturbed)[0]


Loss = Callable[[nn.Module, Dense, Tensor, Tensor], Tensor]


def squared(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    return masked_loss(model(*values), after, scored)


def elbo(weight: float) -> Loss:
    def loss(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
        return squared(model, values, after, scored) + weight * model.divergence  # pyright: ignore

    return loss


def likelihood(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    mean, spread = model.both(*values)  # pyright: ignore
    return F.gaussian_nll_loss(mean[scored], after[scored], spread[scored].exp())  # pyright: ignore


def masked_at_random(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    before, *rest = values
    return squared(model, (torch.where(torch.rand_like(before) < 0.3, 0.0, before), *rest), after, scored)  # pyright: ignore


def detached(model: nn.Module, values: Dense, after: Tensor, scored: Tensor) -> Tensor:
    body = model.get_submodule("body" if isinstance(model, TwoHeads) else "encoder")
    for one in body.parameters():
        one.requires_grad_(False)
    return (likelihood if isinstance(model, TwoHeads) else elbo(0.1))(model, values, after, scored)


def step_of(loss: Loss, *, sign: float = 1.0, clear: bool = True, thaw: bool = False) -> TrainingStep:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        model.train()
        if clear:
            optimizer.zero_grad()
        value = loss(model, *dense(pairs))
        (sign * value).backward()
        if thaw:
            for one in model.parameters():
                one.requires_grad_(True)
        optimizer.step()
        return float(value.detach())

    return step


def normed() -> nn.Module:
    return Mlp(8, extra=nn.Sequential(nn.BatchNorm1d(32), nn.Dropout(0.3)))


HEALTHY: list[tuple[Callable[[], nn.Module], Loss, str]] = [
    (normed, squared, "same"),
    (Variational, elbo(0.01), "plus"),
    (Variational, elbo(1.0), "plus"),
    (TwoHeads, likelihood, "other"),
    (lambda: Mlp(8), masked_at_random, "random"),
    (lambda: Mlp(8, extra=nn.Dropout(0.5)), squared, "same"),
]


def asked_of(make: Callable[[], nn.Module], step: TrainingStep, **parts: Any) -> Subject:
    return subject(made(make), training_step=step, **parts)


@pytest.mark.parametrize(("make", "loss", "kind"), HEALTHY)
@pytest.mark.parametrize("given", [True, False])
def test_healthy_steps_fail_nothing(make: Callable[[], nn.Module], loss: Loss, kind: str, given: bool):
    asked = asked_of(make, step_of(loss), loss=masked_loss if given else None)
    assert objective_of(Probe(asked)).kind == kind
    assert habits_of(Probe(asked)).training
    assert habits_of(Probe(asked)).random == (kind == "random" or make is Variational)
    assert failures(asked) == []


FAULTS: list[tuple[Callable[[], nn.Module], TrainingStep, str]] = [
    (Variational, step_of(elbo(1.0), sign=-1.0), "optimiser.gradients"),
    (TwoHeads, step_of(likelihood, sign=-1.0), "optimiser.descends"),
    (TwoHeads, step_of(detached, thaw=True), "optimiser.gradients"),
    (Variational, step_of(detached, thaw=True), "optimiser.gradients"),
    (Variational, step_of(elbo(1.0), clear=False), "optimiser.cleared"),
    (TwoHeads, step_of(likelihood, clear=False), "optimiser.cleared"),
    (normed, step_of(squared, clear=False), "optimiser.cleared"),
]


@pytest.mark.parametrize(("make", "step", "name"), FAULTS)
@pytest.mark.parametrize("given", [True, False])
def test_faults_in_them_are_found_without_the_loss_too(
    make: Callable[[], nn.Module], step: TrainingStep, name: str, given: bool
):
    asked = asked_of(make, step, loss=masked_loss if given else None)
    assert failures(asked, "loss", "optimiser")[0] == name


def accumulated(every: int, *, clear: bool = True) -> TrainingStep:
    n_steps = 0

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        nonlocal n_steps
        n_steps += 1
        loss = squared(model, *dense(pairs))
        (loss / every).backward()
        if n_steps % every == 0:
            optimizer.step()
            if clear:
                optimizer.zero_grad()
        return float(loss.detach())

    return step


@pytest.mark.parametrize("every", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_gradients_may_be_accumulated_on_purpose(every: int):
    assert failures(asked_of(lambda: Mlp(8), accumulated(every))) == []
    assert failures(asked_of(lambda: Mlp(8), accumulated(every, clear=False))) == ["optimiser.cleared"]


def elsewhere(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
    """A sharpness aware step: the gradient that counts is taken a little uphill."""
    values, after, scored = dense(pairs)
    weights = [one.detach().clone() for one in model.parameters()]
    optimizer.zero_grad()
    loss = squared(model, values, after, scored)
    loss.backward()
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in model.parameters()]
    length = torch.stack([one.norm() for one in gradients]).norm()
    with torch.no_grad():
        for one, gradient in zip(model.parameters(), gradients, strict=True):
            one.add_(0.05 * gradient / length)
    optimizer.zero_grad()
    squared(model, values, after, scored).backward()
    with torch.no_grad():
        for one, value in zip(model.parameters(), weights, strict=True):
            one.copy_(value)
    optimizer.step()
    return float(loss)


def by_closure(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
    """LBFGS evaluates the loss several times a step."""
    values, after, scored = dense(pairs)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = squared(model, values, after, scored)
        loss.backward()
        return loss

    return float(optimizer.step(closure))  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_steps_that_look_at_the_loss_elsewhere_first_are_healthy():
    assert failures(asked_of(lambda: Mlp(8), elsewhere), "optimiser") == []
    model = made(lambda: Mlp(8))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=5)
    asked = subject(
        model, pairs=pairs_of(), loss=masked_loss, make_optimizer=existing(optimizer), training_step=by_closure
    )
    assert failures(asked, "optimiser") == []


def test_several_optimisers_hold_the_model_between_them():
    model = made(lambda: Mlp(8))
    first, last = (adamw(model.get_submodule(name)) for name in ("first", "last"))

    def both(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        optimizer.zero_grad()
        last.zero_grad()
        loss = squared(model, *dense(pairs))
        loss.backward()
        optimizer.step()
        last.step()
        return float(loss.detach())

    asked = subject(model, make_optimizer=existing(first), training_step=both)
    assert failures(asked) == []
    assert last.state_dict()["state"] == {}
    alone = subject(model, make_optimizer=existing(first), training_step=step_of(squared))
    assert found(alone, "optimiser.holds_parameters").outcome == "fail"


def scheduled(make: Callable[[torch.optim.Optimizer], Any], **parts: Any) -> Subject:
    model = made(lambda: Mlp(8))
    optimizer = adamw(model)
    schedule = make(optimizer)
    inner = step_of(squared)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        loss = float(inner(model, optimizer, pairs))
        schedule.step()
        return loss

    return subject(model, make_optimizer=existing(optimizer), training_step=step, pairs=pairs_of(n_pairs=500), **parts)


KINDS = torch.optim.lr_scheduler
ENDING: list[Any] = [
    (lambda one: KINDS.LambdaLR(one, lambda n: min(n / 10, max(0.0, (100 - n) / 90))), "fail", "after 100 steps"),
    pytest.param(lambda one: KINDS.PolynomialLR(one, total_iters=80), "fail", "after 80 steps", marks=pytest.mark.slow),
    (lambda one: KINDS.ExponentialLR(one, 0.9), "fail", "less than 10%"),
    (lambda one: KINDS.LambdaLR(one, lambda n: max(0.0, 1 - n / 2000)), "pass", "after 1981 steps"),
    (lambda one: KINDS.OneCycleLR(one, 0.01, total_steps=100), "pass", "as it is declared"),
    pytest.param(lambda one: KINDS.CosineAnnealingLR(one, 100), "pass", "", marks=pytest.mark.slow),
    (lambda one: KINDS.CosineAnnealingWarmRestarts(one, 16), "pass", ""),
    pytest.param(lambda one: KINDS.LambdaLR(one, lambda n: min(1.0, n / 1000)), "pass", "", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("make", "outcome", "words"), ENDING)
def test_a_schedule_that_is_over_too_soon_is_named_with_its_end(
    make: Callable[[torch.optim.Optimizer], Any], outcome: str, words: str
):
    result = found(scheduled(make), "optimiser.learning_rate")
    assert result.outcome == outcome, result.message
    assert words in result.message


def test_the_rate_that_is_judged_is_the_highest_of_the_schedule():
    from diagnostics.checks.learning.learning_rate import given_rate

    warm = scheduled(lambda one: KINDS.LambdaLR(one, lambda n: min(1.0, n / 1000)))
    assert given_rate(Probe(warm)) == pytest.approx(1e-3)
